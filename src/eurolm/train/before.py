"""What the model that is continued spends per byte, with its own tokenizer: the line to compare training with.

The same pieces of held-out text as the validation of the run, in windows of as many tokens of its own. Vocabulary
extension raises bits per byte at first, so step 0 of the run is no measure of what was there before.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from eurolm.corpus.documents import heldout
from eurolm.corpus.forget import Forgotten
from eurolm.model.load import load_model, stored_dtype
from eurolm.model.rope import restore_frequencies
from eurolm.scoring.bits_per_byte import bits_per_byte, score_documents
from eurolm.scoring.ranks import ALONE, Ranks
from eurolm.tokenizer.load import load
from eurolm.train.metrics import METRICS, RunLog
from eurolm.train.state import TrainState
from eurolm.train.step import StepRecord
from eurolm.train.validate import BATCH_TOKENS, heldout_languages, pieces

ROOM = 1.2
"""Device memory wanted per byte of weights: activations of a batch and one chunk of logits come on top."""


@dataclass(frozen=True)
class Original:
    """Scores the model in `use` before the first step and notes it in metrics.jsonl; an observer of the training."""

    log: RunLog
    use: Path
    texts: Mapping[str, Sequence[str]]
    """Pieces of held-out text per language."""
    window: int
    """Tokens scored at once: the row length of the last phase."""
    device: torch.device

    def started(self) -> None:
        """Score and write; every rank takes its share."""
        if not self.texts:
            return
        began = time.perf_counter()
        ranks = Ranks(dist.get_rank(), dist.get_world_size(), _gather)
        left_out = next(filter(None, ranks.together(lambda: no_room(self.use, self.device))), None)
        scores = None
        if left_out is None:
            scores = original_bits_per_byte(self.use, self.texts, self.window, self.device, ranks)
        if ranks.first:
            seconds = round(time.perf_counter() - began, 3)
            values = {"model": str(self.use), "bits_per_byte": scores, "left_out": left_out, "seconds": seconds}
            self.log.write(METRICS, "original", 0, samples=0, **values)

    def stepped(self, record: StepRecord, state: TrainState) -> None:
        """The original does not change."""


def original_bits_per_byte(
    use: Path, texts: Mapping[str, Sequence[str]], window: int, device: torch.device, ranks: Ranks = ALONE
) -> dict[str, float]:
    """Bits per byte of each language under the model in `use` with the tokenizer beside it; the same on every rank.

    In bf16 on an accelerator, as training is; on a CPU in the dtype of its files, so that the ranks of a node share
    them. Raises InputError for a directory without model or tokenizer, NumericsError for values that are not finite.
    """
    stored = stored_dtype(use)
    model: Any = load_model(use, torch.float32 if stored == torch.float16 and device.type == "cpu" else stored)
    if device.type != "cpu":
        model = as_trained(model, device)
    tokenizer = load(use)
    window = min(window, model.config.max_position_embeddings)
    return {
        language: bits_per_byte(score_documents(model, tokenizer, found, window, window, BATCH_TOKENS, ranks=ranks))
        for language, found in texts.items()
    }


def as_trained(model: Any, device: torch.device) -> Any:
    """The model on `device` in bf16, its rotary frequencies in fp32 as in training: the conversion rounds them, too."""
    model = model.to(device=device, dtype=torch.bfloat16)
    restore_frequencies(model)
    return model


def heldout_texts(corpus: Path | None, forgotten: Forgotten, max_bytes: int) -> dict[str, list[str]]:
    """The pieces of text that the validation of a run scores, per language."""
    if corpus is None:
        return {}
    found = {
        language: pieces([document.text for document in heldout(corpus, language, forgotten)], max_bytes)
        for language in heldout_languages(corpus)
    }
    return {language: texts for language, texts in found.items() if texts}


def no_room(use: Path, device: torch.device) -> str | None:
    """Why the original does not fit beside the model in training on this device; null where it does."""
    if device.type == "cpu":
        return None
    stored = sum(file.stat().st_size for file in use.glob("*.safetensors"))
    wanted = ROOM * stored * torch.bfloat16.itemsize / stored_dtype(use).itemsize
    free, _ = torch.cuda.mem_get_info(device)
    if wanted <= free:
        return None
    return (
        f"the original needs {wanted / 1e9:.1f} GB beside the model in training, the device has {free / 1e9:.1f} GB "
        f"free; score it by itself with `eurolm evaluate {use}`"
    )


def _gather(value: Any) -> list[Any]:
    gathered: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(gathered, value)
    return gathered
