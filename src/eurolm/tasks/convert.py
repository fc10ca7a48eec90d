"""From a public source's own form to the records that eurolm's tasks read: one converter per form.

A converter names the fields it needs; where one is missing or holds something else it stops and says which, because a
guessed answer would be scored in silence. Ids are those of the carried items, so that a result over the full set can
be compared with one over the carried part.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from string import ascii_uppercase
from typing import Any

from eurolm.errors import InputError

Record = dict[str, Any]


@dataclass(frozen=True)
class Row:
    """A row of a hub dataset; every look at a field checks it."""

    values: Mapping[str, Any]
    config: str
    number: int
    place: str
    """Dataset, config, split and number, for messages."""

    def get(self, name: str, kind: type) -> Any:
        """The field `name`. Raises InputError where it is missing or not a `kind`."""
        value = self.values.get(name)
        if not isinstance(value, kind) or isinstance(value, bool):
            raise self.wrong(f"field {name!r} must be {kind.__name__}, not {value!r}")
        return value

    def text(self, name: str) -> str:
        """A string field."""
        return str(self.get(name, str))

    def index(self, name: str, choices: Sequence[Any], first: int = 0) -> int:
        """Place of the right choice, written as a letter or as a number that counts from `first`."""
        value = self.values.get(name)
        if isinstance(value, str) and value in ascii_uppercase:
            place = ascii_uppercase.index(value)
        elif isinstance(value, str | int) and not isinstance(value, bool) and str(value).isdigit():
            place = int(value) - first
        else:
            raise self.wrong(f"field {name!r} must name the right choice by letter or number, not {value!r}")
        if not 0 <= place < len(choices):
            raise self.wrong(f"field {name!r} = {value!r} is none of its {len(choices)} choices")
        return place

    def wrong(self, said: str) -> InputError:
        """The error for a row of another form."""
        return InputError(
            f"{self.place}: {said}. Its fields: {', '.join(self.values)}. The dataset has another form than eurolm "
            "knows: pin an older revision, or convert it yourself and give the file with --items."
        )


def belebele(row: Row) -> Record:
    """Belebele: a FLORES passage, a question, four answers counted from 1."""
    choices = [row.text(f"mc_answer{place}") for place in range(1, 5)]
    return {
        "id": f"{row.text('link')}#{row.get('question_number', int)}",
        "doc": row.text("link"),
        "passage": row.text("flores_passage"),
        "question": row.text("question"),
        "choices": choices,
        "answer": row.index("correct_answer_num", choices, first=1),
    }


def multiblimp(row: Row) -> Record:
    """MultiBLiMP: a sentence and the same with one word in the wrong form."""
    return {"id": f"multiblimp/{row.config}/{row.number}", "good": row.text("sen"), "bad": row.text("wrong_sen")}


def four_options(row: Row) -> Record:
    """INCLUDE and Global-MMLU: options in fields of their own."""
    choices = [row.text(f"option_{letter}") for letter in "abcd"]
    group = row.values.get("subject") or row.values.get("domain")
    return _question(row, row.text("question"), choices, row.index("answer", choices), str(group or row.config))


def choice_list(row: Row) -> Record:
    """MMLU of EU20: a list of choices; the subject is the beginning of the id."""
    choices, subject = row.get("choices", list), str(row.values.get("id")).partition("/")[0]
    return _question(row, row.text("question"), choices, row.index("answer", choices), subject)


def arc(row: Row) -> Record:
    """ARC: choices with labels of their own, letters or numbers."""
    choices = row.get("choices", dict)
    texts, labels, key = choices.get("text"), choices.get("label"), row.text("answerKey")
    if not isinstance(texts, list) or not isinstance(labels, list) or key not in labels:
        raise row.wrong(f"answerKey {key!r} is no label of 'choices', which must hold lists 'text' and 'label'")
    return _question(row, row.text("question"), texts, labels.index(key), row.config)


def hellaswag(row: Row) -> Record:
    """HellaSwag: a context and four ways it may go on."""
    endings = row.get("endings", list)
    return _question(
        row, row.text("ctx"), endings, row.index("label", endings), str(row.values.get("activity_label") or "")
    )


def truthfulqa(row: Row) -> Record:
    """TruthfulQA, mc1: exactly one of the choices is true. It stands first there, so letters would give it away."""
    targets = row.get("mc1_targets", dict)
    choices, labels = targets.get("choices"), targets.get("labels")
    if not isinstance(choices, list) or not isinstance(labels, list) or labels.count(1) != 1:
        raise row.wrong("'mc1_targets' must hold lists 'choices' and 'labels' with one 1")
    return _question(row, row.text("question"), choices, labels.index(1), "")


def gsm8k(row: Row) -> Record:
    """GSM8K: the number after #### is the answer."""
    solution, mark, number = row.text("answer").rpartition("####")
    if not mark:
        raise row.wrong("'answer' must end with #### and a number")
    answer = number.strip().replace(",", "")
    return {"id": _id(row), "question": row.text("question"), "solution": solution.strip(), "answer": answer}


