"""A tokenizer that is not eurolm's: SentencePiece as Llama and Mistral ship it, `<s>` before every text."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

BOS_ID = 1


def llama_tokenizer(out: Path, texts: Iterable[str], vocab_size: int = 1000) -> Path:
    """Train it on lines of `texts` and write `tokenizer.model` and its config into `out`."""
    import sentencepiece

    out.mkdir(parents=True, exist_ok=True)
    lines = [line for text in texts for line in text.splitlines() if line.strip()][:3000]
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines),
        model_prefix=str(out / "tokenizer"),
        vocab_size=vocab_size,
        model_type="bpe",
        byte_fallback=True,
        num_threads=1,
        minloglevel=2,
    )
    settings = {"tokenizer_class": "LlamaTokenizer", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>",
                "add_bos_token": True, "legacy": False}  # fmt: skip
    (out / "tokenizer_config.json").write_text(json.dumps(settings))
    return out
