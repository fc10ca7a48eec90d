from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.mixture.orders import opened, rows_of

from eurolm.mixture.blocks import BLOCK_SAMPLES, block, quantise


@pytest.mark.parametrize("source", ["lv_text", "et_text", "odd"])
@pytest.mark.parametrize("packing", ["bestfit", "concat"])
def test_every_row_comes_exactly_once_per_epoch(tokens_dir: Path, packs_dir: Path, source: str, packing: str) -> None:
    rows = rows_of(packs_dir, 64, packing)[source]
    phase = {"tokens": 2 * rows * 64, "batch_rows": 1, "weights": {source: 1.0}}
    mixture = opened(tokens_dir, packs_dir, phase, packing=packing)
    epochs = [[mixture.sample(i) for i in range(first, first + rows)] for first in (0, rows)]
    assert len(set(epochs[0])) == rows
    assert set(epochs[0]) == set(epochs[1])
    assert epochs[0] != epochs[1]


def test_sources_are_drawn_once_each_while_mixed_and_across_phases(tokens_dir: Path, packs_dir: Path) -> None:
    rows = rows_of(packs_dir, 64)
    weights = ({"lv_text": 3, "et_text": 1}, {"lv_text": 1, "et_text": 2, "odd": 0.5}, {"lv_text": 1, "odd": 1})
    size = int(0.9 * min(rows["lv_text"], rows["et_text"]))
    phases = [{"tokens": size * 64, "weights": weight} for weight in weights]
    mixture = opened(tokens_dir, packs_dir, *phases)
    drawn: dict[str, list[tuple[str, int]]] = {}
    for number in range(mixture.total_samples):
        ref = mixture.sample(number)
        drawn.setdefault(ref.source, []).append((ref.shard, ref.row))
    for source, places in drawn.items():
        for epoch in range(0, len(places), rows[source]):
            part = places[epoch : epoch + rows[source]]
            assert len(set(part)) == len(part)
    assert len(drawn["lv_text"]) > rows["lv_text"]


