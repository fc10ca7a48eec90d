"""The text of a tokenizer trial: how much is trained on, what is held out, and in which rows every model reads it.

Rows are cut by bytes before any tokenizer sees them, so that each model reads the same text with the same context.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from eurolm.errors import ConfigError, InputError
from eurolm.evaluate.training_text import training_text
from eurolm.tokenizer.scoring.texts import MAX_BYTES, Texts

ROW_BYTES = 512
HELDOUT_EVERY = 10
"""Of text without training documents every tenth group is held out."""
HELDOUT_BYTES = 100_000
"""Per language; enough for intervals of about one percent."""
UNITS = {"s": 1, "m": 60, "h": 3600, "kB": 1000, "MB": 1_000_000}


@dataclass(frozen=True)
class Budget:
    """Seconds per tokenizer, or bytes of training text."""

    amount: float
    in_bytes: bool


@dataclass(frozen=True)
class TrialText:
    """One language: documents to train on, and held-out documents with their groups."""

    training: list[str]
    heldout: list[str]
    groups: list[str]


def parse_budget(given: str) -> Budget:
    """`90s`, `5m`, `1h` of training per tokenizer, or `500kB`, `4MB` of text. Raises ConfigError."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(s|m|h|kB|MB)", given)
    if not found or float(found[1]) <= 0:
        raise ConfigError(f"--train {given}: give a time per tokenizer (90s, 5m, 1h) or an amount of text (4MB).")
    return Budget(float(found[1]) * UNITS[found[2]], found[2].endswith("B"))


def trial_text(given: Sequence[str], read: dict[str, Texts]) -> dict[str, TrialText]:
    """Text per language: of a corpus or run its training documents, held-out ones as read; of other files every tenth
    group held out. Raises InputError for a language of fewer than two groups without training documents."""
    places = [Path(one.rpartition("=")[2]) for one in given]
    corpora = [place for path in places for place in (path, path / "corpus") if (place / "documents").is_dir()]
    found: dict[str, TrialText] = {}
    for code, texts in read.items():
        training = [text for corpus in corpora for text in training_text(corpus, code, MAX_BYTES)[0]]
        groups = sorted(set(texts.groups), key=lambda group: hashlib.sha256(group.encode()).digest())
        held = set(groups) if training else set(groups[::HELDOUT_EVERY])
        if not training and len(groups) < 2:
            raise InputError(f"--train: the {code} text is a single document. Give more: some is held out.")
        pairs = list(zip(texts.texts, texts.groups, strict=True))
        training = training or [text for text, group in pairs if group not in held]
        kept, room = [], HELDOUT_BYTES
        for text, group in pairs:
            if group in held and room > 0:
                kept.append((text, group))
                room -= len(text.encode())
        found[code] = TrialText(training, [text for text, _ in kept], [group for _, group in kept])
    return found


def chunks(texts: Sequence[str]) -> list[str]:
    """The texts in pieces of at most `ROW_BYTES`, cut before white space where a word allows; joined, the texts."""
    pieces: list[str] = []
    for text in texts:
        size = ROW_BYTES
        for word in re.findall(r"\s{0,28}\S{1,100}|\s{1,128}", text):
            size += len(word.encode())
            if size > ROW_BYTES:
                pieces.append("")
                size = len(word.encode())
            pieces[-1] += word
    return pieces


def mixed(by_language: dict[str, list[str]], seed: int) -> list[str]:
    """Languages in turn, each in an order of its own, until the shortest is used up: equal shares."""
    generator = np.random.default_rng(seed)
    orders = [[rows[place] for place in generator.permutation(len(rows))] for rows in by_language.values()]
    return [row for together in zip(*orders, strict=False) for row in together]
