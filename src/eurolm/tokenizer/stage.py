"""The tokenizer stage: select text, train, export, measure. The directory is complete once `training.json` is there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from eurolm.artifacts.atomic import PARTIAL_MARK, write_json
from eurolm.config.tokens import TokenizerConfig
from eurolm.console import Reporter
from eurolm.errors import InputError
from eurolm.tokenizer.bpe import check_size, export, train
from eurolm.tokenizer.fertility import heldout_fertility
from eurolm.tokenizer.load import LoadedTokenizer, load
from eurolm.tokenizer.special import special_tokens
from eurolm.tokenizer.text import LanguageText, Selection, survey

RECIPE = 1
LIBRARIES = ("tokenizers",)


def build_tokenizer(config: TokenizerConfig, corpus: Path, out: Path, reporter: Reporter) -> None:
    """Train on the corpus and write `tokenizer.json`, `tokenizer_config.json` and `training.json` into `out`.

    Raises ConfigError for impossible sizes or weights, InputError for a corpus too small for the vocabulary.
    """
    for leftover in out.glob(f"*{PARTIAL_MARK}*"):
        leftover.unlink()
    if (out / "training.json").is_file():
        return
    check_size(config.vocab_size, config.spare_tokens)
    languages = survey(corpus, config.weights, config.max_bytes_per_language)
    selection = Selection(corpus, languages)
    with reporter.task("tokenizer", sum(text.share * text.text_bytes for text in languages.values()), "bytes") as task:
        tokenizer = train(_counted(selection, task.advance), config.vocab_size, config.spare_tokens)
    export(tokenizer, config.spare_tokens, out)
    loaded = load(out)
    record = {
        "vocab_size": loaded.vocab_size,
        "eod_id": loaded.eod_id,
        "special_tokens": special_tokens(config.spare_tokens),
        "pre_tokenizer": "llama3",
        "languages": {
            language: _language_record(language, text, selection, loaded, corpus)
            for language, text in languages.items()
        },
    }
    write_json(out / "training.json", record)
    _say(record, reporter)


def _counted(selection: Selection, advance: Any) -> Any:
    before = 0
    for texts in selection:
        now = sum(selection.read_bytes.values())
        advance(now - before)
        before = now
        yield texts


def _language_record(
    language: str, text: LanguageText, selection: Selection, loaded: LoadedTokenizer, corpus: Path
) -> dict[str, Any]:
    if not selection.read_documents[language]:
        raise InputError(
            f"tokenizer: no document of {language!r} was read: its share is {text.share:.3g} of "
            f"{text.text_bytes:,} bytes. Raise tokenizer.weights.{language} or add text."
        )
    return {
        "weight": text.weight,
        "documents": text.documents,
        "text_bytes": text.text_bytes,
        "read_documents": selection.read_documents[language],
        "read_bytes": selection.read_bytes[language],
        "heldout": heldout_fertility(loaded, corpus, language),
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
