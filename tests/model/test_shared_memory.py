"""Processes of a node hold one copy of the initial weights together, and writing them holds little of it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.tokenizer.extension.bases import own

# Opens the model, reads every weight, and reports the bytes that this took: proportional set size counts a page that
# n processes share as 1/n in each. Each step waits until all processes have come to it.
OPENING = """
import sys, torch
from pathlib import Path
from eurolm.model.load import open_model

def held():
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(1024 * int(line.split()[1]) for line in lines if line.startswith("Pss:"))

def step(value):
    print(value, flush=True)
    sys.stdin.readline()

step(0)
before = held()
model = open_model(Path(sys.argv[1]), torch.bfloat16)
float(sum(parameter.sum() for parameter in model.parameters()))
step(0)
step(held() - before)
"""
# Writes initial weights, seeded and continued, and reports the most memory of its own that each took; pages mapped from
# files can be given up.
WRITING = """
import shutil, sys, threading, torch
from pathlib import Path
from eurolm.config.architecture import ModelConfig
from eurolm.model.initial import write_initial
from eurolm.tokenizer.load import load

def own():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("RssAnon:"))

def written(config, tokenizer, place):
    loaded = load(tokenizer)
    before, most, done = own(), [0], threading.Event()

    def watch():
        while not done.wait(0.002):
            most[0] = max(most[0], own())

    watcher = threading.Thread(target=watch)
    watcher.start()
    write_initial(config, loaded.vocab_size, loaded.eod_id, tokenizer, place, torch.bfloat16)
    done.set()
    watcher.join()
    print(most[0] - before)

first, second, base, continued = map(Path, sys.argv[2:])
written(ModelConfig.model_validate_json(sys.argv[1]), first, base)
for name in ("tokenizer.json", "tokenizer_config.json"):
    shutil.copy(first / name, base / name)
written(ModelConfig(use=base), second, continued)
"""
SIZES: dict[str, Any] = {"hidden_size": 1024, "layers": 12, "attention_heads": 16, "key_value_heads": 16,
                         "intermediate_size": 2816, "tie_embeddings": False}  # fmt: skip


def opened_together(place: Path, processes: int) -> list[int]:
    """Bytes that each process holds for the model when all have it open."""
    command = [sys.executable, "-c", OPENING, str(place)]
    started = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(processes)
    ]
    lines: list[str] = []
    try:
        for _ in range(3):
            lines = [process.stdout.readline() for process in started if process.stdout]
            for process in started:
                assert process.stdin
                process.stdin.write("\n")
                process.stdin.flush()
    finally:
        for process in started:
            process.kill()
            process.wait()
    return [int(line) for line in lines]


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").is_file(), reason="needs Linux' account of shared pages")
def test_two_processes_hold_one_copy_and_writing_holds_little(tmp_path: Path) -> None:
    first, second = own("lv", 640, tmp_path / "first"), own("et", 900, tmp_path / "second")
    continued = tmp_path / "continued"
    places = [str(path) for path in (first, second, tmp_path / "base", continued)]
    command = [sys.executable, "-c", WRITING, json.dumps(SIZES), *places]
    seeded, extended = map(int, subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.split())
    size = sum(file.stat().st_size for file in continued.glob("*.safetensors"))
    held = opened_together(continued, 2)
    print(f"files {size:,} bytes; two processes hold {held}; writing took {seeded:,} seeded, {extended:,} continued")
    assert size > 300e6
    assert sum(held) <= 1.3 * size
    # About 140 MB whatever the size of the model: a few tensors, and what the allocator keeps of them.
    assert max(seeded, extended) <= 200e6
