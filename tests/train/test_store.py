"""Checkpoints on disk and metric lines, without torch: what is taken for whole, what is kept, what is cut back."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from eurolm.artifacts.hashing import sha256_file
from eurolm.train import staging, store
from eurolm.train.copier import Order, carry
from eurolm.train.metrics import RunLog, cut_back, read_lines, write_line
from eurolm.train.state import TrainState


def checkpoint(checkpoints: Path, step: int, fingerprint: str = "mine", world: int = 2) -> Path:
    """A complete checkpoint of two nodes, made by the real copier and the real commit."""
    partial = checkpoints / f"{store.step_name(step)}.partial-test"
    store.begin(partial, store.Progress(step, TrainState(samples=step * 8), world, 1, {"torch": "x"}))
    (partial / store.RECEIPT).write_text("{}")
    (partial / store.MODEL / "config.json").write_text("{}")
    for node in range(2):
        scratch = checkpoints.parent / f"scratch-{node}"
        (scratch).mkdir(parents=True)
        (scratch / f"rank-{node}.safetensors").write_bytes(bytes([step % 256, node]) * 5000)
        part = partial / store.PART.format(node=node)
        assert not store.parts_arrived(partial, 2)
        carry(Order(str(scratch), str(partial / store.TENSORS), str(partial), str(part), str(scratch)))
        assert not scratch.exists()
    assert store.parts_arrived(partial, 2)
    final = checkpoints / store.step_name(step)
    assert store.commit(partial, final, 2, fingerprint) > 20_000
    return final


@pytest.fixture
def checkpoints(tmp_path: Path) -> Path:
    place = tmp_path / "run" / "checkpoints"
    place.mkdir(parents=True)
    return place


def test_the_newest_whole_one_is_found(checkpoints: Path) -> None:
    for step in (9, 10, 100_000_000):
        checkpoint(checkpoints, step)
    warnings: list[str] = []
    found = store.newest_verified(checkpoints, "mine", warnings.append)
    assert found is not None
    assert found.path.name == "step-100000000"
    assert found.progress == store.Progress(10**8, TrainState(samples=8 * 10**8), 2, 1, {"torch": "x"})
    assert warnings == []


@pytest.mark.parametrize("damage", ["flip", "truncate", "remove", "state", "manifest"])
def test_damage_of_any_file_is_noticed_and_the_one_before_is_used(checkpoints: Path, damage: str) -> None:
    older, newer = checkpoint(checkpoints, 5), checkpoint(checkpoints, 6)
    victim = newer / {"state": "state.json", "manifest": "manifest.json"}.get(damage, "tensors/rank-1.safetensors")
    content = victim.read_bytes()
    if damage == "truncate":
        victim.write_bytes(content[:-1])
    elif damage == "remove":
        victim.unlink()
    elif damage == "flip":
        victim.write_bytes(content[:77] + bytes([content[77] ^ 16]) + content[78:])
    elif damage == "manifest":
        victim.write_bytes(content[:-5])
    else:
        victim.write_bytes(content.replace(b"6", b"7", 1))
    warnings: list[str] = []
    found = store.newest_verified(checkpoints, "mine", warnings.append)
    assert found is not None
    assert found.path == older
    assert [newer.name in warning for warning in warnings] == [True]


def test_partial_ones_are_never_taken_and_are_removed(checkpoints: Path) -> None:
    kept = checkpoint(checkpoints, 5)
    store.begin(checkpoints / "step-00000006.partial-x", store.Progress(6, TrainState(48), 2, 1, {}))
    kept.rename(checkpoints / "step-00000004.partial-removed")
    assert store.newest_verified(checkpoints, "mine", print) is None
    assert store.remove_leftovers(checkpoints) == ["step-00000004.partial-removed", "step-00000006.partial-x"]
    assert list(checkpoints.iterdir()) == []


def test_only_the_newest_are_kept(checkpoints: Path) -> None:
    for step in range(1, 6):
        checkpoint(checkpoints, step)
        store.retain(checkpoints, 2)
    assert sorted(path.name for path in checkpoints.iterdir()) == ["step-00000004", "step-00000005"]


def test_the_copier_copies_over_file_systems_byte_for_byte(tmp_path: Path) -> None:
    source = staging.MEMORY / f"eurolm-test-{tmp_path.name}"
    if not staging.MEMORY.is_dir() or staging.MEMORY.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("no second file system")
    (source / "engine" / "deep").mkdir(parents=True)
    content = bytes(range(256)) * 70_000
    (source / "engine" / "deep" / "a.bin").write_bytes(content)
    root = tmp_path / "partial"
    root.mkdir()
    part = root / "part-0.json"
    carry(Order(str(source / "engine"), str(root / "engine"), str(root), str(part), str(source)))
    copy = root / "engine" / "deep" / "a.bin"
    assert copy.read_bytes() == content
    assert json.loads(part.read_text()) == {"engine/deep/a.bin": {"sha256": sha256_file(copy), "bytes": len(content)}}
    assert not source.exists()


def test_lines_after_the_resumed_step_go_and_a_torn_one_too(tmp_path: Path) -> None:
    for step in range(1, 8):
        write_line(tmp_path, "metrics.jsonl", "step", step, loss=0.5)
    write_line(tmp_path, "metrics.jsonl", "checkpoint", 5)
    write_line(tmp_path, "samples.jsonl", "sample", 6, text="ā")
    with (tmp_path / "metrics.jsonl").open("ab") as stream:
        stream.write(b'{"event": "step", "step": 3, "lo')
    cut_back(tmp_path, 5)
    lines = [(line["event"], line["step"]) for line in read_lines(tmp_path / "metrics.jsonl")]
    assert lines == [("step", 1), ("step", 2), ("step", 3), ("step", 4), ("step", 5), ("checkpoint", 5)]
    assert (tmp_path / "samples.jsonl").read_bytes() == b""
    cut_back(tmp_path, None)
    assert not (tmp_path / "metrics.jsonl").exists()


def test_memory_is_not_used_when_it_is_too_small() -> None:
    assert staging.fits_in_memory(1000)
    assert not staging.fits_in_memory(10**16)
    assert staging.checkpoint_bytes(1000, world=4, ranks_here=2) == 6000


@pytest.mark.parametrize("module", ["copier", "launch", "rank", "store", "metrics", "prove"])
def test_what_runs_before_or_beside_torch_does_not_import_it(module: str) -> None:
    code = f"import sys, eurolm.train.{module}; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_a_line_that_finds_no_room_is_written_later_whole_and_in_its_place(tmp_path: Path) -> None:
    """The limit on file sizes lets the first ten bytes through, as a disk does that fills up."""
    log = RunLog(tmp_path)
    log.write("metrics.jsonl", "step", 1)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    size = (tmp_path / "metrics.jsonl").stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 10, before[1]))
    try:
        log.write("metrics.jsonl", "step", 2)
        log.write("metrics.jsonl", "step", 3)
        with pytest.raises(OSError, match="No space left"):
            log.flush()
        assert (tmp_path / "metrics.jsonl").stat().st_size == size
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    log.write("metrics.jsonl", "step", 4)
    assert [line["step"] for line in read_lines(tmp_path / "metrics.jsonl")] == [1, 2, 3, 4]
