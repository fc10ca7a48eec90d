"""SentencePiece BPE and Unigram from weighted counts, written as a Hugging Face tokenizer.

Trained through SentencePiece's table input (`word<TAB>count`), so that no line is too long to be read and counting is
done once; its BPE is then piece for piece what it learns from the text itself (a test holds that). Text is taken as it
is: no normalisation, no space put before it; bytes stand in for characters outside the vocabulary. One thing does not
return: U+2581, which SentencePiece reserves for the space.

transformers converts such models only roughly (leading and multiple spaces differ, special tokens are found in text),
so the conversion is ours, and every conversion is compared with SentencePiece on a probe set.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from eurolm.errors import ConfigError, InputError, MachineError
from eurolm.tokenizer.alphabet import SPACE
from eurolm.tokenizer.inventory import Inventory, WeightedWords

Kind = Literal["bpe", "unigram"]

RESERVED = "\u2585"
"""Character that SentencePiece keeps for itself; words with it are skipped, as SentencePiece does."""
UNKNOWN = "<unk>"
ASCII = "".join(map(chr, range(0x21, 0x7F)))
"""Always in the vocabulary: what special tokens and `<0x0A>` are written with is then never unknown in text."""

SETTINGS: dict[str, Any] = {
    "add_dummy_prefix": False,
    "byte_fallback": True,
    "character_coverage": 0.9999,
    "max_sentence_length": 2**30,
    "normalization_rule_name": "identity",
    # Unigram's sums, and through them its pieces, depend on the number of threads.
    "num_threads": 4,
    "remove_extra_whitespaces": False,
    "split_digits": True,
}
"""What decides the pieces, recorded in `training.json`."""

PROBES = (
    "  divas  atstarpes   un ", " ", "\tviens\t\tdivi\t", "rinda\n\n\njauna\r\nun vēl \n ", "🙂👩‍👩‍👧 emo🙂",
    " 1234567 12.05.2024. plkst. 10:30", "a\u0301 e\u0304 o\u0302\u0323", "ÿ\u0000\ufeff\u2028\u0085\U0010ffff",
    "āčēģīķļņšūž ĀČĒĢĪĶĻŅŠŪŽ äöõüšž ÄÖÕÜŠŽ", "日本語 кириллица ελληνικά", "aaaaaaaaa  bbbbbbb", "a\u00a0b\u200bc",
    "<|endoftext|> <unk> <0x0A> <|im_start|>system", "Šķērsām pāri ceļam žļurgas — Õhtul jõudis öö (äike) kestis.",
)  # fmt: skip
"""Texts on which the converted tokenizer must give SentencePiece's ids and return the text."""


def train(weighted: WeightedWords, kind: Kind, special: Sequence[str], vocab_size: int) -> Tokenizer:
    """A tokenizer of exactly `vocab_size` entries.

    Raises ConfigError for a vocabulary too small for special tokens, bytes and characters, InputError for text that
    yields fewer pieces, MachineError without sentencepiece or where the converted tokenizer differs from its model.
    """
    try:
        import sentencepiece
    except ImportError:
        raise MachineError(
            f"tokenizer.algorithm = sentencepiece_{kind} needs sentencepiece: pip install sentencepiece."
        ) from None
    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=_lines(weighted),
            input_format="tsv",
            model_writer=model,
            model_type=kind,
            vocab_size=vocab_size,
            required_chars=ASCII,
            eos_id=0,
            eos_piece=special[0],
            pad_id=1,
            pad_piece=special[1],
            control_symbols=list(special[2:]),
            unk_id=len(special),
            unk_piece=UNKNOWN,
            bos_id=-1,
            minloglevel=2,
            **SETTINGS,
        )
    except RuntimeError as error:
        raise _explained(error, vocab_size) from None
    processor = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    tokenizer = _converted(processor, kind, special)
    check(tokenizer, processor, PROBES)
    return tokenizer


def skipped(inventory: Inventory) -> int:
    """Occurrences of words that SentencePiece cannot take."""
    return int(sum(row.sum() for word, row in zip(inventory.words, inventory.counts, strict=True) if RESERVED in word))


def check(tokenizer: Tokenizer, processor: Any, texts: Sequence[str]) -> None:
    """Raise MachineError unless the tokenizer gives the ids of the SentencePiece processor and returns each text."""
    tokenizer.encode_special_tokens = True
    for text in texts:
        ids, wanted = tokenizer.encode(text, add_special_tokens=False).ids, processor.encode(text)
        back = tokenizer.decode(ids, skip_special_tokens=False)
        if ids != wanted or back != text:
            raise MachineError(
                f"the tokenizer converted from SentencePiece turns {text!r} into {ids} and back into {back!r}; "
                f"SentencePiece says {wanted}. This version of sentencepiece or tokenizers behaves differently: "
                "install those of constraints.txt, or set tokenizer.algorithm=bpe."
            )
    tokenizer.encode_special_tokens = False


def _lines(weighted: WeightedWords) -> Iterator[str]:
    for word, count in weighted.words:
        if RESERVED not in word:
            yield f"{word}\t{count}"


def _explained(error: RuntimeError, vocab_size: int) -> ConfigError | InputError:
    message = str(error)
    few = re.search(r"Vocabulary size too high .*<= (\d+)", message)
    if few:
        return InputError(
            f"tokenizer.vocab_size = {vocab_size:,}, but the text yields only {int(few[1]):,} entries. Add text, raise "
            f"tokenizer.max_bytes_per_language, or set tokenizer.vocab_size={few[1]} or less."
        )
    many = re.search(r"smaller than required_chars\. \d+ vs (\d+)", message)
    if many:
        return ConfigError(
            f"tokenizer.vocab_size = {vocab_size:,} leaves no room for pieces: special tokens, 256 bytes and the "
            f"characters of the text take {int(many[1]):,}. Take more than that, or fewer spare tokens."
        )
    return InputError(f"SentencePiece cannot train on these counts: {message}")


def _converted(processor: Any, kind: Kind, special: Sequence[str]) -> Tokenizer:
    size = processor.get_piece_size()
    pieces = [processor.id_to_piece(number) for number in range(size)]
    scores = [processor.get_score(number) for number in range(size)]
    learned = [
        number
        for number in range(size)
        if not (processor.is_control(number) or processor.is_byte(number) or processor.is_unknown(number))
    ]
    if kind == "bpe":
        vocabulary = {piece: number for number, piece in enumerate(pieces)}
        merges = merges_between({pieces[number]: number for number in learned})
        tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges, byte_fallback=True, unk_token=UNKNOWN))
    else:
        # `tokenizers` finds every entry in text, SentencePiece only learned pieces: the others are made too dear.
        dear, known = min(scores) - 1e6, set(learned)
        entries = [(piece, scores[number] if number in known else dear) for number, piece in enumerate(pieces)]
        tokenizer = Tokenizer(models.Unigram(entries, processor.unk_id(), byte_fallback=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement=SPACE, prepend_scheme="never", split=True)
    tokenizer.decoder = decoders.Sequence([decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse()])
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special])
    return tokenizer


def merges_between(learned: Mapping[str, int]) -> list[tuple[str, str]]:
    """All pairs of pieces that make a piece, in the order of what they make: SentencePiece merges any such pair.
    `learned`: pieces and their ranks, best first."""
    merges: list[tuple[str, str]] = []
    for piece in learned:
        pairs = [(piece[:cut], piece[cut:]) for cut in range(1, len(piece))]
        known = [pair for pair in pairs if pair[0] in learned and pair[1] in learned]
        merges += sorted(known, key=lambda pair: (learned[pair[0]], learned[pair[1]]))
    return merges
