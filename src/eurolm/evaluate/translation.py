"""chrF and BLEU from counts that can be summed: sacrebleu counts, the formulas work on any number of sums at once.

The formulas are those of sacrebleu 2 with its defaults (chrF2, 6 characters, no words; BLEU with exponential smoothing
and 13a tokens), between 0 and 1; a test holds them equal. Here they serve thousands of resampled sums per figure.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from eurolm.errors import MachineError
from eurolm.evaluate.intervals import Floats

BETA_SQUARED = 4.0
ORDERS = 4


def counts(written: Sequence[str], references: Sequence[Sequence[str]], metric: str) -> Floats:
    """Counts of each text against its own references, float64 [texts, k]; `metric` is `chrf` or `bleu`.

    Raises MachineError where sacrebleu is missing.
    """
    try:
        from sacrebleu.metrics.bleu import BLEU
        from sacrebleu.metrics.chrf import CHRF
    except ImportError:
        raise MachineError("chrF and BLEU need sacrebleu: pip install 'eurolm[eval]'.") from None
    # One text at a time: the number of references differs between items. force: already tokenised text is no mistake.
    counter = CHRF() if metric == "chrf" else BLEU(force=True)
    rows = [
        counter._extract_corpus_statistics([text], [[reference] for reference in wanted])[0]
        for text, wanted in zip(written, references, strict=True)
    ]
    return np.array(rows, np.float64)


def chrf(sums: Floats) -> Floats:
    """chrF2 of sums [..., 3 × orders] of (n-grams written, in reference, common)."""
    written, wanted, common = sums[..., 0::3], sums[..., 1::3], sums[..., 2::3]
    usable = (written > 0) & (wanted > 0)
    orders = np.maximum(usable.sum(-1), 1)
    precision = (np.where(usable, common / np.where(usable, written, 1.0), 0.0)).sum(-1) / orders
    recall = (np.where(usable, common / np.where(usable, wanted, 1.0), 0.0)).sum(-1) / orders
    bottom = BETA_SQUARED * precision + recall
    return np.asarray((1 + BETA_SQUARED) * precision * recall / np.where(bottom > 0, bottom, 1.0))


def bleu(sums: Floats) -> Floats:
    """BLEU of sums [..., 10]: length written, length of the references, 4 × n-grams right, 4 × n-grams written."""
    length, wanted = sums[..., 0], sums[..., 1]
    right, total = sums[..., 2 : 2 + ORDERS], sums[..., 2 + ORDERS :]
    logs, smoothing = np.zeros(sums.shape[:-1]), np.ones(sums.shape[:-1])
    possible = right.any(-1)
    for order in range(ORDERS):
        none = right[..., order] == 0
        smoothing = np.where(none, smoothing * 2, smoothing)
        there = total[..., order] > 0
        # sacrebleu stops at the first order without n-grams; its precision stays 0 and so does the score.
        possible = possible & there
        share = np.where(none, 1 / smoothing, right[..., order]) / np.where(there, total[..., order], 1.0)
        logs = logs + np.log(share) / ORDERS
    brevity = np.where(length < wanted, 1 - wanted / np.maximum(length, 1e-9), 0.0)
    return np.asarray(np.where(possible, np.exp(logs + brevity), 0.0))
