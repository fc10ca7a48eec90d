"""The tokenizer stage: counts, weights, training, export, measurement. The directory is complete once `training.json`
is there. Counts are data of their own: given a finished directory of them, nothing of the corpus is counted again."""

from __future__ import annotations

import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

from eurolm.artifacts.atomic import PARTIAL_MARK, write_json
from eurolm.config.tokens import TokenizerConfig
from eurolm.console import Reporter
from eurolm.tokenizer.counts import Counts, build_counts, read_counts
from eurolm.tokenizer.export import export, write_card
from eurolm.tokenizer.fertility import heldout_fertility
from eurolm.tokenizer.inventory import check_weights, read_inventory
from eurolm.tokenizer.load import LoadedTokenizer, load
from eurolm.tokenizer.parity import Parity, search
from eurolm.tokenizer.pieces import skipped
from eurolm.tokenizer.special import special_tokens
from eurolm.tokenizer.train import check_config, train, training_settings

RECIPE = 3
LIBRARIES = ("ffbpe", "sentencepiece", "tokenizers")


def input_files(config: TokenizerConfig) -> list[Path]:
    """Files besides the corpus that decide the bytes."""
    return [config.parity.tuning] if config.parity.mode == "search" and config.parity.tuning else []


def build_tokenizer(
    config: TokenizerConfig, corpus: Path, out: Path, reporter: Reporter, counts: Path | None = None
) -> None:
    """Write `tokenizer.json`, `tokenizer_config.json`, `README.md` and `training.json` into `out`, and `parity.json`
    after a search. Without `counts` the corpus is counted for this training alone.

    Raises ConfigError for impossible sizes or weights, InputError for a corpus too small for the vocabulary.
    """
    for leftover in out.rglob(f"*{PARTIAL_MARK}*"):
        leftover.unlink()
    if (out / "training.json").is_file():
        return
    check_config(config)
    own = counts or out / "counts"
    build_counts(config, corpus, own, reporter)
    counted = read_counts(own)
    check_weights(config.weights, counted.languages)
    inventory = read_inventory(counted)
    parity, weights = None, {language: config.weights.get(language, 1.0) for language in counted.languages}
    if config.parity.mode == "search":
        parity, vocabulary = search(config, counted, inventory, reporter)
        weights = parity.weights
    else:
        vocabulary = train(config, inventory, weights)
    export(vocabulary(config.vocab_size), special_tokens(config.spare_tokens, config.special_tokens), out)
    record = _record(config, counted, weights, load(out), corpus, parity)
    if parity:
        write_json(out / "parity.json", asdict(parity))
    write_card(record, out)
    if counts is None:
        shutil.rmtree(own)
    write_json(out / "training.json", record)
    _say(record, reporter)
    if config.algorithm != "bpe" and (words := skipped(inventory)):
        reporter.warn(f"{words:,} words with U+2585, which SentencePiece reserves, were left out of training.")


def _record(
    config: TokenizerConfig,
    counts: Counts,
    weights: dict[str, float],
    loaded: LoadedTokenizer,
    corpus: Path,
    parity: Parity | None,
) -> dict[str, Any]:
    return {
        "algorithm": config.algorithm,
        "vocab_size": loaded.vocab_size,
        "eod_id": loaded.eod_id,
        "special_tokens": special_tokens(config.spare_tokens, config.special_tokens),
        "pre_tokenizer": counts.pre_tokenizer,
        "settings": training_settings(config),
        "parity": {"tuning": parity.tuning.name, "ratio": parity.ratio} if parity else None,
        "languages": {
            language: {
                "weight": weights[language],
                **asdict(facts),
                "heldout": heldout_fertility(loaded, corpus, language),
            }
            for language, facts in counts.languages.items()
        },
    }


def _say(record: dict[str, Any], reporter: Reporter) -> None:
    for language, facts in record["languages"].items():
        heldout = facts["heldout"]
        cost = (
            f"{heldout['tokens_per_word']:.2f} tokens per word, {heldout['bytes_per_token']:.2f} bytes per token"
            if heldout
            else "no held-out text to measure on"
        )
        reporter.say(f"  {language}: read {facts['read_bytes']:,} of {facts['text_bytes']:,} bytes; {cost}")
