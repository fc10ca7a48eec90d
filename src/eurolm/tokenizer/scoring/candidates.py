"""A tokenizer of any make as one record: ids of raw text, and the bytes that each id spells.

The bytes are what everything is judged by: joined, they must give the text back, so a tokenizer that loses text (an
unknown token, a normaliser that rewrites, three entries instead of 32,000) shows itself instead of winning on
fertility. No library's `decode` is asked, because those clean up. SentencePiece files are read with sentencepiece
alone: `transformers` 5 accepts one as a vocabulary of three entries that turns every text into nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from eurolm.errors import InputError
from eurolm.tokenizer.load import PROBE
from eurolm.tokenizer.scoring import openers
from eurolm.tokenizer.scoring.openers import Opened

BATCH_CHARACTERS = 1_000_000
TIKTOKEN_NAMES = {"r50k_base": "gpt2", "p50k_base": "gpt2", "cl100k_base": "cl100k", "o200k_base": "o200k"}
"""OpenAI's rank files and the regular expression each is used with (tiktoken, `openai_public.py`)."""


@dataclass(frozen=True)
class Candidate:
    """One tokenizer to score."""

    name: str
    kind: str
    """`tokenizers`, `sentencepiece` or `tiktoken`: the library that encodes."""
    path: str
    """The file that determines the ids."""
    sha256: str
    opened: Opened

    @property
    def vocab_size(self) -> int:
        """Greatest id + 1: rows of an embedding for it."""
        return len(self.opened.pieces)

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids of each text, in order, without special tokens; a special token's name in the text is ordinary text."""
        return [ids for batch in _batches(texts) for ids in self.opened.encode(batch)]

    def spell(self, ids: Sequence[int]) -> bytes:
        """The bytes of the ids; an id that stands for no text (unknown, control) has none."""
        pieces = self.opened.pieces
        return b"".join(pieces[number] or b"" for number in ids)

    def returns(self, text: str, ids: Sequence[int]) -> bool:
        """Whether the ids spell the text, but for the space that SentencePiece puts before it."""
        spelled, wanted = self.spell(ids), text.encode()
        return spelled == wanted or spelled == b" " + wanted


def open_candidate(given: str) -> Candidate:
    """Open `PATH` or `NAME=PATH`; a tiktoken file with an unfamiliar name is `PATH@REGEX`.

    PATH is a Hugging Face directory or its `tokenizer.json`, an eurolm run or tokenizer artifact, a SentencePiece
    `.model`, a `.tiktoken` rank file or Mistral's `tekken.json`. Raises InputError for anything else and for a
    tokenizer that loses half of a plain sentence.
    """
    name, _, rest = ("", "", given) if Path(given).exists() else given.rpartition("=")
    rest, _, pattern = rest.partition("@") if not Path(rest).exists() else (rest, "", "")
    path = _tokenizer_file(Path(rest))
    opener = _opener(path, pattern)
    opened = opener(path)
    candidate = Candidate(name or _default_name(path), opened.library, str(path), openers.digest(path, pattern), opened)
    _probe(candidate)
    return candidate


def open_all(given: Sequence[str]) -> list[Candidate]:
    """Open each; equal names are told apart by their hash. Raises InputError for the same one twice."""
    found = [open_candidate(one) for one in given]
    names = [one.name for one in found]
    renamed = [
        one if names.count(one.name) == 1 else Candidate(f"{one.name} {one.sha256[:6]}", one.kind, one.path, one.sha256,
                                                         one.opened)
        for one in found
    ]  # fmt: skip
    twice = {one.name for one in renamed if [other.name for other in renamed].count(one.name) > 1}
    if twice:
        raise InputError(f"{', '.join(sorted(twice))} is given twice. Give each tokenizer once, or names: NAME=PATH.")
    return renamed


def _tokenizer_file(path: Path) -> Path:
    if path.is_file():
        return path
    tries = [
        place / name
        for place in (path, path / "tokenizer")
        for name in ("tokenizer.json", "tekken.json", "tokenizer.model")
    ]
    for file in tries:
        if file.is_file():
            return file
    what = "holds no tokenizer.json, tekken.json or tokenizer.model" if path.is_dir() else "does not exist"
    raise InputError(
        f"{path} {what}. Give a tokenizer directory, a run, a tokenizer.json, a SentencePiece .model, a .tiktoken or "
        "a tekken.json."
    )


def _opener(path: Path, pattern: str) -> Callable[[Path], Opened]:
    if path.suffix == ".tiktoken" or pattern:
        named = pattern or TIKTOKEN_NAMES.get(path.stem, "")
        return lambda file: openers.tiktoken_ranks(file, named)
    if path.suffix == ".json":
        return openers.tekken if path.name.startswith("tekken") else openers.huggingface
    if ".model" in path.suffixes:
        return openers.sentencepiece
    raise InputError(f"{path} is no tokenizer file: *.json, *.model and *.tiktoken are.")


def _default_name(path: Path) -> str:
    plain = path.stem in ("tokenizer", "tekken")
    directory = path.absolute().parent
    directory = directory.parent if plain and directory.name == "tokenizer" else directory
    return directory.name if plain and directory.name else path.name.removesuffix(".model").removesuffix(".json")


def _probe(candidate: Candidate) -> None:
    ids = candidate.encode_batch([PROBE])[0]
    kept = sum(character.encode() in candidate.spell(ids) for character in PROBE)
    if not ids or kept < len(PROBE) / 2:
        raise InputError(
            f"{candidate.path}: the tokenizer turns a sentence of {len(PROBE)} characters into {len(ids)} ids that "
            f"spell {candidate.spell(ids).decode(errors='replace')!r}. It loses text, so no figure of it means "
            f"anything. Was its vocabulary ({candidate.vocab_size:,} entries) read in the right format?"
        )


def _batches(texts: Sequence[str]) -> list[list[str]]:
    batches: list[list[str]] = []
    size = BATCH_CHARACTERS
    for text in texts:
        if size >= BATCH_CHARACTERS:
            batches.append([])
            size = 0
        batches[-1].append(text)
        size += len(text)
    return batches
