"""Stopping in good order, and everything that training refuses or survives."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.train.conftest import ROW_TOKENS, ROWS, STEPS, Data, losses
from tests.train.driver import Attempt, start_attempt

from eurolm.config.train import TrainConfig
from eurolm.console import Reporter
from eurolm.errors import ConfigError, InputError
from eurolm.mixture.mixture import Mixture
from eurolm.train.backend import device_index
from eurolm.train.launch import run_training
from eurolm.train.metrics import read_lines
from eurolm.train.settings import check_freeze
from eurolm.train.step import micro_batches
from eurolm.train.stopping import held_back

QUIET = Reporter("quiet")


def wait_for_steps(run_dir: Path, steps: int) -> None:
    deadline = time.monotonic() + 60
    while len(losses(run_dir)) < steps and time.monotonic() < deadline:
        time.sleep(0.005)


def ask_by_file(_attempt: Attempt, run_dir: Path) -> None:
    (run_dir / "stop").touch()


def process_of(rank: int, attempt: Attempt, run_dir: Path) -> int:
    log = (run_dir / "logs" / "train-local-0" / f"rank-{rank}.log").resolve()
    (found,) = [pid for pid in attempt.members() if Path(f"/proc/{pid}/fd/1").resolve() == log]
    return found


def ask_by_signal_to_rank_1(attempt: Attempt, run_dir: Path) -> None:
    os.kill(process_of(1, attempt, run_dir), signal.SIGUSR1)


def ask_by_signal_to_the_parent(attempt: Attempt, _run_dir: Path) -> None:
    os.kill(attempt.process.pid or 0, signal.SIGTERM)


def ask_everyone(attempt: Attempt, _run_dir: Path) -> None:
    """As a terminal does when Ctrl-C is typed; `scancel --signal` asks all processes of a job in the same way."""
    os.killpg(attempt.process.pid or 0, signal.SIGINT)


@pytest.mark.parametrize("ask", [ask_by_file, ask_by_signal_to_rank_1, ask_by_signal_to_the_parent, ask_everyone])
def test_a_stop_request_saves_one_step_on_all_ranks_and_resumes_exactly(
    ask: Callable[[Attempt, Path], None], context: Any, data: Data, run_dir: Path, undisturbed: Path
) -> None:
    attempt = start_attempt(context, data.inputs(run_dir))
    wait_for_steps(run_dir, 5)
    ask(attempt, run_dir)
    said = attempt.wait()
    assert (said["error"], said["exit_code"]) == ("StoppedError", 10)
    stopped_at = len(losses(run_dir))
    assert f"stopped at step {stopped_at}" in said["message"]
    assert [path.name for path in (run_dir / "checkpoints").iterdir()] == [f"step-{stopped_at:08d}"]
    assert not (run_dir / "stop").exists()
    assert start_attempt(context, data.inputs(run_dir)).wait()["worked"]
    assert losses(run_dir) == losses(undisturbed)


def test_a_signal_to_a_process_that_is_still_starting_is_not_lost() -> None:
    """Imports of a rank take seconds; by default the signal would end it."""
    program = (
        "import time; time.sleep(0.3); from eurolm.train.stopping import StopRequest as S; s = S(None); s.listen()"
    )
    with held_back():
        process = subprocess.Popen(
            [sys.executable, "-c", f"{program}; s.listen(); print(s.signalled)"], stdout=subprocess.PIPE
        )
    process.send_signal(signal.SIGUSR1)
    said, _ = process.communicate(timeout=30)
    assert (said.strip(), process.returncode) == (b"True", 0)


SECOND_CTRL_C = """
import os, signal, sys
from pathlib import Path
from eurolm.train.launch import _stop_file_on_signal
stop = Path(sys.argv[1])
try:
    with _stop_file_on_signal(stop, []):
        os.kill(os.getpid(), signal.SIGINT)
        print("asked", stop.exists())
        os.kill(os.getpid(), signal.SIGINT)
except KeyboardInterrupt:
    print("ended", stop.exists())
