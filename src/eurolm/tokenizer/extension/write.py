"""The finished directory, whole or absent: `tokenizer.json`, its config as the base had it, and `extension.json`."""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from eurolm.artifacts.atomic import PARTIAL_MARK, fsync_path, write_bytes, write_json, write_text
from eurolm.tokenizer.extension.base import Base

RECORD = "extension.json"


def publish(base: Base, model: Mapping[str, Any], record: Mapping[str, Any], out: Path) -> None:
    """Write everything beside `out` and rename it.

    `PreTrainedTokenizerFast` is named because it takes `tokenizer.json` as it is; classes of one model, in
    transformers 5, rebuild parts of it.
    """
    partial = out.with_name(f"{out.name}{PARTIAL_MARK}{uuid.uuid4().hex[:12]}")
    partial.mkdir(parents=True)
    try:
        state = {**base.state, "model": dict(model)}
        write_text(partial / "tokenizer.json", Tokenizer.from_str(json.dumps(state)).to_str(pretty=True))
        config = {key: value for key, value in base.config.items() if key not in ("auto_map", "vocab_file")}
        write_json(partial / "tokenizer_config.json", {**config, "tokenizer_class": "PreTrainedTokenizerFast"})
        for name, data in base.files.items():
            write_bytes(partial / name, data)
        write_json(partial / RECORD, record)
        partial.rename(out)
        fsync_path(out.parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
