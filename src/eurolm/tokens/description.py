"""`tokens.json`: what a tokens artifact holds, with which tokenizer it was made, and where its shards lie.

The shards lie beside it, or, when the artifact describes foreign shards, in `directory`. Every later room reads
shards through this record and therefore cannot tell whose they are.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eurolm.artifacts.atomic import read_json, write_json
from eurolm.errors import InputError

if TYPE_CHECKING:
    # A login node reads descriptions without the tokenizers library.
    from eurolm.tokenizer.load import LoadedTokenizer

FILE = "tokens.json"


@dataclass(frozen=True)
class ShardRecord:
    """One shard: `stem` + `.bin` / `.idx`, relative to the directory of the shards."""

    stem: str
    documents: int
    tokens: int
    """Tokens with EODs."""
    text_bytes: int | None
    """UTF-8 bytes of its text; null for foreign shards."""


@dataclass(frozen=True)
class SourceRecord:
    """All shards of one source."""

    language: str | None
    """Language of all its documents; null when they differ or nobody stated one."""
    documents: int
    tokens: int
    text_bytes: int | None
    languages: dict[str, dict[str, int]]
    """Documents, tokens and text bytes per language; empty for foreign shards."""
    shards: tuple[ShardRecord, ...]


@dataclass(frozen=True)
class TokensRecord:
    """The content of `tokens.json`."""

    tokenizer_sha256: str
    vocab_size: int
    eod_id: int
    dtype: str | None
    """NumPy name of the id type; null when foreign shards differ in it."""
    directory: str | None
    """Where foreign shards lie; null when they lie beside `tokens.json`."""
    sources: dict[str, SourceRecord]
    forgotten: int | None = None
    """Documents of the corpus that forget lists left out; null, and not written, without lists."""

    def shards_in(self, tokens: Path) -> Path:
        """Directory that the stems are relative to."""
        return Path(self.directory) if self.directory else tokens


def write_description(out: Path, record: TokensRecord, checks: dict[str, Any] | None = None) -> None:
    """Write `tokens.json` into `out`; `checks` says what was verified of foreign shards."""
    value = asdict(record)
    if record.forgotten is None:
        del value["forgotten"]
    write_json(out / FILE, {**value, **({"checks": checks} if checks else {})})


def read_description(tokens: Path) -> TokensRecord:
    """Read `tokens.json`. Raises InputError when it is missing or of another shape."""
    path = tokens / FILE
    if not path.is_file():
        raise InputError(f"{path} is missing: {tokens} is not a finished tokens artifact.")
    try:
        value = read_json(path)
        sources = {name: _source(record) for name, record in value["sources"].items()}
        fields = ("tokenizer_sha256", "vocab_size", "eod_id", "dtype", "directory")
        known = {name: value[name] for name in fields}
        return TokensRecord(**known, sources=sources, forgotten=value.get("forgotten"))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise InputError(f"{path} is damaged or of another version. Delete {tokens} and run again.") from None


def _source(value: dict[str, Any]) -> SourceRecord:
    return SourceRecord(**{**value, "shards": tuple(ShardRecord(**shard) for shard in value["shards"])})


def check_tokenizer(tokens: Path, record: TokensRecord, tokenizer: LoadedTokenizer) -> None:
    """Raise InputError when shards were made with another tokenizer than the given one."""
    if record.tokenizer_sha256 != tokenizer.sha256:
        raise InputError(
            f"{tokens} was encoded with tokenizer {record.tokenizer_sha256[:12]}…, not with the configured "
            f"{tokenizer.sha256[:12]}…. Ids would mean other text. Encode again, or set tokenizer.use to the "
            "tokenizer these shards were made with."
        )
