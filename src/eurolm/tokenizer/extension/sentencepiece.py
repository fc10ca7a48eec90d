"""A SentencePiece BPE model as a `tokenizer.json` with the same ids.

`transformers` 5 reads such files wrongly in more than one way (a vocabulary of three entries, other ids for runs of
spaces), so the conversion is done here and checked against sentencepiece itself before anything is built on it.
SentencePiece merges whatever gives the piece of the best score; so each way to put a piece together from two others
is a merge, in the order of scores.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from eurolm.errors import InputError, MachineError
from eurolm.tokenizer.alphabet import SPACE
from eurolm.tokenizer.load import PROBE
from eurolm.tokenizer.pieces import merges_between

NORMAL, UNKNOWN, CONTROL, USER_DEFINED = 1, 2, 3, 4
BPE = 2
"""Enumerations of sentencepiece_model.proto."""
PROBES = (
    PROBE,
    " viena  divas   trīs    atstarpes  beigās  ",
    "tab\tun\tjauna\nrinda\r\n\n\n beigas\n",
    "1234567890 12.05.2024. plkst. 10:30, 3,14 % 5. pants",
    "🙂👩‍👩‍👧 a\u0301e\u0304 o\u0302\u0323 ÿ \u00a0 \u2028 \u3000 ﬁ ½ ②",
    "ĀČĒĢĪĶĻŅŠŪŽ ÄÖÕÜŠŽ Привет 你好 مرحبا",
    "def f(x):\n    return x**2  # komentārs\n\n\tif (a != b) { c[i]++; }",
    "<s> </s> <unk> [INST] ▁ ▁▁ <0x41>",
    " ",
    "x",
)


def converted(path: Path, config: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """(`tokenizer.json`, `tokenizer_config.json`) of a SentencePiece BPE model.

    Begin- and end-of-text tokens are added to a text as `config` says, else as Llama and Mistral do: begin only.
    Raises InputError for other kinds of models and where the result does not reproduce sentencepiece's ids.
    """
    model = _parsed(path)
    trainer = model.trainer_spec
    if trainer.model_type != BPE:
        kind = type(trainer).ModelType.Name(trainer.model_type)
        raise InputError(
            f"{path} is a SentencePiece {kind} model, and only BPE has merges to go on with. "
            "Train a vocabulary of your own (`eurolm run`), or take a base with a BPE tokenizer."
        )
    if trainer.treat_whitespace_as_suffix or not model.normalizer_spec.escape_whitespaces:
        raise InputError(f"{path} writes spaces in another way than as a leading {SPACE}. It cannot be extended.")
    pieces = [(piece.piece, piece.score, piece.type) for piece in model.pieces]
    best_first = sorted((-score, place) for place, (_, score, kind) in enumerate(pieces) if kind == NORMAL)
    named = {
        f"{key}_token": pieces[number][0]
        for key, number in (("bos", trainer.bos_id), ("eos", trainer.eos_id), ("unk", trainer.unk_id))
        if 0 <= number < len(pieces)
    }
    state = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            _added(number, piece, kind != USER_DEFINED)
            for number, (piece, _, kind) in enumerate(pieces)
            if kind in (UNKNOWN, CONTROL, USER_DEFINED)
        ],
        "normalizer": {"type": "Sequence", "normalizers": _normalizers(model.normalizer_spec)},
        "pre_tokenizer": None,
        "post_processor": _template(pieces, named, config),
        "decoder": _decoder(model.normalizer_spec.add_dummy_prefix),
        "model": {
            "type": "BPE",
            "unk_token": named.get("unk_token"),
            "fuse_unk": True,
            "byte_fallback": bool(trainer.byte_fallback),
            "vocab": {piece: number for number, (piece, _, _) in enumerate(pieces)},
            "merges": merges_between({pieces[place][0]: rank for rank, (_, place) in enumerate(best_first)}),
        },
    }
    _compare(path, state)
    return state, {"clean_up_tokenization_spaces": False, "add_prefix_space": False, **named}


def _parsed(path: Path) -> Any:
    try:
        from google.protobuf.message import DecodeError
        from sentencepiece import sentencepiece_model_pb2
    except ImportError:
        raise MachineError(f"{path} needs sentencepiece and protobuf: pip install sentencepiece protobuf.") from None
    model = sentencepiece_model_pb2.ModelProto()
    try:
        model.ParseFromString(path.read_bytes())
    except DecodeError:
        model.Clear()
    if not model.pieces:
        raise InputError(f"{path} is not a SentencePiece model. Fetch it again.")
    return model


def _normalizers(spec: Any) -> list[dict[str, Any]]:
    steps: list[dict[str, Any]] = []
    if spec.precompiled_charsmap:
        charsmap = base64.b64encode(spec.precompiled_charsmap).decode()
        steps.append({"type": "Precompiled", "precompiled_charsmap": charsmap})
    if spec.remove_extra_whitespaces:
        steps.append({"type": "Strip", "strip_left": True, "strip_right": True})
        steps.append({"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "})
    if spec.add_dummy_prefix:
        steps.append({"type": "Prepend", "prepend": SPACE})
    return [*steps, {"type": "Replace", "pattern": {"String": " "}, "content": SPACE}]


def _decoder(prefixed: bool) -> dict[str, Any]:
    steps: list[dict[str, Any]] = [
        {"type": "Replace", "pattern": {"String": SPACE}, "content": " "},
        {"type": "ByteFallback"},
        {"type": "Fuse"},
    ]
    if prefixed:
        steps.append({"type": "Strip", "content": " ", "start": 1, "stop": 0})
    return {"type": "Sequence", "decoders": steps}


def _added(number: int, piece: str, special: bool) -> dict[str, Any]:
    plain = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    return {"id": number, "content": piece, "special": special, **plain}


def _template(pieces: list[Any], named: dict[str, str], config: dict[str, Any]) -> dict[str, Any] | None:
    ids = {piece: number for number, (piece, _, _) in enumerate(pieces)}
    begin = [named["bos_token"]] if "bos_token" in named and config.get("add_bos_token", True) else []
    end = [named["eos_token"]] if "eos_token" in named and config.get("add_eos_token", False) else []
    if not begin and not end:
        return None

    def steps(*sequences: str) -> list[dict[str, Any]]:
        return [
            step
            for type_id, sequence in enumerate(sequences)
            for step in (
                *({"SpecialToken": {"id": token, "type_id": type_id}} for token in begin),
                {"Sequence": {"id": sequence, "type_id": type_id}},
                *({"SpecialToken": {"id": token, "type_id": type_id}} for token in end),
            )
        ]

    special = {token: {"id": token, "ids": [ids[token]], "tokens": [token]} for token in {*begin, *end}}
    return {"type": "TemplateProcessing", "single": steps("A"), "pair": steps("A", "B"), "special_tokens": special}


def _compare(path: Path, state: dict[str, Any]) -> None:
    from sentencepiece import SentencePieceProcessor

    reference: Any = SentencePieceProcessor(model_file=str(path))
    tokenizer = Tokenizer.from_str(json.dumps(state))
    tokenizer.encode_special_tokens = True
    for text in PROBES:
        ours, theirs = tokenizer.encode(text, add_special_tokens=False).ids, reference.EncodeAsIds(text)
        if ours != theirs:
            raise InputError(
                f"{path} cannot be converted with the same ids: {text!r} is {theirs} to sentencepiece, "
                f"{ours} here. Give a directory with a tokenizer.json instead."
            )
