"""Real text by language and source: the collected text beside the checkout, or the embedded sample of lv and et."""

from __future__ import annotations

import functools
from pathlib import Path

import pytest

from eurolm.corpus.sample.pick import read_records

REPOSITORY = Path(__file__).resolve().parents[3]
SAMPLE = REPOSITORY / "src" / "eurolm" / "corpus" / "sample"
SHARED = REPOSITORY.parent / "shared" / "data"
needs_shared_text = pytest.mark.skipif(not SHARED.is_dir(), reason="needs the collected text beside the checkout")

LANGUAGES = ("lv", "et", "lt", "fi", "en", "ru")
SENTENCES = frozenset({"common_voice_sentences", "sib200"})
HISTORICAL = frozenset({"senie_historical"})


def sources(language: str) -> list[str]:
    """Names of the collected sources of a language."""
    return sorted(path.name.split(".")[0] for path in (SHARED / "text" / language).glob("*.jsonl.zst"))


@functools.cache
def texts(language: str, source: str) -> tuple[str, ...]:
    """All records of a collected source."""
    return tuple(record["text"] for record in read_records(SHARED / "text" / language / f"{source}.jsonl.zst"))


def sample_texts(language: str) -> list[str]:
    """The embedded sample."""
    files = sorted(SAMPLE.glob(f"{language}_*.jsonl.zst"))
    return [record["text"] for path in files for record in read_records(path)]


def documents(language: str, source: str, count: int | None = None) -> list[str]:
    """Documents of several sentences, evenly spread; single sentences are joined by fives."""
    found = list(texts(language, source))
    if source in SENTENCES:
        found = ["\n".join(found[place : place + 5]) for place in range(0, len(found), 5)]
    several = [text for text in found if source in SENTENCES or (len(text) >= 150 and sum(map(text.count, ".!?")) >= 2)]
    return several if count is None else several[:: max(1, len(several) // count)][:count]
