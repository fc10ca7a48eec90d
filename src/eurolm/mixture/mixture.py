"""Which row comes when: `sample(i)` is a pure function of seed, phases and i, at every world size the same.

    i ─ phase, block ─► source, n-th draw ─ epoch, Feistel ─► row of the source ─ prefix sums ─► shard, row in it

Ranks share nothing and send each other nothing: rank r of a step takes its slice of the step's sample numbers, and
every rank knows the number of valid targets of the whole step from the pack index before it computes anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eurolm.config.tokens import MixtureConfig
from eurolm.corpus.text.mixing import mix64
from eurolm.errors import ConfigError, InputError
from eurolm.mixture.blocks import BLOCK_SAMPLES, Block, block
from eurolm.mixture.feistel import permute
from eurolm.mixture.opened import OPEN_SHARDS, OpenShard, Recent, open_shard
from eurolm.mixture.phases import Phase, build_phases, phase_at
from eurolm.mixture.rows import Batch, RowPlace, assemble
from eurolm.mixture.traced import TRACED_SHARDS, ShardDocuments, TracedPiece, read_documents
from eurolm.tokens.description import read_description
from eurolm.tokens.order import GOLDEN, seed64
from eurolm.tokens.pack_index import PIECE
from eurolm.tokens.packing import PackCounts, folder, read_packs

RECENT_BLOCKS = 64
WINDOW_SAMPLES = 4096
"""Samples whose places are computed together: array operations on the few rows of a batch would cost more than
reading them."""


@dataclass(frozen=True)
class SampleRef:
    """Where a sample is."""

    source: str
    shard: str
    """Stem relative to the directory of the shards."""
    row: int
    """Row in the shard's pack index."""


@dataclass(frozen=True)
class StepPlan:
    """What one step consumes over all ranks."""

    step: int
    """Steps done before this one."""
    phase: int
    first_sample: int
    rows: int
    """Global batch: samples first_sample … first_sample + rows - 1."""
    row_tokens: int
    valid_targets: int
    """Targets of the whole step that are not masked."""


@dataclass(frozen=True)
class _Layout:
    """Sources at one row length. Arrays are over sources unless stated."""

    directory: Path
    shards: list[list[PackCounts]]
    first_rows: list[NDArray[np.int64]]
    """Per source: [shards + 1] rows before each shard."""
    rows: NDArray[np.int64]
    keys: NDArray[np.uint64]
    """Seeds of the row permutations."""


