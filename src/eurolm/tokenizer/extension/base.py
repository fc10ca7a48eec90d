"""The tokenizer to extend: its `tokenizer.json` as data, and its bare BPE model to cut strings with.

Two families are told apart. A byte-level model spells every byte as a character of GPT-2's alphabet and learns within
pre-tokens. A metaspace model (SentencePiece, Llama 2, Mistral) writes spaces as ▁, may have no pre-tokenizer at all,
and falls back to tokens `<0xC4>` for characters it lacks, which never merge.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, models

from eurolm.artifacts.hashing import sha256_file
from eurolm.errors import InputError
from eurolm.tokenizer.extension.sentencepiece import converted
from eurolm.tokenizer.load import read_tokenizer

KEPT_FILES = ("special_tokens_map.json", "chat_template.jinja", "chat_template.json")
"""Copied as they are; what restates the vocabulary (vocab.json, merges.txt, tokenizer.model) would now be wrong."""
BATCH = 100_000


@dataclass(frozen=True)
class Base:
    """A BPE tokenizer in Hugging Face's format."""

    source: Path
    sha256: str
    state: dict[str, Any]
    """`tokenizer.json`."""
    config: dict[str, Any]
    """`tokenizer_config.json`; empty where there is none."""
    files: dict[str, bytes] = field(default_factory=dict)
    """Further files of the tokenizer, by name."""

    @property
    def vocabulary(self) -> dict[str, int]:
        """Tokens of the BPE model by text."""
        vocabulary: dict[str, int] = self.state["model"]["vocab"]
        return vocabulary

    @property
    def merges(self) -> list[tuple[str, str]]:
        """Pairs in the order in which they apply."""
        return [(left, right) for left, right in self.state["model"]["merges"]]

    @property
    def added(self) -> dict[str, int]:
        """Special and other tokens that are found in text before BPE, by content."""
        return {token["content"]: token["id"] for token in self.state["added_tokens"]}

    @property
    def next_id(self) -> int:
        """The first id after all of the model's and the added tokens'."""
        return max([*self.vocabulary.values(), *self.added.values()]) + 1

    @property
    def ignores_merges(self) -> bool:
        """Whether a pre-token that is in the vocabulary becomes that token whatever the merges say (Llama 3)."""
        return bool(self.state["model"].get("ignore_merges"))

    @cached_property
    def byte_level(self) -> bool:
        """Whether tokens are spelled in GPT-2's alphabet of bytes."""
        return any(step["type"] == "ByteLevel" for key in ("normalizer", "pre_tokenizer") for step in self._steps(key))

    @property
    def prefix(self) -> str:
        """What the tokenizer puts before a text: a space or nothing."""
        puts = any(
            step["type"] == "Prepend"
            or (step["type"] == "Metaspace" and step.get("prepend_scheme", "always") != "never")
            or (step["type"] == "ByteLevel" and step.get("add_prefix_space"))
            for key in ("normalizer", "pre_tokenizer")
            for step in self._steps(key)
        )
        return " " if puts else ""

    def _steps(self, key: str) -> list[dict[str, Any]]:
        return list(_flat(self.state.get(key)))

    @cached_property
    def _cutter(self) -> Tokenizer:
        """Normaliser and pre-tokenizer without what puts something before a text."""
        state = {
            **self.state,
            "model": {"type": "BPE", "vocab": {}, "merges": []},
            "added_tokens": [],
            "post_processor": None,
            "normalizer": unprefixed(self.state.get("normalizer")),
            "pre_tokenizer": unprefixed(self.state.get("pre_tokenizer")),
        }
        return Tokenizer.from_str(json.dumps(state))

    def cut(self, string: str) -> list[str]:
        """The pieces of a string that BPE works on, each by itself."""
        cutter = self._cutter
        if cutter.normalizer is not None:
            string = cutter.normalizer.normalize_str(string)
        if cutter.pre_tokenizer is None:
            return [string] if string else []
        return [piece for piece, _ in cutter.pre_tokenizer.pre_tokenize_str(string)]