def test_phases_of_another_row_length_have_counters_of_their_own(tokens_dir: Path, packs_dir: Path) -> None:
    short, long = rows_of(packs_dir, 64)["odd"], rows_of(packs_dir, 256)["odd"]
    half = {"tokens": short // 2 * 64, "batch_rows": 1, "weights": {"odd": 1.0}}
    whole = {"tokens": long * 256, "batch_rows": 1, "row_tokens": 256, "weights": {"odd": 1.0}}
    mixture = opened(tokens_dir, packs_dir, half, whole, {**half, "tokens": (short - short // 2) * 64})
    refs = [mixture.sample(number) for number in range(mixture.total_samples)]
    assert len(set(refs[: short // 2] + refs[short // 2 + long :])) == short
    assert len(set(refs[short // 2 : short // 2 + long])) == long


@pytest.mark.parametrize("world_size", [1, 2, 3, 8])
def test_the_step_is_the_same_at_every_world_size(tokens_dir: Path, packs_dir: Path, world_size: int) -> None:
    phase = {"tokens": 40 * 24 * 64, "batch_rows": 24}
    whole, ranks = opened(tokens_dir, packs_dir, phase), opened(tokens_dir, packs_dir, phase)
    share = 24 // world_size
    for first in (0, 24, 456, 936):
        plan = ranks.plan_step(first)
        parts = [
            ranks.rows(range(first + rank * share, first + (rank + 1) * share)) for rank in reversed(range(world_size))
        ]
        batch = whole.rows(range(first, first + plan.rows))
        for name in ("input_ids", "position_ids", "targets"):
            joined = np.concatenate([getattr(part, name) for part in parts[::-1]])
            assert np.array_equal(joined, getattr(batch, name))
        assert plan.valid_targets == sum(int((part.targets != -100).sum()) for part in parts)


def test_sample_is_a_pure_function_of_its_number(tokens_dir: Path, packs_dir: Path) -> None:
    phases = ({"tokens": 9000 * 64}, {"tokens": 9000 * 256, "row_tokens": 256, "weights": {"lv_text": 1, "odd": 2}})
    mixture = opened(tokens_dir, packs_dir, *phases)
    numbers = np.random.default_rng(1).permutation(mixture.total_samples)[:300].tolist()
    there = {number: mixture.sample(number) for number in numbers}
    again = opened(tokens_dir, packs_dir, *phases)
    assert there == {number: again.sample(number) for number in sorted(numbers)}
    other = opened(tokens_dir, packs_dir, *phases, seed=2)
    assert sum(there[number] == other.sample(number) for number in numbers) < 30


def test_a_longer_horizon_changes_no_earlier_sample(tokens_dir: Path, packs_dir: Path) -> None:
    short = opened(tokens_dir, packs_dir, {"tokens": 5000 * 64})
    longer = opened(tokens_dir, packs_dir, {"tokens": 9000 * 64}, {"tokens": 64})
    assert all(short.sample(number) == longer.sample(number) for number in range(0, 5000, 13))


def test_every_block_holds_each_source_in_proportion(tokens_dir: Path, packs_dir: Path) -> None:
    weights = {"lv_text": 0.5, "et_text": 0.3, "odd": 0.2}
    mixture = opened(tokens_dir, packs_dir, {"tokens": 2 * BLOCK_SAMPLES * 64, "weights": weights})
    orders = []
    for number in range(2):
        places = range(number * BLOCK_SAMPLES, (number + 1) * BLOCK_SAMPLES)
        sources = [mixture.sample(place).source for place in places]
        assert Counter(sources) == {"lv_text": 2048, "et_text": 1229, "odd": 819}
        orders.append(sources)
    assert orders[0] != orders[1]


@given(weights=st.dictionaries(st.text("abc", min_size=1), st.floats(0.001, 1000), min_size=1, max_size=20))
def test_quantised_weights_are_exact_and_off_by_less_than_one(weights: dict[str, float]) -> None:
    counts = quantise(weights)
    assert sum(counts.values()) == BLOCK_SAMPLES
    total = sum(weights.values())
    assert all(abs(counts[name] - weight / total * BLOCK_SAMPLES) < 1 for name, weight in weights.items())


def test_a_block_counts_the_earlier_samples_of_each_source() -> None:
    counts = np.array([4000, 0, 90, 6])
    order = block(counts, 1, 0, 5)
    seen: Counter[int] = Counter()
    for source, nth in zip(order.source.tolist(), order.nth.tolist(), strict=True):
        assert nth == seen[source]
        seen[source] += 1
    assert [seen[source] for source in range(4)] == counts.tolist()


def test_a_distant_sample_needs_nothing_of_the_samples_before_it(tokens_dir: Path, packs_dir: Path) -> None:
    """Its speed is a figure of the benchmarks: tokens.sample."""
    mixture = opened(tokens_dir, packs_dir, {"tokens": 64 * (10**9 + 10**6)})
    places = [mixture.sample(number) for number in range(10**9, 10**9 + 20 * BLOCK_SAMPLES, BLOCK_SAMPLES)]
    assert len(set(places)) > 15
    rows = rows_of(packs_dir, 64)
    assert all(0 <= place.row < rows[place.source] for place in places)
    assert not mixture._windows._kept and len(mixture._blocks._kept) == 20


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), world_size=st.sampled_from([1, 2, 3, 8]), packing=st.sampled_from(["bestfit", "concat"]))
def test_every_row_once_per_epoch_at_every_world_size(
    tokens_dir: Path, packs_dir: Path, data: st.DataObject, world_size: int, packing: str
) -> None:
    """Ranks read their slices of every step, each with an order of its own; together it is the one order."""
    available = rows_of(packs_dir, 256, packing)
    weights = {name: data.draw(st.integers(1, 9), label=name) for name in available}
    batch = 24 * data.draw(st.integers(1, 3), label="batch")
    seed = data.draw(st.integers(0, 2**31), label="seed")
    steps = -(-sum(available.values()) // batch)
    phase = {"tokens": 256 * batch * steps, "row_tokens": 256, "batch_rows": batch, "weights": weights}
    ranks = [opened(tokens_dir, packs_dir, phase, packing=packing, seed=seed) for _ in range(world_size)]
    share = batch // world_size
    drawn: dict[str, list[tuple[str, int]]] = {}
    for first in range(0, steps * batch, batch):
        for rank, mixture in enumerate(ranks):
            for number in range(first + rank * share, first + (rank + 1) * share):
                ref = mixture.sample(number)
                drawn.setdefault(ref.source, []).append((ref.shard, ref.row))
    for source, places in drawn.items():
        for start in range(0, len(places), available[source]):
            epoch = places[start : start + available[source]]
            assert len(set(epoch)) == len(epoch)
    whole = opened(tokens_dir, packs_dir, phase, packing=packing, seed=seed)
    order = [whole.sample(number) for number in range(steps * batch)]
    assert drawn == {source: [(ref.shard, ref.row) for ref in order if ref.source == source] for source in drawn}
