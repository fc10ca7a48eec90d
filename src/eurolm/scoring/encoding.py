"""Contexts and continuations as token ids, cut where lm-evaluation-harness cuts them, so that scores agree.

Context and continuation are encoded together and split at the length of the context encoded alone; spaces at the
context's end move to the continuation before that (lm_eval/api/model.py, `_encode_pair`, 0.4.13). What opens a text
is the tokenizer's own rule, as `AutoTokenizer` applies it: BOS before a context where the tokenizer adds one (eurolm's
adds EOD, which opens every document in training), else nothing. An empty context becomes BOS, or EOS where there is no
BOS. A context that begins with BOS in writing, as chat templates make it, gets no second one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from eurolm.artifacts.atomic import read_json
from eurolm.errors import InputError
from eurolm.scoring.trees import TokenText

if TYPE_CHECKING:
    from eurolm.scoring.choices import Continuation
    from eurolm.tokenizer.load import LoadedTokenizer


@dataclass(frozen=True)
class Opening:
    """Ids before a text: `before_context` before every context, `before_nothing` in place of an empty one."""

    before_context: tuple[int, ...]
    before_nothing: int
    text: str = ""
    """How the ids before a context are written; a context that begins with that gets them once."""

    def said(self) -> str:
        """The rule in words, for the record of a result."""
        before = f"ids {list(self.before_context)}" if self.before_context else "nothing"
        return f"{before} before a context, id {self.before_nothing} in place of an empty context"


def opening(directory: Path, tokenizer: LoadedTokenizer) -> Opening:
    """The rule of the tokenizer in a model directory, as `AutoTokenizer` applies it.

    Raises InputError for a tokenizer that transformers cannot load without running code from the directory.
    """
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    where: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    try:
        try:
            wrapper: Any = AutoTokenizer.from_pretrained(str(directory), **where)
        except ImportError:
            # The class of the model's family wants a package more; what this one reads is the rule all the same.
            wrapper = PreTrainedTokenizerFast.from_pretrained(str(directory), **where)
    except (OSError, ValueError, KeyError, ImportError, AttributeError, TypeError) as error:
        first_line = str(error).strip().partition("\n")[0]
        raise InputError(f"{directory}: transformers cannot load this tokenizer: {first_line}") from None
    plain = wrapper.encode("a", add_special_tokens=False)
    whole = wrapper.encode("a")
    start = next((place for place in range(len(whole)) if whole[place : place + len(plain)] == plain), 0)
    before = tuple(whole[:start])
    bos = wrapper.bos_token_id if wrapper.bos_token_id is not None else tokenizer.eod_id
    return Opening(before, bos, tokenizer.decode(before) if before else "")


def encode_requests(
    tokenizer: LoadedTokenizer, requests: Sequence[Continuation], opens: Opening, special: bool, limit: int | None
) -> tuple[list[TokenText], list[int]]:
    """The ids of each request and how many tokens its context lost on the left.

    `special` reads special tokens in the text as such (chat templates), else as text. `limit` is the greatest number of
    inputs the model takes. Raises InputError for a continuation without tokens or longer than `limit`.
    """
    pairs = [_moved_spaces(request) for request in requests]
    contexts = list(dict.fromkeys(context for context, _ in pairs))
    wholes = list(dict.fromkeys(context + text for context, text in pairs))
    with _reading_special(tokenizer, special):
        ids = {
            text: np.array(encoding, np.int64)
            for texts in (contexts, wholes)
            for text, encoding in zip(texts, tokenizer.encode_batch(texts), strict=True)
        }
    texts, cut = [], []
    for (context, text), request in zip(pairs, requests, strict=True):
        encoded = _opened(ids[context + text], context + text if context else "", opens)
        known = len(_opened(ids[context], context, opens)) if context else 1
        if context == "" and len(encoded) > 1 and encoded[1] == opens.before_nothing:
            encoded = encoded[1:]  # the text brings its own BOS
        scored = len(encoded) - known
        _check(request, scored, limit)
        lost = max(0, len(encoded) - 1 - limit) if limit is not None else 0
        texts.append(TokenText(encoded[lost:], scored))
        cut.append(lost)
    return texts, cut


def encode_contexts(
    tokenizer: LoadedTokenizer, contexts: Sequence[str], opens: Opening, special: bool, most: int | None
) -> tuple[list[np.ndarray], list[int]]:
    """Ids (int64) of contexts that a model continues, at most the last `most` of each; how many were cut off the left.

    `special` as for `encode_requests`; spaces at the end stay.
    """
    with _reading_special(tokenizer, special):
        encoded = [_opened(np.array(ids, np.int64), text, opens)
                   for ids, text in zip(tokenizer.encode_batch(contexts), contexts, strict=True)]  # fmt: skip
    kept = [ids if most is None else ids[max(0, len(ids) - most) :] for ids in encoded]
    return kept, [len(ids) - len(own) for ids, own in zip(encoded, kept, strict=True)]


def context_limit(config: Any) -> int | None:
    """Tokens a model declares to take, under the names lm-evaluation-harness looks for; null where it names none."""
    for name in ("n_positions", "max_position_embeddings", "n_ctx"):
        value = getattr(config, name, None)
        if value is not None:
            return int(value)
    return None


def declared_context(directory: Path) -> int | None:
    """The same from a model directory's config.json, without loading the model."""
    return context_limit(SimpleNamespace(**read_json(directory / "config.json")))


def _moved_spaces(request: Continuation) -> tuple[str, str]:
    context = request.context.rstrip()
    return context, request.context[len(context) :] + request.text


def _opened(ids: np.ndarray, text: str, opens: Opening) -> np.ndarray:
    """Ids with what stands before them; `text` is empty for a text without context."""
    if not text:
        return np.concatenate(([opens.before_nothing], ids)).astype(np.int64)
    if not opens.before_context or (opens.text and text.startswith(opens.text)):
        return ids
    return np.concatenate((opens.before_context, ids)).astype(np.int64)


def _check(request: Continuation, scored: int, limit: int | None) -> None:
    if scored < 1:
        raise InputError(
            f"the continuation {request.text!r} has no token of its own after the context "
            f"…{request.context[-40:]!r}. Begin it with a space, or leave the item out of the task."
        )
    if limit is not None and scored > limit:
        raise InputError(
            f"a continuation of {scored} tokens is longer than the model's context of {limit} tokens. "
            "Leave the item out of the task, or evaluate a model with a longer context."
        )


@contextmanager
def _reading_special(tokenizer: LoadedTokenizer, special: bool) -> Iterator[None]:
    before = tokenizer.tokenizer.encode_special_tokens
    tokenizer.tokenizer.encode_special_tokens = not special
    try:
        yield
    finally:
        tokenizer.tokenizer.encode_special_tokens = before
