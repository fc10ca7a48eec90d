"""What `tokenizers` itself makes of text: the reference that pre-tokens and merges are compared with."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from eurolm.tokenizer.pretokens import LLAMA3

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
SPLIT = pre_tokenizers.Split(Regex(LLAMA3), behavior="isolated", invert=False)


def pre_tokens(texts: Iterable[str]) -> Counter[str]:
    counted: Counter[str] = Counter()
    for text in texts:
        counted.update(piece for piece, _ in SPLIT.pre_tokenize_str(text))
    return counted


def trained(texts: Iterable[str], vocab_size: int, special: Sequence[str], min_frequency: int = 2) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [SPLIT, pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=True, use_regex=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=min_frequency,
        special_tokens=list(special),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def merges(tokenizer: Tokenizer) -> list[tuple[str, str]]:
    return [(left, right) for left, right in json.loads(tokenizer.to_str())["model"]["merges"]]


def shared_rows(path: str) -> list[dict[str, str]]:
    if not SHARED.is_dir():
        pytest.skip("the shared data is not beside this checkout")
    return [json.loads(line) for line in (SHARED / path).read_text().splitlines()]
