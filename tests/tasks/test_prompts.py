"""Prompts: exactly what a model is shown, in every kind; examples, rotations and limits that never change."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from tests.tasks.making import carried, lines, make_task

from eurolm.errors import ConfigError
from eurolm.tasks.description import WITHOUT_PROMPT, WRITTEN_BY_MODEL
from eurolm.tasks.examples import limited
from eurolm.tasks.items import items
from eurolm.tasks.load import task_names
from eurolm.tasks.prompts import Turn, prompts

QUESTIONS = [
    {"id": str(place), "question": f"Cik ir {place}?", "choices": ["nulle", "viens", "divi"], "answer": place % 3}
    for place in range(6)
]


@pytest.mark.parametrize(
    ("name", "context", "choices", "gold"),
    [
        (
            "copa-lv",
            "Ceļinieki sasniedza robežu, tāpēc",
            (" robežsargs pārbaudīja viņu pases.", " robežsargs viņus apsūdzēja kontrabandas pārvadāšanā."),
            0,
        ),
        ("xcopa-et", "Ese oli mullikilesse mässitud, sest", (" see oli õrn.", " see oli väike."), 0),
        (
            "mmlu-lv",
            "Jautājums: Atrodiet pakāpi dotajam lauka paplašinājumam Q(sqrt(2), sqrt(3), sqrt(18)) virs Q.\n"
            "A. 0\nB. 4\nC. 2\nD. 6\nAtbilde:",
            (" A", " B", " C", " D"),
            1,
        ),
    ],
)
def test_a_choice_is_asked_for_as_a_speaker_would(name: str, context: str, choices: tuple[str], gold: int) -> None:
    task, found = carried(name)
    prompt = prompts(task, found[:1])[0]
    assert (prompt.context, prompt.choices, prompt.gold) == (context, choices, gold)


def test_forms_are_asked_for_by_the_words_of_grammar() -> None:
    task, found = carried("inflection-et")
    asked = {prompt.item: prompt for prompt in prompts(task, found[:2000])}
    prompt = asked["haarama/V;ACT;PRS;PRF;POS;IND;2;PL"]
    assert prompt.context == (
        "Sõna: haarama\nVorm: tegusõna, isikuline tegumood, täisminevik, jaatav kõne, kindel kõneviis, "
        "mitmuse 2. pööre\nSõnavorm:"
    )
    assert prompt.references == ("olete haaranud",)
    for prompt in asked.values():
        assert not any(sign in prompt.context.split("Vorm:")[1] for sign in ";+"), prompt.context
    task, found = carried("derivation-lv")
    assert "lietvārds → lietvārds" in prompts(task, found[:3])[2].context


@pytest.mark.parametrize("name", task_names())
def test_the_strings_of_every_prompt_fit_together(name: str) -> None:
    task, every = carried(name)
    found = limited(every, 50)
    for template in task.templates or [""]:
        for prompt in prompts(task, found, template, shots=2 if task.templates else 0):
            assert prompt.context == prompt.context.rstrip()
            if task.kind in WITHOUT_PROMPT:
                assert prompt.context == "" and prompt.turns == ()
            else:
                assert prompt.turns[-1].role == "user" and prompt.context.endswith(prompt.turns[-1].content)
            if task.kind in WRITTEN_BY_MODEL:
                assert prompt.references and not prompt.choices and prompt.max_new_tokens
                assert not any(stop in answer for answer in prompt.references for stop in prompt.stop)
            elif task.kind != "bits_per_byte":
                assert prompt.gold is not None and len(set(prompt.choices)) >= 2
                assert all(choice.strip() for choice in prompt.choices)


def test_examples_stand_before_the_question_with_their_answers(tmp_path: Path) -> None:
    task = make_task(tmp_path, "multiple_choice", lines(*QUESTIONS))
    found = items(task)
    prompt = prompts(task, found, "cloze", shots=2, seed=3)[0]
    blocks = prompt.context.split("\n\n")
    assert len(blocks) == 3 and blocks[2] == "Q: Cik ir 0?\nA:"
    for block in blocks[:2]:
        number = int(block.split("Cik ir ")[1].split("?")[0])
        assert number != 0
        assert block.endswith(f"A: {('nulle', 'viens', 'divi')[number % 3]}")
    assert prompt.unconditional == "A:"
    assert prompt.turns == (
        Turn("user", blocks[0].rpartition(" ")[0]),
        Turn("assistant", blocks[0].rpartition(" ")[2]),
        Turn("user", blocks[1].rpartition(" ")[0]),
        Turn("assistant", blocks[1].rpartition(" ")[2]),
        Turn("user", blocks[2]),
    )


def test_examples_are_the_same_for_a_seed_and_never_of_the_same_document() -> None:
    task, found = carried("fullstack-ner-lv")
    first = [prompt.context for prompt in prompts(task, found, shots=3, seed=7)]
    assert first == [prompt.context for prompt in prompts(task, found[::-1], shots=3, seed=7)][::-1]
    assert first != [prompt.context for prompt in prompts(task, found, shots=3, seed=8)]
    beginnings = Counter(context.rpartition("\n\n")[0] for context in first)
    assert len(beginnings) <= 4
    texts: dict[str, set[str]] = {}
    for item in found:
        texts.setdefault(item.cluster, set()).add(item.text)
    for item, context in zip(found, first, strict=True):
        shown = {block.split("\n")[0].removeprefix("Teksts: ") for block in context.split("\n\n")[1:-1]}
        assert len(shown) == 3 and not shown & texts[item.cluster]


def test_some_items_are_asked_as_all_are() -> None:
    task, found = carried("sib200-et")
    some = limited(found, 20)
    every = {prompt.item: prompt for prompt in prompts(task, found, shots=4)}
    assert prompts(task, some, shots=4, pool=found) == [every[item.id] for item in some]


def test_a_limit_takes_the_same_items_wherever_they_stand_and_grows_by_adding() -> None:
    found = carried("mmlu-lv")[1]
    some, more = limited(found, 100), limited(found, 200)
    assert [item.id for item in limited(found[::-1], 100)] == [item.id for item in some][::-1]
    assert {item.id for item in some} < {item.id for item in more}
    assert len({item.group for item in some}) > 25
    assert limited(found, None) == limited(found, 10**6) == found


def test_over_all_rotations_a_constant_letter_is_right_in_one_of_k() -> None:
    task, every = carried("mmlu-lv")
    found = limited(every, 200)
    for letter in range(4):
        right = sum(prompt.gold == letter for turn in range(4) for prompt in prompts(task, found, rotation=turn))
        assert right == len(found)


def test_a_rotation_moves_options_and_gold_together_and_leaves_examples_alone(tmp_path: Path) -> None:
    task = make_task(tmp_path, "multiple_choice", lines(*QUESTIONS))
    found = items(task)
    plain, turned = (prompts(task, found, "letters", shots=1, rotation=turn)[1] for turn in (0, 1))
    assert plain.context.split("\n\n")[0] == turned.context.split("\n\n")[0]
    assert "A. viens\nB. divi\nC. nulle" in turned.context.split("\n\n")[1]
    assert (plain.gold, turned.gold) == (1, 0)
    cloze = prompts(task, found, "cloze", rotation=2)[1]
    assert cloze.choices[cloze.gold or 0] == " viens"


def test_too_few_examples_are_refused(tmp_path: Path) -> None:
    task = make_task(tmp_path, "multiple_choice", lines(*QUESTIONS))
    with pytest.raises(ConfigError, match=r"has 6 items, too few for 6 examples .* Ask for 5 or fewer"):
        prompts(task, items(task), shots=6)


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        ("{{ nothing }}:", "template bad, prompt, item '0': 'nothing' is undefined"),
        ("{{ question }", "template bad, prompt: not a Jinja template"),
        ("{{ question }}: ", "the prompt of item '0' ends with white space"),
        ("{{ question.__class__.__mro__ }}:", "unsafe"),
    ],
)
def test_mistakes_in_templates_are_named(tmp_path: Path, prompt: str, said: str) -> None:
    templates = {"bad": {"formulation": "cloze", "prompt": prompt}}
    task = make_task(tmp_path, "multiple_choice", lines(*QUESTIONS), templates=templates)
    with pytest.raises(ConfigError, match=said):
        prompts(task, items(task))


def test_an_unknown_template_is_refused_with_those_there_are() -> None:
    task, found = carried("copa-lv")
    with pytest.raises(ConfigError, match=r"has no template 'letters'. There are: savienojums, jautajums, burti"):
        prompts(task, found[:1], "letters")
