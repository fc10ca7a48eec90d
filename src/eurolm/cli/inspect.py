"""`eurolm inspect PATH`: what is in there, in a screenful."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from eurolm.artifacts.ledger import events
from eurolm.artifacts.manifest import MANIFEST, read_manifest
from eurolm.cli.options import common
from eurolm.console import Reporter
from eurolm.errors import InputError

EXCERPT_CHARACTERS = 160


@click.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option("-n", "count", default=3, show_default=True, type=click.IntRange(min=0), help="Records to show.")
@common
def inspect(path: Path, count: int, reporter: Reporter) -> None:
    """Show what PATH holds: a run, an artifact, a tokenizer, a Parquet, JSONL or token shard, a metrics file."""
    if not path.exists():
        raise InputError(f"{path} does not exist.")
    for key, value in describe(path, count):
        if reporter.mode == "json":
            click.echo(json.dumps({"key": key, "value": value}, ensure_ascii=False, default=str))
        else:
            shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
            click.echo(f"{click.style(f'{key:<14}', bold=True)} {shown}")


def describe(path: Path, count: int) -> Iterator[tuple[str, Any]]:
    """(what, value) lines about `path`. Raises InputError for what eurolm does not know."""
    if (path / "run.json").is_file():
        yield from _run(path)
    elif (path / MANIFEST).is_file():
        yield from _artifact(path)
    elif (path / "tokenizer.json").is_file():
        yield from _tokenizer(path)
    elif path.suffix == ".parquet":
        yield from _parquet(path, count)
    elif path.suffix in (".bin", ".idx"):
        yield from _token_shard(path, count)
    elif ".jsonl" in path.suffixes:
        yield from _jsonl(path, count)
    else:
        raise InputError(
            f"{path} is none of: a run, an artifact with {MANIFEST}, a tokenizer directory, "
            "*.parquet, *.bin/*.idx, *.jsonl[.zst|.gz]."
        )


def _run(path: Path) -> Iterator[tuple[str, Any]]:
    for event in events(path):
        facts = {key: value for key, value in event.items() if key not in ("time", "event", "output", "arguments")}
        yield event["event"], f"{event['time']}  {json.dumps(facts, ensure_ascii=False)}"
    metrics = path / "metrics.jsonl"
    if metrics.is_file():
        yield from _jsonl(metrics, 1, last=True)


def _artifact(path: Path) -> Iterator[tuple[str, Any]]:
    manifest = read_manifest(path)
    yield "stage", manifest.stage
    yield "fingerprint", manifest.fingerprint
    yield "content", manifest.content
    yield "upstream", manifest.upstream
    yield "libraries", manifest.libraries
    for name, entry in list(manifest.files.items())[:20]:
        yield "file", f"{entry['bytes']:>14,} bytes  {entry['sha256'][:12]}  {name}"
    if len(manifest.files) > 20:
        yield "…", f"{len(manifest.files) - 20} more files"


def _tokenizer(path: Path) -> Iterator[tuple[str, Any]]:
    from eurolm.tokenizer.load import load

    loaded = load(path)
    yield "vocabulary", loaded.vocab_size
    yield "end of text", f"{loaded.tokenizer.id_to_token(loaded.eod_id)!r} (id {loaded.eod_id})"
    yield "sha256", loaded.sha256


def _parquet(path: Path, count: int) -> Iterator[tuple[str, Any]]:
    import pyarrow.parquet as parquet

    with parquet.ParquetFile(path) as shard:
        yield "rows", shard.metadata.num_rows
        yield "columns", [f"{field.name}: {field.type}" for field in shard.schema_arrow]
        batch = next(shard.iter_batches(batch_size=max(count, 1)), None)
    for record in batch.to_pylist()[:count] if batch is not None else []:
        yield "record", {key: _excerpt(value) for key, value in record.items()}


def _token_shard(path: Path, count: int) -> Iterator[tuple[str, Any]]:
    from eurolm.tokens.shards import ShardReader

    with ShardReader(path.with_suffix("")) as shard:
        yield "documents", len(shard.lengths)
        yield "tokens", int(shard.lengths.sum())
        yield "dtype", str(shard.dtype)
        for index in range(min(count, len(shard.lengths))):
            yield "document", _excerpt(" ".join(str(token) for token in shard.document(index)))


def _jsonl(path: Path, count: int, last: bool = False) -> Iterator[tuple[str, Any]]:
    shown: list[str] = []
    total = 0
    for line in _lines(path):
        total += 1
        if last or total <= count:
            shown = [*shown, line][-max(count, 1) :]
    yield "lines", total
    for line in shown[:count]:
        try:
            record = json.loads(line)
        except ValueError:
            yield "invalid", _excerpt(line)
            continue
        yield "record", {key: _excerpt(value) for key, value in record.items()} if isinstance(record, dict) else record


def _lines(path: Path) -> Iterator[str]:
    if path.suffix in (".zst", ".gz"):
        from eurolm.corpus.sources.readers import text_lines

        yield from text_lines(path)
    else:
        with path.open(encoding="utf-8", errors="replace") as stream:
            yield from stream


def _excerpt(value: Any) -> Any:
    if isinstance(value, str) and len(value) > EXCERPT_CHARACTERS:
        return f"{value[:EXCERPT_CHARACTERS]}… ({len(value):,} characters)"
    return value
