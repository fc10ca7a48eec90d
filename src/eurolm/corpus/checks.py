"""What stops the corpus stage: settings that cannot work, inputs that are broken, a result that is empty."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from eurolm.config.corpus import CorpusConfig
from eurolm.corpus.rules.table import check_rules
from eurolm.corpus.sources.records import Tally, check_fields
from eurolm.corpus.sources.units import Unit
from eurolm.corpus.text.language import check_languages
from eurolm.errors import ConfigError, InputError


def check_config(config: CorpusConfig) -> None:
    """Raises ConfigError for settings that would drop everything."""
    if not config.sources:
        raise ConfigError("corpus.sources is empty: name at least one source of text, or set corpus.use.")
    if not config.languages:
        raise ConfigError(
            "corpus.languages is empty: extend languages/lv.yaml or languages/et.yaml, or give rules of your own."
        )
    check_languages(config)
    check_rules(config)
    for place, source in enumerate(config.sources):
        if source.language is not None and source.language not in config.languages:
            raise ConfigError(
                f"corpus.sources.{place}.language = {source.language} has no rules: corpus.languages has "
                f"{', '.join(sorted(config.languages))}. Add it there (extends: [languages/{source.language}.yaml])."
            )


def check_read(config: CorpusConfig, units: Sequence[Unit], tallies: Sequence[Tally]) -> None:
    """Raises InputError for a file with too many invalid records and for a source without any document."""
    by_file: defaultdict[tuple[str, ...], list[Tally]] = defaultdict(list)
    by_source: defaultdict[int, int] = defaultdict(int)
    for unit, tally in zip(units, tallies, strict=True):
        by_file[tuple(str(piece.path) for piece in unit.slices)].append(tally)
        by_source[unit.source] += tally.records - tally.invalid.total
    for paths, parts in by_file.items():
        _check_share(paths[0] if len(paths) == 1 else f"{paths[0]} to {paths[-1]}", parts, config.max_invalid_share)
    for place, source in enumerate(config.sources):
        if not by_source[place]:
            held = source.dataset or ", ".join(source.paths)
            raise InputError(f"corpus source {source.name}: its files hold no document: {held}.")
        own = [tally for unit, tally in zip(units, tallies, strict=True) if unit.source == place]
        check_fields(source, own)


def _check_share(file: str, parts: list[Tally], limit: float) -> None:
    records = sum(part.records for part in parts)
    invalid = sum(part.invalid.total for part in parts)
    if records and invalid / records > limit:
        first = next(part.invalid.first for part in parts if part.invalid.first)
        raise InputError(
            f"{file}: {invalid:,} of {records:,} records are invalid ({invalid / records:.2%}), more than "
            f"corpus.max_invalid_share = {limit:.2%} allows. First: {first}. Mend the file, or raise the share."
        )


def check_result(report: dict[str, Any]) -> None:
    """Raises InputError when no document is left to train on, saying what dropped them."""
    totals = report["totals"]
    if totals["kept"]:
        return
    reasons = most_first(totals["dropped"])
    example = next((items[0] for items in report["samples"]["dropped"].values() if items), None)
    shown = f" For example {example['id']} ({example['value']}): {example['excerpt'][:80]!r}." if example else ""
    raise InputError(
        f"no document is left in the corpus: {totals['read']:,} read, {totals['heldout']:,} held out, "
        f"{totals['outside_sample']:,} outside corpus.sample_share; dropped by rule: {reasons}.{shown}"
    )


def warnings(report: dict[str, Any], config: CorpusConfig) -> list[str]:
    """What is no error and yet should not pass unseen."""
    totals, found = report["totals"], []
    for name, entry in report["sources"].items():
        if not entry["kept"]:
            found.append(f"corpus source {name} gave no training document: dropped by {most_first(entry['dropped'])}")
        if entry["invalid"]:
            causes = most_first(entry["invalid_causes"])
            found.append(f"corpus source {name}: invalid records left out: {causes}; first: {entry['first_invalid']}")
    for language in config.languages:
        if not totals["language"].get(language):
            found.append(f"no document is in {language}, which corpus.languages names")
        elif config.heldout.share and not totals["heldout_language"].get(language):
            found.append(f"no document in {language} is held out: raise corpus.heldout.share or change its salt")
    return found


def most_first(counts: dict[str, int]) -> str:
    """`min_words 12, language 3`."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{name} {count:,}" for name, count in ordered) or "nothing"
