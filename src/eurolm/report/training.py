"""The course of training from `metrics.jsonl` and the texts from `samples.jsonl`, ordered by step.

Samples consumed are the only clock, so tokens are computed from them and the phases, never summed up. Training cuts
its log back to the checkpoint when it resumes, so a step stands there once; should a log of another origin hold a
step twice, the later line counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from statistics import median
from typing import Any

from eurolm.config.tokens import MixtureConfig

SMOOTHING_SHARE = 0.02
"""Reach of the smoothed loss to either side, as a share of the steps shown."""

Points = list[tuple[float, float]]
"""(tokens trained on, value)."""


@dataclass(frozen=True)
class Course:
    """Training as it went: log lines in the order of their steps."""

    mixture: MixtureConfig
    steps: list[dict[str, Any]]
    validations: list[dict[str, Any]]
    resumes: list[dict[str, Any]]
    skips: list[dict[str, Any]]

    def tokens_at(self, line: dict[str, Any]) -> float | None:
        """Tokens trained on when the line was written; null for a line without `samples`."""
        samples = number(line.get("samples"))
        return None if samples is None else self.mixture.tokens_of(samples)

    def points(self, name: str) -> Points:
        """One field of the steps that have it, along tokens."""
        pairs = ((self.tokens_at(line), number(line.get(name))) for line in self.steps)
        return [(tokens, value) for tokens, value in pairs if tokens is not None and value is not None]

    def bits_per_byte(self, language: str) -> Points:
        """Validations of a language along tokens."""
        pairs = ((self.tokens_at(line), number(_scores(line).get(language))) for line in self.validations)
        return [(tokens, value) for tokens, value in pairs if tokens is not None and value is not None]

    def languages(self) -> list[str]:
        """Languages that were validated."""
        return list(dict.fromkeys(language for line in self.validations for language in _scores(line)))


def course(lines: Sequence[dict[str, Any]], mixture: MixtureConfig) -> Course:
    """Order the lines of `metrics.jsonl`."""
    events: dict[str, dict[int, dict[str, Any]]] = {"step": {}, "validation": {}, "skip": {}}
    for line in lines:
        kind, step = line.get("event"), line.get("step")
        if kind in events and isinstance(step, int):
            events[str(kind)][step] = line
    ordered = {kind: [found[step] for step in sorted(found)] for kind, found in events.items()}
    return Course(
        mixture=mixture,
        steps=ordered["step"],
        validations=ordered["validation"],
        skips=ordered["skip"],
        resumes=[line for line in lines if line.get("event") == "resume"],
    )


def smoothed(values: Sequence[float]) -> list[float]:
    """Mean over the neighbours on both sides, up to `SMOOTHING_SHARE` of the steps each.

    Near the start as few follow as precede, so that the steep fall is not lagged; at the end the mean is of what
    precedes.
    """
    reach = max(1, round(SMOOTHING_SHARE * len(values)))
    sums = [0.0, *accumulate(values)]
    result = []
    for place in range(len(values)):
        before = min(place, reach)
        first, last = place - before, min(place + before, len(values) - 1)
        result.append((sums[last + 1] - sums[first]) / (last + 1 - first))
    return result


def summary(went: Course) -> dict[str, Any]:
    """Figures of the whole training; null where the log does not hold them."""
    last = went.steps[-1] if went.steps else {}
    losses = [value for _, value in went.points("loss")]
    seconds = [value for _, value in went.points("step_s")]
    rates = [value for _, value in went.points("tokens_per_s")]
    return {
        "steps": last.get("step"),
        "samples": last.get("samples"),
        "tokens": went.tokens_at(last),
        "loss_smoothed": smoothed(losses)[-1] if losses else None,
        # The log may hold every n-th step only; then the sum would be of those, which is no figure of the training.
        "step_seconds": sum(seconds) if seconds and len(seconds) + len(went.skips) == last.get("step") else None,
        "tokens_per_s_median": median(rates) if rates else None,
        "skipped_steps": len(went.skips),
        "resumes": len(went.resumes),
    }


def prompts(lines: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Samples by prompt, in the order they were asked: `[{prompt, texts: [{step, share, text}]}]` by step."""
    found: dict[str, dict[int, dict[str, Any]]] = {}
    for line in lines:
        prompt, text, step = line.get("prompt"), line.get("text"), line.get("step")
        if not isinstance(step, int) or number(line.get("share")) is None:
            continue
        if isinstance(prompt, str) and isinstance(text, str):
            found.setdefault(prompt, {})[step] = line
    return [{"prompt": prompt, "texts": [texts[step] for step in sorted(texts)]} for prompt, texts in found.items()]


def share_label(share: float) -> str:
    """How far training was: `start`, `⅓`, `end`, or a percentage."""
    known = {0: "start", 33: "⅓", 100: "end"}
    return known.get(round(share * 100), f"{share:.0%}")


def number(value: Any) -> float | None:
    """A finite JSON number; null for anything else."""
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _scores(line: dict[str, Any]) -> dict[str, Any]:
    scores = line.get("bits_per_byte")
    return scores if isinstance(scores, dict) else {}
