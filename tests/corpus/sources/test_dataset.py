"""Hugging Face datasets: saved ones read by pyarrow as `datasets` reads them, hub ones explained when out of reach."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.corpus.building import REPOSITORY, config, sample
from tests.corpus.sources.reading import read

from eurolm.corpus.sources import hub
from eurolm.corpus.sources.units import Slice, source_files
from eurolm.errors import ConfigError, InputError

datasets = pytest.importorskip("datasets", reason="the extra `hub` is not installed")

GOOD = sample("et_riigi_teataja", 60)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    datasets.disable_progress_bars()
    place = tmp_path_factory.mktemp("saved")
    whole = datasets.Dataset.from_list(GOOD)
    whole.save_to_disk(place / "one", num_shards=3)
    datasets.DatasetDict({"train": whole, "dev": whole.select(range(5))}).save_to_disk(place / "splits")
    (place / "files").mkdir()
    for number in range(3):
        whole.select(range(number * 20, number * 20 + 20)).to_parquet(place / "files" / f"{number}.parquet")
    return place


def test_a_saved_dataset_is_what_datasets_reads(saved: Path) -> None:
    frame, tallies = read(saved, {"dataset": "one"})
    again = datasets.load_from_disk(saved / "one")
    assert frame["text"].to_list() == again["text"][:]
    assert frame["group"].to_list() == again["group"][:]
    assert len(tallies) == 3
    section = config([{"name": "a", "dataset": "one"}])
    files = [label for _, label in source_files(section.sources[0], saved)]
    assert files == [f"one/data-{number:05d}-of-00003.arrow" for number in range(3)]


def test_splits(saved: Path) -> None:
    assert len(read(saved, {"dataset": "splits"})[0]) == 60
    assert len(read(saved, {"dataset": "splits", "split": "dev"})[0]) == 5
    with pytest.raises(InputError, match=r"has no split 'test'; it has train, dev"):
        read(saved, {"dataset": "splits", "split": "test"})


@pytest.mark.parametrize(
    ("source", "error", "expected"),
    [
        ({"dataset": "files"}, InputError, r"is no dataset that `save_to_disk` wrote.*under `paths`"),
        ({"dataset": "nowhere"}, InputError, r"dataset = nowhere is neither a directory nor OWNER/NAME"),
        ({"dataset": "../a b/c"}, InputError, "is neither a directory nor"),
        ({"dataset": "owner/name"}, ConfigError, "needs `revision`, a commit"),
    ],
)
def test_what_is_no_dataset(saved: Path, source: dict[str, Any], error: type[Exception], expected: str) -> None:
    with pytest.raises(error, match=expected):
        read(saved, source)


def test_truncated_and_damaged_arrow_files(saved: Path, tmp_path: Path) -> None:
    datasets.Dataset.from_list(GOOD).save_to_disk(tmp_path / "one")
    path = tmp_path / "one" / "data-00000-of-00001.arrow"
    whole = path.read_bytes()
    for broken, expected in ((whole[:-8], "is truncated"), (whole[:100], "is truncated"), (b"", "cannot be read")):
        path.write_bytes(broken)
        with pytest.raises(InputError, match=rf"data-00000-of-00001\.arrow {expected}"):
            read(tmp_path, {"dataset": "one"})
    path.write_bytes(whole[:3000] + whole[-8:])
    with pytest.raises(InputError, match=r"arrow cannot be read as an Arrow stream"):
        read(tmp_path, {"dataset": "one"})
    path.unlink()
    with pytest.raises(InputError, match="cannot be read"):
        read(tmp_path, {"dataset": "one"})


def test_streamed_shards_hold_every_row_once(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real `datasets`, streaming Parquet files of this machine instead of the hub's."""
    section = config([{"name": "a", "dataset": "owner/name", "revision": "0" * 40}])
    real = datasets.load_dataset
    monkeypatch.setattr(
        datasets, "load_dataset", lambda name, *rest, revision, **options: real(str(saved / "files"), *rest, **options)
    )
    dataset = hub.hub_dataset(section.sources[0])
    assert hub.shards(dataset) == 3
    batches = [list(hub.batches(Slice(Path("x"), "x", n, n + 1, 1), section.sources[0])) for n in range(3)]
    records = [record for shard in batches for batch in shard for record in batch.records]
    assert sorted(record.fields["id"] for record in records) == sorted(record["id"] for record in GOOD)
    assert {(record.file, record.place) for record in records} == {
        (f"x#{n}", row) for n in range(3) for row in range(20)
    }


def test_offline_says_how_to_fetch_the_files(tmp_path: Path) -> None:
    code = (
        "import sys, json; from pathlib import Path; from tests.corpus.sources.reading import read\n"
        "from eurolm.errors import InputError\n"
        "try: read(Path(sys.argv[1]), json.loads(sys.argv[2]))\n"
        "except InputError as error: print(error)\n"
    )
    source = {"dataset": "owner/name:lvs_Latn", "revision": "d0defb2"}
    answer = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path), json.dumps(source)],
        cwd=REPOSITORY,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "corpus source a: owner/name at d0defb2 cannot be read from the hub" in answer.stdout
    assert "hf download --repo-type dataset owner/name --revision d0defb2 --local-dir DIR" in answer.stdout
    assert "Traceback" not in answer.stderr
