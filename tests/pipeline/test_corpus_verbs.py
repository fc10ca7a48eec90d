"""`eurolm corpus explain|recheck` on a finished run, and `corpus.forget` with what recheck wrote."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
from tests.conftest import Workspace


def corpus_of(workspace: Workspace) -> Path:
    return workspace.path / "runs" / "small" / "corpus"


def test_explain_says_what_the_tables_say(finished_workspace: Workspace) -> None:
    kept = next((corpus_of(finished_workspace) / "documents").rglob("*.parquet"))
    document = pl.read_parquet(kept, columns=["id"])["id"][0]
    shown = finished_workspace.run("corpus", "explain", "small", document)
    assert "kept for training" in shown and "min_words" in shown
    told = json.loads(finished_workspace.run("corpus", "explain", "small", document, "--json").splitlines()[-1])
    assert told["fate"] == "kept for training" and all(answer["passed"] for answer in told["asked"])
    assert "neither the id nor the URL" in finished_workspace.run("corpus", "explain", "small", "nothing", expect=2)


def test_what_recheck_finds_is_forgotten(copy_of_finished: Workspace) -> None:
    shards = sorted((corpus_of(copy_of_finished) / "documents").rglob("*.parquet"))
    text = pl.read_parquet(shards[0], columns=["id", "text"]).sort(pl.col("text").str.len_chars()).row(-1)
    item = " ".join(text[1].split()[:30])
    (copy_of_finished.path / "items.jsonl").write_text(json.dumps({"id": "leaked", "question": item}) + "\n")
    files = f"corpus.decontamination.files=[{{path: {copy_of_finished.path / 'items.jsonl'}}}]"
    shown = copy_of_finished.run("corpus", "recheck", "small", files)
    drop = copy_of_finished.path / "runs" / "small" / "recheck" / "drop.jsonl"
    assert f"corpus.forget=[{Path('runs/small/recheck/drop.jsonl')}]" in shown
    assert text[0] in {json.loads(line)["id"] for line in drop.read_text().splitlines()}
    told = copy_of_finished.run("run", "small.yaml", "--until", "tokens", "name=without", f"corpus.forget=[{drop}]")
    assert "corpus.forget leaves out 1 training and 0 held-out documents" in told
    encoded = pl.concat(
        pl.read_parquet(path, columns=["id"])
        for path in (copy_of_finished.path / "runs" / "without" / "tokens").resolve().rglob("*.documents.parquet")
    )
    assert text[0] not in set(encoded["id"]) and len(encoded) > 50