"""


def test_a_second_ctrl_c_ends_at_once_and_leaves_no_request(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SECOND_CTRL_C, str(tmp_path / "stop")]
    answer = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert answer.stdout.split() == ["asked", "True", "ended", "False"]


def test_losses_that_stay_non_finite_end_training_with_12(context: Any, data: Data, run_dir: Path) -> None:
    asked = {"max_skipped_steps": 2, "validate_every_steps": 1, "prompts": ["Rīgā"], "prompt_tokens": 2}
    inputs = data.inputs(run_dir, optimizer={"learning_rate": 1e10}, steps=6, **asked)
    said = start_attempt(context, inputs).wait()
    assert (said["error"], said["exit_code"]) == ("NumericsError", 12)
    skips = list(read_lines(run_dir / "metrics.jsonl", "skip"))
    assert [line["skipped_in_a_row"] for line in skips] == [1, 2, 3]
    assert all(line["cause"] in ("the loss", "the gradient") for line in skips)
    # What validation and prompts meet then does not end the run with a traceback.
    (left_out,) = read_lines(run_dir / "metrics.jsonl", "left_out")
    assert "step 2: continued prompts" in left_out["what"]
    assert "logits are not finite" in left_out["cause"]
    notes = [line["said"] for line in read_lines(run_dir / "metrics.jsonl", "note")]
    assert all("are not finite and left out: the weights of the model are broken" in said for said in notes)
    assert notes


def test_a_damaged_checkpoint_is_named_and_the_one_before_is_used(
    context: Any, data: Data, copied: Callable[[], Path], undisturbed: Path, tmp_path: Path
) -> None:
    run_dir = tmp_path / "run"
    inputs = data.inputs(run_dir, save_every_minutes=1e-6, keep_checkpoints=2)
    assert start_attempt(context, inputs).kill_when(
        lambda: sum(path.name[-8:].isdigit() for path in (run_dir / "checkpoints").glob("step-*")) >= 2
    )
    older, newer = sorted(path for path in (run_dir / "checkpoints").glob("step-*") if path.name[-8:].isdigit())[-2:]
    victim = newer / "tensors" / "rank-00001.safetensors"
    content = bytearray(victim.read_bytes())
    content[len(content) // 2] ^= 1
    victim.write_bytes(content)
    warnings: list[str] = []
    found = newest(run_dir, warnings)
    assert found == older
    assert len(warnings) == 1
    assert newer.name in warnings[0]
    assert victim.name in warnings[0]
    assert start_attempt(context, inputs).wait()["worked"]
    assert losses(run_dir) == losses(undisturbed)


def newest(run_dir: Path, warnings: list[str]) -> Path:
    from eurolm.train.store import newest_verified

    found = newest_verified(run_dir / "checkpoints", "same", warnings.append)
    assert found is not None
    return found.path


def test_a_checkpoint_of_another_training_is_refused_and_kept(data: Data, copied: Callable[[], Path]) -> None:
    run_dir = copied()
    before = {path: path.read_bytes() for path in run_dir.rglob("*") if path.is_file()}
    with pytest.raises(ConfigError, match="belongs to training same, this config makes other"):
        run_training(data.inputs(run_dir, fingerprint="other"), QUIET)
    assert {path: path.read_bytes() for path in run_dir.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("ranks", "micro", "said"),
    [
        (3, None, r"batch_rows = 8 is not a multiple of train.ranks 3. Nearest: 6 or 9"),
        (2, 3, r"train.ranks 2 × micro_batch_rows 3 = 6. Nearest: 6 or 12"),
    ],
)
def test_an_indivisible_batch_is_refused(ranks: int, micro: int | None, said: str, data: Data, run_dir: Path) -> None:
    with pytest.raises(ConfigError, match=said):
        run_training(data.inputs(run_dir, ranks=ranks, micro_batch_rows=micro), QUIET)
    assert list(run_dir.iterdir()) == []


def test_freezing_a_head_that_is_the_embedding_is_refused() -> None:
    train = TrainConfig.model_validate({"freeze": {"head": {"until_tokens": 10}}})
    check_freeze(train, tied=False)
    with pytest.raises(ConfigError, match="head is its embedding and learns with that"):
        check_freeze(train, tied=True)


def test_more_ranks_than_devices_are_refused() -> None:
    assert [device_index(rank, 2) for rank in range(2)] == [0, 1]
    with pytest.raises(ConfigError, match=r"rank 2 of this host finds 2 devices.* Set train\.ranks=2"):
        device_index(2, 2)


def test_ids_that_the_model_does_not_have_are_named_with_their_samples(data: Data, run_dir: Path) -> None:
    """On a GPU an embedding would say no more than that an assertion failed."""
    inputs = data.inputs(run_dir)
    mixture = Mixture.open(inputs.config.mixture, inputs.tokens, inputs.packs)
    assert len(list(micro_batches(mixture, range(ROWS), 4, 768))) == 2
    with pytest.raises(InputError, match=r"samples 0 to 3 hold the token id \d+, but the model has 300 rows"):
        list(micro_batches(mixture, range(ROWS), 4, 300))


def test_a_full_disk_costs_a_save_and_no_step(context: Any, data: Data, run_dir: Path, undisturbed: Path) -> None:
    """A limit on file sizes stands for the full disk: the copier cannot finish its file. Then there is room again."""
    inputs = data.inputs(run_dir, save_every_minutes=1e-6)
    attempt = start_attempt(context, inputs)
    wait_for_steps(run_dir, 6)
    copier = attempt.copier()
    unlimited = resource.prlimit(copier, resource.RLIMIT_FSIZE, (10_000, resource.RLIM_INFINITY))
    while not list(read_lines(run_dir / "metrics.jsonl", "save_failed")) and attempt.process.is_alive():
        time.sleep(0.005)
    resource.prlimit(copier, resource.RLIMIT_FSIZE, unlimited)
    assert attempt.wait()["worked"]
    failed = list(read_lines(run_dir / "metrics.jsonl", "save_failed"))
    assert all("File too large" in line["cause"] for line in failed)
    assert losses(run_dir) == losses(undisturbed)
    saved = [line["step"] for line in read_lines(run_dir / "metrics.jsonl", "checkpoint")]
    assert min(saved) < failed[0]["step"] < max(saved) == STEPS
    assert not list((run_dir / "checkpoints").glob("*.partial-*"))


def test_a_disk_without_room_for_a_line_costs_no_line(context: Any, data: Data, run_dir: Path) -> None:
    """Rank 0 cannot write a byte for a second: neither its log of steps, nor its part of a checkpoint."""
    attempt = start_attempt(context, data.inputs(run_dir, save_every_minutes=1e-6, steps=2000))
    wait_for_steps(run_dir, 6)
    rank = process_of(0, attempt, run_dir)
    unlimited = resource.prlimit(rank, resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
    time.sleep(1.0)
    resource.prlimit(rank, resource.RLIMIT_FSIZE, unlimited)
    time.sleep(0.5)
    (run_dir / "stop").touch()
    said = attempt.wait()
    assert (said["error"], said["exit_code"]) == ("StoppedError", 10), said["message"]
    steps = [step for step, _ in losses(run_dir)]
    assert steps == list(range(1, len(steps) + 1))
    assert list(read_lines(run_dir / "metrics.jsonl", "save_failed"))
    assert (run_dir / "checkpoints" / f"step-{len(steps):08d}").is_dir()


def test_a_disk_that_stays_full_ends_with_14_and_keeps_the_last_checkpoint(
    context: Any, data: Data, run_dir: Path, undisturbed: Path
) -> None:
    inputs = data.inputs(run_dir, save_every_minutes=1e-6)
    attempt = start_attempt(context, inputs)
    wait_for_steps(run_dir, 6)
    resource.prlimit(attempt.copier(), resource.RLIMIT_FSIZE, (10_000, 10_000))
    said = attempt.wait()
    assert (said["error"], said["exit_code"]) == ("MachineError", 14)
    assert "File too large" in said["message"]
    assert str(run_dir / "checkpoints") in said["message"]
    complete = [path for path in (run_dir / "checkpoints").glob("step-*") if path.name[-8:].isdigit()]
    assert complete
    assert losses(run_dir) == losses(undisturbed)
    assert start_attempt(context, inputs).wait()["worked"]
    assert losses(run_dir) == losses(undisturbed)


def test_a_slow_disk_blocks_training_for_a_twentieth_of_a_save(context: Any, data: Data, run_dir: Path) -> None:
    """The copier is held still for six seconds in the middle of a checkpoint; training goes on meanwhile."""
    attempt = start_attempt(context, data.inputs(run_dir, save_every_minutes=0.02, steps=3000))
    copier = attempt.copier()
    wait_for_steps(run_dir, 3)
    os.kill(copier, signal.SIGSTOP)
    while not list((run_dir / "checkpoints").glob("*.partial-*")) and attempt.process.is_alive():
        time.sleep(0.005)
    steps = len(losses(run_dir))
    time.sleep(6.0)
    assert len(losses(run_dir)) > steps + 5
    os.kill(copier, signal.SIGCONT)
    wait_for_steps(run_dir, len(losses(run_dir)) + 5)
    (run_dir / "stop").touch()
    assert attempt.wait()["exit_code"] == 10
    slow = max(read_lines(run_dir / "metrics.jsonl", "checkpoint"), key=lambda line: line["seconds"])
    print(f"blocked {slow['blocked_s']:.3f} of {slow['seconds']:.3f} s")
    assert slow["seconds"] >= 6.0
    assert slow["blocked_s"] <= 0.05 * slow["seconds"]


def test_a_job_that_ends_soon_stops_in_time(context: Any, data: Data, run_dir: Path) -> None:
    attempt = start_attempt(context, data.inputs(run_dir, steps=2000), partial(job_ends_in, 8.0))
    said = attempt.wait()
    assert (said["error"], said["exit_code"]) == ("StoppedError", 10)
    (checkpoint,) = (run_dir / "checkpoints").iterdir()
    assert checkpoint.name == f"step-{len(losses(run_dir)):08d}"


def job_ends_in(seconds: float) -> None:
    os.environ["EUROLM_JOB_END_TIME"] = str(time.time() + seconds)


def test_permanent_checkpoints_are_kept_and_stand_at_their_marks(context: Any, data: Data, run_dir: Path) -> None:
    """Every 10 steps' tokens, whatever the clock says; of the others only the newest stays."""
    inputs = data.inputs(
        run_dir, save_every_minutes=1e-6, keep_checkpoints=1, permanent_every_tokens=10 * ROWS * ROW_TOKENS
    )
    assert start_attempt(context, inputs).wait()["worked"]
    kept = sorted(int(path.name[5:]) for path in (run_dir / "checkpoints").iterdir())
    assert kept == [10, 20, 30, STEPS]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"tensor_parallel": 2}, "tensor_parallel = 2, but DeepSpeed's AutoTP"),
        ({"sequence_parallel": 2}, "sequence_parallel = 2, but DeepSpeed's Ulysses"),
        ({"hpz_ranks": 2}, "needs train.zero_stage = 3"),
        ({"zero_stage": 3, "optimizer": {"name": "muon"}}, "Muon skips no bad step"),
        ({"zero_stage": 3, "accumulation_dtype": "fp32"}, "ignores it at 3"),
        ({"attention": "flash_attention_2"}, "needs a GPU and the flash-attn package"),
    ],
)
def test_what_the_engine_cannot_do_right_is_refused(
    settings: dict[str, Any], said: str, context: Any, data: Data, run_dir: Path
) -> None:
    found = start_attempt(context, data.inputs(run_dir, **settings)).wait()
    assert (found["error"], found["exit_code"]) == ("ConfigError", 2)
    assert said in found["message"]
    assert not losses(run_dir)


