"""Exports: lm-evaluation-harness itself runs every one of them, offline, and counts what eurolm counts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.tasks.making import carried

from eurolm.tasks.baselines import baselines
from eurolm.tasks.examples import limited
from eurolm.tasks.export import export_task
from eurolm.tasks.load import task_names

ITEMS = 12


@pytest.fixture(scope="module")
def scores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, dict[str, Any]]]:
    """Results of a model that finds short strings probable and writes the right answer."""
    pytest.importorskip("lm_eval")
    from lm_eval import simple_evaluate
    from lm_eval.api.model import LM
    from lm_eval.tasks import TaskManager

    class Short(LM):
        def loglikelihood(self, requests: list[Any], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
            return [(-float(len(request.args[1].encode())), False) for request in requests]

        def loglikelihood_rolling(self, requests: list[Any], disable_tqdm: bool = False) -> list[float]:
            return [-float(len(request.args[0].encode())) for request in requests]

        def generate_until(self, requests: list[Any], disable_tqdm: bool = False) -> list[str]:
            return [f" {right(request.doc)}\n" for request in requests]

    directory = tmp_path_factory.mktemp("export")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HUB_OFFLINE", "1")
        patch.setenv("HF_DATASETS_OFFLINE", "1")
        patch.setenv("HF_DATASETS_CACHE", str(directory / "cache"))
        names = []
        for name in task_names():
            task, found = carried(name)
            for template in task.templates or [""]:
                names.append(export_task(directory, task, limited(found, ITEMS), template, 1, 1, found).name)
        patch.chdir(directory)
        manager = TaskManager(include_path=".", include_defaults=False)
        results = simple_evaluate(Short(), tasks=names, task_manager=manager, bootstrap_iters=0)
    assert set(results["results"]) == set(names)
    yield results["results"]


def right(doc: dict[str, Any]) -> str:
    if "entities" in doc:
        words = dict(doc["words"])
        return "; ".join(f"{words[label]}: {text}" for label, text in doc["entities"]) or doc["no_entities"]
    return doc.get("reference") or doc["references"][-1]


@pytest.mark.parametrize("name", task_names())
def test_lm_evaluation_harness_counts_what_eurolm_counts(name: str, scores: dict[str, dict[str, Any]]) -> None:
    task, every = carried(name)
    found = limited(every, ITEMS)
    exports = [found_name for found_name in scores if found_name == name or found_name.startswith(f"{name}-")]
    assert len([entry for entry in exports if entry.removeprefix(name)[1:] in ("", *task.templates)]) == max(
        1, len(task.templates)
    )
    score = scores[name]
    assert score["sample_len"] == len(found)
    match task.kind:
        case "minimal_pairs":
            # A tie goes to the first choice there, which is always the good one.
            sides = [(len(item.good.encode()), len(item.bad.encode())) for item in found]
            assert score["acc,none"] == pytest.approx(sum(good <= bad for good, bad in sides) / len(sides))
        case "classification":
            least = min(range(len(task.labels)), key=lambda place: len(list(task.labels.values())[place].encode()))
            assert score["acc,none"] == pytest.approx(sum(item.gold == least for item in found) / len(found))
        case "multiple_choice" if task.templates[task.default_template].formulation == "cloze":
            sizes = [[len(choice.encode()) for choice in item.choices] for item in found]
            points = [size.index(min(size)) == item.gold for size, item in zip(sizes, found, strict=True)]
            assert score["acc,none"] == pytest.approx(sum(points) / len(points))
            # -(bytes + 1) over the bytes, the delimiter's left out, is greatest for the longest choice.
            longest = [size.index(max(size)) == item.gold for size, item in zip(sizes, found, strict=True)]
            assert score["acc_bytes,none"] == pytest.approx(sum(longest) / len(longest))
        case "multiple_choice":
            assert score["acc,none"] == pytest.approx(sum(item.gold == 0 for item in found) / len(found))
        case "bits_per_byte":
            assert score["bits_per_byte,none"] == pytest.approx(1.4426950408889634)
        case "translation":
            assert [score["chrf,strip"], score["bleu,strip"]] == pytest.approx([100, 100])
        case "sequence_labelling":
            assert score["micro_f1,strip"] == 1.0
        case "inflection":
            assert score["exact_match,strip"] == 1.0 and baselines(task, found).copied is not None
