"""What the same content costs in each language: token counts on parallel text, against the language that costs least.

Translations differ in length (on FLORES and NTREX the Latvian is 1.040 and 1.083 times as many characters as the
Estonian), so a ratio alone blames the tokenizer for the translator. `excess` takes the characters out: how much
further apart the tokens are than the characters. Null or below means that the vocabulary adds nothing to the
difference. Ratio of counts as in Petrov et al. 2023 (arXiv 2305.15425).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from eurolm.tokenizer.scoring.candidates import Candidate
from eurolm.tokenizer.scoring.intervals import Estimate, Figure, compared, resample
from eurolm.tokenizer.scoring.texts import Parallel


@dataclass(frozen=True)
class LanguageParity:
    """One language under one tokenizer."""

    tokens: int
    characters: int
    ratio: Figure
    """Tokens / tokens of the language that costs this tokenizer least: 1 for that one."""
    excess: Figure
    """|ln token ratio| − |ln character ratio|, both against that same language."""


@dataclass(frozen=True)
class Parity:
    """One tokenizer on the parallel text."""

    best: str
    languages: dict[str, LanguageParity]


def parity(candidates: Sequence[Candidate], parallel: Parallel) -> dict[str, Parity]:
    """Parity by tokenizer name, rows resampled by their groups."""
    languages = list(parallel.rows)
    columns = {f"characters {code}": np.array([len(text) for text in parallel.rows[code]]) for code in languages}
    for number, candidate in enumerate(candidates):
        for code in languages:
            lengths = [len(ids) for ids in candidate.encode_batch(parallel.rows[code])]
            columns[f"{number} {code}"] = np.array(lengths)
    sums = resample(columns, parallel.groups)
    bests = [
        min(languages, key=lambda code: (sums.totals[f"{number} {code}"], code)) for number in range(len(candidates))
    ]
    ratios: dict[str, list[Figure]] = {}
    excesses: dict[str, list[Figure]] = {}
    for code in languages:
        tokens = [sums.ratio(f"{number} {code}", f"{number} {best}") for number, best in enumerate(bests)]
        characters = [sums.ratio(f"characters {code}", f"characters {best}") for best in bests]
        ratios[code] = compared(tokens)
        excesses[code] = compared([_excess(*pair) for pair in zip(tokens, characters, strict=True)])
    return {
        candidate.name: Parity(
            bests[number],
            {
                code: LanguageParity(
                    int(sums.totals[f"{number} {code}"]),
                    int(sums.totals[f"characters {code}"]),
                    ratios[code][number],
                    excesses[code][number],
                )
                for code in languages
            },
        )
        for number, candidate in enumerate(candidates)
    }


def _excess(tokens: Estimate, characters: Estimate) -> Estimate:
    if tokens.value is None or characters.value is None:
        return Estimate(None)
    value = abs(float(np.log(tokens.value))) - abs(float(np.log(characters.value)))
    if tokens.samples is None or characters.samples is None:
        return Estimate(value)
    return Estimate(value, np.abs(np.log(tokens.samples)) - np.abs(np.log(characters.samples)))
