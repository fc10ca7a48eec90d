"""Tokenizers of every make, small: trained on the embedded sample, or put together from merges written by hand."""

from __future__ import annotations

import base64
import json
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest
import sentencepiece
from tests.conftest import sample_documents
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

GPT2 = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
ODD_TEXTS = [
    "  divas atstarpes  un   trīs\tun\ttabulators\n\n\njauna rinda\r\nun vēl \n ",
    "🙂👩‍👩‍👧 emodži un a\u0301 e\u0304 o\u0302\u0323 kombinētas zīmes",
    "āčēģīķļņšūž ĀČĒĢĪĶĻŅŠŪŽ äöõüšž ÄÖÕÜŠŽ",
    "Raksta <|endoftext|> tekstā, un <s> arī </s> <0x41>.",
    "1234567890 12.05.2024. plkst. 10:30",
    "x",
]


@cache
def sample(language: str, documents: int = 300) -> tuple[str, ...]:
    """Real text: short documents of the embedded sample."""
    texts = (str(document["text"]) for document in sample_documents(language, 3 * documents))
    return tuple([text for text in texts if len(text) < 4000][:documents])


def mistral_data() -> Path:
    """The vocabularies that the `mistral-common` package carries; skips without it."""
    package = find_spec("mistral_common")
    if package is None or not package.submodule_search_locations:
        pytest.skip("mistral-common is not installed: pip install --no-deps mistral-common")
    return Path(package.submodule_search_locations[0]) / "data"


def byte_level(merges: int, texts: list[str], path: Path) -> Path:
    """A GPT-2-like `tokenizer.json` trained on the texts."""
    tokenizer = _byte_level(models.BPE())
    trainer = trainers.BpeTrainer(
        vocab_size=256 + merges, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    return _saved(tokenizer, path)


def by_merges(merges: list[tuple[str, str]], path: Path) -> Path:
    """A byte-level `tokenizer.json` with all bytes and exactly these merges, written in its alphabet (Ġ is a space)."""
    tokens = [*sorted(pre_tokenizers.ByteLevel.alphabet()), *(left + right for left, right in merges)]
    vocabulary = {token: number for number, token in enumerate(dict.fromkeys(tokens))}
    return _saved(_byte_level(models.BPE(vocab=vocabulary, merges=merges)), path)


def rank_file(tokenizer_json: Path, path: Path) -> Path:
    """The same vocabulary as tiktoken's rank file."""
    from eurolm.tokenizer.scoring.openers import huggingface

    pieces = huggingface(tokenizer_json).pieces
    lines = [f"{base64.b64encode(piece).decode()} {rank}" for rank, piece in enumerate(pieces) if piece is not None]
    path.write_text("\n".join(lines) + "\n")
    return path


def metaspace(texts: list[str], path: Path) -> Path:
    """A Llama-2-like `tokenizer.json`: `▁` for spaces, byte tokens for characters outside the vocabulary."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))  # noqa: S106
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    own = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    # Trained on words, so that no merge crosses a space; applied to whole texts as Llama does.
    words = [word for text in texts for word in text.split()]
    trainer = trainers.BpeTrainer(vocab_size=1000, special_tokens=own, limit_alphabet=90, show_progress=False)
    tokenizer.train_from_iterator(words, trainer)
    described = json.loads(tokenizer.to_str())
    described["added_tokens"] = [token for token in described["added_tokens"] if token["id"] < 3]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(described))
    return path


def sentencepiece_model(texts: list[str], path: Path, **options: object) -> Path:
    """A SentencePiece `.model`; `options` as its trainer takes them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([line for text in texts for line in text.splitlines() if line.strip()]),
        model_prefix=str(path.with_suffix("")),
        vocab_size=900,
        num_threads=1,
        minloglevel=2,
        **{"normalization_rule_name": "identity", "remove_extra_whitespaces": False, **options},
    )
    return path.with_suffix(".model")


def _byte_level(model: models.BPE) -> Tokenizer:
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(GPT2), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def _saved(tokenizer: Tokenizer, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(path))
    return path
