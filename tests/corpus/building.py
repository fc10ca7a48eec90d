"""Real text from the embedded sample as sources on disk, and a corpus built from it."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard
from ruamel.yaml import YAML

from eurolm.artifacts import store
from eurolm.artifacts.manifest import describe_files
from eurolm.artifacts.store import Recipe
from eurolm.config.corpus import CorpusConfig
from eurolm.config.shipped import shipped
from eurolm.console import Reporter
from eurolm.corpus.documents import Document, documents, heldout
from eurolm.corpus.duplicates.find import DEFAULT_SIZES, Sizes
from eurolm.corpus.sample.pick import read_records
from eurolm.corpus.sources.units import PART_BYTES
from eurolm.corpus.stage import build_corpus

REPOSITORY = Path(__file__).resolve().parents[2]
SAMPLE = REPOSITORY / "src" / "eurolm" / "corpus" / "sample"
SHARED_TEXT = REPOSITORY.parent / "shared" / "data" / "text"

Record = dict[str, Any]


def sample(name: str, count: int | None = None) -> list[Record]:
    """Records of one file of the embedded sample."""
    return read_records(SAMPLE / f"{name}.jsonl.zst")[:count]


def language_rules() -> dict[str, Any]:
    """The shipped rules of Latvian and Estonian as the config holds them."""
    rules: dict[str, Any] = {}
    for language in ("lv", "et"):
        tree = YAML(typ="safe").load(shipped("configs") / "languages" / f"{language}.yaml")
        rules |= tree["corpus"]["languages"]
    return rules


def config(sources: Sequence[Record], **changes: Any) -> CorpusConfig:
    """A corpus section with the shipped rules."""
    return CorpusConfig.model_validate(
        {"languages": language_rules(), "sources": list(sources), "workers": 1} | changes
    )


def jsonl(records: Iterable[Record | bytes]) -> bytes:
    """Records as JSON lines; bytes go in as they are."""
    encoded = (item if isinstance(item, bytes) else json.dumps(item, ensure_ascii=False).encode() for item in records)
    return b"".join(line + b"\n" for line in encoded)


def write_source(path: Path, records: Sequence[Record]) -> Path:
    """Write records in the format that the file name says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        # Small row groups, so that the file can be cut.
        pq.write_table(pa.Table.from_pylist(list(records)), path, row_group_size=25)
    elif path.name.endswith(".txt"):
        path.write_text("\n\n".join(record["text"].replace("\n\n", "\n") for record in records))
    elif path.suffix == ".zst":
        path.write_bytes(zstandard.ZstdCompressor().compress(jsonl(records)))
    elif path.suffix == ".gz":
        path.write_bytes(gzip.compress(jsonl(records), mtime=0))
    else:
        path.write_bytes(jsonl(records))
    return path


def build(
    base: Path, section: CorpusConfig, name: str = "out", part_bytes: int = PART_BYTES, sizes: Sizes = DEFAULT_SIZES
) -> Path:
    """Build the corpus into `base/name`; measured attributes lie apart for every name."""
    out = base / name
    out.mkdir(parents=True, exist_ok=True)
    build_corpus(section, base, out, Reporter("quiet"), base / "measured" / name, part_bytes, sizes)
    return out


def sealed(base: Path, section: CorpusConfig, name: str) -> Path:
    """The corpus at `base/name` as a run leaves it, with its manifest."""
    recipe = Recipe("corpus", 1, section.output_fields(), {}, {}, [])
    store.build(
        base / name, recipe, "test", lambda out: build_corpus(section, base, out, Reporter("quiet"), base / "measured")
    )
    return base / name


def report(out: Path) -> dict[str, Any]:
    """`report.json`."""
    return json.loads((out / "report.json").read_text())


def hashes(out: Path) -> dict[str, str]:
    """sha256 of every file below `out`."""
    return {name: entry["sha256"] for name, entry in describe_files(out).items()}


def all_heldout(out: Path) -> list[Document]:
    """Held-out documents of every language."""
    return [document for place in sorted((out / "heldout").glob("*")) for document in heldout(out, place.name)]


def all_documents(out: Path) -> list[Document]:
    """Training documents."""
    return list(documents(out))
