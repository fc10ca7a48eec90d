"""One process per node that carries checkpoints from staging to their place: `python -m eurolm.train.copier`.

It is started before torch, a GPU or a fabric library is loaded, because forking a process that holds registered
memory later is not safe. It reads one JSON order a line from stdin and answers each with a part file
`{relative path: {sha256, bytes}}` beside the copies. Where an order fails (a full disk cannot even take a part file) it
says why on stdout, and goes on with the next one: training continues with the checkpoint before.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from eurolm.artifacts.atomic import fsync_path, write_json
from eurolm.errors import MachineError
from eurolm.train.lifeline import die_with_parent
from eurolm.train.stopping import held_back

BLOCK_BYTES = 8 * 2**20


@dataclass(frozen=True)
class Order:
    """Carry every file below `source` to `target`, describe them relative to `root` in `part`, remove `scratch`."""

    source: str
    target: str
    root: str
    part: str
    scratch: str


@dataclass(frozen=True)
class Failure:
    """Why an order could not be carried out; `root` is the order's."""

    root: str
    error: str


class Copier:
    """The parent's side of a running copier."""

    def __init__(self, log: Path) -> None:
        self.log = log
        with log.open("ab") as stream, held_back():
            self.process: subprocess.Popen[bytes] = subprocess.Popen(
                [sys.executable, "-m", "eurolm.train.copier"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stream,
            )
        assert self.process.stdout is not None  # noqa: S101 - opened as a pipe above
        os.set_blocking(self.process.stdout.fileno(), False)

    def submit(self, order: Order) -> None:
        """Hand over one checkpoint; returns at once."""
        stdin = self.process.stdin
        assert stdin is not None  # noqa: S101 - opened as a pipe above
        try:
            stdin.write(json.dumps(asdict(order)).encode() + b"\n")
            stdin.flush()
        except BrokenPipeError:
            pass  # it has ended: `failure` tells why

    def failure(self) -> Failure | None:
        """An order that failed since the last call, else None. Raises MachineError when the copier is gone."""
        assert self.process.stdout is not None  # noqa: S101
        said = self.process.stdout.readline()
        if said:
            return Failure(**json.loads(said))
        if self.process.poll() is None:
            return None
        lines = self.log.read_text(errors="replace").strip().splitlines()
        raise MachineError(
            "the process that carries checkpoints ended: "
            + (lines[-1] if lines else f"status {self.process.returncode}, and it said nothing")
            + ". The last complete checkpoint is kept; the same command resumes from it."
        )

    def close(self) -> None:
        """Let it finish its orders and end."""
        if self.process.stdin is not None:
            self.process.stdin.close()
        self.process.wait()


def carry(order: Order) -> None:
    """Carry out one order. The part file appears when every file is on the disk."""
    source, target, root = Path(order.source), Path(order.target), Path(order.root)
    described: dict[str, Any] = {}
    directories = {target}
    for path in sorted(path for path in source.rglob("*") if path.is_file()):
        place = target / path.relative_to(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        described[str(place.relative_to(root))] = _carry_file(path, place)
        directories.add(place.parent)
    for directory in directories:
        fsync_path(directory)
    shutil.rmtree(order.scratch)
    write_json(Path(order.part), described)


def _carry_file(path: Path, place: Path) -> dict[str, Any]:
    """Copy, or rename on the same file system; hashed and flushed to the disk."""
    if path.stat().st_dev == place.parent.stat().st_dev:
        digest = hashlib.sha256()
        with path.open("rb") as stream:
            while block := stream.read(BLOCK_BYTES):
                digest.update(block)
            os.fsync(stream.fileno())
        path.replace(place)
    else:
        with path.open("rb") as stream, place.open("wb") as out:
            digest = _copy(stream, out)
    return {"sha256": digest.hexdigest(), "bytes": place.stat().st_size}


def _copy(stream: IO[bytes], out: IO[bytes]) -> Any:
    digest = hashlib.sha256()
    while block := stream.read(BLOCK_BYTES):
        digest.update(block)
        out.write(block)
    out.flush()
    os.fsync(out.fileno())
    return digest


def main() -> int:
    """Serve orders until stdin ends."""
    die_with_parent()
    for line in sys.stdin:
        order = Order(**json.loads(line))
        try:
            carry(order)
        except OSError as error:
            shutil.rmtree(order.scratch, ignore_errors=True)
            failure = Failure(order.root, f"{error.strerror}: {error.filename or order.target}")
            print(json.dumps(asdict(failure)), flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
