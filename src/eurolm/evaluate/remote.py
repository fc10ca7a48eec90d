"""The tasks of a suite in which a model writes, put to a server instead of a directory: `eurolm evaluate --endpoint`.

Its weights are not known, so results carry no hash of a model; choices are not scored, because servers do not give what
eurolm's scorer means by their log-probability.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from eurolm.config.evaluate import EvaluateConfig
from eurolm.console import Reporter
from eurolm.errors import ConfigError
from eurolm.evaluate.answers import Answer, Question, prompts_sha256, read_answers
from eurolm.evaluate.asked import Asked, asked
from eurolm.evaluate.contamination import Hits, read_hits
from eurolm.evaluate.endpoint import Endpoint, write_remotely
from eurolm.evaluate.paired import SCOPE
from eurolm.evaluate.results import SCHEMA, Results, Settings, write_results
from eurolm.evaluate.suites import Choice
from eurolm.evaluate.summary import tell
from eurolm.evaluate.task_score import macro, task_score, write_items
from eurolm.evaluate.units import Units
from eurolm.machine.host import versions
from eurolm.tasks.description import WRITTEN_BY_MODEL

NOT_KNOWN = "not known"


def evaluate_endpoint(
    endpoint: Endpoint, place: Path, config: EvaluateConfig, choices: dict[str, Choice], reporter: Reporter
) -> dict[str, Any]:
    """Put `choices` to the served model, score it and write `results.json` and `items-*.jsonl` into `place`; finished
    units are reused.

    Raises ConfigError where no task of the suite is written by a model, and what the server's refusal raises.
    """
    every = asked(choices, config.seed)
    tasks = [task for task in every if task.task.kind in WRITTEN_BY_MODEL]
    if not tasks:
        raise ConfigError("No task of the suite has an answer that the model writes; a server scores no choices.")
    units, hits = Units(place / "units"), read_hits(None, config.hits)
    units.directory.mkdir(parents=True, exist_ok=True)
    units.sweep()
    scores = {task.name: _score(endpoint, task, units, hits, place, reporter) for task in tasks}
    left = [task.name for task in every if task not in tasks]
    notes = [f"A server scores no choices: {', '.join(left)} were not asked."] if left else []
    notes.append("The server's weights, number format and device are not known.")
    notes.append(f"Intervals cover the choice of items and documents: {SCOPE}.")
    results = Results(
        schema=SCHEMA,
        suite=config.suite,
        model_sha256=None,
        tokenizer_sha256=None,
        parameters=None,
        step=None,
        bits_per_byte={},
        tasks=scores,
        macro=macro(scores),
        settings=_settings(endpoint, config),
        notes=notes,
    )
    value = write_results(place, results)
    tell(results, reporter)
    return value


def _score(endpoint: Endpoint, task: Asked, units: Units, hits: Hits, place: Path, reporter: Reporter) -> Any:
    questions = {name: Question(task.task, name, prompts) for name, prompts in task.prompts.items()}
    own = {name: _answers(endpoint, question, units, reporter) for name, question in questions.items()}
    score, judged = task_score(task, own, None, 0.0, hits)
    write_items(place / f"items-{task.name}.jsonl", judged, hits, task.name)
    return score


def _answers(endpoint: Endpoint, question: Question, units: Units, reporter: Reporter) -> list[Answer]:
    def compute() -> list[dict[str, Any]]:
        with reporter.task(question.name, 100, "%") as bar:
            found = write_remotely(
                endpoint,
                [prompt.context for prompt in question.prompts],
                [prompt.stop for prompt in question.prompts],
                question.task.max_new_tokens,
                advance=lambda share: bar.advance(100 * share),
            )
        return [
            asdict(Answer((), (one.tokens,), (), one.text, one.truncated_tokens, one.text is not None)) for one in found
        ]

    key = {
        "endpoint": [endpoint.url, endpoint.model],
        "prompts": prompts_sha256(question.prompts),
        "new_tokens": question.task.max_new_tokens,
    }
    return read_answers(question, units.value(f"task-{question.name}-endpoint", key, compute))


def _settings(endpoint: Endpoint, config: EvaluateConfig) -> Settings:
    return Settings(
        window_tokens=None,
        stride_tokens=None,
        bos_policy=NOT_KNOWN,
        opening=NOT_KNOWN,
        heldout_max_bytes=config.heldout_max_bytes,
        limit=config.limit,
        chat=False,
        backend="endpoint",
        seed=config.seed,
        dtype=NOT_KNOWN,
        device="endpoint",
        device_name=f"{endpoint.model} at {endpoint.url}",
        attention=NOT_KNOWN,
        batch_tokens=None,
        threads=None,
        versions=versions(("eurolm", "sacrebleu")),
    )
