"""The files of a tokenizer directory, so that `AutoTokenizer.from_pretrained(directory)` loads it.

`PreTrainedTokenizerFast` is named because it takes `tokenizer.json` as it is; model-specific classes of transformers 5
rebuild parts of it. Where special tokens are asked for, a text opens with EOD, as every document does in training: in
`tokenizer.json`, which transformers and vLLM go by, and as `add_bos_token`, which converters to other formats read.
Shards are encoded without special tokens; what makes rows of them places EOD.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer
from tokenizers.processors import TemplateProcessing

from eurolm.artifacts.atomic import write_json, write_text
from eurolm.tokenizer.pieces import UNKNOWN
from eurolm.tokenizer.special import END_OF_DOCUMENT, PAD

ALGORITHMS = {
    "bpe": "byte-level BPE with the Llama-3 pre-tokenizer",
    "sentencepiece_bpe": "SentencePiece BPE with byte fallback, no normalisation",
    "sentencepiece_unigram": "SentencePiece Unigram with byte fallback, no normalisation",
}


def export(tokenizer: Tokenizer, special: Sequence[str], out: Path) -> None:
    """Write `tokenizer_config.json` and `tokenizer.json`."""
    config: dict[str, Any] = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": END_OF_DOCUMENT,
        "eos_token": END_OF_DOCUMENT,
        "pad_token": PAD,
        "add_bos_token": True,
        "add_eos_token": False,
        "additional_special_tokens": list(special[2:]),
        "add_prefix_space": False,
        "clean_up_tokenization_spaces": False,
        "model_input_names": ["input_ids", "attention_mask"],
    }
    if tokenizer.token_to_id(UNKNOWN) is not None:
        config["unk_token"] = UNKNOWN
    write_json(out / "tokenizer_config.json", config)
    tokenizer.post_processor = TemplateProcessing(
        single=f"{END_OF_DOCUMENT}:0 $A:0",
        pair=f"{END_OF_DOCUMENT}:0 $A:0 {END_OF_DOCUMENT}:1 $B:1",
        special_tokens=[(END_OF_DOCUMENT, tokenizer.token_to_id(END_OF_DOCUMENT))],
    )
    write_text(out / "tokenizer.json", tokenizer.to_str(pretty=True))


def write_card(record: dict[str, Any], out: Path) -> None:
    """Write `README.md`: the paragraph on the tokenizer for a model card, from what `training.json` records."""
    languages = record["languages"]
    read = ", ".join(
        f"{language} {facts['read_bytes'] / 1e6:,.1f} MB (weight {facts['weight']:.4g})"
        for language, facts in languages.items()
    )
    lines = [
        "# Tokenizer",
        "",
        f"{record['vocab_size']:,} entries, {ALGORITHMS[record['algorithm']]}, of which "
        f"{len(record['special_tokens'])} are special tokens (end of document `{END_OF_DOCUMENT}`, also used as BOS). "
        f"Trained on: {read}.",
    ]
    costs = [
        f"{language} {facts['heldout']['tokens_per_word']:.2f} tokens per word and "
        f"{facts['heldout']['bytes_per_token']:.2f} bytes per token"
        for language, facts in languages.items()
        if facts["heldout"]
    ]
    lines.append(f"Cost on held-out text of the same sources: {'; '.join(costs)}." if costs else "No held-out text.")
    if record["parity"]:
        lines.append(
            f"Language weights were searched so that parallel text costs the same: the dearest language "
            f"takes {record['parity']['ratio']:.3f} times the tokens of the cheapest on {record['parity']['tuning']}."
        )
    write_text(out / "README.md", "\n".join(lines) + "\n")