def load_base(place: Path) -> Base:
    """A directory with `tokenizer.json` or `tokenizer.model`, or one of these files.

    Raises InputError for what is no tokenizer, is no BPE, or is spelled in a way that new merges cannot go on with.
    """
    directory = place if place.is_dir() else place.parent
    source = place if place.is_file() else directory / "tokenizer.json"
    if not source.is_file():
        source = directory / "tokenizer.model"
    if not source.is_file():
        raise InputError(f"{place} has neither tokenizer.json nor tokenizer.model: it is no tokenizer directory.")
    whole = source.name in ("tokenizer.json", "tokenizer.model")
    config = _config(directory) if whole else {}
    if source.suffix == ".json":
        state = json.loads(read_tokenizer(source).to_str())
    else:
        state, told = converted(source, config)
        config = {**told, **config}
    _check(state, source)
    files = {name: (directory / name).read_bytes() for name in KEPT_FILES if whole and (directory / name).is_file()}
    return Base(source, sha256_file(source), _with_added_in_model(state), config, files)


def bare(model: Mapping[str, Any]) -> Tokenizer:
    """The BPE model alone, for strings that are cut already."""
    return Tokenizer(
        models.BPE(
            vocab=model["vocab"],
            merges=[(left, right) for left, right in model["merges"]],
            unk_token=model.get("unk_token"),
            fuse_unk=bool(model.get("fuse_unk")),
            byte_fallback=bool(model.get("byte_fallback")),
            ignore_merges=bool(model.get("ignore_merges")),
        )
    )


def encoded(tokenizer: Tokenizer, strings: Iterable[str]) -> Iterator[list[int]]:
    """Ids of each string."""
    waiting = iter(strings)
    while batch := list(islice(waiting, BATCH)):
        yield from (encoding.ids for encoding in tokenizer.encode_batch_fast(batch, add_special_tokens=False))


def _config(directory: Path) -> dict[str, Any]:
    path = directory / "tokenizer_config.json"
    if not path.is_file():
        return {}
    try:
        config = json.loads(path.read_bytes())
    except ValueError:
        config = None
    if not isinstance(config, dict):
        raise InputError(f"{path} is not a JSON object. Fetch it again.")
    return config


def _check(state: dict[str, Any], source: Path) -> None:
    model = state["model"]
    if model["type"] != "BPE":
        raise InputError(
            f"{source} is a {model['type']} model, and only BPE has merges to go on with. "
            "Train a vocabulary of your own (`eurolm run`), or take a base with a BPE tokenizer."
        )
    marks = [name for name in ("continuing_subword_prefix", "end_of_word_suffix") if model.get(name)]
    if marks:
        raise InputError(
            f"{source} marks {marks[0]} with {model[marks[0]]!r}, so a merge does not spell its two parts joined. "
            "Byte-level and SentencePiece BPE can be extended; this one cannot."
        )


def _with_added_in_model(state: dict[str, Any]) -> dict[str, Any]:
    """Added tokens get the id that the model's vocabulary gives them, else the next one after *its size* (tokenizers
    0.23, `AddedVocabulary::add_tokens`), whatever the file says: they would move when the vocabulary grows."""
    added = {token["content"]: token["id"] for token in state["added_tokens"]}
    return {**state, "model": {**state["model"], "vocab": {**state["model"]["vocab"], **added}}}


def _flat(step: Any) -> Iterator[dict[str, Any]]:
    if not step:
        return
    inner = step.get("normalizers") or step.get("pretokenizers")
    if inner is None:
        yield step
    else:
        for one in inner:
            yield from _flat(one)


def unprefixed(step: Any) -> Any:
    """The same step without what it puts before a text; null for a step that does nothing else."""
    if not step:
        return None
    for key in ("normalizers", "pretokenizers"):
        if key in step:
            return {**step, key: [inner for inner in map(unprefixed, step[key]) if inner]}
    if step["type"] == "Prepend":
        return None
    if step["type"] == "Metaspace":
        return {**step, "prepend_scheme": "never"}
    return {**step, "add_prefix_space": False} if step["type"] == "ByteLevel" else step
