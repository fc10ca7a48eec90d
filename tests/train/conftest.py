"""A small training on real text, and the preloaded process that its ranks are forked from."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.tokens.small_corpus import write_corpus
from tests.train.driver import preloaded_context, start_attempt

from eurolm.config.model import Config
from eurolm.config.tokens import TokenizerConfig, TokensConfig
from eurolm.console import Reporter
from eurolm.errors import MachineError
from eurolm.tokenizer.stage import build_tokenizer
from eurolm.tokens.packing import build_packs
from eurolm.tokens.stage import encode_corpus
from eurolm.train import staging
from eurolm.train.inputs import TrainInputs
from eurolm.train.metrics import read_lines

QUIET = Reporter("quiet")
STEPS = 36
ROWS, ROW_TOKENS = 8, 64


@pytest.fixture(scope="session")
def context() -> Any:
    return preloaded_context()


@dataclass(frozen=True)
class Data:
    """Finished stages that every training here reads."""

    root: Path

    def inputs(self, run_dir: Path, fingerprint: str = "same", steps: int = STEPS, **train: Any) -> TrainInputs:
        """A training of `steps` steps; keyword arguments go to the `train` section."""
        run_dir.mkdir(exist_ok=True)
        root = self.root
        return TrainInputs(
            small_config(steps, **train),
            run_dir,
            root / "corpus",
            root / "tokenizer",
            root / "tokens",
            root / "packs",
            fingerprint,
        )


def small_config(steps: int = STEPS, **train: Any) -> Config:
    settings = {
        "ranks": 2,
        "threads_per_rank": 1,
        "optimizer": {"learning_rate": 2e-2},
        "validate_every_steps": 10,
        "validate_max_bytes": 3_000,
        "save_every_minutes": 60,
    }
    return Config.model_validate(
        {
            "name": "small",
            "mixture": {
                "phases": [
                    {
                        "tokens": steps * ROWS * ROW_TOKENS,
                        "row_tokens": ROW_TOKENS,
                        "batch_rows": ROWS,
                        "max_epochs": 100,
                    }
                ]
            },
            "model": {
                "hidden_size": 64,
                "layers": 2,
                "attention_heads": 2,
                "key_value_heads": 1,
                "intermediate_size": 128,
                "max_position_tokens": 128,
            },
            "train": settings | train,
        }
    )


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Data:
    root = tmp_path_factory.mktemp("training-data")
    config = small_config()
    write_corpus(root / "corpus", limit=150_000)
    for name in ("tokenizer", "tokens", "packs"):
        (root / name).mkdir()
    build_tokenizer(TokenizerConfig(vocab_size=768, spare_tokens=4), root / "corpus", root / "tokenizer", QUIET)
    encode_corpus(TokensConfig(workers=1), root / "corpus", root / "tokenizer", root / "tokens", QUIET)
    build_packs(config.mixture, root / "tokens", root / "tokenizer", root / "packs", QUIET)
    return Data(root)


@pytest.fixture
def run_dir(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "run"
    yield place
    staging.remove_leftovers(place)


@pytest.fixture(scope="session")
def undisturbed(context: Any, data: Data, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run directory of a training that nothing disturbed, without saves and samples on the way. Read it only."""
    run_dir = tmp_path_factory.mktemp("undisturbed") / "run"
    said = start_attempt(context, data.inputs(run_dir)).wait()
    assert said["worked"], said
    return run_dir


@pytest.fixture
def copied(undisturbed: Path, run_dir: Path) -> Callable[[], Path]:
    """A copy of the undisturbed run that a test may change."""
    return lambda: Path(shutil.copytree(undisturbed, run_dir))


def need_muon() -> None:
    """Skip where the installed DeepSpeed's Muon is refused by eurolm (0.18.2)."""
    from eurolm.train.optimizer import check_muon

    try:
        check_muon()
    except MachineError as error:
        pytest.skip(str(error))


def losses(run_dir: Path) -> list[tuple[int, str]]:
    """(step, hex loss) of every step line."""
    return [(line["step"], line["loss_hex"]) for line in read_lines(run_dir / "metrics.jsonl", "step")]


def validations(run_dir: Path) -> list[tuple[int, dict[str, float]]]:
    """(step, bits per byte) of every validation line."""
    return [(line["step"], line["bits_per_byte"]) for line in read_lines(run_dir / "metrics.jsonl", "validation")]