def reading(row: Row) -> Record:
    """MultiWikiQA, in the form of SQuAD."""
    answers = row.get("answers", dict).get("text")
    if not isinstance(answers, list) or not answers:
        raise row.wrong("'answers' must hold a list 'text' with an answer")
    return {"id": _id(row), "passage": row.text("context"), "question": row.text("question"), "answers": answers}


def winogrande(row: Row) -> Record:
    """WinoGrande as pairs: the sentence with the right and with the wrong option in the gap.

    Where the field `answer` is empty, as in the test split, the last sign of `qID` holds it (EuroEval's converter).
    """
    sentence, options = row.text("sentence"), (row.text("option1"), row.text("option2"))
    answer = row.values.get("answer") or row.text("qID")[-1:]
    if sentence.count("_") != 1 or answer not in ("1", "2"):
        raise row.wrong(f"'sentence' must hold one gap _ and the answer be 1 or 2, not {answer!r}")
    good, bad = options if answer == "1" else options[::-1]
    return {"id": row.text("qID"), "good": sentence.replace("_", good), "bad": sentence.replace("_", bad)}


def taltech(row: Row) -> Record:
    """trivia_et and exam_et of TalTech: fields in Estonian, the answer counted from 0."""
    choices = row.get("vastusevariandid", list)
    return _question(row, row.text("küsimus"), choices, row.index("vastus", choices), row.config)


def _question(row: Row, question: str, choices: Sequence[Any], answer: int, group: str) -> Record:
    return {"id": _id(row), "question": question, "choices": list(choices), "answer": answer, "group": group or "-"}


def _id(row: Row) -> str:
    """The row's own id where it has one, with its config, which alone does not repeat."""
    own = next(
        (row.values[name] for name in ("id", "sample_id", "ind") if row.values.get(name) is not None), row.number
    )
    return f"{row.config}/{own}"


ROWS: dict[str, Callable[[Row], Record]] = {
    "arc": arc,
    "belebele": belebele,
    "choice_list": choice_list,
    "four_options": four_options,
    "gsm8k": gsm8k,
    "hellaswag": hellaswag,
    "multiblimp": multiblimp,
    "reading": reading,
    "taltech": taltech,
    "truthfulqa": truthfulqa,
    "winogrande": winogrande,
}
"""Converters of hub datasets, by the name in `source.hub.convert`."""


def converted(rows: Iterator[Row], convert: str) -> Iterator[Record]:
    """Records of all rows. Raises InputError for an unknown converter or a row of another form."""
    if convert not in ROWS:
        raise InputError(f"source.hub.convert = {convert!r} is no converter. There are: {', '.join(ROWS)}.")
    return (ROWS[convert](row) for row in rows)
