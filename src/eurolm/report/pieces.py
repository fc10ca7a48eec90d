"""Sentences cut into the pieces that tokens cover, by the run's tokenizer and by others found on this machine.

A character that no single token holds stays whole: its piece counts the tokens it took. Mistral 7B's vocabulary
is read from the data files of the `mistral-common` package, without importing it and without the network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from eurolm.errors import EurolmError, InputError
from eurolm.tokenizer.alphabet import metaspace_bytes
from eurolm.tokenizer.load import load

HOW_TO_GET_MISTRAL = "pip install --no-deps mistral-common"
"""Without its dependencies: they pin numpy below what torch environments carry, and only the data file is read."""


@dataclass(frozen=True)
class Piece:
    """A stretch of text and the number of tokens that spell it: 1, unless a character is split."""

    text: str
    tokens: int


@dataclass(frozen=True)
class Splitter:
    """A tokenizer by name."""

    name: str
    vocab_size: int
    split: Callable[[str], list[Piece]]


def count(pieces: Iterable[Piece]) -> int:
    """Tokens of all pieces."""
    return sum(piece.tokens for piece in pieces)


def from_directory(directory: Path, name: str) -> Splitter:
    """A Hugging Face tokenizer directory. Raises InputError where it is none."""
    loaded = load(directory)

    def split(text: str) -> list[Piece]:
        encoding = loaded.tokenizer.encode(text, add_special_tokens=False)
        return by_ends(text, [end for _, end in encoding.offsets])

    return Splitter(name, loaded.vocab_size, split)


def from_sentencepiece(path: Path, name: str) -> Splitter:
    """A SentencePiece model file. Raises InputError where it is not readable."""
    try:
        from sentencepiece import SentencePieceProcessor

        processor: Any = SentencePieceProcessor(model_file=str(path))
    except ImportError:
        raise InputError(f"{path} needs sentencepiece: pip install sentencepiece.") from None
    except (OSError, RuntimeError) as error:
        raise InputError(f"{path} is not a SentencePiece model: {error}.") from None

    def split(text: str) -> list[Piece]:
        spelled = [metaspace_bytes(piece) for piece in processor.EncodeAsPieces(text)]
        # SentencePiece puts a space before the text unless there is one.
        if spelled and not text.startswith(" "):
            spelled[0] = spelled[0].removeprefix(b" ")
        return by_bytes(spelled)

    return Splitter(name, processor.vocab_size(), split)


def from_path(path: Path) -> Splitter:
    """Whatever tokenizer `report.compare_tokenizers` names: a directory or a SentencePiece file."""
    if path.is_dir():
        return from_directory(path, path.name)
    return from_sentencepiece(path, path.parent.name or path.name)


def mistral() -> Splitter | None:
    """The 32k vocabulary of Mistral 7B, which many continue from, as `mistral-common` carries it; null without it."""
    package = find_spec("mistral_common")
    for place in (package.submodule_search_locations or []) if package else []:
        file = Path(place) / "data" / "tokenizer.model.v1"
        if file.is_file():
            return from_sentencepiece(file, "Mistral 7B")
    return None


def others(configured: Iterable[Path]) -> tuple[list[Splitter], list[str]]:
    """Tokenizers to show beside the run's own, and why configured ones are not among them."""
    found: list[Splitter] = []
    problems: list[str] = []
    for path in configured:
        try:
            found.append(from_path(path))
        except (EurolmError, OSError) as error:
            problems.append(f"report.compare_tokenizers: {error}")
    try:
        bundled = mistral() if not found else None
    except InputError as error:
        problems.append(str(error))
        bundled = None
    return found + ([bundled] if bundled else []), problems


def by_ends(text: str, ends: Iterable[int]) -> list[Piece]:
    """Cut `text` at the character offsets where tokens end; a token that ends no later than the one before it shares
    that one's last character."""
    pieces: list[Piece] = []
    done = 0
    for end in ends:
        if end > done:
            pieces.append(Piece(text[done:end], 1))
            done = end
        elif pieces:
            pieces[-1] = Piece(pieces[-1].text, pieces[-1].tokens + 1)
        else:
            pieces.append(Piece("", 1))
    if done < len(text):
        pieces.append(Piece(text[done:], 0))
    return pieces


def by_bytes(tokens: Iterable[bytes]) -> list[Piece]:
    """Join tokens until their bytes are whole characters."""
    pieces: list[Piece] = []
    held, waiting = b"", 0
    for token in tokens:
        held, waiting = held + token, waiting + 1
        try:
            text = held.decode()
        except UnicodeDecodeError:
            continue
        if not text:
            continue
        pieces.append(Piece(text, waiting))
        held, waiting = b"", 0
    if waiting:
        pieces.append(Piece(held.decode(errors="replace"), waiting))
    return pieces
