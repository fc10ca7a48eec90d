"""Models to score: in the wanted dtype from the first byte on, with rotary tables as they are."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from eurolm.config.architecture import ModelConfig
from eurolm.evaluate.subject import Device, Subject, choose_device, trained, untrained
from eurolm.tokenizer.load import load

SEEDED = ModelConfig(hidden_size=32, layers=1, attention_heads=2, key_value_heads=1, intermediate_size=64)


@pytest.mark.parametrize("start", ["trained", "seed", "continued"])
def test_no_rotary_table_is_rounded_to_bf16(model_dir: Path, start: str) -> None:
    """`to(bfloat16)` would, and positions beyond a few hundred would be off; it also takes the memory of two models."""
    tokenizer = load(model_dir)

    def subject(dtype: torch.dtype) -> Subject:
        device = Device(torch.device("cpu"), dtype, "cpu", 1)
        known = trained(model_dir, tokenizer, device)
        if start == "trained":
            return known
        config = SEEDED if start == "seed" else ModelConfig(use=model_dir)
        return untrained(config, tokenizer, device, known.opening)

    exact, rounded = subject(torch.float32).model, subject(torch.bfloat16).model
    assert {weight.dtype for weight in rounded.parameters()} == {torch.bfloat16}
    tables = dict(exact.named_buffers())
    assert tables
    for name, table in rounded.named_buffers():
        assert torch.equal(table, tables[name]), name
    for (name, weight), other in zip(rounded.named_parameters(), exact.parameters(), strict=True):
        assert torch.equal(weight, other.to(torch.bfloat16)), name


def test_the_number_format_can_be_wanted() -> None:
    assert choose_device("float32").dtype == torch.float32
    assert choose_device("bfloat16").dtype == torch.bfloat16
