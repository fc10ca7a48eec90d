"""Calibration: is a model that is sure of 80 % right in 80 % of the items?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from eurolm.evaluate.intervals import Floats
from eurolm.evaluate.results import Calibration

BINS = 10


def calibration(bits: Sequence[Sequence[float]], golds: Sequence[int]) -> Calibration | None:
    """Expected calibration error of choices' log2-probabilities per item and the right choices; null without items.

    Confidence is the greatest share after a softmax over the choices; ten bins of equal width between 0 and 1.
    """
    if not golds:
        return None
    sure, right = confidences(bits, golds)
    places = np.minimum((sure * BINS).astype(int), BINS - 1)
    bins, error = [], 0.0
    for place in range(BINS):
        chosen = places == place
        if chosen.any():
            confidence, accuracy = float(sure[chosen].mean()), float(right[chosen].mean())
            bins.append({"confidence": confidence, "accuracy": accuracy, "items": float(chosen.sum())})
            error += abs(confidence - accuracy) * float(chosen.mean())
    return Calibration(error, bins)


def confidences(bits: Sequence[Sequence[float]], golds: Sequence[int]) -> tuple[Floats, Floats]:
    """Confidence of the most probable choice and whether it is right (1 or 0), per item."""
    sure, right = [], []
    for row, gold in zip(bits, golds, strict=True):
        scores = np.asarray(row)
        weights = np.exp2(scores - scores.max())
        sure.append(float(weights.max() / weights.sum()))
        right.append(float(int(scores.argmax()) == gold))
    return np.array(sure), np.array(right)
