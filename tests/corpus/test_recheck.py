"""A finished corpus is checked against tasks, lists and licences that came later; the corpus itself stays as it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pytest
from tests.corpus.contamination.real import sample

from eurolm.artifacts.manifest import describe_files
from eurolm.config.corpus import CorpusConfig
from eurolm.console import Reporter
from eurolm.corpus.recheck import recheck
from eurolm.errors import InputError
from eurolm.tasks.items import items
from eurolm.tasks.load import load_task

COLUMNS = ("id", "text", "language", "source", "license", "url", "date", "group", "register", "meta")
PAIR = items(load_task("scala-lv"))[3]


def rows(source: str, texts: list[str], **fields: Any) -> list[dict[str, Any]]:
    return [
        dict.fromkeys(COLUMNS) | {"id": f"{source}{n}", "text": text, "language": "lv", "source": source} | fields
        for n, text in enumerate(texts)
    ]


def write(path: Path, documents: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pl.DataFrame(documents, schema=dict.fromkeys(COLUMNS, pl.String)).write_parquet(path)


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Two sources in three shards, and held-out text; item 3 of scala-lv in one document of each kind."""
    base = tmp_path / "corpus"
    novels = [record["text"] for record in sample("lv_eltec", 40)]
    novels[7] += f"\nViņš lasīja: {PAIR.bad} Un tad gulēja."
    write(base / "documents" / "novels" / "00000.parquet", rows("novels", novels[:20]))
    write(
        base / "documents" / "novels" / "00001.parquet",
        [dict(row, id="x" + row["id"]) for row in rows("novels", novels[20:])],
    )
    laws = rows("laws", [record["text"] for record in sample("lv_likumi", 20)], license="CC-BY-4.0")
    laws[2]["url"], laws[3]["url"], laws[4]["license"] = (
        "https://www.example.lv/a",
        "https://other.lv/b",
        "CC-BY-NC-4.0",
    )
    write(base / "documents" / "laws" / "00000.parquet", laws)
    write(base / "heldout" / "lv" / "novels.parquet", rows("held", ["Sākums.\n" + PAIR.good, "Cits teksts."]))
    return base


def run(corpus: Path, out: Path, **changes: Any) -> dict[str, Any]:
    config = CorpusConfig.model_validate({"decontamination": {"tasks": []}} | changes)
    return recheck(corpus, config, out, Reporter("quiet"))


def drop_list(out: Path) -> dict[str, str]:
    lines = [orjson.loads(line) for line in (out / "drop.jsonl").read_bytes().splitlines()]
    assert [set(line) for line in lines] == [{"id", "reason"}] * len(lines)
    assert len({line["id"] for line in lines}) == len(lines)
    return {line["id"]: line["reason"] for line in lines}


def test_a_task_that_came_later(corpus: Path, tmp_path: Path) -> None:
    before = describe_files(corpus)
    result = run(corpus, tmp_path / "out", decontamination={"tasks": ["scala-lv"]})
    assert drop_list(tmp_path / "out") == {"novels7": f"evaluation_item: scala-lv {PAIR.id}"}
    hits = pl.read_parquet(tmp_path / "out" / "hits.parquet")
    last = sample("lv_eltec", 8)[7]["text"].count("\n") + 1
    assert hits.rows() == [
        ("novels7", "novels", False, "scala-lv", PAIR.id, last),
        ("held0", "held", True, "scala-lv", PAIR.id, 1),
    ]
    assert result["documents"] == 62
    assert (result["hit_documents"], result["hit_heldout"]) == ({"scala-lv": 1}, {"scala-lv": 1})
    assert result["dropped"] == {"evaluation_item": 1}
    assert result["items"] == {"scala-lv": {"items": 1470, "not_checkable": 0}}
    assert describe_files(corpus) == before
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["drop.jsonl", "hits.parquet"]


def test_items_of_a_file(corpus: Path, tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text(json.dumps({"id": 1, "question": PAIR.bad, "note": "kaut kas cits"}))
    files = [{"path": path, "fields": ["question"]}]
    run(corpus, tmp_path / "out", decontamination={"tasks": [], "files": files})
    assert drop_list(tmp_path / "out") == {"novels7": "evaluation_item: mine 1"}


def test_opt_outs_and_licences_of_today(corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "domains.txt").write_text("example.lv\n")
    (tmp_path / "prefixes.txt").write_text("https://other.lv/b\n")
    result = run(
        corpus,
        tmp_path / "out",
        licenses={"deny": ["*-NC-*"]},
        opt_out={"domains": [tmp_path / "domains.txt"], "url_prefixes": [tmp_path / "prefixes.txt"]},
    )
    dropped = drop_list(tmp_path / "out")
    assert set(dropped) == {"laws2", "laws3", "laws4"}
    assert dropped["laws2"] == "opt_out: example.lv"
    assert dropped["laws4"] == "license: CC-BY-NC-4.0: denied by *-NC-*"
    assert result["dropped"] == {"license": 1, "opt_out": 2}
    assert [entry["entries"] for entry in result["opt_out"]] == [1, 1]


def test_nothing_found_is_an_empty_list(corpus: Path, tmp_path: Path) -> None:
    result = run(corpus, tmp_path / "out")
    assert (tmp_path / "out" / "drop.jsonl").read_bytes() == b""
    assert len(pl.read_parquet(tmp_path / "out" / "hits.parquet")) == 0
    assert result["dropped"] == {}


def test_the_number_of_workers_makes_no_difference(corpus: Path, tmp_path: Path) -> None:
    for workers in (1, 2):
        run(
            corpus,
            tmp_path / str(workers),
            decontamination={"tasks": ["scala-lv"]},
            licenses={"deny": ["CC-BY-4.0"]},
            workers=workers,
        )
    assert describe_files(tmp_path / "1") == describe_files(tmp_path / "2")
    assert len(drop_list(tmp_path / "1")) == 20


def test_what_is_no_corpus_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a finished corpus"):
        run(tmp_path, tmp_path / "out")
