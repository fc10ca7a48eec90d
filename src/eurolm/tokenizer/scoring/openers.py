"""Opening a tokenizer file with the library it was made for, and the bytes that each of its ids spells."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eurolm.artifacts.hashing import sha256_file
from eurolm.errors import InputError, MachineError
from eurolm.tokenizer.alphabet import BYTE_TOKEN, byte_level_bytes, metaspace_bytes, spelling
from eurolm.tokenizer.load import as_text_only, read_tokenizer

PATTERNS = {
    "gpt2": r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    "cl100k": r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+",
    "o200k": r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
}
"""Pre-tokenizers of byte-level vocabularies by name (tiktoken 0.14, `openai_public.py`); Llama 3 uses `cl100k`."""

GIVE_NAME = f"Give one after an @: FILE.tiktoken@NAME with NAME one of {', '.join(PATTERNS)}."


@dataclass(frozen=True)
class Opened:
    """What an opener hands over."""

    library: str
    encode: Callable[[list[str]], list[list[int]]]
    pieces: list[bytes | None]
    """By id; null for one that stands for no text."""
    fallback_ids: frozenset[int]
    """Ids that spell raw bytes: SentencePiece's byte tokens, and byte-level tokens that hold no whole character."""
    unknown_ids: frozenset[int]


def huggingface(path: Path) -> Opened:
    """A `tokenizer.json`. Raises InputError for one whose tokens do not spell text (WordPiece, no decoder)."""
    tokenizer = as_text_only(read_tokenizer(path))
    described = json.loads(tokenizer.to_str())
    spelled = spelling(described.get("decoder"), path)
    added = {number: token.content for number, token in tokenizer.get_added_tokens_decoder().items()}
    vocabulary = tokenizer.get_vocab()
    pieces: list[bytes | None] = [None] * (max(vocabulary.values(), default=-1) + 1)
    for token, number in vocabulary.items():
        pieces[number] = token.encode() if number in added else spelled(token)
    unknown = tokenizer.token_to_id(described["model"].get("unk_token") or "")
    if unknown is None and described["model"]["type"] == "Unigram":
        unknown = described["model"].get("unk_id")
    if unknown is not None:
        pieces[unknown] = None
    byte_level = spelled is byte_level_bytes
    fallback = (
        _partial_characters(pieces)
        if byte_level
        else frozenset(number for token, number in vocabulary.items() if BYTE_TOKEN.fullmatch(token))
    )

    def encode(texts: list[str]) -> list[list[int]]:
        return [encoding.ids for encoding in tokenizer.encode_batch_fast(texts, add_special_tokens=False)]

    return Opened("tokenizers", encode, pieces, fallback, frozenset([] if unknown is None else [unknown]))


def sentencepiece(path: Path) -> Opened:
    """A SentencePiece model of any kind, encoded by one thread."""
    try:
        from sentencepiece import SentencePieceProcessor
    except ImportError:
        raise MachineError(f"{path} needs sentencepiece: pip install sentencepiece.") from None
    try:
        model: Any = SentencePieceProcessor(model_file=str(path))
    except (OSError, RuntimeError) as error:
        raise InputError(f"{path} is not a SentencePiece model: {error}.") from None

    def piece(number: int) -> bytes | None:
        if model.IsUnknown(number) or model.IsControl(number) or model.IsUnused(number):
            return None
        return metaspace_bytes(model.IdToPiece(number))

    size = model.GetPieceSize()
    return Opened(
        "sentencepiece",
        lambda texts: model.Encode(texts, out_type=int, num_threads=1),
        [piece(number) for number in range(size)],
        frozenset(number for number in range(size) if model.IsByte(number)),
        frozenset(number for number in range(size) if model.IsUnknown(number)),
    )


def tiktoken_ranks(path: Path, pattern: str) -> Opened:
    """A `.tiktoken` file: base64 bytes and rank per line, cut by the regular expression of that name."""
    if pattern not in PATTERNS:
        what = f"{pattern!r} is no regular expression known here" if pattern else "a rank file names no pre-tokenizer"
        raise InputError(f"{path}: {what}. {GIVE_NAME}")
    try:
        lines = [line.split() for line in path.read_bytes().splitlines() if line.strip()]
        ranks = {base64.b64decode(token, validate=True): int(rank) for token, rank in lines}
    except (ValueError, binascii.Error) as error:
        raise InputError(f"{path} is not a tiktoken rank file (base64 and a number per line): {error}.") from None
    return _tiktoken(path, ranks, PATTERNS[pattern], 0)


def tekken(path: Path) -> Opened:
    """Mistral's `tekken.json`: the first ids are special tokens, the ranks follow."""
    try:
        value = json.loads(path.read_bytes())
        config = value["config"]
        special = int(config["default_num_special_tokens"])
        entries = value["vocab"][: int(config["default_vocab_size"]) - special]
        ranks = {base64.b64decode(entry["token_bytes"]): int(entry["rank"]) for entry in entries}
        pattern = str(config["pattern"])
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is not a tekken.json: {error!r}.") from None
    return _tiktoken(path, ranks, pattern, special)


def digest(path: Path, pattern: str) -> str:
    """sha256 of the file, or of its hash and the regular expression's name where one was named."""
    own = sha256_file(path)
    return hashlib.sha256(f"{own} {pattern}".encode()).hexdigest() if pattern else own


def _tiktoken(path: Path, ranks: dict[bytes, int], pattern: str, special: int) -> Opened:
    try:
        from tiktoken import Encoding
    except ImportError:
        raise MachineError(f"{path} needs tiktoken: pip install tiktoken.") from None
    missing = [byte for byte in range(256) if bytes([byte]) not in ranks]
    if missing:
        raise InputError(f"{path} lacks {len(missing)} of the 256 bytes: it cannot spell every text.")
    encoding: Any = Encoding(path.name, pat_str=pattern, mergeable_ranks=ranks, special_tokens={})
    pieces: list[bytes | None] = [None] * (max(ranks.values()) + 1 + special)
    for token, rank in ranks.items():
        pieces[rank + special] = token

    def encode(texts: list[str]) -> list[list[int]]:
        found = encoding.encode_ordinary_batch(texts, num_threads=1)
        return [[number + special for number in ids] for ids in found] if special else found

    return Opened("tiktoken", encode, pieces, _partial_characters(pieces), frozenset())


def _partial_characters(pieces: list[bytes | None]) -> frozenset[int]:
    return frozenset(number for number, piece in enumerate(pieces) if piece and not _is_text(piece))


def _is_text(piece: bytes) -> bool:
    try:
        piece.decode()
    except UnicodeDecodeError:
        return False
    return True
