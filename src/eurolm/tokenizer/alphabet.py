"""How the two families of vocabularies write bytes: GPT-2's alphabet, and SentencePiece's ▁ and `<0xC4>`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

SPACE = "▁"
"""What SentencePiece and metaspace vocabularies write for a space (U+2581)."""
BYTE_TOKEN = re.compile(r"<0x([0-9A-Fa-f]{2})>")
"""A token that stands for one byte of a character which the vocabulary lacks."""


@cache
def byte_alphabet() -> Mapping[str, int]:
    """GPT-2's characters for bytes (openai/gpt-2, `bytes_to_unicode`): printable Latin-1 as itself, others from 256."""
    own = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in own]
    return MappingProxyType(
        {chr(byte): byte for byte in own} | {chr(256 + place): byte for place, byte in enumerate(others)}
    )


def metaspace_bytes(token: str) -> bytes:
    """The bytes that a token of a SentencePiece or metaspace vocabulary spells."""
    byte = BYTE_TOKEN.fullmatch(token)
    return bytes([int(byte[1], 16)]) if byte else token.replace(SPACE, " ").encode()
