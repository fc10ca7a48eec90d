"""Which documents of the collected text become the embedded sample.

Whole documents in the order of their id's hash until a source's share of bytes is full, so that a sample is spread over
its source and the same for everybody. Very long documents stay out, and so does every document that shares words with
an evaluation item.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import xxhash
import zstandard

LONGEST_BYTES = 64_000
LONG_ITEM_WORDS, SHORT_ITEM_WORDS = 13, 6
"""An item of 13 words or more is looked for by its 13-grams, a shorter one whole; under 6 words it is no evidence."""


@dataclass(frozen=True)
class Share:
    """One file of the collected text and how much of it is taken. `group_parts`: how many `/`-separated parts of an id
    name the book, sitting or manual; null where every document stands alone. `origin` is the repository and commit.
    Single sentences shorter than `shortest_bytes` are too short to tell their language."""

    language: str
    source: str
    register: str
    bytes: int
    origin: str
    group_parts: int | None = None
    shortest_bytes: int = 0

    @property
    def name(self) -> str:
        """Name of the source in the quickstart and of its file: `lv_eltec`."""
        return f"{self.language}_{self.source.removesuffix('_sentences')}"


SHARES: tuple[Share, ...] = (
    Share("lv", "eltec", "fiction", 3_900_000, "COST-ELTeC/ELTeC-lav@4421cadbe9f4", group_parts=2),
    Share("lv", "likumi", "legal", 4_400_000, "Ansvar-Systems/Latvian-law-mcp@3244441a4305"),
    Share("lv", "lvtb", "mixed", 1_000_000, "LUMII-AILab/FullStack@1b24076eeb6f", group_parts=2),
    Share("lv", "gnome_mate_help", "help", 500_000, "Debian bookworm: GNOME 43 and MATE help pages"),
    Share("lv", "libreoffice_help", "help", 500_000, "Debian source libreoffice 7.4.7-1+deb12u14"),
    Share("lv", "common_voice_sentences", "sentences", 300_000, "mozilla/common-voice@168898f413d7", shortest_bytes=40),
    Share("lv", "udhr", "legal", 100_000, "eric-muller/udhr@f93dd614154c"),
    Share("et", "riigikogu_stenograms", "parliament", 4_600_000, "Antononlahe/riigikogulased@2d41c992d3f8", 2),
    Share("et", "riigi_teataja", "legal", 2_400_000, "legalize-dev/legalize-ee@a19df6312c70"),
    Share("et", "kde_docs", "help", 800_000, "Debian bookworm: KDE 22.12 application handbooks", group_parts=2),
    Share("et", "libreoffice_help", "help", 600_000, "Debian source libreoffice 7.4.7-1+deb12u14"),
    Share("et", "riigikogu_bill_summaries", "parliament", 500_000, "Antononlahe/riigikogulased@2d41c992d3f8"),
    Share("et", "common_voice_sentences", "sentences", 600_000, "mozilla/common-voice@168898f413d7", shortest_bytes=40),
    Share("et", "optalvik_ssl_course", "course", 100_000, "optalvik/ssl@f97b8b59d51e"),
    Share("et", "udhr", "legal", 100_000, "eric-muller/udhr@f93dd614154c"),
)


def read_records(path: Path) -> list[dict[str, Any]]:
    """All records of a `.jsonl` or `.jsonl.zst` file."""
    data = path.read_bytes()
    if path.suffix == ".zst":
        data = zstandard.ZstdDecompressor().stream_reader(data).read()
    return [orjson.loads(line) for line in data.splitlines() if line.strip()]


def pick(records: Iterable[dict[str, Any]], share: Share, items: EvaluationItems) -> list[dict[str, Any]]:
    """The sampled records of one file, in the order of the file, as the sample stores them."""
    records = list(records)
    taken: set[str] = set()
    left = share.bytes
    for record in sorted(records, key=lambda record: stable_hash(record["id"])):
        size = len(record["text"].encode())
        if not share.shortest_bytes <= size <= LONGEST_BYTES or items.occur_in(record["text"]):
            continue
        if size > left:
            break
        taken.add(record["id"])
        left -= size
    return [stored(record, share) for record in records if record["id"] in taken]


def stored(record: dict[str, Any], share: Share) -> dict[str, Any]:
    """A record with the fields of the sample."""
    return {
        "id": record["id"],
        "text": record["text"],
        "language": share.language,
        "source": share.source,
        "license": record["license"],
        "group": group_of(record["id"], share),
    }


def group_of(document: str, share: Share) -> str:
    """Book of a chapter, sitting of an agenda item, manual of a page, text of a treebank paragraph, else the document.

    Help pages and articles that exist in both languages have the same name in both, and so are held out together.
    """
    if share.group_parts is None:
        return re.sub("^udhr/(lav|est)", "udhr", document)
    # `eltec/BOOK/chapter`, `riigikogu_stenograms/SITTING/item`, `kde_docs/APPLICATION/page`, `lvtb/TEXT-pNUMBER`
    return re.sub(r"-p\d+$", "", "/".join(document.split("/")[: share.group_parts]))


def stable_hash(text: str) -> int:
    """64 bits, the same on every machine and in every version."""
    return xxhash.xxh3_64_intdigest(text.encode())


def words_of(text: str) -> list[str]:
    """Lower-cased runs of letters and digits."""
    return re.findall(r"\w+", text.lower())


class EvaluationItems:
    """Word n-grams of evaluation items, by length."""

    def __init__(self, texts: Iterable[str]) -> None:
        self.grams: dict[int, set[tuple[str, ...]]] = {}
        for text in texts:
            words = words_of(text)
            length = min(len(words), LONG_ITEM_WORDS)
            if length >= SHORT_ITEM_WORDS:
                self.grams.setdefault(length, set()).update(_grams(words, length))

    def occur_in(self, text: str) -> bool:
        """True when the text holds any of the n-grams."""
        words = words_of(text)
        return any(gram in known for length, known in self.grams.items() for gram in _grams(words, length))


def evaluation_texts(data: Path) -> Iterator[str]:
    """Every string in every evaluation item of `data/eval`."""
    for path in sorted((data / "eval").rglob("*.jsonl*")):
        for record in read_records(path):
            yield from _strings(record)


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list) and value and all(isinstance(item, str) for item in value):
        yield " ".join(value)
        yield from value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _strings(item)


def _grams(words: list[str], length: int) -> Iterator[tuple[str, ...]]:
    return (tuple(words[start : start + length]) for start in range(len(words) - length + 1))