def test_a_checkpoint_of_another_model_and_a_missing_file_are_named(
    context: Any, data: Data, run_dir: Path, stopped_at: Callable[..., Path]
) -> None:
    """Beyond what hashes and fingerprints catch: the manifest itself is of the wrong thing."""
    from eurolm.train.tensors import check_index, read_index

    shutil.copytree(stopped_at(1), run_dir)
    (checkpoint,) = (run_dir / "checkpoints").iterdir()
    index = read_index(checkpoint / "tensors")
    sizes = {name: states["master"][-1].end for name, states in index.items()}
    check_index(index, sizes, checkpoint)
    with pytest.raises(InputError, match=r"lacks: .*norm"):
        check_index(index, {name: size for name, size in sizes.items() if name != "model.norm.weight"}, checkpoint)
    with pytest.raises(InputError, match="does not hold all of"):
        check_index(index, {name: size + 1 for name, size in sizes.items()}, checkpoint)
    (checkpoint / "tensors" / "rank-00001.safetensors").unlink()
    with pytest.raises(InputError, match="a file is missing"):
        check_index(read_index(checkpoint / "tensors"), sizes, checkpoint)
    warnings: list[str] = []
    from eurolm.train.store import newest_verified

    assert newest_verified(run_dir / "checkpoints", "same", warnings.append) is None
    assert "rank-00001.safetensors" in warnings[0]
