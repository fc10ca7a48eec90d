"""`eurolm tokens stats|decode|verify` and `eurolm which`, as a user starts them."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import Workspace, fill
from tests.tokens.independent import read_documents, write_documents

from eurolm.tokenizer.load import load
from eurolm.tokens.description import read_description


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    made = fill(tmp_path_factory.mktemp("verbs") / "work", documents_per_language=80)
    made.run("run", "small.yaml", "--until", "tokens")
    return made


def lines(output: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.splitlines() if line.startswith("{")]


def texts(place: Path) -> dict[str, str]:
    import pyarrow.parquet as pq

    tables = [pq.read_table(path).to_pylist() for path in sorted((place / "corpus/documents").glob("*/*.parquet"))]
    return {row["id"]: row["text"] for rows in tables for row in rows}


def test_stats_add_up_to_tokens_json(workspace: Workspace) -> None:
    record = read_description(workspace.path / "runs/small/tokens")
    found = lines(workspace.run("tokens", "stats", "small", "--json"))
    assert {entry["source"] for entry in found} == set(record.sources) == {"lv_text", "et_text"}
    for source, facts in record.sources.items():
        own = [entry for entry in found if entry["source"] == source]
        assert {entry["language"]: entry["tokens"] for entry in own} == {
            language: counts["tokens"] for language, counts in facts.languages.items()
        }
        for name in ("documents", "tokens", "text_bytes"):
            assert sum(entry[name] for entry in own) == getattr(facts, name)
        for entry in own:
            assert sum(entry["histogram"].values()) == entry["documents"]
            assert entry["bytes_per_token"] == pytest.approx(entry["text_bytes"] / entry["tokens"])
            stem, number = entry["longest_at"].split("#")
            longest = read_documents(workspace.path / "runs/small/tokens" / stem)[int(number)]
            assert len(longest) == entry["longest"]
    table = workspace.run("tokens", "stats", "runs/small/tokens")
    assert "B/token" in table and "lv_text" in table


def test_decode_gives_the_texts_back(workspace: Workspace) -> None:
    place = workspace.path / "runs/small"
    expected = texts(place)
    found = lines(workspace.run("tokens", "decode", "small", "-n", "100000", "--json"))
    assert {entry["document"].split()[0]: entry["text"] for entry in found} == expected
    some = found[len(found) // 2]
    identity, position = some["document"].split()
    for name in (identity, position, str(len(found) // 2)):
        assert lines(workspace.run("tokens", "decode", "small", "--document", name, "--json")) == [some]
    shard = f"runs/small/tokens/{position.split('#')[0]}.bin"
    one = workspace.run(
        "tokens", "decode", shard, "--tokenizer", "runs/small/tokenizer", "-n", "1", "--tokens", "--json"
    )
    (first,) = lines(one)
    assert len(first["pieces"]) == first["tokens"]
    assert load(place / "tokenizer").decode([piece["id"] for piece in first["pieces"]]) == first["text"]
    assert first["text"] in workspace.run("tokens", "decode", shard, "--tokenizer", "runs/small/tokenizer", "-n", "1")
    assert "--tokenizer DIR" in workspace.run("tokens", "decode", shard, expect=2)
    assert "is not in" in workspace.run("tokens", "decode", "small", "--document", "nobody", expect=2)


def test_verify_reads_every_byte(workspace: Workspace, tmp_path: Path) -> None:
    told = workspace.run("tokens", "verify", "small")
    assert "not checked" not in told and "tokens read" in told
    for name, change, message in (
        ("lv_text/00000.bin", lambda data: data[:-1], "lv_text/00000.bin has .* cut short"),
        ("lv_text/00000.idx", lambda data: data[:-1], "lv_text/00000.idx has .* cut short"),
        ("et_text/00000.bin", lambda data: data[:100] + b"\xff\xff" + data[102:], r"holds id 65,535, .* 0 … 1,023"),
        ("et_text/00000.bin", lambda data: data[:-2] + b"\x07\x00", r"ends with id 7, not with the tokenizer's EOD 0"),
        (
            "et_text/00000.bin",
            lambda data: data[:100] + b"\x63\x00" + data[102:],
            "00000.bin differs from the manifest",
        ),
    ):
        copy = tmp_path / "copy"
        shutil.copytree(workspace.path / "runs/small/tokens/", copy)
        (copy / name).write_bytes(change((copy / name).read_bytes()))
        output = workspace.run("tokens", "verify", str(copy), expect=2)
        assert re.search(message, output), output
        shutil.rmtree(copy)


def test_foreign_shards_are_read_too(workspace: Workspace, tmp_path: Path) -> None:
    documents = read_documents(next((workspace.path / "runs/small/tokens").glob("lv_text/*.idx")).with_suffix(""))
    write_documents(tmp_path / "lv_text_document", [[ids] for ids in documents], 4)
    (entry,) = lines(workspace.run("tokens", "stats", str(tmp_path), "--json"))
    assert (entry["source"], entry["language"], entry["text_bytes"]) == ("lv", None, None)
    assert (entry["documents"], entry["tokens"]) == (len(documents), sum(map(len, documents)))
    assert "not checked: EOD and ids" in workspace.run("tokens", "verify", str(tmp_path))
    tokenizer = ("--tokenizer", str(workspace.path / "runs/small/tokenizer"))
    assert "not checked: EOD" not in workspace.run("tokens", "verify", str(tmp_path), *tokenizer)
    shown = lines(workspace.run("tokens", "decode", str(tmp_path), *tokenizer, "--document", "2", "--json"))
    assert shown[0]["document"] == "lv_text_document#2" and shown[0]["tokens"] == len(documents[2]) - 1


def test_which_lists_the_documents_of_a_step(workspace: Workspace) -> None:
    found = lines(workspace.run("which", "small", "--step", "3", "--json"))
    assert {entry["row"] for entry in found} == set(range(8))
    assert [entry["sample"] for entry in found] == [16 + entry["row"] for entry in found]
    known = texts(workspace.path / "runs/small")
    assert {entry["id"] for entry in found} <= set(known)
    assert all(entry["shard"].startswith(f"{entry['source']}/") for entry in found)
    tokenizer = load(workspace.path / "runs/small/tokenizer")
    for entry in found:
        assert entry["length"] <= len(tokenizer.encode(known[entry["id"]])) + 2
        assert entry["complete"] == (entry["length"] == len(tokenizer.encode(known[entry["id"]])) + 2)
    limited = workspace.run("which", "small", "--step", "3", "--limit", "2")
    assert len([line for line in limited.splitlines() if line.startswith("row")]) == 2
    assert "the phases of small have 40 steps" in workspace.run("which", "small", "--step", "41", expect=2)
    assert "nobody is not a run" in workspace.run("which", "nobody", "--step", "1", expect=2)
