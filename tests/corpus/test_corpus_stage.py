"""The whole stage: the same bytes for any number of workers and after kills, and no document lost or kept twice."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import pytest
from tests.corpus.building import (
    REPOSITORY,
    all_documents,
    all_heldout,
    build,
    config,
    hashes,
    report,
    sample,
    write_source,
)
from tests.corpus.mixed import mixed_sources

from eurolm.corpus.documents import languages, sources
from eurolm.corpus.sources.units import plan_units
from eurolm.corpus.stage import input_files

PART_BYTES = 200_000


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the nine files and, in `out`, the corpus built undisturbed by one worker."""
    base = tmp_path_factory.mktemp("mixed")
    build(base, mixed_sources(base), part_bytes=PART_BYTES)
    return base


def test_same_bytes_with_one_and_four_workers(mixed: Path) -> None:
    section = mixed_sources(mixed)
    units = plan_units(section, mixed, PART_BYTES)
    assert len(units) >= 8
    assert len({unit.weight for unit in units}) >= 8
    four = build(mixed, section.model_copy(update={"workers": 4}), "four", PART_BYTES)
    assert hashes(four) == hashes(mixed / "out")


@pytest.mark.parametrize(
    ("sign", "count"),
    [("../measured/killed/*.partial-*/*.parquet", 3), ("work/verdicts/*.parquet", 1), ("work/summaries/*.json", 4)],
)
def test_same_bytes_after_kill(mixed: Path, sign: str, count: int) -> None:
    out = mixed / "killed"
    command = [sys.executable, "-m", "tests.corpus.mixed", str(mixed), "2" if "measured" in sign else "1"]
    environment = {**os.environ, "PYTHONPATH": f"{REPOSITORY / 'src'}:{REPOSITORY}"}
    process = subprocess.Popen(command, cwd=REPOSITORY, env=environment, start_new_session=True)
    until = time.monotonic() + 120
    while process.poll() is None and len(list(out.glob(sign))) < count and time.monotonic() < until:
        time.sleep(0.002)
    os.killpg(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "it ended before the moment to kill it came"
    (out / "documents" / "lv_help").mkdir(parents=True, exist_ok=True)
    (out / "documents" / "lv_help" / "00000.parquet.partial-0123456789ab").write_bytes(b"left behind")
    build(mixed, mixed_sources(mixed), "killed", PART_BYTES)
    assert hashes(out) == hashes(mixed / "out")
    assert not list(out.rglob("*partial*")) and not (out / "work").exists()
    shutil.rmtree(out)
    shutil.rmtree(mixed / "measured" / "killed")


def workers_of(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """The Dask workers of a running stage: not the resource tracker that spawn starts as well."""
    try:
        children = psutil.Process(process.pid).children(recursive=True)
        return [child for child in children if "spawn_main" in " ".join(child.cmdline())]
    except psutil.NoSuchProcess:
        return []


def test_same_bytes_after_a_worker_is_killed(mixed: Path) -> None:
    out = mixed / "killed"
    environment = {**os.environ, "PYTHONPATH": f"{REPOSITORY / 'src'}:{REPOSITORY}"}
    command = [sys.executable, "-m", "tests.corpus.mixed", str(mixed), "2"]
    process = subprocess.Popen(command, cwd=REPOSITORY, env=environment, start_new_session=True)
    sign, killed, until = "measured/killed/*.partial-*/*.parquet", False, time.monotonic() + 120
    while process.poll() is None and time.monotonic() < until and not killed:
        if list(mixed.glob(sign)) and (found := workers_of(process)):
            found[-1].kill()
            killed = True
        time.sleep(0.002)
    assert killed and process.wait(timeout=120) == 0
    assert hashes(out) == hashes(mixed / "out")
    shutil.rmtree(out)
    shutil.rmtree(mixed / "measured" / "killed")


def test_the_order_in_which_files_are_named_changes_nothing(mixed: Path) -> None:
    section = mixed_sources(mixed)
    reversed_paths = [source.model_copy(update={"paths": source.paths[::-1]}) for source in section.sources]
    out = build(mixed, section.model_copy(update={"sources": reversed_paths}), "reversed", PART_BYTES)
    assert hashes(out) == hashes(mixed / "out")


def test_a_shard_of_input_makes_three_files(mixed: Path) -> None:
    units = len(plan_units(mixed_sources(mixed), mixed, PART_BYTES))
    places = [mixed / place for place in ("out/documents", "out/dropped", "measured/out")]
    made = [path for place in places for path in place.rglob("*.parquet")]
    assert len(made) == 3 * units
    others = [path for path in (mixed / "out").rglob("*") if path.is_file() and path not in made]
    # Held-out text per source and language, an index per source, the table of hits, the report.
    assert len(others) <= 3 * len(mixed_sources(mixed).sources) + 2


def test_a_finished_stage_is_not_built_again(mixed: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in (mixed / "out").rglob("*")}
    build(mixed, mixed_sources(mixed), part_bytes=PART_BYTES)
    assert {path: path.stat().st_mtime_ns for path in (mixed / "out").rglob("*")} == before


def test_every_document_is_accounted_for(mixed: Path) -> None:
    told = report(mixed / "out")
    training, held = all_documents(mixed / "out"), all_heldout(mixed / "out")
    for name, entry in told["sources"].items():
        assert entry["read"] == entry["kept"] + entry["heldout"] + sum(entry["dropped"].values())
        assert entry["kept"] == sum(document.source == name for document in training)
        assert entry["kept_bytes"] == sum(len(d.text.encode()) for d in training if d.source == name)
        assert entry["heldout"] == sum(document.source == name for document in held)
        assert sum(entry["language"].values()) == entry["kept"]
    ids = [document.id for document in training + held]
    assert len(set(ids)) == len(ids)
    # The help pages of two files overlap by 20 and the bills by 10: repeated ids, each kept at most once.
    assert told["sources"]["lv_help"]["dropped"]["repeated_id"] == 20
    assert told["sources"]["et_bills"]["dropped"]["repeated_id"] == 10
    assert set(told["totals"]["dropped"]) <= set(told["rules"])
    for rule, samples in told["samples"]["dropped"].items():
        assert 0 < len(samples) <= min(20, told["totals"]["dropped"][rule])


def test_reading_side(mixed: Path) -> None:
    out = mixed / "out"
    assert languages(out) == ["et", "lv"]
    assert list(sources(out)) == ["lv_help", "lv_treebank", "lv_text", "et_bills", "noise"]
    first = next(document for document in all_documents(out) if document.source == "lv_text")
    assert first.license == "CC0-1.0" and first.language == "lv"
    held = all_heldout(out)
    assert held and [d.id for d in held if d.language == "lv"] == sorted(d.id for d in held if d.language == "lv")


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.zst", "a.jsonl.gz", "a.parquet"])
def test_cut_files_give_the_same_documents(tmp_path: Path, name: str) -> None:
    # Compressed parts are multiples of 256 KiB of compressed bytes, so this takes a file of some size.
    write_source(tmp_path / name, sample("lv_eltec", 100))
    section = config([{"name": "a", "paths": [name]}])
    assert len(plan_units(section, tmp_path, 300_000)) >= 3
    whole, cut = build(tmp_path, section), build(tmp_path, section, "cut", 300_000)
    assert sorted(all_documents(cut), key=lambda d: d.id) == sorted(all_documents(whole), key=lambda d: d.id)
    assert len(list((cut / "documents" / "a").glob("*.parquet"))) >= 3


def test_a_sample_is_part_of_a_larger_sample(tmp_path: Path) -> None:
    # Of what is read, not of what is kept: a larger sample may hold a better copy of a document.
    records = sample("et_riigikogu_bill_summaries")
    write_source(tmp_path / "a.jsonl", records)
    read = []
    for share in (0.2, 0.5, 1.0):
        out = build(tmp_path, config([{"name": "a", "paths": ["a.jsonl"]}], sample_share=share), f"share{share}")
        dropped = pq.read_table(out / "dropped" / "a" / "00000.parquet", columns=["id"]).column(0).to_pylist()
        read.append({document.id for document in all_documents(out) + all_heldout(out)} | set(dropped))
        entry = report(out)["sources"]["a"]
        assert entry["read"] == len(read[-1]) == len(records) - entry["outside_sample"]
        assert abs(len(read[-1]) - share * len(records)) < 60
    assert read[0] < read[1] < read[2]


def test_ids_do_not_depend_on_the_text(tmp_path: Path) -> None:
    records = sample("lv_lvtb", 30)
    keyless = [{"text": record["text"]} for record in records]
    names = ("keyed", "keyless")
    section = config([{"name": name, "paths": [f"{name}.jsonl"], "verbatim": True} for name in names])
    found = []
    for place, change in (("one", " Un vēl."), ("two", "")):
        write_source(tmp_path / place / "keyed.jsonl", [r | {"text": r["text"] + change} for r in records])
        write_source(tmp_path / place / "keyless.jsonl", keyless)
        out = build(tmp_path / place, section)
        found.append({document.id for document in all_documents(out) + all_heldout(out)})
    assert len(found[0]) >= 25
    assert found[0] == found[1]


def test_input_files_are_listed_once_and_in_order(mixed: Path) -> None:
    files = input_files(mixed_sources(mixed), mixed)
    assert [path.name for path in files] == [
        "a.jsonl", "b.jsonl.zst", "c.jsonl.gz", "d.parquet", "e.txt",
        "a.jsonl", "b.jsonl.zst", "c.parquet", "noise.jsonl.zst",
    ]  # fmt: skip
