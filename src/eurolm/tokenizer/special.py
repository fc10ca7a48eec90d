"""The special tokens of every eurolm tokenizer, reserved from the first training run on.

They take the lowest ids, in this order, so that their ids never depend on the text: end of document, padding, chat,
the user's own, spare ones. A model trained today can then learn a chat format or a tool protocol later without growing
its embedding.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from eurolm.errors import ConfigError

END_OF_DOCUMENT = "<|endoftext|>"
"""EOD: ends every document in the shards and, as BOS, opens every document in a row."""

PAD = "<|pad|>"
"""Padding of batches at inference; training rows are padded with EOD and masked."""

CHAT = ("<|im_start|>", "<|im_end|>", "<|system|>", "<|user|>", "<|assistant|>", "<|tool|>")
"""Turn marks (ChatML) and one token per role."""

WRITTEN = re.compile(r"<\|\w*[A-Za-z]\w*\|>", re.ASCII)
"""How a special token must look: a letter between punctuation never is one pre-token, so no merge can spell it."""


def special_tokens(spare: int, own: Sequence[str] = ()) -> list[str]:
    """All special tokens in id order: EOD 0, padding 1, chat tokens, the user's own, `spare` tokens `<|spare_0|>` …

    Raises ConfigError for one that is there twice or is not written `<|name|>`.
    """
    tokens = [END_OF_DOCUMENT, PAD, *CHAT, *own, *(f"<|spare_{number}|>" for number in range(spare))]
    for token in own:
        if not WRITTEN.fullmatch(token):
            raise ConfigError(
                f"tokenizer.special_tokens: {token!r} must be written <|name|>, name being letters, digits and _ with "
                "at least one letter: anything else could also be learned from text."
            )
        if tokens.count(token) > 1:
            raise ConfigError(
                f"tokenizer.special_tokens: {token!r} is there twice. eurolm reserves "
                f"{', '.join(tokens[: 2 + len(CHAT)])} and <|spare_0|> to <|spare_{spare - 1}|>; "
                "name every other token once."
            )
    return tokens
