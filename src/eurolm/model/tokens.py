"""What the ids of a tokenizer stand for, in bytes: how tokens of unlike vocabularies are found to be the same.

A byte-level vocabulary writes " š" as `ĠÅ¡`, SentencePiece as `▁š`; the same string can mean other bytes in the two.
So ordinary tokens are compared by the bytes they spell, special ones by their names.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from eurolm.tokenizer.alphabet import BYTE_TOKEN, SPACE, byte_alphabet, byte_level_bytes, spelling
from eurolm.tokenizer.extension.base import unprefixed
from eurolm.tokenizer.load import LoadedTokenizer, as_text_only


@dataclass(frozen=True)
class Vocabulary:
    """The tokens of one tokenizer by id."""

    names: list[str | None]
    """As the vocabulary writes them; null for an id without a token."""
    spelled: list[bytes | None]
    """The text each stands for; null for special and unknown tokens and for ids without a token."""
    eod_id: int
    state: dict[str, Any] = field(repr=False)
    """`tokenizer.json`."""
    byte_level: bool

    @cached_property
    def special(self) -> dict[str, int]:
        """Ids of tokens that stand for no text, by name."""
        return {
            name: number
            for number, (name, data) in enumerate(zip(self.names, self.spelled, strict=True))
            if name is not None and data is None
        }

    @cached_property
    def by_name(self) -> dict[str, int]:
        """Ids of tokens that stand for text, by name."""
        return {
            name: number
            for number, (name, data) in enumerate(zip(self.names, self.spelled, strict=True))
            if name is not None and data is not None
        }

    @cached_property
    def by_bytes(self) -> dict[bytes, int]:
        """Ids by what they spell: the lowest, a byte of SentencePiece's fallback only where no other spells it."""
        found: dict[bytes, int] = {}
        for spare in (False, True):
            for number, (name, data) in enumerate(zip(self.names, self.spelled, strict=True)):
                if data and name is not None and bool(BYTE_TOKEN.fullmatch(name)) == spare:
                    found.setdefault(data, number)
        return found

    def pieces(self, data: bytes) -> tuple[int, ...]:
        """Ids that this tokenizer cuts the bytes into inside a text; empty where it has none for them."""
        ids = self._cut(data)
        if not ids or any(self.spelled[number] is None for number in ids):
            ids = [self._byte_ids.get(byte, -1) for byte in data]
        return () if -1 in ids else tuple(ids)

    def _cut(self, data: bytes) -> list[int]:
        try:
            text = data.decode()
        except UnicodeDecodeError:
            if not self.byte_level:
                return []
            letters = {byte: letter for letter, byte in byte_alphabet().items()}
            return list(self._bare.encode("".join(letters[byte] for byte in data), add_special_tokens=False).ids)
        if self.byte_level:
            return list(self._unprefixed.encode(text, add_special_tokens=False).ids)
        # Spelled already: SentencePiece's normaliser would strip the space at the beginning or put one there.
        return list(self._bare.encode(text.replace(" ", SPACE), add_special_tokens=False).ids)

    @cached_property
    def _byte_ids(self) -> dict[int, int]:
        return {data[0]: number for data, number in self.by_bytes.items() if len(data) == 1}

    @cached_property
    def _bare(self) -> Tokenizer:
        """The model alone, for strings as the vocabulary spells them."""
        return _tokenizer({**self.state, "normalizer": None, "pre_tokenizer": None, "added_tokens": []})

    @cached_property
    def _unprefixed(self) -> Tokenizer:
        """All but what puts a space before a text."""
        steps = {key: unprefixed(self.state.get(key)) for key in ("normalizer", "pre_tokenizer")}
        return _tokenizer({**self.state, **steps})


def read_vocabulary(loaded: LoadedTokenizer, place: Path) -> Vocabulary:
    """The vocabulary of a tokenizer; `place` names it in errors.

    Raises InputError for one whose tokens do not spell text (WordPiece).
    """
    state = json.loads(loaded.tokenizer.to_str())
    spell = spelling(state.get("decoder"), place)
    added = loaded.tokenizer.get_added_tokens_decoder()
    unknown = state["model"].get("unk_token")
    if state["model"]["type"] == "Unigram" and state["model"].get("unk_id") is not None:
        unknown = state["model"]["vocab"][state["model"]["unk_id"]][0]
    names: list[str | None] = [None] * loaded.vocab_size
    spelled: list[bytes | None] = [None] * loaded.vocab_size
    for name, number in loaded.tokenizer.get_vocab().items():
        names[number] = name
        token = added.get(number)
        if name != unknown and not (token and token.special):
            spelled[number] = name.encode() if token else spell(name)
    return Vocabulary(names, spelled, loaded.eod_id, state, byte_level=spell is byte_level_bytes)


def _tokenizer(state: dict[str, Any]) -> Tokenizer:
    return as_text_only(Tokenizer.from_str(json.dumps({**state, "post_processor": None})))
