"""Tells a person how training goes, by following `metrics.jsonl` as the ranks write it. No torch here."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from eurolm.console import Reporter, Task
from eurolm.model.records import VocabularyRecord


class Follower:
    """Reads the lines added to a file since the last look."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.offset = path.stat().st_size if path.exists() else 0

    def new_lines(self) -> Iterator[dict[str, Any]]:
        """Complete lines written since the last call."""
        if not self.path.exists():
            return
        with self.path.open("rb") as stream:
            stream.seek(self.offset)
            for line in stream:
                if not line.endswith(b"\n"):
                    return
                self.offset += len(line)
                yield json.loads(line)


class Narrator:
    """Turns metric lines into a progress bar and the few sentences that matter."""

    def __init__(self, follower: Follower, reporter: Reporter, task: Task, step: int, stop_file: Path) -> None:
        self.follower, self.reporter, self.task, self.step = follower, reporter, task, step
        self.stop_file, self.stopping = stop_file, False
        task.advance(step)

    def tick(self) -> None:
        """Show what is new."""
        if not self.stopping and self.stop_file.exists():
            self.stopping = True
            self.reporter.say("  stopping: this step is finished and saved first. Ctrl-C ends it at once.")
        for line in self.follower.new_lines():
            if line["event"] == "step":
                note = f"loss {line['loss']:.3f}  {line['tokens_per_s']:,.0f} tok/s"
                self.task.advance(line["step"] - self.step, note)
                self.step = line["step"]
            elif line["event"] == "validation" and line["bits_per_byte"]:
                scores = ", ".join(f"{language} {bits:.3f}" for language, bits in line["bits_per_byte"].items())
                self.reporter.say(f"  step {line['step']:,}: bits per byte {scores}", **line)
            elif line["event"] == "initial" and line["vocabulary"] is not None:
                self._tell_vocabulary(line)
            elif line["event"] == "original":
                self._tell_original(line)
            elif line["event"] == "save_failed":
                self.reporter.warn(
                    f"the checkpoint of step {line['step']:,} could not be saved: {line['cause']}. Training goes on "
                    "with the one before it and will try again.",
                    **line,
                )
            elif line["event"] == "note":
                self.reporter.warn(f"{line['said']}", **line)
            elif line["event"] == "left_out":
                self.reporter.warn(f"{line['what']} left out: {line['cause']}.", **line)
            elif line["event"] == "skip":
                self.reporter.warn(
                    f"step {line['step']:,} was skipped on all ranks: {line['cause']} was not finite "
                    f"({line['skipped_in_a_row']} in a row).",
                    **line,
                )

    def _tell_vocabulary(self, line: dict[str, Any]) -> None:
        record = VocabularyRecord(**line["vocabulary"])
        if record.not_found:
            self.reporter.warn(record.said(), **line)
        else:
            self.reporter.say(f"  {record.said()}", **line)

    def _tell_original(self, line: dict[str, Any]) -> None:
        if line["left_out"] is not None:
            self.reporter.warn(f"bits per byte of {line['model']} left out: {line['left_out']}.", **line)
            return
        scores = ", ".join(f"{language} {bits:.3f}" for language, bits in line["bits_per_byte"].items())
        self.reporter.say(f"  before, with its own tokenizer: bits per byte {scores}", **line)
