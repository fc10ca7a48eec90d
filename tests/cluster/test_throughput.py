"""Predicted speed against runs that were published, each left out of the table that predicts it."""

from __future__ import annotations

from pathlib import Path

import pytest

from eurolm.cluster.profile import load_profile
from eurolm.cluster.throughput import MARGIN, Entry, Workload, load_table, predict, utilisation
from eurolm.config.architecture import ModelConfig
from eurolm.errors import ConfigError
from eurolm.model.size import Shape, count, shape_of

TABLE = load_table()
LUMI = load_profile("lumi-g")


def shape(hidden: int, layers: int, heads: int, groups: int, inner: int, vocabulary: int, tie: bool) -> Shape:
    config = ModelConfig(hidden_size=hidden, layers=layers, attention_heads=heads, key_value_heads=groups,
                         intermediate_size=inner, tie_embeddings=tie)  # fmt: skip
    return shape_of(config, vocabulary)


# Two matrices of 4 × width (GPT, BLOOM) cost what three of 8/3 × width do.
TILDE = shape(6144, 60, 48, 8, 21_504, 131_072, False)
PORO = shape(7168, 54, 56, 56, 19_115, 128_000, True)
# Only the sizes of these two were published: the layers are MPT's, the vocabulary makes up the rest.
GPT_7B = shape(4096, 32, 32, 32, 10_923, 136_000, True)
GPT_13B = shape(5120, 40, 40, 40, 13_653, 140_000, True)
PUBLISHED = [
    # run, shape, row, devices, nodes, parallelism, checkpointing, parameters, tokens/s per device
    ("tildeopen-30b", TILDE, 8192, 1536, 192, "split", "full", 30.7e9, 4_718_592 / 17 / 1536),
    ("poro-34b", PORO, 2048, 1024, 128, "split", "full", 34.2e9, 174_378 / 1024),
    ("llm-foundry-7b", GPT_7B, 2048, 8, 1, "sharded", "none", 7.0e9, 1602.0),
    ("llm-foundry-13b", GPT_13B, 2048, 8, 1, "sharded", "full", 13.3e9, 753.0),
]


@pytest.mark.parametrize(
    ("run", "model", "row", "devices", "nodes", "parallelism", "checkpointing", "parameters", "truth"),
    PUBLISHED,
    ids=[case[0] for case in PUBLISHED],
)
def test_a_published_run_lies_in_the_range_predicted_without_it(
    run: str, model: Shape, row: int, devices: int, nodes: int, parallelism: str, checkpointing: str,
    parameters: float, truth: float,
) -> None:  # fmt: skip
    assert count(model).total == pytest.approx(parameters, rel=0.01)
    peak = TABLE.devices["mi250" if "foundry" in run else "mi250x"].peak_bf16_flops
    work = Workload(model, row, devices, nodes, checkpointing, peak, tuple(LUMI.devices.comparable), parallelism)
    table = TABLE.without(run)
    assert len(table.entries) == len(TABLE.entries) - 1
    speed = predict(table, work)
    assert run not in speed.runs
    print(f"{run}: predicted {speed.low:,.0f} to {speed.high:,.0f}, middle {speed.middle:,.0f}, published {truth:,.0f} "
          f"tokens/s per device, {utilisation(work, truth):.1%} MFU (6N)")  # fmt: skip
    assert speed.low <= truth <= speed.high
    assert speed.low >= speed.middle * (1 - MARGIN - 1e-9)
    assert speed.high <= speed.middle * (1 + MARGIN + 1e-9)
    assert MARGIN <= 0.35


def test_the_margin_is_that_of_the_whole_table() -> None:
    """Every entry against the mean of the others of its kind: what `MARGIN` claims."""
    kinds: dict[tuple[str, str], list[Entry]] = {}
    for entry in TABLE.entries:
        kinds.setdefault((entry.device.removesuffix("x"), entry.parallelism), []).append(entry)
    outside = {}
    for kin in kinds.values():
        for entry in kin:
            others = [TABLE.share(other) for other in kin if other.run != entry.run]
            mean = 1.0
            for share in others:
                mean *= share ** (1 / len(others))
            if abs(TABLE.share(entry) / mean - 1) > MARGIN:
                outside[entry.run] = TABLE.share(entry) / mean - 1
    assert list(outside) == ["frontier-22b"]
    assert outside["frontier-22b"] == pytest.approx(0.37, abs=0.01)


def test_what_was_never_tried_has_a_lower_low_end() -> None:
    assert LUMI.devices.peak is not None

    def low(nodes: int, model: Shape) -> float:
        work = Workload(model, 4096, 8 * nodes, nodes, "none", LUMI.devices.peak or 0, ("mi250x", "mi250"))
        speed = predict(TABLE, work)
        return speed.low / speed.middle

    assert low(32, GPT_13B) == pytest.approx(1 - MARGIN)
    assert low(128, GPT_13B) == pytest.approx((1 - MARGIN) * 0.9**2)
    assert low(1, TILDE) < 0.6


def test_a_device_without_figures_gets_the_range_over_all_others() -> None:
    work = Workload(GPT_7B, 2048, 8, 1, "none", 1e15, ("mi9000",))
    speed = predict(TABLE, work)
    assert speed.high > 1.7 * speed.low
    assert "no figure" in speed.basis


def test_a_table_with_a_speed_but_no_cost_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "table.yaml"
    path.write_text(
        "devices: {a: {name: A, peak_bf16_flops: 1e12}}\nscaling: []\nentries:\n"
        "- {run: r, device: a, devices: 1, nodes: 1, parallelism: sharded, checkpointing: none, parameters: 1e9,\n"
        "   tokens_per_s_per_device: 3, source: s}\n"
    )
    with pytest.raises(ConfigError, match=r"table\.yaml:4"):
        load_table(path)
