"""A tokenizer and a small random model with sharp opinions, shared by the scoring tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.tokens.small_corpus import corpus, texts, tokenizer_dir

from eurolm.config.architecture import ModelConfig
from eurolm.model.build import build_model
from eurolm.tokenizer.load import LoadedTokenizer, load

__all__ = ["corpus", "tokenizer_dir"]

TINY = ModelConfig(
    hidden_size=64,
    layers=2,
    attention_heads=4,
    key_value_heads=2,
    intermediate_size=128,
    max_position_tokens=256,
    tie_embeddings=False,
)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """What is this small only waits for its threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def tokenizer(tokenizer_dir: Path) -> LoadedTokenizer:
    return load(tokenizer_dir)


@pytest.fixture(scope="session")
def model(tokenizer: LoadedTokenizer) -> Any:
    built = build_model(TINY, tokenizer.vocab_size, tokenizer.eod_id).eval()
    # Initial weights predict nearly uniformly, which would hide mistakes: make attention and logits matter.
    with torch.no_grad():
        for parameter in built.parameters():
            if parameter.dim() == 2:
                parameter.mul_(8)
    return built


@pytest.fixture(scope="session")
def documents() -> list[str]:
    """Real Latvian and Estonian documents of very different lengths."""
    found = [*texts("lv", 60_000)[:12], *texts("et", 60_000)[:12]]
    return [*found, "x", " ", "Šķērsām 🙂 öö"]
