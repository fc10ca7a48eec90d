"""The tokenizer section: what the vocabulary costs each language, and sentences cut into its tokens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from eurolm.config.model import Config
from eurolm.errors import EurolmError
from eurolm.report.numbers import language_name
from eurolm.report.pieces import HOW_TO_GET_MISTRAL, Piece, Splitter, count, from_directory, others
from eurolm.report.sentences import Sentence, sentences

TINTS = 5
"""Background colours that tokens take in turn."""


def cost_rows(training: dict[str, Any]) -> list[dict[str, Any]]:
    """A row per language: text read and what held-out text costs in tokens; null where there was none."""
    return [
        {
            "language": language_name(language),
            "weight": facts.get("weight"),
            "read_bytes": facts.get("read_bytes"),
            "text_bytes": facts.get("text_bytes"),
            "tokens_per_word": (facts.get("heldout") or {}).get("tokens_per_word"),
            "bytes_per_token": (facts.get("heldout") or {}).get("bytes_per_token"),
            "measured_bytes": (facts.get("heldout") or {}).get("text_bytes"),
        }
        for language, facts in training.get("languages", {}).items()
    ]


def shard_rows(tokens: dict[str, Any]) -> list[dict[str, Any]]:
    """A row per source of the token shards."""
    return [
        {
            "source": name,
            "language": source.get("language") or ", ".join(source.get("languages") or {}) or None,
            "documents": source.get("documents"),
            "tokens": source.get("tokens"),
            "bytes_per_token": _ratio(source.get("text_bytes"), source.get("tokens")),
        }
        for name, source in tokens.get("sources", {}).items()
    ]


def _ratio(over: Any, under: Any) -> float | None:
    return over / under if over is not None and under else None


def cut_sentences(run_dir: Path, config: Config) -> dict[str, Any]:
    """Every sentence cut by the run's tokenizer and by the others found.

    `{sentences: [{language, text, cuts: [{name, vocab_size, tokens, pieces}]}], problems, hint}`; `problems` says what
    could not be shown and why, `hint` how to get Mistral's vocabulary where nothing stands beside the run's own.
    """
    chosen = sentences(run_dir, config)
    try:
        own = from_directory(run_dir / "tokenizer", config.name)
    except EurolmError as error:
        return {"sentences": [], "problems": [str(error)], "hint": ""}
    beside, problems = others(config.report.compare_tokenizers)
    if not chosen:
        problems.append("There is no held-out text: no sentence to show.")
    return {
        "sentences": [_cut(sentence, [own, *beside]) for sentence in chosen],
        "problems": problems,
        "hint": "" if beside else f"To see a Mistral tokenizer beside this one: {HOW_TO_GET_MISTRAL}",
    }


def _cut(sentence: Sentence, splitters: list[Splitter]) -> dict[str, Any]:
    cuts = []
    for splitter in splitters:
        pieces = splitter.split(sentence.text)
        cuts.append(
            {
                "name": splitter.name,
                "vocab_size": splitter.vocab_size,
                "tokens": count(pieces),
                "pieces": [_tinted(number, piece) for number, piece in enumerate(pieces)],
            }
        )
    return {"language": language_name(sentence.language), "text": sentence.text, "cuts": cuts}


def _tinted(number: int, piece: Piece) -> dict[str, Any]:
    return {"text": piece.text, "tokens": piece.tokens, "tint": number % TINTS}
