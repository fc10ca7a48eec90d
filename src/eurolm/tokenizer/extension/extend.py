"""Extending a tokenizer, from the files given to the finished directory.

New merges stand after the base's own, so text in which none of them applies is cut as before, and old tokens keep
their ids. New ids follow the base's last one; with `replace` they are those of tokens given up. Rows of an embedding
that are padded to a multiple are the model's affair: `extension.json` names the size to take.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from eurolm.errors import ConfigError, InputError
from eurolm.tokenizer.alphabet import byte_alphabet
from eurolm.tokenizer.extension.base import Base, bare, encoded, load_base
from eurolm.tokenizer.extension.learn import Merge, learn
from eurolm.tokenizer.extension.protect import Protection, changed
from eurolm.tokenizer.extension.replace import removable
from eurolm.tokenizer.extension.spelling import is_whole
from eurolm.tokenizer.extension.texts import Text, count, files_by_language
from eurolm.tokenizer.extension.weigh import check_weights, missing_letters, pieces_of, weigh
from eurolm.tokenizer.extension.words import words
from eurolm.tokenizer.extension.write import publish
from eurolm.tokenizer.load import as_text_only


@dataclass(frozen=True)
class Wish:
    """What the user asks for. Texts and protected texts are `LANGUAGE=PATH`."""

    base: Path
    texts: Sequence[str]
    add: int
    protect: Sequence[str] = ()
    weights: Mapping[str, float] = field(default_factory=dict)
    replace: bool = False
    multiple_of: int = 128


@dataclass(frozen=True)
class NewToken:
    """A token to add. `parts`: the two tokens it is merged from; none for a letter that the base lacks."""

    text: str
    parts: tuple[str, str] | None


def extend(wish: Wish, out: Path) -> dict[str, Any]:
    """Write the extended tokenizer as a Hugging Face directory; the content of its `extension.json`.

    Raises ConfigError and InputError for what cannot be done, before anything is written.
    """
    if out.exists():
        raise ConfigError(f"--out {out} exists already. Name another directory, or delete this one.")
    base = load_base(wish.base)
    files = files_by_language(wish.texts), files_by_language(wish.protect)
    check_weights(wish.weights, list(files[0]))
    texts, protected = ({language: count(found, base.prefix) for language, found in one.items()} for one in files)
    guard = Protection(base, protected)
    tokens = choose(base, texts, guard, wish.weights, wish.add)
    pieces = {language: pieces_of(base, text.strings) for language, text in texts.items()}
    grown = extended_model(base.state["model"], tokens, range(base.next_id, base.next_id + len(tokens)))
    gone: list[str] = []
    if wish.replace:
        read = set(guard.pieces).union(*pieces.values())
        used = set(chain.from_iterable(encoded(bare(grown), read)))
        gone = removable(base, grown, used, set(chain.from_iterable(read)), len(tokens))
        grown = replaced_model(base, tokens, gone)
    states = [{**base.state, "model": model} for model in (base.state["model"], grown)]
    before, after = (as_text_only(Tokenizer.from_str(json.dumps(state))) for state in states)
    record = {
        **_vocabulary(base, grown, tokens, gone, wish.multiple_of),
        "text": {language: {**text.told(), **_cost(base, grown, pieces[language])} for language, text in texts.items()},
        "protected": {
            language: {**text.told(), **changed(before, after, base.prefix, text)}
            for language, text in protected.items()
        },
        "merges_refused_for_protected_text": len(guard.refused),
    }
    publish(base, grown, record, out)
    return record


def choose(
    base: Base, texts: Mapping[str, Text], guard: Protection, weights: Mapping[str, float], add: int
) -> list[NewToken]:
    """The tokens to add, in the order in which their merges apply.

    Raises InputError where the text has too few pairs for `add`.
    """
    weighted = weigh(base, texts, weights)
    letters = missing_letters(base, weighted.pieces, guard.pieces)[:add]
    first = base.next_id
    vocabulary = {**base.vocabulary, **{letter: first + place for place, letter in enumerate(letters)}}
    spelled = {number: token for token, number in vocabulary.items()}
    alphabet = byte_alphabet()

    def accept(merge: Merge) -> bool:
        text = spelled[merge.left] + spelled[merge.right]
        if text in vocabulary or (base.byte_level and not is_whole(bytes(map(alphabet.__getitem__, text)))):
            return False
        if not guard.allows(merge.left, merge.right, text):
            return False
        vocabulary[text] = merge.token
        spelled[merge.token] = text
        return True

    line = words(base, {**base.state["model"], "vocab": dict(vocabulary)}, weighted.pieces)
    merges = learn(line, range(first + len(letters), first + add), weighted.least, accept)
    found = len(letters) + len(merges)
    if found < add:
        raise InputError(
            f"--add {add:,}: the text yields only {found:,} new tokens; no further pair that may merge occurs twice. "
            + (f"Give more text, or --add {found}." if found else "The base needs no more tokens for this text.")
        )
    return [
        *(NewToken(letter, None) for letter in letters),
        *(NewToken(spelled[merge.token], (spelled[merge.left], spelled[merge.right])) for merge in merges),
    ]


def extended_model(model: Mapping[str, Any], tokens: Sequence[NewToken], ids: Sequence[int]) -> dict[str, Any]:
    """The BPE model with the tokens under these ids, their merges last."""
    new = {token.text: number for token, number in zip(tokens, ids, strict=True)}
    merges = [list(token.parts) for token in tokens if token.parts]
    return {**model, "vocab": {**model["vocab"], **new}, "merges": [*model["merges"], *merges]}


def replaced_model(base: Base, tokens: Sequence[NewToken], gone: Sequence[str]) -> dict[str, Any]:
    """The BPE model in which the tokens take the ids of those that go, lowest first."""
    lost = set(gone)
    model = base.state["model"]
    kept = {
        **model,
        "vocab": {token: number for token, number in base.vocabulary.items() if token not in lost},
        "merges": [pair for pair in base.merges if "".join(pair) not in lost and not lost & set(pair)],
    }
    return extended_model(kept, tokens, sorted(base.vocabulary[token] for token in gone))


def _cost(base: Base, model: Mapping[str, Any], pieces: Mapping[str, int]) -> dict[str, Any]:
    """Tokens of the text that was learnt from."""
    sums = [
        sum(len(ids) * number for ids, number in zip(encoded(bare(one), pieces), pieces.values(), strict=True))
        for one in (base.state["model"], model)
    ]
    return {"tokens_before": sums[0], "tokens_after": sums[1], "fewer": round(1 - sums[1] / sums[0], 4)}


def _vocabulary(
    base: Base, model: Mapping[str, Any], tokens: Sequence[NewToken], gone: Sequence[str], multiple: int
) -> dict[str, Any]:
    """What a trainer needs to resize an embedding: a new row is best the mean of the old rows of its pieces."""
    size = max([*model["vocab"].values(), *base.added.values()]) + 1
    pieces: dict[str, list[int]] = {}
    for token in tokens:
        spelling = token.parts or [f"<0x{byte:02X}>" for byte in token.text.encode()]
        found = (
            pieces.get(part) or [base.vocabulary[part]]
            for part in spelling
            if part in pieces or part in base.vocabulary
        )
        pieces[token.text] = list(chain.from_iterable(found))
    by_id = {number: token for token, number in base.vocabulary.items()}
    unreached = _unreached(model, [token.text for token in tokens])
    return {
        "base": {"name": base.source.parent.name, "sha256": base.sha256, "vocab_size": base.next_id},
        "vocab_size": size,
        "padded_vocab_size": -(-size // multiple) * multiple,
        "removed": {str(base.vocabulary[token]): token for token in sorted(gone, key=base.vocabulary.__getitem__)},
        "unreached": unreached,
        "new_tokens": [
            {
                "id": model["vocab"][token.text],
                "token": token.text,
                "pieces": pieces[token.text],
                "piece_tokens": [by_id[number] for number in pieces[token.text]],
            }
            for token in tokens
        ],
    }


def _unreached(model: Mapping[str, Any], tokens: Sequence[str]) -> list[str]:
    """Tokens whose own spelling is not encoded to them."""
    found = encoded(bare(model), tokens)
    return [token for token, ids in zip(tokens, found, strict=True) if ids != [model["vocab"][token]]]
