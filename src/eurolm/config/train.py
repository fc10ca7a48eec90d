"""Config of training."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from eurolm.config.fields import Observation, Output, Section

Part = Literal["embeddings", "head", "body"]
"""Parts of a model that may learn at rates of their own."""


class OptimizerConfig(Section):
    """Update rule. Learning rates are peaks; the schedule scales them."""

    name: Output[Literal["adamw", "muon"]] = "adamw"
    """`muon` updates hidden matrices by Newton–Schulz (arXiv 2502.16982), the rest by AdamW."""
    learning_rate: Output[float] = Field(default=3e-4, gt=0)
    """Peak learning rate of AdamW parameters."""
    muon_learning_rate: Output[float] = Field(default=0.02, gt=0)
    """Peak learning rate of Muon matrices; unused with `adamw`."""
    beta1: Output[float] = Field(default=0.9, ge=0, lt=1)
    """First-moment decay."""
    beta2: Output[float] = Field(default=0.95, ge=0, lt=1)
    """Second-moment decay."""
    epsilon: Output[float] = Field(default=1e-8, gt=0)
    """Denominator offset."""
    weight_decay: Output[float] = Field(default=0.1, ge=0)
    """Decoupled weight decay of matrices; vectors and embeddings have none."""
    gradient_clip: Output[float] = Field(default=1.0, gt=0)
    """Greatest global gradient norm. Unused with `muon`, whose updates have a fixed size."""


class RewarmConfig(Section):
    """A second warm-up, for a horizon that grew after the decay had begun, or for a new phase."""

    at_tokens: Output[int] = Field(ge=0)
    """Tokens consumed when the learning rate falls to 0 and begins to rise again."""
    over_tokens: Output[int] = Field(gt=0)
    """Tokens until it is back at what the schedule says."""


class ScheduleConfig(Section):
    """Learning-rate factor as a pure function of tokens consumed."""

    shape: Output[Literal["wsd", "cosine", "linear"]] = "wsd"
    """Warm-up, stable, decay (horizon-free until the decay); or one decay over the whole horizon."""
    decay: Output[Literal["linear", "1-sqrt", "cosine"]] = "linear"
    """Form of the decay of `wsd` (`1-sqrt`: arXiv 2405.18392)."""
    warmup_share: Output[float] = Field(default=0.02, ge=0, lt=1)
    """Share of the horizon spent warming up linearly."""
    warmup_tokens: Output[int | None] = Field(default=None, ge=0)
    """Tokens of warm-up, instead of a share: a longer horizon then leaves the warm-up as it was."""
    decay_share: Output[float] = Field(default=0.2, ge=0, le=1)
    """Share of the horizon spent in the final decay (wsd)."""
    floor: Output[float] = Field(default=0.0, ge=0, lt=1)
    """Factor at the end."""
    rewarms: Output[list[RewarmConfig]] = []
    """Second warm-ups."""


class FreezeConfig(Section):
    """A part of the model that learns less at first. Freezing by factor, not by `requires_grad`: DeepSpeed 0.18.2
    crashes on frozen parameters at ZeRO-3 with activation checkpointing (issue 8148)."""

    until_tokens: Output[int] = Field(gt=0)
    """Tokens until which the factor holds; 1 afterwards."""
    factor: Output[float] = Field(default=0.0, ge=0, le=1)
    """On the part's learning rate; 0 keeps its weights as they are."""


class TrainConfig(Section):
    """Training: DeepSpeed around the model, bf16 with fp32 masters."""

    ranks: Observation[int] = Field(default=1, ge=1)
    """Processes, one per device. Changes sums in the last bit only; a run resumes at any number of them."""
    zero_stage: Observation[Literal[0, 1, 2, 3]] = 1
    """What the ranks share out: 1 masters and moments, 2 gradients too, 3 weights too; 0 nothing."""
    hpz_ranks: Observation[int | None] = Field(default=None, ge=2)
    """ZeRO-3: ranks (of one node) that hold a second copy of the weights, so that the backward pass gathers inside the
    node (hpZ, arXiv 2306.10209)."""
    tensor_parallel: Observation[int] = Field(default=1, ge=1)
    """Ranks that share one layer. Only 1 is supported; see `train/settings.py` for why."""
    sequence_parallel: Observation[int] = Field(default=1, ge=1)
    """Ranks that share one row. Only 1 is supported; see `train/settings.py` for why."""
    micro_batch_rows: Observation[int | None] = Field(default=None, ge=1)
    """Rows per forward pass and rank; null takes the rank's whole share of the batch."""
    activation_checkpointing: Observation[Literal["none", "selective", "full"]] = "none"
    """`full` keeps only the layers' inputs and computes each layer twice; `selective` keeps results of matrix products
    and attention and recomputes the rest."""
    attention: Observation[Literal["auto", "eager", "sdpa", "flash_attention_2"]] = "auto"
    """Kernel; `auto` takes FlashAttention-2 on GPUs that have it, else SDPA, and eager for short rows on CPUs."""
    accumulation_dtype: Output[Literal["bf16", "fp32"]] = "bf16"
    """Type in which gradients of micro-batches are added up."""
    communication_dtype: Output[Literal["bf16", "fp32"]] = "fp32"
    """Type in which gradients are summed over ranks."""
    threads_per_rank: Observation[int | None] = Field(default=None, ge=1)
    """CPU threads per rank; null shares the cores out. Part of the bit-identity of a run on CPU."""
    compile: Observation[bool] = False
    """Compile the model with torch.compile."""
    optimizer: Output[OptimizerConfig] = OptimizerConfig()
    """Update rule."""
    schedule: Output[ScheduleConfig] = ScheduleConfig()
    """Learning-rate schedule."""
    freeze: Output[dict[Part, FreezeConfig]] = {}
    """Parts that learn less at first; a tied head belongs to the embeddings."""
    max_skipped_steps: Observation[int] = Field(default=3, ge=0)
    """Consecutive non-finite steps that are skipped before training stops (exit 12)."""
    validate_every_steps: Observation[int] = Field(default=500, ge=1)
    """Steps between validations; also run at the start and at the end."""
    validate_max_bytes: Observation[int] = Field(default=2_000_000, gt=0)
    """Held-out text per language scored in one validation, the same every time."""
    save_every_minutes: Observation[float] = Field(default=30.0, gt=0)
    """Wall-clock time between checkpoints."""
    keep_checkpoints: Observation[int] = Field(default=2, ge=1)
    """Recent checkpoints kept; the final one stays."""
    permanent_every_tokens: Observation[int | None] = Field(default=None, gt=0)
    """Also save each time so many tokens are consumed, and keep these for good: for curves, forks and annealing."""
    prompts: Observation[list[str]] = []
    """Prompts continued at the start, at a third and at the end, for the report."""
    prompt_tokens: Observation[int] = Field(default=40, ge=1)
    """Tokens generated per prompt."""
    log_every_steps: Observation[int] = Field(default=1, ge=1)
    """Steps between lines in metrics.jsonl."""
