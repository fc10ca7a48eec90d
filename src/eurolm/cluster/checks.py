"""What can be checked of the data before a job is submitted: tokenizer, shards, end-of-document marks, enough tokens.

Reads only descriptions and the last id of shards, with nothing but the standard library, in seconds.
"""

from __future__ import annotations

import json
import struct
from collections import defaultdict
from pathlib import Path

from eurolm.artifacts.hashing import sha256_file
from eurolm.cluster.plan_record import Check
from eurolm.config.model import Config
from eurolm.config.tokens import PhaseConfig
from eurolm.errors import InputError
from eurolm.tokens.description import FILE, TokensRecord, read_description

SHARDS_LOOKED_AT = 256
"""Shards whose last id is read, spread evenly; each costs one seek."""
ID_FORMATS = {"uint16": "<H", "int32": "<i"}


def tokens_of(config: Config, run_dir: Path) -> Path | None:
    """The finished tokens artifact of the run, or null while there is none."""
    for place in (run_dir / "tokens", config.tokens.use):
        if place is not None and (place / FILE).is_file():
            return place.resolve()
    return None


def vocabulary(config: Config, run_dir: Path) -> tuple[int, str]:
    """Entries of the run's vocabulary, and where that was found."""
    tokens = tokens_of(config, run_dir)
    if tokens is not None:
        return read_description(tokens).vocab_size, f"{tokens / FILE}"
    place = _tokenizer_file(config, run_dir)
    if place is not None:
        return _entries(place), str(place)
    return config.tokenizer.vocab_size, "tokenizer.vocab_size"


def data_checks(config: Config, run_dir: Path) -> tuple[Check, ...]:
    """Everything that can be said about the data now."""
    tokens = tokens_of(config, run_dir)
    if tokens is None:
        text = f"{run_dir / 'tokens'} is not there yet: the encode job writes it before training starts"
        return (Check("tokens", None, text),)
    record = read_description(tokens)
    found = [_tokenizer_check(config, run_dir, record), _shards_check(record.shards_in(tokens), record)]
    return (*found, *_enough(config.mixture.phases, record))


def _tokenizer_file(config: Config, run_dir: Path) -> Path | None:
    for place in (config.tokenizer.use, run_dir / "tokenizer"):
        for name in ("tokenizer.json", "tokenizer.model"):
            if place is not None and (place / name).is_file():
                return place / name
    return None


def _entries(path: Path) -> int:
    """Greatest id + 1 of a `tokenizer.json`. Raises InputError for a file that cannot be counted without libraries."""
    try:
        value = json.loads(path.read_bytes())
        vocabulary = value["model"]["vocab"]
        # Unigram models list [piece, score]; the others map piece to id.
        most = len(vocabulary) - 1 if isinstance(vocabulary, list) else max(vocabulary.values(), default=-1)
        return max([most, *(token["id"] for token in value.get("added_tokens", []))]) + 1
    except (ValueError, KeyError, TypeError, AttributeError):
        raise InputError(f"{path} is not a tokenizer.json whose entries can be counted. Export it as one.") from None


def _tokenizer_check(config: Config, run_dir: Path, record: TokensRecord) -> Check:
    path = _tokenizer_file(config, run_dir)
    if path is None:
        return Check("tokenizer", None, "no tokenizer beside the shards to compare them with")
    same = sha256_file(path) == record.tokenizer_sha256
    text = "shards were encoded with this tokenizer" if same else f"shards were encoded with another one than {path}"
    return Check("tokenizer", same, f"{text} ({record.tokenizer_sha256[:12]}…)")


def _shards_check(directory: Path, record: TokensRecord) -> Check:
    """Shards present, of the stated size, each ending with the end-of-document id."""
    shards = [shard for source in record.sources.values() for shard in source.shards]
    step = max(1, len(shards) // SHARDS_LOOKED_AT)
    bad = []
    for shard in shards[::step]:
        fault = _shard_fault(directory / f"{shard.stem}.bin", shard.tokens, record)
        if fault:
            bad.append(fault)
    looked = len(shards[::step])
    if bad:
        return Check("end of document", False, f"{len(bad)} of {looked} shards looked at are wrong: {bad[0]}")
    return Check("end of document", True, f"{looked} of {len(shards)} shards end with id {record.eod_id}")


def _shard_fault(path: Path, tokens: int, record: TokensRecord) -> str | None:
    if not path.is_file():
        return f"{path} is missing"
    if tokens == 0:
        return None
    size = path.stat().st_size
    # Foreign shards may differ in their type; the width follows from the size.
    layout = ID_FORMATS.get(record.dtype or "", "<H" if size == 2 * tokens else "<i")
    width = struct.calcsize(layout)
    if size != width * tokens:
        return f"{path} has {size:,} bytes, {tokens:,} tokens need {width * tokens:,}"
    with path.open("rb") as stream:
        stream.seek(size - width)
        (last,) = struct.unpack(layout, stream.read(width))
    return None if last == record.eod_id else f"{path} ends with id {last}, not {record.eod_id}"


def _enough(phases: list[PhaseConfig], record: TokensRecord) -> tuple[Check, ...]:
    """Epochs of each source up to the end of each phase, by tokens: packing adds a little padding to it."""
    epochs: dict[str, float] = defaultdict(float)
    checks = []
    for number, phase in enumerate(phases):
        sources = {name: source.tokens for name, source in record.sources.items()}
        weights = phase.weights or {name: float(tokens) for name, tokens in sources.items()}
        unknown = sorted(weights.keys() - sources.keys())
        if unknown:
            checks.append(Check(f"phase {number}", False, f"no shards of {', '.join(unknown)}"))
            continue
        whole = sum(weights.values()) or 1.0
        for name, weight in weights.items():
            epochs[name] += phase.samples * phase.row_tokens * weight / whole / max(1, sources[name])
        most = max(weights, key=lambda name: epochs[name])
        enough = epochs[most] <= phase.max_epochs
        text = f"{most} drawn {epochs[most]:.2f} times by its end, max_epochs = {phase.max_epochs:g}"
        checks.append(Check(f"phase {number}", enough, text))
    return tuple(checks)
