"""A finished run for the report to read: real corpus, tokenizer and shards of sample text with hostile documents among
it, and the log and scores of a training in the form in which training and evaluation write them."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

from tests.conftest import SMALL_RUN, sample_documents

from eurolm.artifacts.ledger import record
from eurolm.artifacts.manifest import Manifest, describe_files, hash_of, write_manifest
from eurolm.config.load import load_config
from eurolm.config.model import Config
from eurolm.console import Reporter
from eurolm.corpus.stage import build_corpus
from eurolm.evaluate.results import (
    SCHEMA,
    Contamination,
    Counts,
    Figure,
    LanguageScore,
    Macro,
    Results,
    Rows,
    Score,
    Settings,
    TaskScore,
    write_results,
)
from eurolm.pipeline import resolved_yaml
from eurolm.tokenizer.stage import build_tokenizer
from eurolm.tokens.stage import build_tokens
from eurolm.train.metrics import METRICS, SAMPLES, write_line

HOSTILE = [
    "<script>alert('dropped')</script><img src=x onerror=alert(1)>",
    '</li></ul></details></section><a href="https://example.org/track">x</a>',
    "{{ 7 * 7 }} {% raw %} \x1b[31m\x00 &lt;b&gt; 'quoted' \"double\"",
]
"""Documents that fail the rules and therefore stand among the dropped samples."""
STEPS = 40
ROWS = 8
ROW_TOKENS = 64
END = {"lv": 3.187654, "et": 2.955321}
SCORES = {"lv": (3.201234, 3.101111, 3.302222, 3.456789, 3.023456), "et": (2.912345, None, None, 3.333333, 2.876543)}
"""Model, interval, 3-gram, 5-gram."""


def make_run(place: Path) -> tuple[Path, Config]:
    """Write the workspace and return the run directory with its config."""
    config = load_config(_write_inputs(place)).config
    run_dir = place / "runs" / "small"
    reporter = Reporter("quiet")
    for stage in ("corpus", "tokenizer", "tokens"):
        (run_dir / stage).mkdir(parents=True)
    build_corpus(config.corpus, place, run_dir / "corpus", reporter, place / "store" / "measured")
    build_tokenizer(config.tokenizer, run_dir / "corpus", run_dir / "tokenizer", reporter)
    build_tokens(config.tokens, run_dir / "corpus", run_dir / "tokenizer", run_dir / "tokens", reporter)
    for stage in ("corpus", "tokenizer", "tokens"):
        _seal(run_dir, stage)
    _log(run_dir)
    write_results(_made(run_dir / "evaluation"), _results())
    for step, value in ((20, 0.5123), (40, 0.5456)):
        place = _made(run_dir / "evaluation" / f"step-{step:08d}")
        write_results(place, replace(_results(), step=step, tasks={"scala-lv": _pairs(value)}))
        (place / "checkpoint.json").write_text(json.dumps({"content": "x", "asked": "y", "samples": step * ROWS}))
    (run_dir / "config.yaml").write_text(resolved_yaml(config))
    record(run_dir, "stage", stage="corpus", seconds=12.5)
    record(run_dir, "training", fingerprint="0123456789abcdef", output={}, upstream={})
    return run_dir, config


def _write_inputs(place: Path) -> Path:
    for language in ("lv", "et"):
        documents = sample_documents(language, 120)
        if language == "lv":
            documents += [
                {"id": f"hostile-{n}", "text": text, "license": "<b>CC0</b>"} for n, text in enumerate(HOSTILE)
            ]
        lines = [json.dumps(document, ensure_ascii=False) for document in documents]
        (_made(place / language) / "text.jsonl").write_text("\n".join(lines) + "\n{broken\n")
    path = place / "small.yaml"
    path.write_text(SMALL_RUN.replace("corpus:\n", "corpus:\n  max_invalid_share: 0.5\n  workers: 1\n"))
    return path


def _seal(run_dir: Path, stage: str) -> None:
    files = describe_files(run_dir / stage)
    content = hash_of(files)
    inputs = [{"path": "/data/lv/text.jsonl", "bytes": 12345, "mtime_ns": 1}] if stage == "corpus" else []
    write_manifest(run_dir / stage, Manifest(stage, content[:16], content, files, inputs=inputs))


def _log(run_dir: Path) -> None:
    """As the observers of training write it, with a resume and a skipped step."""
    _validation(run_dir, 0, {"lv": 5.5, "et": 5.25})
    _sample(run_dir, 0, 0.0, "\x1b[2Jx<script>9")
    for step in range(1, STEPS + 1):
        if step == 30:
            write_line(run_dir, METRICS, "resume", 29, samples=29 * ROWS)
            write_line(run_dir, METRICS, "skip", step, samples=step * ROWS, cause="the loss", skipped_in_a_row=1)
            continue
        loss = 3.0 + 4.0 * math.exp(-step / 10)
        write_line(
            run_dir, METRICS, "step", step, samples=step * ROWS, tokens=ROWS * ROW_TOKENS, loss=loss,
            loss_hex=loss.hex(), learning_rate=3e-3 * (1 - step / 50), grad_norm=1 / step, step_s=0.25,
            tokens_per_s=2048.0 + step, valid_targets=500,
        )  # fmt: skip
        if step == 14:
            _sample(run_dir, step, 0.333, " un ir")
    _validation(run_dir, STEPS, END)
    _sample(run_dir, STEPS, 1.0, " ir Latvijas galvaspilsēta.")


def _validation(run_dir: Path, step: int, scores: dict[str, float]) -> None:
    write_line(run_dir, METRICS, "validation", step, samples=step * ROWS, bits_per_byte=scores, seconds=0.5)


def _sample(run_dir: Path, step: int, share: float, text: str) -> None:
    write_line(run_dir, SAMPLES, "sample", step, share=share, prompt="Rīga", text=text)


def _results() -> Results:
    languages = {
        language: LanguageScore(
            value=value, low=low, high=high, documents=31, bytes=45_678, tokens=15_000, clusters=12,
            rows=Rows(4.654321, 4.444444, ngram_3=three, ngram_5=five, ngrams={"3": three, "5": five}),
            sources={f"{language}_text": value},
        )
        for language, (value, low, high, three, five) in SCORES.items()
    }  # fmt: skip
    settings = Settings(
        window_tokens=64, stride_tokens=32, bos_policy="EOD first", opening="nothing", heldout_max_bytes=8000,
        limit=None, chat=False, backend="eurolm", seed=1, dtype="float32", device="cpu", device_name="cpu",
        attention="sdpa", batch_tokens=512, threads=1, versions={"torch": "2.13.0"},
    )  # fmt: skip
    return Results(
        schema=SCHEMA, suite=None, model_sha256="ab" * 32, tokenizer_sha256="cd" * 32, parameters=123_456, step=None,
        bits_per_byte=languages, tasks={"scala-lv": _pairs()},
        macro={"lv": Macro(0.5678, 0.51, 0.62, ["scala-lv"], [])},
        settings=settings, notes=["<i>lv</i>: 45,678 of 90,000 bytes were scored."],
    )  # fmt: skip


def _pairs(value: float = 0.5678) -> TaskScore:
    def figure(value: float, items: int) -> Figure:
        return Figure(value, value - 0.05, value + 0.05, items, clusters=77, effective_items=items / 1.2)

    equal = {"uniform": 0.5, "shortest": 0.5, "longest": 0.5, "fewest_tokens": 0.5211, "untrained": 0.5125}
    every = {"uniform": 0.5, "shortest": 0.2233, "longest": 0.7767, "fewest_tokens": 0.31, "untrained": 0.41}
    return TaskScore(
        language="lv", kind="minimal_pairs", headline="accuracy_equal_bytes",
        scores={
            "accuracy_equal_bytes": Score(figure(value, 358), "higher", equal, "fewest_tokens", False),
            "accuracy": Score(figure(0.6543, 2048), "higher", every, "longest", False),
            "accuracy_per_byte": Score(figure(0.6012, 2048), "higher", every, "longest", False),
        },
        spread=None, groups={}, calibration=None,
        contamination=Contamination(3, 41, figure(0.5654, 355), Figure(0.9876, None, None, 3, 3, 3.0)),
        counts=Counts(2048, 0, 0, 1), shots=0, written="generated", license="CC-BY-SA-4.0", reviewed_by=None,
        items_sha256="ef" * 32, scored_sha256="01" * 32, prompts_sha256="23" * 32, items_file="scala-lv.jsonl.zst",
    )  # fmt: skip


def _made(directory: Path) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    return directory