class Mixture:
    """The order of a run. Made by `Mixture.open`; holds files open, no tokens."""

    def __init__(
        self, config: MixtureConfig, eod_id: int, tokens: Path, sources: list[str], layouts: dict[int, _Layout]
    ) -> None:
        self.eod_id, self.sources = eod_id, sources
        rows = {length: dict(zip(sources, layout.rows.tolist(), strict=True)) for length, layout in layouts.items()}
        self.phases, self.notes = build_phases(config.phases, config.seed, sources, rows)
        self._seed, self._tokens, self._layouts = config.seed, tokens, layouts
        last = self.phases[-1]
        self.total_samples = last.first_sample + last.samples
        self.total_steps = last.first_step + last.steps
        self.total_tokens = last.first_token + last.samples * last.row_tokens
        self._blocks: Recent[Block] = Recent(self._make_block, RECENT_BLOCKS)
        self._windows: Recent[list[tuple[int, int, int, int]]] = Recent(self._make_window, RECENT_BLOCKS)
        self._shards: Recent[OpenShard] = Recent(self._open_shard, OPEN_SHARDS)
        self._documents: Recent[ShardDocuments] = Recent(read_documents, TRACED_SHARDS)

    @classmethod
    def open(cls, config: MixtureConfig, tokens: Path, packs: Path) -> Mixture:
        """Open the order of `config` over finished shards and pack indexes.

        Raises ConfigError for impossible phases (see `build_phases`), InputError for packs of other row lengths.
        """
        record = read_description(tokens)
        indexes, eod_id = read_packs(packs)
        sources = list(record.sources)
        layouts: dict[int, _Layout] = {}
        for length in sorted({phase.row_tokens for phase in config.phases}):
            name = folder(length, config.packing)
            if name not in indexes or set(indexes[name]) != set(sources):
                raise InputError(f"{packs} has no {name} index of these shards. Run the tokens stage again.")
            layouts[length] = _layout(packs / name, [indexes[name][source] for source in sources], sources, config.seed)
        return cls(config, eod_id, record.shards_in(tokens), sources, layouts)

    def sample(self, number: int) -> SampleRef:
        """Place of sample `number`. Raises IndexError outside 0 … total_samples - 1."""
        numbers = np.array([number], np.int64)
        self._check(numbers)
        _, source, shard, row = (item[0] for item in self._locate(numbers))
        layout = self._layouts[phase_at(self.phases, number).row_tokens]
        return SampleRef(self.sources[source], layout.shards[source][shard].stem, int(row))

    def rows(self, sample_ids: Sequence[int]) -> Batch:
        """Arrays of samples of one row length, in the order given. Raises ValueError when row lengths differ."""
        numbers = np.asarray(sample_ids, np.int64)
        return assemble(self._places(numbers), self._row_tokens(numbers), self.eod_id)

    def plan_step(self, samples_consumed: int) -> StepPlan:
        """The step that follows after `samples_consumed` samples.

        Raises ConfigError when that is no step boundary of these phases, IndexError at the end of the last one.
        """
        step = self.steps_of(samples_consumed)
        if samples_consumed >= self.total_samples:
            raise IndexError(f"all {self.total_samples:,} samples are consumed")
        phase = phase_at(self.phases, samples_consumed)
        numbers = np.arange(samples_consumed, samples_consumed + phase.batch_rows)
        valid = sum(place.shard.index.targets(place.row) for place in self._places(numbers))
        return StepPlan(step, phase.number, samples_consumed, phase.batch_rows, phase.row_tokens, valid)

    def steps_of(self, samples_consumed: int) -> int:
        """Steps done when so many samples are consumed. Raises ConfigError when that is no step boundary."""
        phase = self._phase(samples_consumed)
        steps, rest = divmod(samples_consumed - phase.first_sample, phase.batch_rows)
        if rest:
            raise ConfigError(
                f"{samples_consumed:,} samples consumed is no step boundary: phase {phase.number} began at "
                f"{phase.first_sample:,} with {phase.batch_rows} rows per step. mixture.phases before this point were "
                "edited; put them back."
            )
        return phase.first_step + steps

    def samples_before(self, step: int) -> int:
        """Samples consumed when `step` steps are done; the inverse of `steps_of`."""
        phase = next(phase for phase in reversed(self.phases) if phase.first_step <= step)
        return phase.first_sample + (step - phase.first_step) * phase.batch_rows

    def tokens_of(self, samples_consumed: int) -> int:
        """Tokens (rows × row length) of the first `samples_consumed` samples."""
        phase = self._phase(samples_consumed)
        return phase.first_token + (samples_consumed - phase.first_sample) * phase.row_tokens

    def trace(self, number: int) -> list[TracedPiece]:
        """What a sample is made of, in row order."""
        place = self._places(np.array([number], np.int64))[0]
        stem = place.shard.path.with_suffix("")
        pieces = np.frombuffer(place.shard.index.pieces(place.row), PIECE)
        return self._documents(stem).traced(pieces, stem.relative_to(self._tokens).as_posix())

    def _phase(self, samples_consumed: int) -> Phase:
        if not 0 <= samples_consumed <= self.total_samples:
            raise ConfigError(
                f"{samples_consumed:,} samples are consumed, but mixture.phases hold {self.total_samples:,}. "
                "Lengthen the last phase."
            )
        return phase_at(self.phases, samples_consumed)

    def _row_tokens(self, numbers: NDArray[np.int64]) -> int:
        lengths = {phase_at(self.phases, number).row_tokens for number in (int(numbers.min()), int(numbers.max()))}
        if len(lengths) != 1:
            raise ValueError(f"samples of different row lengths {sorted(lengths)} do not fit one batch")
        return lengths.pop()

    def _make_block(self, phase: int, number: int) -> Block:
        return block(self.phases[phase].counts, self._seed, phase, number)

    def _make_window(self, window: int) -> list[tuple[int, int, int, int]]:
        """Phase, source, shard and row of samples window × 4,096 … + 4,095."""
        first = window * WINDOW_SAMPLES
        numbers = np.arange(first, min(first + WINDOW_SAMPLES, self.total_samples))
        return list(zip(*(item.tolist() for item in self._locate(numbers)), strict=True))

    def _places(self, numbers: NDArray[np.int64]) -> list[RowPlace]:
        self._check(numbers)
        places = []
        for window, place in zip(
            (numbers // WINDOW_SAMPLES).tolist(), (numbers % WINDOW_SAMPLES).tolist(), strict=True
        ):
            phase, source, shard, row = self._windows(window)[place]
            places.append(RowPlace(self._shards(self.phases[phase].row_tokens, source, shard), row))
        return places

    def _check(self, numbers: NDArray[np.int64]) -> None:
        if len(numbers) and not 0 <= int(numbers.min()) <= int(numbers.max()) < self.total_samples:
            raise IndexError(f"samples {numbers.min():,} … {numbers.max():,} outside 0 … {self.total_samples - 1:,}")

    def _open_shard(self, row_tokens: int, source: int, shard: int) -> OpenShard:
        layout = self._layouts[row_tokens]
        counts = layout.shards[source][shard]
        return open_shard(self._tokens / counts.stem, layout.directory / counts.stem, counts.tokens)

    def _locate(
        self, numbers: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Phase, source, shard and row in the shard of each sample."""
        starts = np.array([phase.first_sample for phase in self.phases])
        phase = np.searchsorted(starts, numbers, side="right") - 1
        source, draw, size, key = (np.empty(len(numbers), np.int64) for _ in range(4))
        key = key.view(np.uint64)
        for number in np.unique(phase).tolist():
            chosen = np.flatnonzero(phase == number)
            found = self._draw(self.phases[number], numbers[chosen])
            layout = self._layouts[self.phases[number].row_tokens]
            source[chosen], draw[chosen] = found
            size[chosen], key[chosen] = layout.rows[found[0]], layout.keys[found[0]]
        epoch = draw // size
        keys = mix64(key + epoch.astype(np.uint64) * np.uint64(GOLDEN))
        row = permute(draw - epoch * size, size, keys)
        shard = np.empty(len(numbers), np.int64)
        for number, name in set(zip(phase.tolist(), source.tolist(), strict=True)):
            chosen = np.flatnonzero((phase == number) & (source == name))
            first = self._layouts[self.phases[number].row_tokens].first_rows[name]
            shard[chosen] = np.searchsorted(first, row[chosen], side="right") - 1
            row[chosen] -= first[shard[chosen]]
        return phase, source, shard, row

    def _draw(self, phase: Phase, numbers: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Source and draw number, at this row length, of samples of one phase."""
        which = (numbers - phase.first_sample) // BLOCK_SAMPLES
        offset = (numbers - phase.first_sample) % BLOCK_SAMPLES
        source, nth = np.empty(len(numbers), np.int64), np.empty(len(numbers), np.int64)
        for number in np.unique(which).tolist():
            chosen = which == number
            order = self._blocks(phase.number, number)
            source[chosen], nth[chosen] = order.source[offset[chosen]], order.nth[offset[chosen]]
        draw: NDArray[np.int64] = phase.drawn[source] + which * phase.counts[source] + nth
        return source, draw


def _layout(directory: Path, shards: list[list[PackCounts]], sources: list[str], seed: int) -> _Layout:
    first_rows = [np.cumsum([0, *(shard.rows for shard in counts)]).astype(np.int64) for counts in shards]
    return _Layout(
        directory=directory,
        shards=shards,
        first_rows=first_rows,
        rows=np.array([first[-1] for first in first_rows], np.int64),
        keys=np.array([seed64("rows", seed, name, directory.name) for name in sources], np.uint64),
    )
