"""Continued training with an extended vocabulary: it learns the new languages, and says what was there before."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.conftest import SAMPLE
from tests.tokenizer.extension.bases import english
from tests.tokens.small_corpus import texts, write_shard
from tests.train.conftest import QUIET, ROW_TOKENS, ROWS, small_config, validations
from tests.train.driver import start_attempt

from eurolm.config.model import Config
from eurolm.config.tokens import TokenizerConfig, TokensConfig
from eurolm.console import Reporter
from eurolm.corpus.forget import NOTHING
from eurolm.tokenizer.extension.extend import Wish, extend
from eurolm.tokenizer.stage import build_tokenizer
from eurolm.tokens.packing import build_packs
from eurolm.tokens.stage import encode_corpus
from eurolm.train.before import heldout_texts, original_bits_per_byte
from eurolm.train.inputs import TrainInputs
from eurolm.train.metrics import read_lines
from eurolm.train.progress import Follower, Narrator

LINE_BYTES = 2_000
FIRST = {"en": 10**6, "lv": 15_000}
"""Most bytes per language of the text the base model is made from."""
SECOND = {"en": 30_000, "lv": 150_000, "et": 150_000}
STEPS = 50


def passages(place: Path) -> list[str]:
    """English prose in documents of a few paragraphs."""
    found = [""]
    for line in english(place / "english.txt").read_text().splitlines():
        if len(found[-1]) > LINE_BYTES:
            found.append("")
        found[-1] += line + "\n"
    return found


def write_corpus(out: Path, limits: dict[str, int], prose: list[str]) -> Path:
    """A finished corpus; every eighth document is held out, the same ones whatever the limits."""
    for language, limit in limits.items():
        found = prose if language == "en" else texts(language, 200_000)
        kept = [text for number, text in enumerate(found) if number % 8]
        sizes = [sum(len(text.encode()) for text in kept[: end + 1]) for end in range(len(kept))]
        training = [text for text, size in zip(kept, sizes, strict=True) if size <= limit]
        write_shard(out / "documents" / language / "00000.parquet", training, language, language)
        write_shard(out / "heldout" / language / f"{language}.parquet", found[::8], language, language)
    return out


def prepared(root: Path, tokenizer: Path, config: Config) -> TrainInputs:
    """Shards and packs of the corpus in `root` for a training there."""
    for name in ("tokens", "packs", "run"):
        (root / name).mkdir()
    encode_corpus(TokensConfig(workers=1), root / "corpus", tokenizer, root / "tokens", QUIET)
    build_packs(config.mixture, root / "tokens", tokenizer, root / "packs", QUIET)
    return TrainInputs(
        config, root / "run", root / "corpus", tokenizer, root / "tokens", root / "packs", fingerprint=root.name
    )


def sentences(metrics: Path, place: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """What a person is told while these lines are written."""
    reporter = Reporter("lines")
    with reporter.task("train", STEPS, "steps") as task:
        narrator = Narrator(Follower(place), reporter, task, 0, place.with_name("stop"))
        place.write_bytes(metrics.read_bytes())
        narrator.tick()
    return capsys.readouterr().err


def settings(**model: Any) -> Config:
    config = small_config(STEPS, validate_max_bytes=8_000, validate_every_steps=STEPS)
    return config.model_copy(update={"model": config.model.model_copy(update=model)})


@pytest.fixture(scope="module")
def base(context: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of English and a little Latvian with a vocabulary of its own."""
    root = tmp_path_factory.mktemp("base")
    write_corpus(root / "corpus", FIRST, passages(root))
    (root / "tokenizer").mkdir()
    build_tokenizer(TokenizerConfig(vocab_size=640, spare_tokens=4), root / "corpus", root / "tokenizer", QUIET)
    inputs = prepared(root, root / "tokenizer", settings(tie_embeddings=False))
    assert start_attempt(context, inputs).wait()["worked"]
    return root / "run" / "model"


def test_continued_training_lowers_bits_per_byte_of_the_new_languages(
    context: Any, base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "continued"
    prose = passages(tmp_path)
    write_corpus(root / "corpus", SECOND, prose)
    learnt = [f"{language}={path}" for language in ("lv", "et") for path in SAMPLE.glob(f"{language}_common_voice*")]
    extend(Wish(base, learnt, 256, [f"en={tmp_path / 'english.txt'}"]), root / "tokenizer")
    inputs = prepared(root, root / "tokenizer", settings(use=base))
    assert start_attempt(context, inputs).wait()["worked"]
    lines = list(read_lines(root / "run" / "metrics.jsonl"))
    (before,) = (line for line in lines if line["event"] == "original")
    (start, first), (end, last) = validations(root / "run")[0], validations(root / "run")[-1]
    assert (start, end) == (0, STEPS)
    assert before["bits_per_byte"].keys() == first.keys() == last.keys() == {"en", "lv", "et"}
    assert before["model"] == str(base) and before["left_out"] is None
    for language in ("lv", "et"):
        assert last[language] < before["bits_per_byte"][language] - 0.3, language
    assert math.isfinite(last["en"])
    # Two ranks wrote what one process finds, on the very text the validation scored.
    alone = original_bits_per_byte(
        base, heldout_texts(root / "corpus", NOTHING, 8_000), ROW_TOKENS, torch.device("cpu")
    )
    assert alone == pytest.approx(before["bits_per_byte"], rel=1e-6)
    told = sentences(root / "run" / "metrics.jsonl", tmp_path / "followed.jsonl", capsys)
    assert "640 tokens keep their rows, 256 are means of their old pieces, embedding 640 → 896 rows" in told
    assert f"before, with its own tokenizer: bits per byte en {before['bits_per_byte']['en']:.3f}, et" in told
    (initial,) = (line for line in lines if line["event"] == "initial")
    vocabulary = initial["vocabulary"]
    assert (vocabulary["copied"], vocabulary["averaged"], vocabulary["not_found"]) == (640, 256, 0)
    exported = json.loads((root / "run" / "model" / "config.json").read_text())
    assert (exported["vocab_size"], exported["tie_word_embeddings"]) == (896, False)
    assert sum(line["samples"] for line in lines if line["event"] == "step" and line["step"] == STEPS) == STEPS * ROWS
