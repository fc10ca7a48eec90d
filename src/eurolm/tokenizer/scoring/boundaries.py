"""Do the cuts fall between morphemes? Precision and recall against a segmentation, beside a random split.

Only concatenative forms count: those whose morphemes, joined, are the word itself (`meklē|tāj|s`, not a stem that
changes). How many of the given words that leaves is the coverage. Of a word with n characters and k cuts a random split
places k cuts on the n − 1 places between characters, all choices alike; what it would hit is its expectation
(hypergeometric mean), exact where a seeded draw is noisy. A cut inside a character is no boundary; the random split
has at most n − 1 cuts. Words without an inner boundary count: cuts there lower the precision.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from eurolm.errors import InputError
from eurolm.tokenizer.scoring.candidates import Candidate
from eurolm.tokenizer.scoring.intervals import Figure, compared, resample
from eurolm.tokenizer.scoring.texts import read_lines
from eurolm.tokenizer.scoring.words import word_cuts


@dataclass(frozen=True)
class Segmentation:
    """Words of one language and their morphemes, concatenative forms only."""

    language: str
    path: str
    gold: dict[str, list[str]]
    given: int
    """Words in the file, repeated ones once."""

    @property
    def coverage(self) -> float:
        """Share of the words that are concatenative and judged."""
        return len(self.gold) / self.given


@dataclass(frozen=True)
class Boundaries:
    """One tokenizer's cuts against the morpheme boundaries of one language. Intervals draw stems: all words with
    the same longest morpheme together."""

    precision: Figure
    """Cuts on a boundary / cuts."""
    recall: Figure
    """Cuts on a boundary / boundaries."""
    f1: float | None
    random_precision: float | None
    random_recall: float | None
    random_f1: float | None
    cuts_per_word: float
    unspelled: int
    """Words that the tokens do not spell; not judged."""


def read_segmentation(given: str) -> Segmentation:
    """`LANGUAGE=FILE` with lines `word TAB mor phs`. Raises InputError for other lines and where no form is
    concatenative."""
    language, path, rows = read_lines(given)
    gold: dict[str, list[str]] = {}
    seen: set[str] = set()
    for number, row in enumerate(rows, 1):
        if len(row) != 2 or not row[1].split():
            raise InputError(f"{path}, line {number}: a line is a word, a tab and its morphemes with spaces between.")
        word, morphemes = row[0].strip(), row[1].split()
        if "".join(morphemes) == word:
            gold.setdefault(word, morphemes)
        seen.add(word)
    if not gold:
        raise InputError(f"{path}: no word equals its morphemes joined, so no boundary can be judged.")
    return Segmentation(language, str(path), gold, len(seen))


def boundaries(morphemes: Sequence[str]) -> tuple[int, ...]:
    """Byte offsets at which the second and later morphemes begin."""
    return tuple(np.cumsum([len(morpheme.encode()) for morpheme in morphemes[:-1]]).tolist())


def score_boundaries(candidates: Sequence[Candidate], segmentation: Segmentation) -> dict[str, Boundaries]:
    """Boundaries by tokenizer name, on the words that all of them spell."""
    words = list(segmentation.gold)
    found = [word_cuts(candidate, words) for candidate in candidates]
    spelled = [place for place in range(len(words)) if all(cuts[place] is not None for cuts in found)]
    kept = [words[place] for place in spelled]
    gold = [boundaries(segmentation.gold[word]) for word in kept]
    stems = [max(segmentation.gold[word], key=len) for word in kept]
    columns = {"gold": np.array([len(one) for one in gold], np.float64)}
    for number, cuts in enumerate(found):
        own = [cuts[place] or () for place in spelled]
        columns |= {
            f"cuts {number}": np.array([len(one) for one in own], np.float64),
            f"hits {number}": np.array([len({*a} & {*b}) for a, b in zip(own, gold, strict=True)], np.float64),
            f"chance {number}": np.array([_chance(*one) for one in zip(kept, own, gold, strict=True)], np.float64),
        }
    sums = resample(columns, stems)
    precisions = compared([sums.ratio(f"hits {number}", f"cuts {number}") for number in range(len(candidates))])
    recalls = compared([sums.ratio(f"hits {number}", "gold") for number in range(len(candidates))])
    return {
        candidate.name: Boundaries(
            precisions[number],
            recalls[number],
            _f1(precisions[number].value, recalls[number].value),
            by_chance := sums.ratio(f"chance {number}", f"cuts {number}").value,
            recall_by_chance := sums.ratio(f"chance {number}", "gold").value,
            _f1(by_chance, recall_by_chance),
            sums.totals[f"cuts {number}"] / max(len(kept), 1),
            sum(one is None for one in found[number]),
        )
        for number, candidate in enumerate(candidates)
    }


def _chance(word: str, cuts: Sequence[int], gold: Sequence[int]) -> float:
    places = len(word) - 1
    return min(len(cuts), places) * len(gold) / places if places else 0.0


def _f1(precision: float | None, recall: float | None) -> float | None:
    if precision is None or recall is None:
        return None
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0
