"""Tokenizers to extend, and text to do it with: the embedded sample, and FLORES and the licence as English."""

from __future__ import annotations

import json
from collections import Counter
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import SAMPLE, sample_documents
from tokenizers import Regex, Tokenizer, pre_tokenizers
from zstandard import ZstdDecompressor

from eurolm.tokenizer.bpe import train
from eurolm.tokenizer.export import export
from eurolm.tokenizer.inventory import WeightedWords
from eurolm.tokenizer.pretokens import LLAMA3
from eurolm.tokenizer.special import special_tokens

REPOSITORY = Path(__file__).resolve().parents[3]
SHARED = REPOSITORY.parent / "shared" / "data"
SPECIAL = special_tokens(4)
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="needs the collected text beside the checkout")


def sample(language: str) -> list[str]:
    return [f"{language}={path}" for path in sorted(SAMPLE.glob(f"{language}_*.jsonl.zst"))]


def texts(language: str, count: int = 400) -> list[str]:
    return [str(document["text"]) for document in sample_documents(language, count)]


def english(place: Path) -> Path:
    """English prose that is always here and stays as it is, unlike our own documents."""
    with (REPOSITORY / "src" / "eurolm" / "tasks" / "items" / "flores101-devtest.jsonl.zst").open("rb") as packed:
        lines = ZstdDecompressor().stream_reader(packed).read().splitlines()
    sentences = [json.loads(line)["en"] for line in lines]
    place.write_text("\n".join([*sentences, (REPOSITORY / "LICENSE").read_text()]))
    return place


def mistral() -> Path:
    """Mistral 7B's SentencePiece model out of the wheel of mistral-common; skips without it."""
    package = find_spec("mistral_common")
    for folder in (package.submodule_search_locations or []) if package else []:
        file = Path(folder) / "data" / "tokenizer.model.v1"
        if file.is_file():
            return file
    pytest.skip("needs Mistral's vocabulary: pip install --no-deps mistral-common")


def pre_tokens(given: list[str]) -> Counter[str]:
    """Pre-tokens of eurolm's own tokenizers, counted."""
    cutter = pre_tokenizers.Split(Regex(LLAMA3), "isolated")
    return Counter(piece for text in given for piece, _ in cutter.pre_tokenize_str(text))


def own(language: str, vocab_size: int, out: Path) -> Path:
    """A byte-level tokenizer as eurolm trains it, on one language."""
    words = WeightedWords(sorted(pre_tokens(texts(language)).items()), 1)
    out.mkdir(parents=True)
    export(train(words, vocab_size, SPECIAL).tokenizer(vocab_size), SPECIAL, out)
    return out


def edit(directory: Path, **model: Any) -> Path:
    """Set fields of the BPE model in `tokenizer.json`."""
    path = directory / "tokenizer.json"
    state = json.loads(path.read_text())
    state["model"].update(model)
    path.write_text(json.dumps(state))
    return directory


def tokenizer_in(directory: Path) -> Tokenizer:
    """The tokenizer, with special tokens' names in a text read as text."""
    tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))
    tokenizer.encode_special_tokens = True
    return tokenizer


def ids_of(tokenizer: Tokenizer, given: list[str]) -> list[list[int]]:
    return [encoding.ids for encoding in tokenizer.encode_batch_fast(given, add_special_tokens=False)]


def fewer(before: Tokenizer, after: Tokenizer, given: list[str]) -> float:
    """Share of tokens saved."""
    return 1 - sum(map(len, ids_of(after, given))) / sum(map(len, ids_of(before, given)))
