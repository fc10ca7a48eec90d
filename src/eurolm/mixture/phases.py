"""The prefix table: phases in samples, steps and tokens, and how far each source has been drawn when a phase begins.

A phase's tokens become rows of its row length, rounded up to whole steps. One clock, samples consumed, runs through
all phases; steps and tokens are functions of it.

Draws are counted per source *and row length*. Phases of one row length continue each other: every row is drawn once
before any is drawn again. Another row length cuts the same documents into other rows, which cannot be matched one to
one, so it starts with its own first row and its own permutation. What bounds repetition is therefore counted in epochs,
summed over row lengths: `max_epochs` holds for the text, however it was cut.
"""

from __future__ import annotations

import difflib
import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eurolm.config.tokens import PhaseConfig
from eurolm.errors import ConfigError
from eurolm.mixture.blocks import BLOCK_SAMPLES, block, quantise

Rows = Mapping[int, Mapping[str, int]]
"""Rows of each source, per row length."""


@dataclass(frozen=True)
class Phase:
    """One phase in absolute numbers."""

    number: int
    row_tokens: int
    batch_rows: int
    first_sample: int
    samples: int
    """Rows drawn in the phase: a multiple of `batch_rows`."""
    first_step: int
    first_token: int
    counts: NDArray[np.int64]
    """[sources] samples per block."""
    drawn: NDArray[np.int64]
    """[sources] draws at this row length before the phase begins."""

    @property
    def steps(self) -> int:
        """Steps of the phase."""
        return self.samples // self.batch_rows


def build_phases(
    phases: Sequence[PhaseConfig], seed: int, sources: Sequence[str], rows: Rows
) -> tuple[list[Phase], list[str]]:
    """The prefix table, and one sentence for each source that natural weights round to no rows at all.

    Raises ConfigError for no phases, impossible weights, and sources drawn more often than `max_epochs`.
    """
    if not phases:
        raise ConfigError("mixture.phases is empty: add at least one phase with tokens, row_tokens and batch_rows.")
    table: list[Phase] = []
    notes: list[str] = []
    drawn: dict[int, NDArray[np.int64]] = {}
    epochs = dict.fromkeys(sources, 0.0)
    sample = step = token = 0
    for number, config in enumerate(phases):
        available = rows[config.row_tokens]
        counts, unseen = _counts(number, config, sources, available)
        notes.extend(unseen)
        steps, samples = config.steps, config.samples
        before = drawn.get(config.row_tokens, np.zeros(len(sources), np.int64))
        phase = Phase(number, config.row_tokens, config.batch_rows, sample, samples, step, token, counts, before)
        draws = _draws(phase, seed)
        _check_epochs(config, phase, draws, sources, available, epochs)
        drawn[config.row_tokens] = before + draws
        table.append(phase)
        sample, step, token = sample + samples, step + steps, token + samples * config.row_tokens
    return table, notes


def phase_at(table: Sequence[Phase], sample: int) -> Phase:
    """The phase a sample belongs to; the last one for the sample after the end."""
    return table[max(bisect_right([phase.first_sample for phase in table], sample) - 1, 0)]


def _counts(
    number: int, config: PhaseConfig, sources: Sequence[str], available: Mapping[str, int]
) -> tuple[NDArray[np.int64], list[str]]:
    _check_weights(number, config, sources, available)
    natural = not config.weights
    weights = dict(available) if natural else dict(config.weights)
    counts = quantise({name: float(weights.get(name, 0)) for name in sources})
    unseen = [name for name in sources if weights.get(name, 0) > 0 and counts[name] == 0]
    if unseen and not natural:
        share = config.weights[unseen[0]] / sum(config.weights.values())
        raise ConfigError(
            f"mixture.phases[{number}].weights.{unseen[0]} = {config.weights[unseen[0]]} is {share:.2e} of the sum; "
            f"weights are rounded to {BLOCK_SAMPLES}ths, so it would never be drawn. "
            f"Raise it to {sum(config.weights.values()) / BLOCK_SAMPLES:.3g}, or leave the source out."
        )
    notes = [
        f"mixture.phases[{number}]: source {name!r} has {available[name]:,} of {sum(available.values()):,} rows, too "
        f"few for one in {BLOCK_SAMPLES}: it is not drawn. Give it a weight to train on it."
        for name in unseen
    ]
    return np.array([counts[name] for name in sources], np.int64), notes


def _check_weights(number: int, config: PhaseConfig, sources: Sequence[str], available: Mapping[str, int]) -> None:
    for name, weight in config.weights.items():
        key = f"mixture.phases[{number}].weights.{name} = {weight}"
        if name not in sources:
            nearest = difflib.get_close_matches(name, sources, n=1)
            hint = f"Did you mean {nearest[0]!r}?" if nearest else f"There are: {', '.join(sources)}."
            raise ConfigError(f"{key}: the token shards have no source {name!r}. {hint}")
        if not 0 <= weight < math.inf:
            raise ConfigError(f"{key}: a weight is a number from 0 on.")
        if weight > 0 and available[name] == 0:
            raise ConfigError(f"{key}, but {name!r} has no rows of {config.row_tokens:,} tokens. Leave it out.")
    if config.weights and not any(config.weights.values()):
        raise ConfigError(f"mixture.phases[{number}].weights are all 0: at least one source must be drawn.")
    if not config.weights and not any(available.values()):
        raise ConfigError(f"mixture.phases[{number}]: no source has rows of {config.row_tokens:,} tokens.")


def _draws(phase: Phase, seed: int) -> NDArray[np.int64]:
    """[sources] draws in the whole phase."""
    blocks, rest = divmod(phase.samples, BLOCK_SAMPLES)
    draws = phase.counts * blocks
    if rest:
        last = block(phase.counts, seed, phase.number, blocks)
        draws = draws + np.bincount(last.source[:rest], minlength=len(draws))
    return draws


def _check_epochs(
    config: PhaseConfig,
    phase: Phase,
    draws: NDArray[np.int64],
    sources: Sequence[str],
    available: Mapping[str, int],
    epochs: dict[str, float],
) -> None:
    """Add the phase's epochs to `epochs`; raise ConfigError where they exceed the phase's `max_epochs`."""
    for name, count in zip(sources, draws.tolist(), strict=True):
        if not count:
            continue
        before = epochs[name]
        epochs[name] += count / available[name]
        if epochs[name] > config.max_epochs:
            share = count / phase.samples
            tokens = int(max(config.max_epochs - before, 0) * available[name] / share) * phase.row_tokens
            raise ConfigError(
                f"mixture.phases[{phase.number}] draws {count:,} rows of {name!r}, which has {available[name]:,} rows "
                f"of {phase.row_tokens:,} tokens: {epochs[name]:.2f} epochs by its end, more than max_epochs = "
                f"{config.max_epochs:g}. Lower its weight, shorten the phase to {tokens:,} tokens, add text, "
                "or raise max_epochs."
            )
