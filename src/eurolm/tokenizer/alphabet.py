"""How the two families of vocabularies write bytes: GPT-2's alphabet, and SentencePiece's ▁ and `<0xC4>`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from eurolm.errors import InputError

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


def byte_level_bytes(token: str) -> bytes:
    """The bytes that a token in GPT-2's alphabet spells; a token with other characters stands for itself."""
    alphabet = byte_alphabet()
    known = all(character in alphabet for character in token)
    return bytes(alphabet[character] for character in token) if known else token.encode()


def spelling(decoder: Any, path: Path) -> Callable[[str], bytes]:
    """How the tokens of a `tokenizer.json` are spelled, told from its decoder. Raises InputError for other kinds."""
    steps = (decoder or {}).get("decoders") or ([decoder] if decoder else [])
    kinds = {step["type"] for step in steps}
    if "ByteLevel" in kinds:
        return byte_level_bytes
    if "Metaspace" in kinds or any(step.get("pattern") == {"String": SPACE} for step in steps):
        return metaspace_bytes
    raise InputError(
        f"{path}: its decoder ({', '.join(sorted(kinds)) or 'none'}) is neither byte-level nor metaspace, so its "
        "tokens do not spell the text they were made from and cannot be compared with another vocabulary's."
    )
