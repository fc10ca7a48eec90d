"""What answers earn, by hand: every kind of task, its baselines, and what is left out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

from eurolm.evaluate.answers import Answer
from eurolm.evaluate.baselines import scores
from eurolm.evaluate.calibration import calibration
from eurolm.evaluate.judge import Judged, judge
from eurolm.evaluate.measures import figure, value_of
from eurolm.evaluate.translation import counts
from eurolm.tasks.items import Item, items
from eurolm.tasks.load import Task, load_task
from eurolm.tasks.prompts import prompts


def chosen(*bits: float, tokens: tuple[int, ...] = (), alone: tuple[float, ...] = ()) -> Answer:
    return Answer(bits, tokens or (3,) * len(bits), alone, None, 0, True)


def wrote(text: str) -> Answer:
    return Answer((), (4,), (), text, 0, True)


def of(name: str, answers: list[Answer], template: str = "", **changes: Any) -> tuple[Task, list[Item], Judged]:
    task = load_task(name)
    template = template or task.default_template
    found = items(task)[: len(answers)]
    return task, found, judge(task, template, prompts(task, found, template), answers)


def values(judged: Judged) -> dict[str, float | None]:
    return {name: figure(measure, judged.clusters).value for name, measure in judged.measures.items()}


def test_pairs() -> None:
    task = load_task("scala-lv")
    pairs = [("aaaa", "bbbb"), ("aaaa", "bbbb"), ("aaaa", "bbbb"), ("aaaa", "bb"), ("aa", "bbbbbb")]
    found = [Item(str(place), str(place), choices=pair, gold=0) for place, pair in enumerate(pairs)]
    given = [
        chosen(-10, -12, tokens=(3, 4)),  # right, and one token fewer
        chosen(-10, -9),  # wrong
        chosen(-10, -10),  # tie
        chosen(-10, -9),  # wrong summed, right per byte (−2.5 against −4.5)
        chosen(-10, -12),  # right summed, wrong per byte; the good side is shorter
    ]
    judged = judge(task, "", prompts(task, found), given)
    assert values(judged) == {
        "accuracy_equal_bytes": 0.5, "accuracy": pytest.approx(2.5 / 5), "accuracy_per_byte": pytest.approx(2.5 / 5)
    }  # fmt: skip
    assert (judged.headline, judged.ties) == ("accuracy_equal_bytes", 1)
    first = judge(task, "", prompts(task, found), [chosen(-1, -2)] * 5)
    every = scores(task, found, judged, first, 12.0)
    equal, whole = every["accuracy_equal_bytes"], every["accuracy"]
    assert equal.figure.items == 3 and whole.figure.items == 5
    assert (equal.baselines["shortest"], equal.baselines["longest"]) == (0.5, 0.5)
    assert whole.baselines["shortest"] == pytest.approx((1.5 + 0 + 1) / 5)
    assert whole.baselines["longest"] == pytest.approx((1.5 + 1 + 0) / 5)
    assert equal.baselines["fewest_tokens"] == pytest.approx((1 + 0.5 + 0.5) / 3)
    assert (equal.best_baseline, equal.baselines["untrained"], equal.above_baseline) == ("untrained", 1.0, None)


def test_letters_take_the_most_probable_and_cloze_goes_by_bytes() -> None:
    task, found, judged = of("mmlu-lv", [chosen(-1, -2, -3, -4), chosen(-2, -1, -1, -4)], "burti")
    golds = [item.gold for item in found]
    assert values(judged)["accuracy"] == (float(golds[0] == 0) + float(golds[1] == 1)) / 2
    assert (judged.headline, judged.ties, [one["predicted"] for one in judged.said]) == ("accuracy", 1, [0, 1])
    assert "accuracy_per_byte" not in judged.measures
    _, found, judged = of("mmlu-lv", [chosen(-9, -9, -9, -9, alone=(-9, -8, -7, -1))], "teksts")
    longest = int(np.argmax([len(choice.encode()) for choice in found[0].choices]))
    assert judged.headline == "accuracy_per_byte"
    assert values(judged)["accuracy_per_byte"] == float(found[0].gold == longest)
    assert values(judged)["accuracy_unconditional"] == float(found[0].gold == 0)
    bases = scores(task, found, judged, None, 12.0)["accuracy_per_byte"].baselines
    assert bases["uniform"] == 0.25 and set(bases) == {"uniform", "majority", "shortest", "longest", "fewest_tokens"}


def test_macro_f1_is_scikit_learns() -> None:
    task = load_task("sib200-lv")
    found = items(task)[:40]
    generator = np.random.default_rng(3)
    bits = [tuple(generator.normal(size=len(task.labels)).tolist()) for _ in found]
    judged = judge(task, task.default_template, prompts(task, found), [chosen(*row) for row in bits])
    gold, said = [item.gold for item in found], [int(np.argmax(row)) for row in bits]
    classes = sorted({*gold, *said})
    f1 = [
        2 * sum(a == b == c for a, b in zip(gold, said, strict=True)) / (gold.count(c) + said.count(c)) for c in classes
    ]
    assert values(judged)["macro_f1"] == pytest.approx(np.mean(f1))
    assert judged.headline == "accuracy"


def test_entities_count_with_their_number() -> None:
    task = load_task("estner-v1-et")
    found = [item for item in items(task) if len(item.labels) == 2][:2]
    word = dict(task.labels)
    first, second = found[0].labels
    said = f"{word[first[0]]}: {first[1]}; {word[first[0]]}: {first[1]}; {word[second[0]]}: vale"
    judged = judge(task, task.default_template, prompts(task, found), [wrote(said), wrote(task.no_entities or "")])
    # One of three right, four to find, three said.
    assert values(judged)["micro_f1"] == pytest.approx(2 * 1 / (3 + 4))
    assert values(judged)["precision"] == pytest.approx(1 / 3)
    assert values(judged)["recall"] == pytest.approx(1 / 4)
    assert scores(task, found, judged, None, 12.0)["micro_f1"].baselines == {"nothing": 0.0}


def test_written_answers() -> None:
    task, found, _ = of("inflection-et", [wrote("")] * 3)
    right = found[0].references[0]
    judged = judge(task, task.default_template, prompts(task, found), [wrote(f" {right}\n"), wrote("vale"), wrote("")])
    assert values(judged) == {"exact_match": pytest.approx(1 / 3)}
    task, found, _ = of("flores-en-lv", [wrote("")] * 12)
    given = [item.references[0] if place % 2 else item.text for place, item in enumerate(found)]
    judged = judge(task, task.default_template, prompts(task, found), [wrote(text) for text in given])
    wanted = [[item.references[0] for item in found]]
    assert values(judged)["chrf"] == pytest.approx(CHRF().corpus_score(given, wanted).score / 100)
    assert values(judged)["bleu"] == pytest.approx(BLEU(force=True).corpus_score(given, wanted).score / 100)
    copied = scores(task, found, judged, None, 12.0)["chrf"].baselines["copy"]
    assert copied == pytest.approx(CHRF().corpus_score([item.text for item in found], wanted).score / 100)


@pytest.mark.parametrize("written", [["a"], ["", ""], ["viens divi trīs četri"], ["pavisam cits", "teikums šeit"]])
def test_chrf_and_bleu_are_sacrebleus_at_the_edges(written: list[str]) -> None:
    wanted = ["viens divi trīs četri pieci", "šeit ir teikums"][: len(written)]
    for metric, peer in (("chrf", CHRF()), ("bleu", BLEU(force=True))):
        rows = counts(written, [[text] for text in wanted], metric)
        own = float(value_of(metric)(rows.sum(0)))  # type: ignore[arg-type]
        assert own == pytest.approx(peer.corpus_score(written, [wanted]).score / 100, abs=1e-9)


def test_items_without_a_number_are_left_out_of_everything() -> None:
    task = load_task("mmlu-lv")
    found = items(task)[:2]
    broken = Answer((-1.0,), (1, 1, 1, 1), (), None, 0, False)
    judged = judge(task, "burti", prompts(task, found, "burti"), [broken, chosen(-1, -2, -3, -4)])
    assert [prompt.item for prompt in judged.prompts] == [found[1].id]
    assert figure(judged.measures["accuracy"], judged.clusters).items == 1


def test_calibration_by_hand() -> None:
    # Sure of 0.8 and right, sure of 0.8 and wrong: accuracy 0.5 in one bin.
    found = calibration([[0.0, -2.0], [-2.0, 0.0]], [0, 0])
    assert found is not None and found.ece == pytest.approx(0.3)
    assert found.bins == [{"confidence": pytest.approx(0.8), "accuracy": 0.5, "items": 2.0}]
    assert calibration([], []) is None
