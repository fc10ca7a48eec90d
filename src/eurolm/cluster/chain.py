"""Which jobs a run becomes, in what order, and what a training job does with the others when it ends. Pure.

    corpus → encode → train-1 → train-2 → … → train-N → evaluate → report
                              (after any end)   (after success)

A training job that stops in good order or breaks leaves the rest to the next one, so the chain goes on after any end;
the stages before it and after it need success. Whoever finishes the training lets the evaluation depend on itself and
cancels what is left of the chain.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from eurolm.cluster.jobs import TRAIN, JobKind

FINAL = (2, 11, 12)
"""Exit codes that the same command would only repeat: bad config or input, receipt failed, numerics."""
STOPPED = 10


@dataclass(frozen=True)
class PlannedJob:
    """A job to submit: its kind and what it waits for, by name."""

    name: str
    kind: JobKind
    after_success: tuple[str, ...] = ()
    after_end: tuple[str, ...] = ()

    def dependency(self, ids: Mapping[str, str]) -> str:
        """Slurm's `--dependency`, given the ids of the jobs submitted before."""
        parts = [f"afterok:{ids[name]}" for name in self.after_success]
        return ",".join(parts + [f"afterany:{ids[name]}" for name in self.after_end])


@dataclass(frozen=True)
class Action:
    """What the batch shell of a training job does with Slurm's clients; `job` is empty for itself."""

    verb: Literal["release", "cancel", "requeue"]
    job: str = ""
    after: tuple[str, ...] = ()
    """Jobs that a released one waits for besides this one."""
    avoid: tuple[str, ...] = ()
    """Nodes on which a requeued job must not start."""

    def __str__(self) -> str:
        return f"{self.verb} {self.job}{','.join(self.avoid)} {':'.join(self.after)}".strip()


def is_training(name: str) -> bool:
    """Whether a job's name is one of the training chain's."""
    return name.startswith(f"{TRAIN.name}-")


def chain(kinds: Sequence[JobKind], training_jobs: int) -> list[PlannedJob]:
    """Jobs in the order they are submitted."""
    planned: list[PlannedJob] = []
    for kind in kinds:
        last = (planned[-1].name,) if planned else ()
        if kind is not TRAIN:
            planned.append(PlannedJob(kind.name, kind, last))
            continue
        for number in range(1, training_jobs + 1):
            before = (f"train-{number - 1}",) if number > 1 else ()
            # Each also needs what the first one needs: it would start when the first is cancelled for want of that.
            planned.append(PlannedJob(f"train-{number}", kind, last, before))
    return planned


def follow_up(
    code: int,
    job: str,
    ids: Mapping[str, str],
    active: Collection[str],
    *,
    cancelled: bool = False,
    progressed: bool = True,
    scoring: Sequence[str] = (),
) -> list[Action]:
    """What follows when training job `job` ends with `code`.

    `ids` maps names to job ids of this launch; `active` holds the ids that wait or run. `cancelled`: the user has
    cancelled the run. `progressed`: this job or the ones before it moved the training on since the last failure.
    `scoring`: jobs that score checkpoints; the evaluation, which draws their curves, must not meet them at one.
    """
    trains = [ids[name] for name in ids if is_training(name)]
    rest = [other for other in trains if other != job and other in active]
    names = list(ids)
    after = names[1 + max(i for i, name in enumerate(names) if ids[name] in trains) :] if trains else []
    later = [ids[name] for name in after if ids[name] in active]
    if code == 0:
        # In this order: where the release fails, the surplus jobs end by themselves and the last one releases.
        released = [Action("release", first, tuple(scoring)) for first in later[:1]]
        return [*released, *(Action("cancel", other) for other in rest)]
    if cancelled:
        return []
    if code in FINAL or not progressed:
        return [Action("cancel", other) for other in [*rest, *later]]
    # The last of the chain goes on as itself, so that what waits for its success still can.
    return [] if rest else [Action("requeue")]
