"""Config of training."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from eurolm.config.fields import Observation, Output, Section


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


class ScheduleConfig(Section):
    """Learning-rate factor as a pure function of samples consumed."""

    shape: Output[Literal["wsd", "cosine"]] = "wsd"
    """Warm-up, stable, decay (linear to zero; horizon-free until the decay) or cosine over the whole horizon."""
    warmup_share: Output[float] = Field(default=0.02, ge=0, lt=1)
    """Share of the horizon spent warming up linearly."""
    decay_share: Output[float] = Field(default=0.2, ge=0, le=1)
    """Share of the horizon spent in the final decay (wsd)."""
    floor: Output[float] = Field(default=0.0, ge=0, lt=1)
    """Factor at the end."""


class TrainConfig(Section):
    """Training: DeepSpeed ZeRO-1 around the model, bf16 with fp32 masters."""

    ranks: Observation[int] = Field(default=1, ge=1)
    """Processes, one per device. Changes sums in the last bit only; a run resumes at the count it started with."""
    micro_batch_rows: Observation[int | None] = Field(default=None, ge=1)
    """Rows per forward pass and rank; null takes the rank's whole share of the batch."""
    threads_per_rank: Observation[int | None] = Field(default=None, ge=1)
    """CPU threads per rank; null shares the cores out. Part of the bit-identity of a run on CPU."""
    compile: Observation[bool] = False
    """Compile the model with torch.compile."""
    optimizer: Output[OptimizerConfig] = OptimizerConfig()
    """Update rule."""
    schedule: Output[ScheduleConfig] = ScheduleConfig()
    """Learning-rate schedule."""
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
    prompts: Observation[list[str]] = []
    """Prompts continued at the start, at a third and at the end, for the report."""
    prompt_tokens: Observation[int] = Field(default=40, ge=1)
    """Tokens generated per prompt."""
    log_every_steps: Observation[int] = Field(default=1, ge=1)
    """Steps between lines in metrics.jsonl."""
