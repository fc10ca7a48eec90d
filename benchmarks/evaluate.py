"""Scoring against lm-evaluation-harness: the same weights, the same strings, one thread each, in turns.

A tiny random model (two layers, 64 wide, as most of both sides' time then goes where they differ), a vocabulary of 32k
for speed and of 131k for memory. Every log-likelihood must agree before a figure is given.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import transformers

from benchmarks.figures import Figure, against
from benchmarks.tokenizer import write_corpus
from eurolm.config.tokens import TokenizerConfig
from eurolm.console import Reporter
from eurolm.tasks.items import items
from eurolm.tasks.load import load_task
from eurolm.tasks.prompts import prompts
from eurolm.tokenizer.stage import build_tokenizer

COMMAND = "scripts/bench evaluate"
PEER = "lm-evaluation-harness"
VOCAB_SIZE, LARGE_VOCAB_SIZE = 32_768, 131_072
TEXT_BYTES = 5_000_000
ITEMS, QUICK_ITEMS = 240, 80
TURNS, QUICK_TURNS = 3, 2
SINGLE = {"OMP_NUM_THREADS": "1", "RAYON_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"}
TASKS = {"pairs": ("scala-lv", ""), "cloze": ("mmlu-lv", "teksts")}
MOST_CHARACTERS = 800
"""Of a prompt: 32 longer ones, all their logits and a copy, would not fit the memory that the harness has here."""
WIDER = {"hidden_size": 512, "intermediate_size": 1536, "num_hidden_layers": 8, "num_attention_heads": 8}
"""A body that costs more than its output head."""
TINY_BODY, WIDER_BODY = "two layers, 64 wide", "8 layers, 512 wide"


@dataclass(frozen=True)
class Run:
    """One scorer over one set of requests."""

    cpu_s: float
    peak_bytes: int
    log_likelihoods: np.ndarray


class Scorer:
    """A scorer in a process of its own, which keeps its model loaded."""

    def __init__(self, name: str, model: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.scorers", name, str(model)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **SINGLE},
        )

    def score(self, requests: Path) -> Run:
        """Raises RuntimeError when the process ended."""
        if self._process.stdin is None or self._process.stdout is None:
            raise RuntimeError("the scorer has no pipes")
        self._process.stdin.write(f"{requests}\n")
        self._process.stdin.flush()
        for line in self._process.stdout:
            if line.startswith("{"):
                answer = json.loads(line)
                return Run(answer["cpu_s"], answer["peak_bytes"], np.array(answer["log_likelihoods"]))
        raise RuntimeError(f"the scorer ended with {self._process.wait()}")

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()


@contextmanager
def scorers(model: Path) -> Iterator[tuple[Scorer, Scorer]]:
    """eurolm and the harness, each with `model` loaded."""
    ours, theirs = Scorer("eurolm", model), Scorer("lm-eval", model)
    try:
        yield ours, theirs
    finally:
        ours.close()
        theirs.close()


def run(quick: bool) -> dict[str, Figure]:
    """All figures of evaluation."""
    transformers.utils.logging.disable_progress_bar()
    with tempfile.TemporaryDirectory(prefix="eurolm-bench-") as name:
        place = Path(name)
        tokenizer = _tokenizer(place)
        count, turns = (QUICK_ITEMS, QUICK_TURNS) if quick else (ITEMS, TURNS)
        with scorers(_model(place / "small", tokenizer, VOCAB_SIZE)) as both:
            figures = {f"evaluate.{kind}": _speed(place, both, kind, count, turns, TINY_BODY) for kind in TASKS}
        with scorers(_model(place / "large", tokenizer, LARGE_VOCAB_SIZE)) as both:
            figures["evaluate.memory"] = _memory(place, both)
        if not quick:
            with scorers(_model(place / "wider", tokenizer, VOCAB_SIZE, **WIDER)) as both:
                for kind in TASKS:
                    figures[f"evaluate.{kind}_wider"] = _speed(place, both, kind, QUICK_ITEMS, 1, WIDER_BODY)
        return figures


def _tokenizer(place: Path) -> Path:
    write_corpus(place / "corpus", TEXT_BYTES)
    out = place / "tokenizer"
    out.mkdir()
    build_tokenizer(TokenizerConfig(vocab_size=VOCAB_SIZE, workers=1), place / "corpus", out, Reporter("quiet"))
    return out


def _model(out: Path, tokenizer: Path, vocab_size: int, **sizes: int) -> Path:
    """Random weights with opinions; the ids of the tokenizer fit in either vocabulary."""
    tiny = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = transformers.LlamaConfig(**tiny | sizes, vocab_size=vocab_size, max_position_embeddings=2048)
    torch.manual_seed(1)
    model = transformers.LlamaForCausalLM(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 2:
                parameter.mul_(4)
    model.save_pretrained(out)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (out / name).write_bytes((tokenizer / name).read_bytes())
    return out


def _requests(place: Path, kind: str, count: int) -> tuple[Path, list[int]]:
    """The requests of `count` items as a file, and the number of choices of each item."""
    name, template = TASKS[kind]
    task = load_task(name)
    found = [prompt for prompt in prompts(task, items(task), template, 0, 1) if len(prompt.context) <= MOST_CHARACTERS]
    made = found[:: len(found) // count][:count]
    file = place / f"{kind}-{count}.json"
    file.write_text(json.dumps([(prompt.context, choice) for prompt in made for choice in prompt.choices]))
    return file, [len(prompt.choices) for prompt in made]


def _speed(place: Path, both: tuple[Scorer, Scorer], kind: str, count: int, turns: int, body: str) -> Figure:
    """Requests per CPU-second of both, in turns."""
    requests, choices = _requests(place, kind, count)
    runs = [[scorer.score(requests) for scorer in both] for _ in range(turns)]
    same = _check_equal(*(one.log_likelihoods for one in runs[0]), choices)
    total = sum(choices)
    note = f"{kind}: {count} items, {total} requests, {body}, vocabulary {VOCAB_SIZE:,}; {same}"
    ours, theirs = (total / statistics.median(one.cpu_s for one in own) for own in zip(*runs, strict=True))
    return against(ours, "requests/CPU-s", COMMAND, PEER, theirs, note)


def _memory(place: Path, both: tuple[Scorer, Scorer]) -> Figure:
    """Peak resident memory of whole processes, imports and weights included."""
    requests, choices = _requests(place, "pairs", QUICK_ITEMS)
    ours, theirs = (scorer.score(requests) for scorer in both)
    same = _check_equal(ours.log_likelihoods, theirs.log_likelihoods, choices)
    note = f"pairs, {sum(choices)} requests, vocabulary {LARGE_VOCAB_SIZE:,}, whole processes; {same}"
    return against(ours.peak_bytes / 1e9, "GB at peak", COMMAND, PEER, theirs.peak_bytes / 1e9, note)


def _check_equal(ours: np.ndarray, theirs: np.ndarray, choices: list[int]) -> str:
    """Raises RuntimeError unless every item's choice is the same; says how far log-likelihoods are apart."""
    ends = np.cumsum(choices)[:-1]
    for item, (own, other) in enumerate(zip(np.split(ours, ends), np.split(theirs, ends), strict=True)):
        if own.argmax() != other.argmax():
            raise RuntimeError(f"item {item}: eurolm takes {own}, lm-evaluation-harness {other}.")
    return f"same choice in all {len(choices)} items, log-likelihoods within {np.abs(ours - theirs).max():.1g}"
