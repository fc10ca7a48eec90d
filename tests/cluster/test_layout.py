"""The chosen layout: it fits, it is the quickest that does, and what the config sets stays."""

from __future__ import annotations

from dataclasses import replace

import pytest

from eurolm.cluster.layout import Request, choose_layout
from eurolm.cluster.profile import load_profile
from eurolm.config.tokens import PhaseConfig
from eurolm.config.train import TrainConfig
from eurolm.errors import ConfigError
from eurolm.model.size import Shape
from tests.cluster.test_throughput import GPT_7B, GPT_13B, PORO, TILDE

DEVICE = 64_000_000_000


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
    )


# Batch and devices of the published runs. TildeOpen's 576 rows feed 576 ranks at most without splitting layers.
@pytest.mark.parametrize(
    ("model", "ranks", "rows", "row_tokens"),
    [(TILDE, 576, 576, 8192), (PORO, 1024, 2048, 2048), (GPT_7B, 8, 32, 2048), (GPT_13B, 8, 32, 2048)],
    ids=["tildeopen-30b", "poro-34b", "llm-foundry-7b", "llm-foundry-13b"],
)
def test_the_published_models_fit_their_devices(model: Shape, ranks: int, rows: int, row_tokens: int) -> None:
    placed = choose_layout(request(model, ranks, rows, row_tokens))
    assert placed.memory.total <= DEVICE == load_profile("lumi-g").devices.memory_bytes
    print(placed.layout.why, placed.layout.micro_batch_rows)


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


def test_muon_is_only_placed_where_it_works() -> None:
    layout = choose_layout(request(GPT_7B, 64, 512, 4096, optimizer={"name": "muon"})).layout
    assert layout.zero_stage in (1, 2)
