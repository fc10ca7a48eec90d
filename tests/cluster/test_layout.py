"""The chosen layout: it fits, it is the quickest that does, and what the config sets stays."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eurolm.cluster.layout import Request, choose_layout
from eurolm.cluster.profile import load_profile
from eurolm.cluster.step_time import Machine, step_time, traffic
from eurolm.cluster.throughput import Workload, predict
from eurolm.config.tokens import PhaseConfig
from eurolm.config.train import TrainConfig
from eurolm.errors import ConfigError
from eurolm.model.size import Shape
from eurolm.train.settings import check_engine
from tests.cluster.test_throughput import GPT_7B, GPT_13B, PUBLISHED, TABLE, TILDE

DEVICE = 64_000_000_000
LUMI_NODES = Machine(peak_flops=191.5e12, nodes=8, node_bytes_per_s=100e9, link_bytes_per_s=50e9)


def request(model: Shape, ranks: int, rows: int, row_tokens: int, **train: object) -> Request:
    phase = PhaseConfig(tokens=rows * row_tokens * 100, row_tokens=row_tokens, batch_rows=rows)
    return Request(
        shape=model,
        phases=(phase,),
        train=TrainConfig(**train),
        ranks=ranks,
        ranks_per_node=min(8, ranks),
        device_bytes=DEVICE,
        device_source="LUMI user guide",
        attention="flash_attention_2",
        fixed=frozenset(train),
        machine=LUMI_NODES,
    )


# Batch and devices of the published runs. TildeOpen's 576 rows feed 576 ranks at most without splitting layers.
BATCHES = {
    "tildeopen-30b": (576, 576),
    "poro-34b": (1024, 2048),
    "llm-foundry-7b": (8, 32),
    "llm-foundry-13b": (8, 32),
}


@pytest.mark.parametrize(
    ("run", "model", "row", "devices", "nodes", "parallelism", "checkpointing", "parameters", "truth"),
    PUBLISHED,
    ids=[case[0] for case in PUBLISHED],
)
def test_the_published_models_fit_their_devices_and_run_as_predicted_without_them(
    run: str, model: Shape, row: int, devices: int, nodes: int, parallelism: str, checkpointing: str,
    parameters: float, truth: float,
) -> None:  # fmt: skip
    """The layout chosen here, its recomputation too; of the published run only sizes, devices and the kind of split."""
    ranks, rows = BATCHES[run]
    placed = choose_layout(request(model, ranks, rows, row))
    assert placed.memory.total <= DEVICE == load_profile("lumi-g").devices.memory_bytes
    peak = TABLE.devices["mi250" if "foundry" in run else "mi250x"].peak_bf16_flops
    work = Workload(model, row, devices, nodes, placed.layout.checkpointing, peak, ("mi250x", "mi250"), parallelism)
    speed = predict(TABLE.without(run), work)
    print(f"{run}: {placed.layout.why}; {speed.low:,.0f} to {speed.high:,.0f}, published {truth:,.0f}")
    assert speed.low <= truth <= speed.high
    assert speed.high / speed.middle == pytest.approx(1.35)
    assert speed.low / speed.middle == pytest.approx(0.65)


def test_a_small_model_keeps_everything_and_takes_its_whole_share() -> None:
    small = replace(GPT_7B, hidden=768, layers=12, heads=12, key_value_heads=12, head=64, intermediate=2048)
    layout = choose_layout(request(small, 8, 64, 1024)).layout
    assert (layout.zero_stage, layout.checkpointing, layout.micro_batch_rows) == (1, "none", (8,))
    assert layout.overrides == ()


def test_what_the_config_sets_stays_and_the_rest_is_chosen() -> None:
    layout = choose_layout(request(GPT_13B, 64, 512, 4096, zero_stage=3)).layout
    assert layout.zero_stage == 3
    assert layout.hpz_ranks == 8
    assert not any(text.startswith("train.zero_stage") for text in layout.overrides)
    assert "train.hpz_ranks=8" in layout.overrides
    full = choose_layout(request(GPT_7B, 64, 512, 4096, activation_checkpointing="full")).layout
    assert full.checkpointing == "full"


def test_two_copies_of_a_large_model_do_not_fit_a_device() -> None:
    with pytest.raises(ConfigError, match=r"no layout fits.*needs [\d.]+ GB on a device that has 64\.0 GB.*user guide"):
        choose_layout(request(TILDE, 2, 2, 8192))
    with pytest.raises(ConfigError, match="no layout fits"):
        choose_layout(request(TILDE, 512, 512, 8192, zero_stage=1))


@pytest.mark.parametrize("name", ["tensor_parallel", "sequence_parallel"])
def test_what_no_layout_can_do_is_refused_with_its_reason(name: str) -> None:
    with pytest.raises(ConfigError, match=f"train.{name} = 2, but DeepSpeed's"):
        choose_layout(request(GPT_7B, 64, 512, 4096, **{name: 2}))


def test_muon_is_only_placed_where_it_works() -> None:
    layout = choose_layout(request(GPT_7B, 64, 512, 4096, optimizer={"name": "muon"})).layout
    assert layout.zero_stage in (1, 2)


def test_what_communicates_less_wins_where_both_fit() -> None:
    assert traffic(100, 4, 0, False, 4) == 800
    assert traffic(100, 4, 1, False, 4) == 600
    assert traffic(100, 4, 2, False, 4) == 1800
    assert traffic(100, 4, 3, False, 4) == 3200
    assert traffic(100, 4, 3, True, 4) == 2400

    def seconds(stage: int, micro: int, checkpointing: str) -> float:
        return step_time(
            GPT_7B, LUMI_NODES, row_tokens=2048, share_rows=8, micro_batch_rows=micro, stage=stage, hpz=False,
            checkpointing=checkpointing, wire_bytes=4,
        ).total  # fmt: skip

    assert seconds(1, 1, "none") == seconds(1, 8, "none") < seconds(2, 1, "none") < seconds(3, 1, "none")
    assert seconds(2, 8, "none") == pytest.approx(seconds(1, 1, "none"))
    # One gather of a whole batch's layers costs less than eight, even where they are then computed twice.
    assert seconds(3, 8, "full") < seconds(3, 1, "none")


@settings(max_examples=60, deadline=None)
@given(
    layers=st.integers(1, 60), heads=st.integers(1, 56), ranks=st.sampled_from([8, 16, 64, 256]),
    share=st.integers(1, 12), row_tokens=st.sampled_from([512, 2048, 8192]), vocabulary=st.integers(500, 200_000),
)  # fmt: skip
def test_a_chosen_layout_fits_and_is_one_the_engine_takes(
    layers: int, heads: int, ranks: int, share: int, row_tokens: int, vocabulary: int
) -> None:
    sizes = {"hidden": 128 * heads, "layers": layers, "heads": heads, "key_value_heads": heads, "head": 128}
    model = replace(GPT_7B, **sizes, intermediate=344 * heads, embedding_rows=vocabulary)
    asked = request(model, ranks, ranks * share, row_tokens)
    try:
        placed = choose_layout(asked)
    except ConfigError as error:
        assert "no layout fits" in str(error)
        return
    assert placed.memory.total <= DEVICE
    layout = placed.layout
    (rows,) = layout.micro_batch_rows
    assert share % rows == 0
    fields = {"zero_stage": layout.zero_stage, "hpz_ranks": layout.hpz_ranks, "ranks": ranks}
    check_engine(TrainConfig(**fields, activation_checkpointing=layout.checkpointing))
