"""Any tokenizer directory as one record: eurolm's own, any `tokenizer.json`, or a lone SentencePiece model.

Raw text never yields special ids: `encode_special_tokens` makes the string "<|endoftext|>" in a document a run of
ordinary tokens, so nobody can end a document by writing about it. A SentencePiece directory is read through
`AutoTokenizer` and then probed, because transformers 5 can load one silently as a three-token vocabulary that encodes
every text to nothing.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from eurolm.artifacts.hashing import sha256_file
from eurolm.errors import InputError, MachineError

PROBE = "Šķērsām pāri ceļam 1234 žļurgas — Õhtul jõudis öö, ülejäänud (äike) kestis."
"""Text that every tokenizer must turn into ids and back, letters of both languages and digits included."""


@dataclass(frozen=True)
class LoadedTokenizer:
    """A tokenizer and what the shards record of it."""

    tokenizer: Tokenizer
    """Encodes raw text without special ids; decodes any id."""
    eod_id: int
    """Id of the end-of-document token."""
    vocab_size: int
    """Greatest id + 1."""
    sha256: str
    """Hash of the file that determines the ids."""

    def encode(self, text: str) -> list[int]:
        """Ids of a text; no BOS, no EOD."""
        return list(self.tokenizer.encode(text, add_special_tokens=False).ids)

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids of each text, in order."""
        return [encoding.ids for encoding in self.tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)]

    def decode(self, ids: Sequence[int]) -> str:
        """Text of ids, special tokens shown as they are written."""
        return str(self.tokenizer.decode(list(ids), skip_special_tokens=False))


def load(directory: Path) -> LoadedTokenizer:
    """Load a tokenizer directory without network.

    Raises InputError for a directory without tokenizer, without an EOS token, or whose tokenizer fails the probe.
    """
    own, model = directory / "tokenizer.json", directory / "tokenizer.model"
    if own.is_file():
        source = own
        tokenizer = read_tokenizer(own)
    elif model.is_file():
        source = model
        tokenizer = _from_sentencepiece(directory)
    else:
        raise InputError(f"{directory} has neither tokenizer.json nor tokenizer.model: it is no tokenizer directory.")
    as_text_only(tokenizer)
    eod = _eod_token(directory)
    eod_id = tokenizer.token_to_id(eod)
    if eod_id is None:
        raise InputError(f"{directory}: the EOS token {eod!r} is not in the vocabulary.")
    loaded = LoadedTokenizer(tokenizer, eod_id, max(tokenizer.get_vocab().values()) + 1, sha256_file(source))
    _probe(loaded, directory)
    return loaded


def read_tokenizer(path: Path) -> Tokenizer:
    """A `tokenizer.json` as it is. Raises InputError for a file that is none."""
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # tokenizers raises bare Exception for every kind of bad file
        raise InputError(f"{path} is not a readable tokenizer: {error}. Fetch or train it again.") from None


def as_text_only(tokenizer: Tokenizer) -> Tokenizer:
    """The same tokenizer, set to take any text whole and every character of it as text."""
    tokenizer.no_truncation()
    tokenizer.no_padding()
    tokenizer.encode_special_tokens = True
    return tokenizer


def _from_sentencepiece(directory: Path) -> Tokenizer:
    try:
        from transformers import AutoTokenizer
    except ImportError:
        raise MachineError(
            f"{directory} holds a SentencePiece model, which needs transformers, sentencepiece and protobuf: "
            "pip install 'eurolm[train]'."
        ) from None
    try:
        wrapper: Any = AutoTokenizer.from_pretrained(str(directory), local_files_only=True)
        backend = wrapper.backend_tokenizer
    except (OSError, ValueError, ImportError, AttributeError, KeyError) as error:
        raise InputError(f"{directory}/tokenizer.model cannot be converted: {error}.") from None
    return Tokenizer.from_str(backend.to_str())


def _eod_token(directory: Path) -> str:
    """The EOS token as text, from the files that Hugging Face tools write."""
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        path = directory / name
        if not path.is_file():
            continue
        try:
            token = json.loads(path.read_bytes()).get("eos_token")
        except (ValueError, AttributeError):
            raise InputError(f"{path} is not a JSON object. Fetch it again.") from None
        if isinstance(token, dict):
            token = token.get("content")
        if isinstance(token, str) and token:
            return token
    raise InputError(
        f"{directory} names no EOS token, and eurolm ends every document with one. "
        'Add "eos_token": "…" to its tokenizer_config.json.'
    )


def _probe(loaded: LoadedTokenizer, directory: Path) -> None:
    ids = loaded.encode(PROBE)
    text = loaded.decode(ids).strip()
    if not ids or len(text) < len(PROBE) // 2:
        raise InputError(
            f"{directory}: the tokenizer turns a sentence of {len(PROBE)} characters into {len(ids)} ids and back "
            f"into {text!r}. Its vocabulary ({loaded.vocab_size:,} entries) was not loaded. Convert it to "
            "tokenizer.json with the tool it came from."
        )
