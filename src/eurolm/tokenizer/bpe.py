"""Training and export of a byte-level BPE tokenizer in Hugging Face format.

The pre-tokenizer is Llama-3's, to the letter: fast encoders recognise exactly that regular expression. There is no
normaliser and all 256 bytes are in the vocabulary, so that decoding returns every text as it was; there is no
post-processor, because the rows of the mixture place EOD themselves.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from eurolm.artifacts.atomic import write_json, write_text
from eurolm.errors import ConfigError, InputError
from eurolm.tokenizer.special import CHAT, END_OF_DOCUMENT, PAD, special_tokens

LLAMA3_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""Pre-tokenizer of Llama 3 (meta-llama/llama3, `tokenizer.py`)."""

BYTES = 256
MIN_PAIR_COUNT = 2
"""A pair seen once says nothing about the language."""


def check_size(vocab_size: int, spare: int) -> None:
    """Raise ConfigError when special tokens and bytes leave no room for a merge."""
    floor = len(special_tokens(spare)) + BYTES
    if vocab_size <= floor:
        raise ConfigError(
            f"tokenizer.vocab_size = {vocab_size:,} leaves no room for merges: {BYTES} bytes and "
            f"{floor - BYTES} special tokens (tokenizer.spare_tokens = {spare}) take {floor:,}. "
            f"Take at least {floor + 1:,}, or fewer spare tokens."
        )


def train(batches: Iterable[list[str]], vocab_size: int, spare: int) -> Tokenizer:
    """A tokenizer of exactly `vocab_size` entries, the same for the same batches whatever the number of threads.

    Raises InputError when the text has too few distinct pairs to reach `vocab_size`.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(LLAMA3_PATTERN), behavior="isolated", invert=False),
            pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=True, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=MIN_PAIR_COUNT,
        special_tokens=special_tokens(spare),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(iter(batches), trainer)
    reached = tokenizer.get_vocab_size()
    if reached != vocab_size:
        raise InputError(
            f"tokenizer.vocab_size = {vocab_size:,}, but the text yields only {reached:,} entries: no further pair "
            f"occurs {MIN_PAIR_COUNT} times. Add text, raise tokenizer.max_bytes_per_language, "
            f"or set tokenizer.vocab_size={reached} or less."
        )
    return tokenizer


def export(tokenizer: Tokenizer, spare: int, out: Path) -> None:
    """Write `tokenizer_config.json` and `tokenizer.json` so that `AutoTokenizer.from_pretrained(out)` loads them.

    `PreTrainedTokenizerFast` is named because it takes `tokenizer.json` as it is; model-specific classes of
    transformers 5 rebuild parts of it.
    """
    spares = special_tokens(spare)[2 + len(CHAT) :]
    write_json(
        out / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": END_OF_DOCUMENT,
            "eos_token": END_OF_DOCUMENT,
            "pad_token": PAD,
            "additional_special_tokens": [*CHAT, *spares],
            "add_prefix_space": False,
            "clean_up_tokenization_spaces": False,
            "model_input_names": ["input_ids", "attention_mask"],
        },
    )
    write_text(out / "tokenizer.json", tokenizer.to_str(pretty=True))
