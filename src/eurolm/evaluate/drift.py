"""`eurolm evaluate … --replay 2%`: a sample of every task scored again here, and what moved since it was scored."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from eurolm.artifacts.atomic import write_json
from eurolm.console import Reporter
from eurolm.errors import InputError
from eurolm.evaluate.answers import Question, Scoring, answer, batch_size
from eurolm.evaluate.asked import Asked
from eurolm.evaluate.replay import Drift, replay
from eurolm.evaluate.request import Request, gather
from eurolm.evaluate.results import read_results
from eurolm.evaluate.subject import choose_device, one_thread_per_worker, trained
from eurolm.evaluate.task_score import all_prompts_sha256
from eurolm.evaluate.units import Units
from eurolm.tokenizer.load import load

REPLAY = "replay.json"


def replay_all(request: Request, share: float, reporter: Reporter) -> dict[str, Any]:
    """Score `share` of the items in the request's place again, write `replay.json` there and return it.

    Raises InputError where the place holds no results, or results of other prompts or of another model.
    """
    stored = read_results(request.place)
    device = choose_device(request.config.dtype)
    subject = trained(request.model, load(request.model), device)
    if stored["model_sha256"] != subject.identity:
        raise InputError(f"{request.place} holds results of other weights than those in {request.model}.")
    material = gather(request)
    units = Units(request.place / "units")
    with one_thread_per_worker():
        batch = request.config.batch_tokens or batch_size(subject, "replay", units, request.ranks)
        how = Scoring(units, request.window, material.stride, batch, request.chat, reporter)

        def again(asked: Asked) -> Drift:
            _check(asked, stored, request)
            question = Question(asked.task, asked.template, asked.prompts[asked.template])
            items = request.place / f"items-{asked.name}.jsonl"
            with reporter.task(asked.name, 100, "%") as bar:
                return replay(
                    items,
                    question,
                    lambda some: answer(subject, some, how, lambda part: bar.advance(100 * part)),
                    share,
                    request.config.seed,
                )

        drifts = {asked.name: again(asked) for asked in material.tasks}
    for name, drift in drifts.items():
        reporter.say(f"  {name}: {in_words(drift)}")
    then = {key: stored["settings"][key] for key in ("device_name", "dtype", "batch_tokens", "versions")}
    value = {
        "share": share,
        "then": then,
        "now": {"device_name": device.name, "dtype": device.dtype_name},
        "tasks": {name: asdict(drift) for name, drift in drifts.items()},
    }
    write_json(request.place / REPLAY, value)
    return value


def in_words(drift: Drift) -> str:
    """`12 items: bits differ by at most 0.0021, 0 answers changed`."""
    said: list[str] = []
    if drift.largest_bits is not None:
        said.append(f"bits differ by at most {drift.largest_bits:.2g}")
    said.append(f"{drift.changed} answers changed")
    if drift.not_finite:
        said.append(f"{drift.not_finite} items without a number")
    if drift.not_stored:
        said.append(f"{drift.not_stored} had none then")
    return f"{drift.items:,} items: {', '.join(said)}"


def _check(asked: Asked, stored: dict[str, Any], request: Request) -> None:
    task = stored["tasks"].get(asked.name)
    if task is None or task["prompts_sha256"] != all_prompts_sha256(asked):
        raise InputError(
            f"{request.place} holds no results of {asked.name} asked like this. Give --replay with the options of the "
            "evaluation itself, and its version of eurolm."
        )
