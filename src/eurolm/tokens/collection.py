"""Token shards wherever somebody has them: a run, a tokens artifact, a directory of Megatron shards, one shard."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from eurolm.errors import InputError
from eurolm.tokenizer.load import LoadedTokenizer, load
from eurolm.tokens.adopt import named_stems
from eurolm.tokens.description import FILE, TokensRecord, check_tokenizer, read_description
from eurolm.tokens.encode import documents_path
from eurolm.tokens.shards import ShardReader

RUN_PARTS = ("tokens", "tokenizer")
"""Where a run keeps its shards and its tokenizer."""


@dataclass(frozen=True)
class Collection:
    """Shards of a path, and what is known about them."""

    place: Path
    """Where they were found."""
    base: Path
    """What their names are relative to."""
    sources: dict[str, list[Path]]
    """Stems of each source."""
    record: TokensRecord | None
    """`tokens.json`; null for foreign shards that nobody described."""
    tokenizer: Path | None
    """The run's tokenizer, or the one given; null when there is neither."""

    @property
    def stems(self) -> list[Path]:
        """All shards, source by source."""
        return [stem for stems in self.sources.values() for stem in stems]

    def name(self, stem: Path) -> str:
        """`<source>/NNNNN`, as `tokens.json` and traces have it."""
        return stem.relative_to(self.base).as_posix()

    def loaded(self) -> LoadedTokenizer | None:
        """The tokenizer; null when there is none. Raises InputError when the shards were made with another one."""
        if self.tokenizer is None:
            return None
        loaded = load(self.tokenizer)
        if self.record:
            check_tokenizer(self.place, self.record, loaded)
        return loaded


def find(path: Path, tokenizer: Path | None = None) -> Collection:
    """The shards meant by a run, a tokens artifact, a directory with `.bin/.idx`, or one shard with or without suffix.

    Raises InputError where there are none.
    """
    if all((path / part).is_dir() for part in RUN_PARTS):
        return find(path / "tokens", tokenizer or path / "tokenizer")
    if (path / FILE).is_file():
        record = read_description(path)
        base = record.shards_in(path)
        sources = {name: [base / shard.stem for shard in source.shards] for name, source in record.sources.items()}
        return Collection(path, base, sources, record, tokenizer)
    if path.is_dir():
        sources = {}
        for name, stem in named_stems(path):
            sources.setdefault(name, []).append(stem)
        return Collection(path, path, sources, None, tokenizer)
    return _one_shard(path.absolute(), tokenizer)


def _one_shard(path: Path, tokenizer: Path | None) -> Collection:
    stem = path.with_suffix("") if path.suffix in (".bin", ".idx") else path
    if not stem.with_name(stem.name + ".idx").is_file():
        raise InputError(
            f"{path} is none of: a run, a tokens artifact with {FILE}, a directory of Megatron shards, a .bin or .idx."
        )
    described = next((place for place in stem.parents[:2] if (place / FILE).is_file()), None)
    return Collection(
        place=described or stem.parent,
        base=described or stem.parent,
        sources={stem.parent.name: [stem]},
        record=read_description(described) if described else None,
        tokenizer=tokenizer,
    )


def locate(shards: Collection, document: str) -> tuple[Path, int]:
    """Shard and number in it of a document: `<shard>#<number>`, a number counted over all shards, or an id.

    Raises InputError where there is no such document.
    """
    name, mark, number = document.rpartition("#")
    if mark and number.isdigit():
        for stem in shards.stems:
            if shards.name(stem) == name:
                return _within(stem, int(number), document)
    elif document.isdigit() and len(document) < 20:
        left = int(document)
        for stem in shards.stems:
            count = _documents(stem)
            if left < count:
                return stem, left
            left -= count
    else:
        for stem in shards.stems:
            table = documents_path(stem)
            ids = pq.read_table(table, columns=["id"])["id"].to_pylist() if table.is_file() else []
            if document in ids:
                return stem, ids.index(document)
    raise InputError(
        f"document {document!r} is not in {shards.place}: give its id, <shard>#<number>, or a number below "
        f"{sum(map(_documents, shards.stems)):,}."
    )


def documents_from(shards: Collection, first: tuple[Path, int], count: int) -> Iterator[tuple[str, list[int]]]:
    """Name and ids, without EOD, of `count` documents from a place on; they run on into the next shard."""
    stem, number = first
    for place in shards.stems[shards.stems.index(stem) :]:
        names = pq.read_table(documents_path(place), columns=["id"])["id"] if documents_path(place).is_file() else None
        with ShardReader(place) as shard:
            for document in range(number, min(len(shard), number + count)):
                known = f"{names[document].as_py()} " if names is not None else ""
                yield f"{known}{shards.name(place)}#{document}", shard.document(document)[:-1].tolist()
            count -= max(min(len(shard), number + count) - number, 0)
        number = 0
        if not count:
            return


def _within(stem: Path, number: int, document: str) -> tuple[Path, int]:
    count = _documents(stem)
    if number >= count:
        raise InputError(f"document {document!r}: {stem} has documents 0 … {count - 1:,}.")
    return stem, number


def _documents(stem: Path) -> int:
    with ShardReader(stem) as shard:
        return len(shard)
