"""Config of the tokenizer, tokens and mixture stages: how text becomes rows of token ids."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from eurolm.config.fields import Language, Observation, Output, Section

Algorithm = Literal["bpe", "sentencepiece_bpe", "sentencepiece_unigram"]


class ParityConfig(Section):
    """Language weights at which the same content costs the same tokens in every language."""

    mode: Output[Literal["off", "search"]] = "off"
    """`search` finds the weights of all languages that `tokenizer.weights` does not name."""
    tuning: Output[Path | None] = None
    """Parallel text to measure on: TSV with a header of language codes, or JSONL (`.zst` too) with one field per
    language. Null takes eurolm's own Latvian and Estonian help text (LibreOffice, MPL-2.0). No evaluation suite."""


class TokenizerConfig(Section):
    """A vocabulary trained on weighted pre-token counts of the corpus."""

    use: Output[Path | None] = None
    """Take the Hugging Face tokenizer in this directory instead of training one."""
    algorithm: Output[Algorithm] = "bpe"
    """`bpe` is byte-level with the stock Llama-3 pre-tokenizer; the others are trained by SentencePiece, with byte
    fallback, and written as a Hugging Face tokenizer too."""
    vocab_size: Output[int] = Field(default=32_768, ge=512, le=1_000_000)
    """Size of the vocabulary, special and spare tokens included."""
    weights: Output[dict[Language, float]] = {}
    """Weight of each language's pre-token counts; languages not named weigh 1, or what the parity search finds."""
    parity: Output[ParityConfig] = ParityConfig()
    """Search for language weights of equal cost."""
    special_tokens: Output[list[str]] = []
    """Special tokens of your own, written `<|name|>`; they follow end of document, padding and chat tokens."""
    spare_tokens: Output[int] = Field(default=32, ge=0)
    """Reserved special tokens `<|spare_0|>` … for later chat formats and tools."""
    max_bytes_per_language: Output[int] = Field(default=2_000_000_000, gt=0)
    """Text counted per language, taken evenly over its documents."""
    workers: Observation[int | None] = Field(default=None, ge=1)
    """Worker processes; null takes one per core."""


class TokensConfig(Section):
    """Encoding of the corpus into Megatron `.bin/.idx` shards, with EOD after each document."""

    use: Output[Path | None] = None
    """Take finished shards: eurolm's, or a directory of Megatron `<source>/*.bin` + `.idx` or `*.bin` + `.idx`."""
    engine: Observation[Literal["auto", "tokenizers", "fastokens"]] = "auto"
    """Who encodes: `fastokens` (extra `fast`) is used only after it gave the ids of `tokenizers` on documents of this
    corpus and on hard strings; `auto` takes it where it does, `fastokens` insists on it."""
    workers: Observation[int | None] = Field(default=None, ge=1)
    """Worker processes; null takes one per core."""


class PhaseConfig(Section):
    """A stretch of training with one mixture, row length and batch size. Later phases continue where it ends."""

    tokens: Output[int] = Field(gt=0)
    """Length of the phase in tokens = rows × row_tokens; rounded up to whole steps."""
    row_tokens: Output[int] = Field(default=2048, ge=16)
    """Row length in tokens (the model's context in this phase)."""
    batch_rows: Output[int] = Field(gt=0)
    """Rows per step over all ranks (the global batch)."""
    rope_theta: Output[float | None] = Field(default=None, gt=0)
    """Base of the rotary embedding from this phase on, for longer rows; null keeps what was."""
    micro_batch_rows: Observation[int | None] = Field(default=None, ge=1)
    """Rows per forward pass and rank in this phase; null takes `train.micro_batch_rows`."""
    weights: Output[dict[str, float]] = {}
    """Share of rows per source; empty takes each source's share of rows. Sources left out are not drawn."""
    max_epochs: Output[float] = Field(default=4.0, gt=0)
    """A source drawn more often than this over the whole run is refused (data repeated beyond ~4 epochs
    helps little: arXiv 2305.16264)."""

    @property
    def steps(self) -> int:
        """Whole steps of the phase."""
        return -(-self.tokens // (self.row_tokens * self.batch_rows))

    @property
    def samples(self) -> int:
        """Rows drawn in the phase."""
        return self.steps * self.batch_rows


class MixtureConfig(Section):
    """Which row comes when: a pure function of seed, phases and the sample's number."""

    seed: Output[int] = 1
    """Seed of the order of documents, rows and sources."""
    packing: Output[Literal["bestfit", "concat"]] = "bestfit"
    """`bestfit` cuts no document that fits a row; `concat` cuts at every row end and pads nothing."""
    phases: Output[list[PhaseConfig]] = []
    """Phases in order; the sum of their tokens is the horizon of training."""

    def tokens_of(self, samples: float) -> float:
        """Tokens = rows × row length of the first `samples` rows, phase by phase; rows beyond the last phase have its
        row length."""
        tokens, left = 0.0, samples
        for place, phase in enumerate(self.phases):
            here = left if place == len(self.phases) - 1 else min(left, phase.samples)
            tokens, left = tokens + here * phase.row_tokens, left - here
        return tokens
