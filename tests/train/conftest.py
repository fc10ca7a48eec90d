"""A small training on real text, and the preloaded process that its ranks are forked from."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from tests.tokens.small_corpus import write_corpus
from tests.train.driver import preloaded_context, start_attempt

from eurolm.config.model import Config
from eurolm.config.tokens import TokenizerConfig, TokensConfig
from eurolm.console import Reporter
from eurolm.tokenizer.stage import build_tokenizer
from eurolm.tokens.packing import build_packs
from eurolm.tokens.stage import encode_corpus
from eurolm.train import staging
from eurolm.train.inputs import TrainInputs
from eurolm.train.metrics import read_lines

QUIET = Reporter("quiet")
STEPS = 36
OPTIMIZERS: dict[str, dict[str, Any]] = {
    "fast": {"learning_rate": 2e-2},
    # Where losses of different sums are compared: at 2e-2 the model is chaotic, a last bit grows to 1 % in 8 steps.
    "calm": {"learning_rate": 2e-3},
    "muon": {"name": "muon", "learning_rate": 5e-3, "muon_learning_rate": 0.02, "weight_decay": 0.01},
}
ROWS, ROW_TOKENS = 8, 64


@pytest.fixture(scope="session", autouse=True)
def wanted_deepspeed() -> None:
    """`scripts/test --deepspeed VERSION` lays another DeepSpeed over the installed one: that is the one that runs."""
    wanted = os.environ.get("EUROLM_TEST_DEEPSPEED")
    if wanted is not None:
        import deepspeed

        assert deepspeed.__version__ == wanted


@pytest.fixture(scope="session")
def context() -> Any:
    return preloaded_context()


@dataclass(frozen=True)
class Data:
    """Finished stages that every training here reads."""

    root: Path

    def inputs(self, run_dir: Path, fingerprint: str = "same", steps: int = STEPS, **train: Any) -> TrainInputs:
        """A training of `steps` steps; keyword arguments go to the `train` section."""
        return self.of(small_config(steps, **train), run_dir, fingerprint)

    def of(self, config: Config, run_dir: Path, fingerprint: str = "same") -> TrainInputs:
        """A training of any config over this data."""
        run_dir.mkdir(exist_ok=True)
        root = self.root
        return TrainInputs(
            config,
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
        "optimizer": OPTIMIZERS["fast"],
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
    phases = [config.mixture.phases[0], config.mixture.phases[0].model_copy(update={"row_tokens": 2 * ROW_TOKENS})]
    mixture = config.mixture.model_copy(update={"phases": phases})
    build_packs(mixture, root / "tokens", root / "tokenizer", root / "packs", QUIET)
    return Data(root)


@pytest.fixture
def run_dir(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "run"
    yield place
    staging.remove_leftovers(place)


@pytest.fixture(scope="session")
def undisturbed_at(context: Any, data: Data, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Run directory of a training at a ZeRO stage that nothing disturbed, without saves on the way. Read it only."""

    @cache
    def at(stage: int, ranks: int = 2, optimizer: str = "fast") -> Path:
        run_dir = tmp_path_factory.mktemp("undisturbed") / "run"
        inputs = data.inputs(run_dir, zero_stage=stage, ranks=ranks, optimizer=OPTIMIZERS[optimizer])
        said = start_attempt(context, inputs).wait()
        assert said["worked"], said
        return run_dir

    return at


@pytest.fixture(scope="session")
def undisturbed(undisturbed_at: Callable[..., Path]) -> Path:
    return undisturbed_at(1)


@pytest.fixture(scope="session")
def stopped_at(context: Any, data: Data, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Run directory of a training that was stopped in good order after about a third. Copy it to go on."""

    @cache
    def at(stage: int, ranks: int = 2, optimizer: str = "fast") -> Path:
        run_dir = tmp_path_factory.mktemp("stopped") / "run"
        inputs = data.inputs(run_dir, zero_stage=stage, ranks=ranks, optimizer=OPTIMIZERS[optimizer])
        attempt = start_attempt(context, inputs)
        while len(losses(run_dir)) < STEPS // 3:
            assert attempt.process.is_alive()
            time.sleep(0.005)
        (run_dir / "stop").touch()
        assert attempt.wait()["exit_code"] == 10
        return run_dir

    return at


@pytest.fixture
def copied(undisturbed: Path, run_dir: Path) -> Callable[[], Path]:
    """A copy of the undisturbed run that a test may change."""
    return lambda: Path(shutil.copytree(undisturbed, run_dir))


def losses(run_dir: Path) -> list[tuple[int, str]]:
    """(step, hex loss) of every step line."""
    return [(line["step"], line["loss_hex"]) for line in read_lines(run_dir / "metrics.jsonl", "step")]


def validations(run_dir: Path) -> list[tuple[int, dict[str, float]]]:
    """(step, bits per byte) of every validation line."""
    return [(line["step"], line["bits_per_byte"]) for line in read_lines(run_dir / "metrics.jsonl", "validation")]
