"""Tasks as files that lm-evaluation-harness (0.4.13) runs unchanged and offline: `NAME.yaml` beside `NAME.jsonl`.

Prompts are written out, examples included, so both sides score the same strings: `context` and `choices` are columns,
joined by the space that the choices begin with, and `num_fewshot` stays 0. Paths in the YAML are relative: run
`lm_eval` in the directory of the files. Its `acc` is eurolm's accuracy by summed log-probability, `acc_bytes` that by
byte.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eurolm.artifacts.atomic import write_text
from eurolm.tasks import entities
from eurolm.tasks.items import Item, items_sha256
from eurolm.tasks.load import Task
from eurolm.tasks.prompts import Prompt, prompts

METRICS_FILE = "eurolm_entities.py"


@dataclass(frozen=True)
class Exported:
    """A task as lm-evaluation-harness knows it."""

    name: str
    """What `--tasks` takes: the task's name, with the template's name where that is not the task's first."""
    description: Path
    data: Path
    items: int
    is_text: bool
    """It scores whole texts; the harness is to be told `add_bos_token=False` then, because it puts BOS before them."""


def export_task(
    directory: Path,
    task: Task,
    found: Sequence[Item],
    template: str = "",
    shots: int = 0,
    seed: int = 1,
    pool: Sequence[Item] | None = None,
) -> Exported:
    """Write the items `found` in the words of `template` into `directory`; arguments as in `prompts`.

    Raises ConfigError as `prompts` does.
    """
    chosen = template or task.default_template
    name = task.name if chosen == task.default_template else f"{task.name}-{chosen}"
    made_with = {"template": chosen, "shots": shots, "seed": seed}
    return export_prompts(directory, task, name, prompts(task, found, chosen, shots, seed, pool), made_with)


def export_prompts(
    directory: Path, task: Task, name: str, found: Sequence[Prompt], made_with: dict[str, Any]
) -> Exported:
    """Write prompts of `task` as the harness's task `name`; `made_with` is what its metadata say of them."""
    data, description = directory / f"{name}.jsonl", directory / f"{name}.yaml"
    delimiter = _delimiter(found)
    rows = [_row(task, prompt, delimiter) for prompt in found]
    write_text(data, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    metadata = {"task": task.name, **made_with, "items": items_sha256(task)}
    write_text(description, _description(task, name, data.name, delimiter, metadata))
    if task.kind == "sequence_labelling":
        write_text(directory / METRICS_FILE, Path(entities.__file__).read_text(encoding="utf-8"))
    return Exported(name, description, data, len(rows), task.kind == "bits_per_byte")


def _delimiter(found: Sequence[Prompt]) -> str:
    """The space that all choices begin with: in the harness it stands by itself, so that `acc_bytes` leaves it out."""
    choices = [choice for prompt in found for choice in prompt.choices]
    return " " if choices and all(choice.startswith(" ") for choice in choices) else ""


def _row(task: Task, prompt: Prompt, delimiter: str) -> dict[str, Any]:
    row: dict[str, Any] = {"id": prompt.item, "cluster": prompt.cluster, "context": prompt.context}
    match task.kind:
        case "minimal_pairs" | "multiple_choice" | "classification":
            choices = [choice.removeprefix(delimiter) for choice in prompt.choices]
            return row | {"choices": choices, "gold": prompt.gold}
        case "bits_per_byte":
            return row | {"text": prompt.choices[0]}
        case "translation":
            return row | {"reference": prompt.references[0]}
        case "sequence_labelling":
            words = [list(pair) for pair in task.labels.items()]
            labels = [list(pair) for pair in prompt.labels]
            return row | {"entities": labels, "words": words, "no_entities": task.no_entities}
        case _:
            return row | {"references": list(prompt.references)}


def _description(task: Task, name: str, data: str, delimiter: str, made_with: dict[str, Any]) -> str:
    """The YAML: JSON values, which YAML is a superset of, and the tags of lm-evaluation-harness for functions."""
    parts: dict[str, Any] = {
        "task": name,
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": data}},
        "test_split": "test",
        "num_fewshot": 0,
        "doc_to_text": "context",
        "target_delimiter": delimiter,
        **_output(task),
        "metadata": {"version": 1, "eurolm": made_with},
    }
    lines = [f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in parts.items()]
    if task.kind == "sequence_labelling":
        module = METRICS_FILE.removesuffix(".py")
        lines += [
            f"process_results: !function {module}.process_results",
            f"metric_list: [{{metric: micro_f1, aggregation: !function {module}.micro_f1, higher_is_better: true}}]",
        ]
    return "\n".join(lines) + "\n"


def _output(task: Task) -> dict[str, Any]:
    match task.kind:
        case "minimal_pairs" | "multiple_choice" | "classification":
            names = ("acc", "acc_norm", "acc_bytes")
            target: dict[str, Any] = {"doc_to_choice": "choices", "doc_to_target": "gold"}
            return {"output_type": "multiple_choice", **target, "metric_list": [_metric(name) for name in names]}
        case "bits_per_byte":
            metric = {"metric": "bits_per_byte", "aggregation": "bits_per_byte", "higher_is_better": False}
            # lm-evaluation-harness asks for no context here; the column holds "".
            return {"output_type": "loglikelihood_rolling", "doc_to_target": "text", "metric_list": [metric]}
    generation = {
        "output_type": "generate_until",
        "generation_kwargs": {"until": list(task.stop), "max_gen_toks": task.max_new_tokens, "do_sample": False},
        "filter_list": [{"name": "strip", "filter": [{"function": "remove_whitespace"}, {"function": "take_first"}]}],
    }
    match task.kind:
        case "sequence_labelling":
            return generation | {"doc_to_target": "no_entities"}
        case "translation":
            metrics = [{"metric": name, "aggregation": name, "higher_is_better": True} for name in ("chrf", "bleu")]
            return generation | {"doc_to_target": "reference", "metric_list": metrics}
        case _:
            return generation | {"doc_to_target": "references", "metric_list": [_metric(task.metric)]}


def _metric(name: str) -> dict[str, Any]:
    return {"metric": name, "aggregation": "mean", "higher_is_better": True}
