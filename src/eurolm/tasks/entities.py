"""Entities of sequence labelling: read from the data, written as an answer, read from an answer.

An answer is one line: `persona: Jānis Bērziņš; vieta: Rīga`, or the task's word for none. Entities are compared as
(label, text) with their number, so a name that occurs twice must be found twice; where in the text is not asked.

This file imports nothing of eurolm: `eurolm tasks export` copies it beside the files that lm-evaluation-harness reads.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Entities = tuple[tuple[str, str], ...]

BETWEEN, WITHIN = "; ", ": "


def entities_of_tags(tokens: Sequence[str], tags: Any) -> Entities:
    """Entities of BIO tags, tokens joined by a space. I- of another type begins an entity, as in conlleval.

    Raises ValueError for a number of tags other than that of tokens, and for a tag of another form.
    """
    if not isinstance(tags, list) or len(tags) != len(tokens):
        found = len(tags) if isinstance(tags, list) else repr(tags)
        raise ValueError(f"{len(tokens)} tokens need as many tags, not {found}.")
    found_entities: list[tuple[str, list[str]]] = []
    before = "O"
    for token, tag in zip(tokens, tags, strict=True):
        if not isinstance(tag, str) or (tag != "O" and tag[:2] not in ("B-", "I-")) or tag in ("B-", "I-"):
            raise ValueError(f"tag {tag!r} is neither O nor B-TYPE nor I-TYPE.")
        if tag != "O" and (tag[0] == "B" or before == "O" or before[2:] != tag[2:]):
            found_entities.append((tag[2:], [token]))
        elif tag != "O":
            found_entities[-1][1].append(token)
        before = tag
    return tuple((label, " ".join(words)) for label, words in found_entities)


def entities_of_spans(text: str, spans: Any) -> Entities:
    """Entities of `[start, end, type]` in characters, in the order of the text.

    White space within them becomes single spaces. Raises ValueError for anything that is no such list or does not lie
    within the text.
    """
    if not isinstance(spans, list):
        raise ValueError(f"spans must be a list, not {spans!r}.")
    found = []
    for span in spans:
        match span:
            case [int(start), int(end), str(label)] if 0 <= start < end <= len(text) and text[start:end].strip():
                found.append((start, end, label))
            case _:
                raise ValueError(f"span {span!r} is no [start, end, type] within the text of {len(text)} characters.")
    return tuple((label, " ".join(text[start:end].split())) for start, end, label in sorted(found))


def as_answer(entities: Entities, words: Mapping[str, str], nothing: str) -> str:
    """The entities as a model is to write them; `words` names labels in its language, others stand as they are."""
    return BETWEEN.join(f"{words.get(label, label)}{WITHIN}{text}" for label, text in entities) or nothing


def from_answer(answer: str, words: Mapping[str, str], nothing: str) -> Entities:
    """The entities of the first line of an answer, case of labels and spacing apart.

    A part that names no label of `words` keeps what it says, and so counts as one entity too many; a part without a
    colon says nothing.
    """
    labels = {word.casefold(): label for label, word in words.items()}
    line = answer.strip().split("\n", 1)[0]
    found = []
    for part in line.split(BETWEEN.strip()) if line.casefold() != nothing.casefold() else ():
        word, colon, text = part.partition(WITHIN.strip())
        if colon and text.strip():
            found.append((labels.get(word.strip().casefold(), word.strip()), " ".join(text.split())))
    return tuple(found)


Counts = tuple[int, int, int]
"""Entities found rightly, found though not there, and missed."""


def counted(gold: Entities, found: Entities) -> Counts:
    """How many of the entities of one item were found, by label and text."""
    wanted, named = Counter(gold), Counter(found)
    right = sum((wanted & named).values())
    return right, named.total() - right, wanted.total() - right


def micro_f1(counts: Iterable[Counts]) -> float:
    """Micro-F1 over items; 0 where there was neither anything to find nor anything named."""
    right, wrong, missed = (sum(column) for column in zip(*counts, strict=True))
    return 2 * right / (2 * right + wrong + missed) if right else 0.0


def process_results(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, Counts]:
    """What lm-evaluation-harness calls for an item of an export; it aggregates by `micro_f1`."""
    words = {str(label): str(word) for label, word in doc["words"]}
    gold = tuple((label, text) for label, text in doc["entities"])
    return {"micro_f1": counted(gold, from_answer(results[0], words, doc["no_entities"]))}
