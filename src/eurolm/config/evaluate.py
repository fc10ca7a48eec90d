"""Config of evaluation and report, and of where a run lives."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from eurolm.config.fields import Observation, Output, Section


class EvaluateConfig(Section):
    """Scores of the final model: bits per byte on held-out text and tasks."""

    tasks: Output[list[str]] = []
    """Tasks by name, from `configs/evaluation/tasks`, or your own by YAML file."""
    suite: Output[str | None] = None
    """A suite of `configs/evaluation/suites`, or the path of one, asked beside `tasks`."""
    shots: Output[int] = Field(default=0, ge=0)
    """Examples before each question of `tasks`; a suite has its own."""
    templates: Output[Literal["first", "all"]] = "all"
    """Wordings of `tasks` that are scored: the reported one, or all, so that their spread is known."""
    items: Output[dict[str, str]] = {}
    """By task, a file of items in place of the carried ones, or `full` for all public ones, once fetched."""
    limit: Output[int | None] = Field(default=None, ge=1)
    """Items per task, chosen by hash; null for all."""
    checkpoint_suite: Output[str | None] = "baltic-fast"
    """Suite that every checkpoint kept for good (train.permanent_every_tokens) is scored on, for the curves of the
    report; null for none."""
    hits: Output[list[Path]] = []
    """`hits.parquet` files of `eurolm corpus recheck`, beside the corpus's own; scores come with and without them."""
    context_tokens: Output[int | None] = Field(default=None, ge=16)
    """Window for bits per byte; null takes the model's row length of the last phase."""
    stride_tokens: Output[int | None] = Field(default=None, ge=1)
    """Tokens scored per window after the first; null takes half of the window."""
    heldout_max_bytes: Output[int] = Field(default=2_000_000, gt=0)
    """Held-out text scored per language, whole documents in id order."""
    dtype: Output[Literal["float32", "bfloat16"] | None] = None
    """Number format of the model; null takes bfloat16 where the hardware multiplies it. Log-softmax is float32."""
    ngram_orders: Output[list[int]] = [3, 5]
    """Character n-gram models (interpolated Kneser–Ney on the training text) shown beside bits per byte."""
    ngram_max_bytes: Output[int] = Field(default=50_000_000, gt=0)
    """Training text per language the n-gram models see; the report says when it is not all."""
    seed: Output[int] = 1
    """Seed of the choice of examples."""
    batch_tokens: Observation[int | None] = Field(default=8192, ge=16)
    """Padded tokens per forward pass; null finds a size that fits the device."""


class ReportConfig(Section):
    """The HTML report."""

    title: Observation[str | None] = None
    """Heading; null takes the run's name."""
    compare_tokenizers: Observation[list[Path]] = []
    """Local Hugging Face tokenizer directories or SentencePiece files shown beside the run's own."""


class RunConfig(Section):
    """Where the run lives."""

    workspace: Observation[Path] = Path()
    """Directory that holds `runs/` and `store/`, relative to where the command is run."""
    umask: Observation[str] = Field(default="0007", pattern=r"^0?[0-7]{3}$")
    """Umask of everything written, so that a colleague of the same group can resume."""
