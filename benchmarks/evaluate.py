"""Scoring against lm-evaluation-harness: the same weights, the same strings, one thread each, in turns.

A tiny random model (two layers, 64 wide, as most of both sides' time then goes where they differ), a vocabulary of 32k
for speed and of 131k for memory. Every log-likelihood must agree before a figure is given.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import transformers

from benchmarks.figures import Figure, Spent, against, spend
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
TEXT_BYTES = 10_000_000
ITEMS, QUICK_ITEMS = 240, 80
TURNS, QUICK_TURNS = 3, 2
SINGLE = {"OMP_NUM_THREADS": "1", "RAYON_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"}
TASKS = {"pairs": ("scala-lv", ""), "cloze": ("mmlu-lv", "teksts"), "letters": ("mmlu-lv", "burti")}
WIDER = {"hidden_size": 512, "intermediate_size": 1536, "num_hidden_layers": 8, "num_attention_heads": 8}
"""A body that costs more than its output head."""


@dataclass(frozen=True)
class Run:
    """One scorer over one set of requests."""

    spent: Spent
    cpu_s: float
    log_likelihoods: np.ndarray


def run(quick: bool) -> dict[str, Figure]:
    """All figures of evaluation."""
    with tempfile.TemporaryDirectory(prefix="eurolm-bench-") as name:
        place = Path(name)
        tokenizer = _tokenizer(place)
        small, large = (
            _model(place / "small", tokenizer, VOCAB_SIZE),
            _model(place / "large", tokenizer, LARGE_VOCAB_SIZE),
        )
        count, turns = (QUICK_ITEMS, QUICK_TURNS) if quick else (ITEMS, TURNS)
        figures = {}
        for kind in TASKS:
            figures[f"evaluate.{kind}"] = _speed(place, small, kind, count, turns, "two layers, 64 wide")
        figures["evaluate.memory"] = _memory(place, large)
        if not quick:
            wider = _model(place / "wider", tokenizer, VOCAB_SIZE, **WIDER)
            for kind in ("pairs", "cloze"):
                figures[f"evaluate.{kind}_wider"] = _speed(place, wider, kind, QUICK_ITEMS, 1, "8 layers, 512 wide")
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
    found = items(task)
    made = prompts(task, found[:: len(found) // count][:count], template, 0, 1)
    file = place / f"{kind}-{count}.json"
    file.write_text(json.dumps([(prompt.context, choice) for prompt in made for choice in prompt.choices]))
    return file, [len(prompt.choices) for prompt in made]


def _score(scorer: str, model: Path, requests: Path) -> Run:
    answers = requests.with_suffix(f".{scorer}")
    spent = spend([sys.executable, "-m", "benchmarks.scorers", scorer, model, requests, answers], SINGLE)
    found = json.loads(answers.read_text())
    return Run(spent, found["cpu_s"], np.array(found["log_likelihoods"]))


def _speed(place: Path, model: Path, kind: str, count: int, turns: int, body: str) -> Figure:
    """Requests per CPU-second of both."""
    requests, choices = _requests(place, kind, count)
    theirs, ours = [], []
    for _ in range(turns):
        theirs.append(_score("lm-eval", model, requests))
        ours.append(_score("eurolm", model, requests))
    same = _check_equal(ours[0].log_likelihoods, theirs[0].log_likelihoods, choices)
    total = sum(choices)
    note = f"{kind}: {count} items, {total} requests, {body}, vocabulary {VOCAB_SIZE:,}; {same}"
    mine, peer = (total / statistics.median(one.cpu_s for one in runs) for runs in (ours, theirs))
    return against(mine, "requests/CPU-s", COMMAND, PEER, peer, note)


def _memory(place: Path, model: Path) -> Figure:
    """Peak resident memory of the whole process, imports and weights included."""
    requests, choices = _requests(place, "cloze", QUICK_ITEMS)
    theirs, ours = _score("lm-eval", model, requests), _score("eurolm", model, requests)
    same = _check_equal(ours.log_likelihoods, theirs.log_likelihoods, choices)
    note = f"cloze, {sum(choices)} requests, vocabulary {LARGE_VOCAB_SIZE:,}, whole processes; {same}"
    return against(ours.spent.peak_bytes / 1e9, "GB at peak", COMMAND, PEER, theirs.spent.peak_bytes / 1e9, note)


def _check_equal(ours: np.ndarray, theirs: np.ndarray, choices: list[int]) -> str:
    """Raises RuntimeError unless every item's choice is the same; says how far log-likelihoods are apart."""
    ends = np.cumsum(choices)[:-1]
    for item, (own, other) in enumerate(zip(np.split(ours, ends), np.split(theirs, ends), strict=True)):
        if own.argmax() != other.argmax():
            raise RuntimeError(f"item {item}: eurolm takes {own}, lm-evaluation-harness {other}.")
    return f"same choice in all {len(choices)} items, log-likelihoods within {np.abs(ours - theirs).max():.1g}"
