"""The last change to a text before it is written: paragraphs that must not be trained on leave it.

A paragraph goes when an evaluation item or a window of held-out text touches it, when it is boilerplate, or when it is
in a foreign language. Removal brings neighbours together, so what changed is searched again until nothing is found. A
document that loses too much to evaluation items goes whole: what is left would still be about them. Held-out
documents stay as they are, because their windows are known to every worker already; the items in them are listed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import polars as pl

from eurolm.config.corpus import CorpusConfig
from eurolm.corpus.boilerplate import line_hashes
from eurolm.corpus.contamination.heldout_windows import HeldoutIndex
from eurolm.corpus.contamination.items import ItemIndex
from eurolm.corpus.paragraphs import kept_lines, touched
from eurolm.corpus.text.words import Ints, UInts, Words, words_of

RULES = {
    "evaluation_item": "contaminated",
    "heldout_window": "heldout_window",
    "boilerplate": "boilerplate",
    "foreign": "foreign",
}
"""Cause of a removed paragraph, the first that applies → rule that drops a document of which too little is left."""
REMOVED, DROPPED, LISTED = "removed", "dropped", "listed"
HIT_SCHEMA = pl.Schema(
    {"document": pl.String(), "task": pl.String(), "item": pl.String(), "paragraph": pl.Int64(), "outcome": pl.String()}
)
"""One row per paragraph that an item touches. `paragraph`: number of the line in the text as it was read, from 0;
`outcome`: `removed`, `dropped` (the whole document) or `listed` (held-out)."""


@dataclass(frozen=True)
class Unwanted:
    """What a worker loads once: items, held-out windows, sorted hashes of boilerplate; null or empty is not sought."""

    items: ItemIndex | None = None
    heldout: HeldoutIndex | None = None
    boilerplate: UInts = field(default_factory=lambda: np.zeros(0, np.uint64))


@dataclass(frozen=True)
class Cleaned:
    """`texts` and `verdicts` have a row per document of the batch, in order; a dropped document's text is what was
    left. `verdicts`: `rule` (null: kept), `value`, and `<cause>_paragraphs`, `<cause>_characters` (Int64) per cause of
    `RULES`. `hits` has `HIT_SCHEMA`."""

    texts: pl.Series
    verdicts: pl.DataFrame
    hits: pl.DataFrame


UNTOUCHED: tuple[str | int | None, ...] = (None, None, *[0] * (2 * len(RULES)))


class Found(NamedTuple):
    """A line (its number) of a text (its place) that should go; `item` is the number of the item, or -1."""

    text: int
    line: int
    cause: str
    item: int


@dataclass
class _Document:
    """Lines as read, and which of them go for which cause."""

    lines: list[str]
    removed: dict[int, str] = field(default_factory=dict)
    hits: set[tuple[int, int]] = field(default_factory=set)
    """(item, line)"""

    def kept(self) -> list[int]:
        return kept_lines(self.lines, self.removed)

    def text(self) -> str:
        return "\n".join(self.lines[number] for number in self.kept())


def clean(frame: pl.DataFrame, config: CorpusConfig, unwanted: Unwanted) -> Cleaned:
    """What is left of a batch of documents.

    `frame` has `id`, `text`, `language`; `heldout` (Boolean) where some are; `foreign` (List of Int64: numbers of the
    lines to remove) where foreign paragraphs go.
    """
    texts = frame["text"].to_list()
    held = frame["heldout"].to_list() if "heldout" in frame.columns else [False] * len(texts)
    changed = _listed(texts, [place for place, one in enumerate(held) if one], unwanted.items)
    training = [place for place, one in enumerate(held) if not one]
    foreign = frame["foreign"].to_list() if "foreign" in frame.columns else [()] * len(texts)
    words_left = _removed(texts, training, changed, unwanted, foreign)
    least = [_min_words(config, one) for one in frame["language"]]
    verdicts = [
        _verdict(changed[place], words_left[place], least[place], config.decontamination.max_removed_share)
        if place in words_left
        else UNTOUCHED
        for place in range(len(texts))
    ]
    rows = [row for place in sorted(changed) for row in _hit_rows(changed[place], verdicts[place], unwanted.items)]
    owners = [frame["id"][place] for place in sorted(changed) for _ in range(len(changed[place].hits))]
    return Cleaned(
        pl.Series("text", [changed[at].text() if at in changed else text for at, text in enumerate(texts)], pl.String),
        pl.DataFrame(verdicts, schema=_verdict_schema(), orient="row"),
        pl.DataFrame([(owner, *row) for owner, row in zip(owners, rows, strict=True)], HIT_SCHEMA, orient="row"),
    )


def _listed(texts: Sequence[str], places: Sequence[int], items: ItemIndex | None) -> dict[int, _Document]:
    """Held-out documents that repeat items, nothing removed."""
    found: dict[int, _Document] = {}
    some = [texts[place] for place in places]
    for hit in _found(some, words_of(pl.Series(some, dtype=pl.String)), Unwanted(items)):
        _document(found, texts, places[hit.text]).hits.add((hit.item, hit.line))
    return found


def _removed(
    texts: Sequence[str],
    training: Sequence[int],
    changed: dict[int, _Document],
    unwanted: Unwanted,
    foreign: Sequence[Sequence[int] | None],
) -> dict[int, int]:
    """Remove from the training documents until nothing is found; those that lose lines go into `changed`. Returns how
    many words each of these has left."""
    words_left: dict[int, int] = {}
    pending, first = training, True
    while pending:
        current = [changed[at].text() if at in changed else texts[at] for at in pending]
        words = words_of(pl.Series(current, dtype=pl.String))
        words_left |= {at: int(count) for at, count in zip(pending, words.counts, strict=True) if at in changed}
        found = list(dict.fromkeys(_found(current, words, unwanted)))
        if first:
            named = ((text, foreign[at] or ()) for text, at in enumerate(pending))
            found += [Found(text, line, "foreign", -1) for text, lines in named for line in lines]
        numbers = {text: changed[pending[text]].kept() for text in {one.text for one in found} if not first}
        for text, line, cause, item in found:
            document = _document(changed, texts, pending[text])
            number = numbers[text][line] if text in numbers else line
            document.removed.setdefault(number, cause)
            if item >= 0:
                document.hits.add((item, number))
        pending, first = sorted({pending[one.text] for one in found}), False
    return words_left


def _document(documents: dict[int, _Document], texts: Sequence[str], place: int) -> _Document:
    if place not in documents:
        documents[place] = _Document(texts[place].split("\n"))
    return documents[place]


def _found(texts: Sequence[str], words: Words, unwanted: Unwanted) -> Iterator[Found]:
    """Every line that should go, the causes in the order of `RULES`; a line may be named several times."""
    if unwanted.items is not None:
        hits = unwanted.items.match(words, texts)
        run, line = touched(texts, hits.text, hits.first, hits.last)
        yield from (
            Found(*one, "evaluation_item", item)
            for one, item in zip(_pairs(hits.text[run], line), hits.item[run].tolist(), strict=True)
        )
    if unwanted.heldout is not None:
        windows = unwanted.heldout.windows(words)
        run, line = touched(texts, *windows)
        yield from (Found(*one, "heldout_window", -1) for one in _pairs(windows.text[run], line))
    if len(unwanted.boilerplate):
        text, line, hashes = line_hashes(texts, words, 1)
        place = np.searchsorted(unwanted.boilerplate, hashes) % len(unwanted.boilerplate)
        known = np.flatnonzero(unwanted.boilerplate[place] == hashes)
        yield from (Found(*one, "boilerplate", -1) for one in _pairs(text[known], line[known]))


def _pairs(text: Ints, line: Ints) -> Iterator[tuple[int, int]]:
    return zip(text.tolist(), line.tolist(), strict=True)


def _verdict(
    document: _Document, words_left: int, min_words: int, max_removed_share: float
) -> tuple[str | int | None, ...]:
    """The row in `Cleaned.verdicts` of a document that lost paragraphs."""
    paragraphs, characters = Counter[str](), Counter[str]()
    for number, cause in document.removed.items():
        paragraphs[cause] += bool(document.lines[number].strip())
        characters[cause] += len(document.lines[number])
    counts = [counter[cause] for cause in RULES for counter in (paragraphs, characters)]
    length = max(sum(map(len, document.lines)), 1)
    rule: str | None = None
    cause = "evaluation_item"
    if characters[cause] > max_removed_share * length:
        rule = RULES[cause]
    elif words_left < min_words:
        cause = max(RULES, key=lambda one: characters[one])
        rule = RULES[cause]
    return (rule, f"{characters[cause] / length:.4f}" if rule else None, *counts)


def _verdict_schema() -> pl.Schema:
    counts = [f"{cause}_{what}" for cause in RULES for what in ("paragraphs", "characters")]
    return pl.Schema({"rule": pl.String(), "value": pl.String()} | dict.fromkeys(counts, pl.Int64()))


def _hit_rows(
    document: _Document, verdict: tuple[str | int | None, ...], items: ItemIndex | None
) -> list[tuple[str, str, int, str]]:
    """Rows of the hit table without the document's id, by paragraph, task and item."""
    if items is None:
        return []
    outcome = LISTED if not document.removed else DROPPED if verdict[0] else REMOVED
    return sorted(
        ((*items.items[item], line, outcome) for item, line in document.hits), key=lambda row: (row[2], row[0], row[1])
    )


def _min_words(config: CorpusConfig, language: str | None) -> int:
    """Words that a document needs; one where no rule asks for more."""
    rules = config.languages.get(language or "")
    return max(rules.min_words or 1, 1) if rules else 1
