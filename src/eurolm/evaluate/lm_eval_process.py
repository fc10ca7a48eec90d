"""The process that holds lm-evaluation-harness: `python -m eurolm.evaluate.lm_eval_process JOB ANSWERS`.

Started by evaluate/lm_eval.py, which sets the environment that keeps it offline.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

from eurolm.artifacts.atomic import read_json, write_json


def main(job_file: Path, answers_file: Path) -> None:
    """Run the job and write, per task, the harness's figures and its answers per item."""
    from lm_eval.models.huggingface import HFLM

    job = read_json(job_file)
    model: Any = HFLM(
        pretrained=job["model"],
        dtype=job["dtype"],
        device=job["device"],
        batch_size=job["batch_size"],
        trust_remote_code=False,
        # As eurolm's own scorer. Without the second, log-probabilities of a bf16 model are rounded to bf16.
        attn_implementation="sdpa",
        softmax_dtype="float32",
    )
    found: dict[str, Any] = {}
    for text in (False, True):
        # The harness puts BOS before whole texts itself, and a tokenizer that adds one would double and score it.
        model.add_bos_token = False if text else None
        found |= _answers(model, job, [task for task in job["tasks"] if (task in job["texts"]) is text])
    write_json(answers_file, found)


def _answers(model: Any, job: dict[str, Any], tasks: list[str]) -> dict[str, Any]:
    """Figures and items of each task."""
    from lm_eval import simple_evaluate
    from lm_eval.tasks import TaskManager

    if not tasks:
        return {}
    results: Any = simple_evaluate(
        model=model,
        tasks=tasks,
        task_manager=TaskManager(include_path=job["tasks_dir"], include_defaults=False),
        limit=job["limit"],
        bootstrap_iters=0,
        log_samples=True,
    )
    return {
        task: {"metrics": _figures(results["results"][task]), "items": list(map(_item, results["samples"][task]))}
        for task in tasks
    }


def _figures(found: dict[str, Any]) -> dict[str, float | None]:
    """`acc,none` → `acc`; what is not a finite number is null."""
    return {
        key.partition(",")[0]: float(value) if isinstance(value, int | float) and math.isfinite(value) else None
        for key, value in found.items()
        if "," in key
    }


def _item(sample: dict[str, Any]) -> dict[str, Any]:
    answers = [response[0] for response in sample["resps"]]
    scored = [answer for answer in answers if isinstance(answer, list | tuple)]
    numbers = [answer for answer in answers if isinstance(answer, float)]
    texts = [answer for answer in answers if isinstance(answer, str)]
    return {
        "document": sample["doc"],
        "log_probabilities": [
            float(value) if math.isfinite(value) else None for value in [*(answer[0] for answer in scored), *numbers]
        ],
        "greedy": [bool(answer[1]) for answer in scored],
        "text": texts[0] if texts else None,
        "metrics": {
            name: float(sample[name])
            for name in sample["metrics"]
            if isinstance(sample.get(name), int | float) and math.isfinite(sample[name])
        },
    }


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
