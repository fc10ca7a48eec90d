"""Why a document was kept or dropped: every rule's figure beside its threshold, and what became of the document."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.compute as pc
import pyarrow.parquet as pq

from eurolm.config.corpus import CorpusConfig
from eurolm.corpus.decide import read_attributes
from eurolm.corpus.rules.table import Answer, answers
from eurolm.corpus.surveys import places
from eurolm.errors import InputError

DESCRIBING = ("id", "language", "score", "foreign_share", "bytes", "characters", "license", "url", "heldout_group")


@dataclass(frozen=True)
class Explanation:
    """One document: what describes it, the personal data replaced in it, every rule asked, and its fate."""

    source: str
    facts: dict[str, Any]
    personal: dict[str, int]
    asked: list[Answer]
    fate: str
    place: str
    items: list[dict[str, Any]]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def explain(config: CorpusConfig, base: Path, measured_in: Path, corpus: Path, document: str) -> list[Explanation]:
    """Every document with this id or URL. Raises InputError when there is none, or its attributes are gone."""
    found = list(_found(config, base, measured_in, corpus, document))
    if not found:
        raise InputError(
            f"{document} is neither the id nor the URL of a document that {corpus} was made from. "
            "Ids stand in its documents/, heldout/ and dropped/ tables (eurolm inspect PATH)."
        )
    return found


def shown(found: Explanation) -> str:
    """For a terminal."""
    lines = [f"{found.facts['id']}  {found.source}", f"  {found.fate}  ({found.place})"]
    lines += [f"  {name:<14} {value}" for name, value in found.facts.items() if name != "id" and value is not None]
    lines += [f"  {name} replaced: {count}" for name, count in found.personal.items() if count]
    lines.append(f"  {'rule':<44} {'measured':>10}  {'threshold':>10}")
    for answer in found.asked:
        mark = " " if answer.passed else "✗"
        lines.append(f"{mark} {answer.rule:<44} {_number(answer.figure):>10}  {_number(answer.threshold):>10}")
    lines += [f"  holds {item['task']} {item['item']} in paragraph {item['paragraph']}: {item['outcome']}"
              for item in found.items]  # fmt: skip
    return "\n".join(lines)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:,.4g}"


def _found(config: CorpusConfig, base: Path, measured_in: Path, corpus: Path, document: str) -> Iterator[Explanation]:
    for source, place in zip(config.sources, places(config, base, measured_in), strict=True):
        if not place.is_dir():
            raise InputError(
                f"the measured attributes of source {source.name} are gone from {measured_in}: "
                "run the corpus stage again with its files in place, then ask again."
            )
        for path in sorted(place.glob("*.parquet")):
            keys = pq.read_table(path, columns=["id", "url"])
            wanted = pc.or_kleene(pc.equal(keys["id"], document), pc.equal(keys["url"], document))
            if pc.any(wanted).as_py():
                rows = read_attributes(path).filter(pl.Series(wanted).fill_null(False))
                for row in rows.iter_rows(named=True):
                    yield _explanation(config, source.name, source.verbatim, row, corpus)


def _explanation(config: CorpusConfig, source: str, verbatim: bool, row: dict[str, Any], corpus: Path) -> Explanation:
    rules = config.languages.get(row["language"])
    asked = answers(row, rules, config.detection.detector, config.rules, verbatim) if rules else []
    fate, place = _fate(corpus, source, row["id"])
    hits = pl.read_parquet(corpus / "hits.parquet").filter(pl.col("document") == row["id"])
    return Explanation(
        source,
        {name: row[name] for name in DESCRIBING},
        {name.removeprefix("personal_"): row[name] for name in row if name.startswith("personal_")},
        asked,
        fate,
        place,
        hits.drop("document").to_dicts(),
    )


def _fate(corpus: Path, source: str, document: str) -> tuple[str, str]:
    """What became of it, and the file and row it is in."""
    groups = {
        "kept for training": sorted((corpus / "documents" / source).glob("*.parquet")),
        "held out": sorted(corpus.glob(f"heldout/*/{source}.parquet")),
        "dropped": sorted((corpus / "dropped" / source).glob("*.parquet")),
    }
    for fate, files in groups.items():
        for path in files:
            row = pc.index(pq.read_table(path, columns=["id"])["id"], document).as_py()
            if row < 0:
                continue
            where = f"{path.relative_to(corpus)}, row {row}"
            if fate != "dropped":
                return fate, where
            told = pl.read_parquet(path, columns=["rule", "value"]).row(row)
            return f"dropped by {told[0]}" + (f": {told[1]}" if told[1] else ""), where
    return "in no table of this corpus", str(corpus)
