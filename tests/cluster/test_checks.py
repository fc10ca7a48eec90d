"""Data checks of a plan on artifacts that the real stages made."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from eurolm.cluster.checks import data_checks, tokens_of, vocabulary
from eurolm.config.model import Config
from eurolm.config.tokens import TokenizerConfig, TokensConfig
from eurolm.errors import InputError
from eurolm.tokenizer.stage import build_tokenizer
from eurolm.tokens.description import read_description
from eurolm.tokens.stage import encode_corpus
from tests.tokens.small_corpus import QUIET, write_corpus


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run directory with tokenizer and tokens."""
    place = tmp_path_factory.mktemp("run")
    corpus = write_corpus(place / "corpus", 60_000)
    for name in ("tokenizer", "tokens"):
        (place / name).mkdir()
    build_tokenizer(TokenizerConfig(vocab_size=600), corpus, place / "tokenizer", QUIET)
    encode_corpus(TokensConfig(workers=1), corpus, place / "tokenizer", place / "tokens", QUIET)
    return place


@pytest.fixture
def run_dir(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made / "tokenizer", tmp_path / "tokenizer")
    shutil.copytree(made / "tokens", tmp_path / "tokens")
    return tmp_path


def config(tokens: int, weights: dict[str, float] | None = None, epochs: float = 4.0) -> Config:
    phase = {"tokens": tokens, "row_tokens": 64, "batch_rows": 4, "weights": weights or {}, "max_epochs": epochs}
    return Config.model_validate({"name": "x", "mixture": {"phases": [phase]}})


def outcome(value: Config, run_dir: Path) -> dict[str, bool | None]:
    return {check.name: check.passed for check in data_checks(value, run_dir)}


def test_good_artifacts_pass(run_dir: Path) -> None:
    value = config(10_000)
    assert outcome(value, run_dir) == {"tokenizer": True, "end of document": True, "phase 0": True}
    record = read_description(run_dir / "tokens")
    assert vocabulary(value, run_dir) == (record.vocab_size, str(run_dir / "tokens" / "tokens.json"))


def test_before_anything_is_made_nothing_is_known(tmp_path: Path) -> None:
    assert outcome(config(1000), tmp_path) == {"tokens": None}
    assert vocabulary(config(1000), tmp_path) == (32_768, "tokenizer.vocab_size")
    assert tokens_of(config(1000), tmp_path) is None


def test_the_vocabulary_is_counted_without_the_tokenizers_library(run_dir: Path) -> None:
    entries = read_description(run_dir / "tokens").vocab_size
    shutil.rmtree(run_dir / "tokens")
    assert vocabulary(config(1000), run_dir) == (entries, str(run_dir / "tokenizer" / "tokenizer.json"))
    (run_dir / "tokenizer" / "tokenizer.json").write_text("[]")
    with pytest.raises(InputError, match=r"tokenizer\.json"):
        vocabulary(config(1000), run_dir)


def test_another_tokenizer_is_noticed(run_dir: Path) -> None:
    path = run_dir / "tokenizer" / "tokenizer.json"
    path.write_text(json.dumps(json.loads(path.read_text())))
    assert outcome(config(1000), run_dir)["tokenizer"] is False


def test_a_lost_end_of_document_and_a_short_shard_are_noticed(run_dir: Path) -> None:
    first, *_ = sorted((run_dir / "tokens").rglob("*.bin"))
    whole = first.read_bytes()
    first.write_bytes(whole[:-2] + b"\x09\x00")
    found = {check.name: check for check in data_checks(config(1000), run_dir)}["end of document"]
    assert found.passed is False
    assert "ends with id 9" in found.text
    first.write_bytes(whole[:-2])
    assert outcome(config(1000), run_dir)["end of document"] is False
    first.unlink()
    assert outcome(config(1000), run_dir)["end of document"] is False


def test_too_few_tokens_and_unknown_sources_are_noticed(run_dir: Path) -> None:
    sources = read_description(run_dir / "tokens").sources
    least = min(sources, key=lambda name: sources[name].tokens)
    tokens = sources[least].tokens
    assert outcome(config(int(3.5 * tokens), {least: 1.0}), run_dir)["phase 0"] is True
    found = {check.name: check for check in data_checks(config(5 * tokens, {least: 1.0}), run_dir)}["phase 0"]
    assert found.passed is False
    assert least in found.text
    assert outcome(config(1000, {"nowhere": 1.0}), run_dir)["phase 0"] is False
