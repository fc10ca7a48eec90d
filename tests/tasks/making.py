"""Tasks made on the spot: a YAML of any kind beside a few items."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from eurolm.tasks.items import Item, items
from eurolm.tasks.load import Task, load_task, read_task

HEAD: dict[str, Any] = {
    "name": "mine",
    "language": "lv",
    "written": "native",
    "made_by": "by hand",
    "license": "CC0-1.0",
    "origins": [{"source": "https://example.org", "commit": "abc", "license": "CC0-1.0"}],
    "source": {"none": "made here"},
    "citations": ["nobody"],
    "baselines": {},
    "context_bytes": 100,
    "reviewed_by": None,
}
KINDS: dict[str, dict[str, Any]] = {
    "minimal_pairs": {
        "fields": {"good": "good", "bad": "bad", "cluster": "doc"},
        "metric": "pair_accuracy",
    },
    "multiple_choice": {
        "fields": {"choices": "choices", "gold": "answer"},
        "metric": "accuracy",
        "templates": {
            "letters": {"formulation": "letters", "prompt": "Q: {{ question }}\n{{ options }}\nA:"},
            "cloze": {"formulation": "cloze", "prompt": "Q: {{ question }}\nA:", "unconditional": "A:"},
        },
    },
    "classification": {
        "fields": {"text": "text", "gold": "label"},
        "metric": "accuracy",
        "labels": {"pos": "labi", "neg": "slikti"},
        "templates": {"plain": {"prompt": "T: {{ text }}\nL:"}},
    },
    "generation": {
        "fields": {"references": "answers"},
        "metric": "exact_match",
        "max_new_tokens": 8,
        "templates": {"plain": {"prompt": "Q: {{ question }}\nA:"}},
    },
    "inflection": {
        "fields": {"id": ["lemma", "feats"], "text": "lemma", "references": "form", "gather": True},
        "metric": "exact_match",
        "words": {"A;B": "ab", "A": "a", "C": "c"},
        "max_new_tokens": 8,
        "templates": {"plain": {"prompt": "{{ lemma }} ({{ feats | named }}):"}},
    },
    "sequence_labelling": {
        "fields": {"tokens": "tokens", "tags": "ner"},
        "metric": "micro_f1",
        "labels": {"PER": "persona", "LOC": "vieta"},
        "no_entities": "nav",
        "max_new_tokens": 32,
        "templates": {"plain": {"prompt": "T: {{ text }}\nE:"}},
    },
}


def make_task(directory: Path, kind: str, content: bytes, name: str = "mine.jsonl", **changes: Any) -> Task:
    """A task of `kind` whose items are `content`; `changes` replace parts of the YAML."""
    (directory / name).write_bytes(content)
    with (directory / "mine.yaml").open("w") as stream:
        YAML().dump({**HEAD, "kind": kind, "items": name, **KINDS[kind], **changes}, stream)
    return read_task(directory / "mine.yaml")


def lines(*records: object) -> bytes:
    """JSON lines."""
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records).encode()


@functools.cache
def carried(name: str) -> tuple[Task, list[Item]]:
    """A carried task and all its items, read once for all tests."""
    task = load_task(name)
    return task, items(task)
