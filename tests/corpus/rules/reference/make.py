"""Makes `reference.json`: what datatrove 0.10.1 measures and decides.

    PYTHON_WITH_DATATROVE make.py [--first NUMBER] [--out FILE]

A filter of datatrove gives no figures, only decisions; the figure of a rule is the threshold at which its decision
turns, found by bisection to the last bit. Needs datatrove 0.10.1, spacy and zstandard.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import math
import random
import struct
from pathlib import Path
from typing import Any

import mutations
from datatrove.data import Document
from datatrove.pipeline.filters import (
    fineweb_quality_filter,
    gopher_quality_filter,
    gopher_repetition_filter,
)
from datatrove.utils.word_tokenizers import load_word_tokenizer

TOKENIZERS = {"lv": "lvs_Latn", "et": "ekk_Latn"}
PER_RULE = 200
GOPHER = dict.fromkeys(
    ("min_doc_words", "max_doc_words", "min_avg_word_length", "max_avg_word_length", "max_symbol_word_ratio",
     "max_bullet_lines_ratio", "max_ellipsis_lines_ratio", "max_non_alpha_words_ratio", "min_stop_words")
)  # fmt: skip
FINEWEB = {"line_punct_thr": 0, "short_line_thr": 9, "char_duplicates_ratio": 9, "new_line_ratio": math.inf}
REPETITION: dict[str, Any] = {
    **dict.fromkeys(("dup_line_frac", "dup_para_frac", "dup_line_char_frac", "dup_para_char_frac")),
    "top_n_grams": (), "dup_n_grams": (),
}  # fmt: skip

RULES: dict[str, tuple[str, float, float]] = {
    "min_words": ("min_doc_words", 50, 50),
    "max_words": ("max_doc_words", 200, 200),
    "min_average_word_length": ("min_avg_word_length", 3, 3),
    "max_average_word_length": ("max_avg_word_length", 13, 13),
    "max_symbol_word_ratio.hash": ("max_symbol_word_ratio", 0.1, 0.1),
    "max_symbol_word_ratio.ellipsis": ("max_symbol_word_ratio", 0.1, 0.1),
    "max_bullet_line_share": ("max_bullet_lines_ratio", 0.9, 0.9),
    "max_ellipsis_line_share": ("max_ellipsis_lines_ratio", 0.3, 0.3),
    "min_alphabetic_word_share": ("max_non_alpha_words_ratio", 0.727, 0.722),
    "min_stopwords": ("min_stop_words", 2, 2),
    "min_punctuated_line_share": ("line_punct_thr", 0.125, 0.143),
    "max_short_line_share": ("short_line_threshold", 0.67, 0.67),
    "max_duplicate_line_character_share": ("char_duplicates_ratio", 0.1, 0.1),
    "max_newline_word_ratio": ("new_line_ratio", 0.169, 0.213),
    "max_duplicate_paragraph_share": ("dup_para_frac", 0.3, 0.3),
    "max_duplicate_paragraph_character_share": ("dup_para_char_frac", 0.2, 0.2),
    "max_duplicate_line_share": ("dup_line_frac", 0.329, 0.363),
    "max_duplicate_line_text_share": ("dup_line_char_frac", 0.2, 0.2),
    "max_top_ngram_share.2": ("top_n_grams", 0.526, 0.345),
    "max_top_ngram_share.3": ("top_n_grams", 0.337, 0.268),
    "max_top_ngram_share.4": ("top_n_grams", 0.242, 0.215),
    "max_duplicate_ngram_share.5": ("dup_n_grams", 0.173, 0.172),
    "max_duplicate_ngram_share.6": ("dup_n_grams", 0.16, 0.161),
    "max_duplicate_ngram_share.7": ("dup_n_grams", 0.148, 0.15),
    "max_duplicate_ngram_share.8": ("dup_n_grams", 0.135, 0.139),
    "max_duplicate_ngram_share.9": ("dup_n_grams", 0.122, 0.125),
    "max_duplicate_ngram_share.10": ("dup_n_grams", 0.109, 0.113),
}
"""datatrove's attribute and the thresholds of lv and et: FineWeb-2's, else Gopher's or FineWeb's, else any."""

EDGES = [
    "\nviens\n", "\n\n\nviens divi\n\nviens divi\n\n", "a\n\na\n \n\na\n", "a\r\nb\r\n- a\r\n", "a", "a\n",
    "• a\x0b- b\x0cc…\x85d... \u2028e", "-\n•\n…\n...", "a" * 31 + "\n" + "a" * 30, " a.\na. \na.\n\xa0a.”\na.",
    "a b a b c d c d a b c d", "# ### .... ..... …", "\x1f• a\x1f\n\x1c- b", "ja Ja JA no No on On oN", "_ _ _a １ 1",
    "1 11 111 11 1 1 1 11 111 1 11 1 1 11 111 11 1",
]  # fmt: skip


class Peer:
    """datatrove's three filters, one rule at a time, given words."""

    def __init__(self) -> None:
        self.words: list[str] = []
        for module in (gopher_quality_filter, fineweb_quality_filter, gopher_repetition_filter):
            module.split_into_words = lambda text, language: self.words
        names = [name for name, *_ in RULES.values()]
        self.filters = {name: self._filter(name) for name in names}

    def _filter(self, attribute: str) -> Any:
        if attribute in GOPHER:
            return gopher_quality_filter.GopherQualityFilter(**GOPHER)
        if attribute in REPETITION:
            return gopher_repetition_filter.GopherRepetitionFilter(**REPETITION)
        return fineweb_quality_filter.FineWebQualityFilter(**FINEWEB)

    def keeps(self, rule: str, threshold: float, text: str, language: str) -> bool:
        """The decision. Raises ZeroDivisionError where the rule has nothing to divide by."""
        attribute, _, n = RULES[rule][0], *rule.partition(".")[1:]
        if rule == "max_symbol_word_ratio.hash":
            text = text.replace("...", "+").replace("…", "+")
        elif rule == "max_symbol_word_ratio.ellipsis":
            text = text.replace("#", "+")
        one = self.filters[attribute]
        one.stop_words = set(mutations.STOPWORDS[language])
        setattr(one, attribute, ((int(n), threshold),) if attribute.endswith("n_grams") else threshold)
        answer = one.filter(Document(text=text, id="0"))
        if answer is not True and answer[1] == "empty":
            raise ZeroDivisionError
        return answer is True

    def figure(self, rule: str, text: str, language: str) -> float | None:
        """The last threshold that keeps the document; null where datatrove has no figure."""
        least = rule.startswith("min_")
        low, high = 1, _bits(1e9)
        try:
            if self.keeps(rule, 5e-324, text, language) != least:
                return 0.0
            if least and self.keeps(rule, 1e9, text, language):
                return None  # not a number
            while high - low > 1:
                middle = (low + high) // 2
                if self.keeps(rule, _float(middle), text, language) == least:
                    low = middle
                else:
                    high = middle
        except ZeroDivisionError:
            return None
        return _float(low if least else high)


def _bits(value: float) -> int:
    return struct.unpack("<q", struct.pack("<d", value))[0]


def _float(bits: int) -> float:
    return struct.unpack("<d", struct.pack("<q", bits))[0]


def near(peer: Peer, rule: str, language: str, texts: list[str], first: int) -> list[list[Any]]:
    """`[number, amount, figure, kept]` of documents within a tenth of the threshold, about half of them kept."""
    threshold = RULES[rule][1 if language == "lv" else 2]
    found: list[list[Any]] = []
    for number in range(first, first + 100 * PER_RULE):
        aim = threshold * random.Random(f"aim {number}").uniform(0.93, 1.07)
        amount = _amount(peer, rule, aim, language, texts, number)
        text = mutations.document(rule, language, texts, number, amount)
        peer.words = mutations.words_in(text)
        figure = peer.figure(rule, text, language)
        # Two stopwords are whole: one and three are as near as any document comes.
        close = 1 if rule == "min_stopwords" else 0.1 * threshold
        if figure is not None and abs(figure - threshold) <= close:
            found.append([number, amount, figure, peer.keeps(rule, threshold, text, language)])
        if len(found) == PER_RULE // 2:
            return found
    raise SystemExit(f"{rule}: too few documents near {threshold}")


def _amount(peer: Peer, rule: str, aim: float, language: str, texts: list[str], number: int) -> int:
    """How often to damage the document for its figure to pass `aim`."""

    def passed(amount: int) -> bool:
        text = mutations.document(rule, language, texts, number, amount)
        peer.words = mutations.words_in(text)
        return peer.keeps(rule, aim, text, language)

    at_first, amount = passed(0), 1
    if rule == "min_stopwords":
        return len(mutations.STOPWORDS[language]) - number % 3 - 1
    while amount < 1024 and passed(amount) == at_first:
        amount *= 2
    low = amount // 2
    while amount - low > 1:
        middle = (low + amount) // 2
        low, amount = (middle, amount) if passed(middle) == at_first else (low, middle)
    return amount - number % 2


def figures(peer: Peer, language: str, texts: list[str], first: int) -> list[dict[str, Any]]:
    """Every figure of short texts and of odd ones, with datatrove's own words."""
    chance = random.Random(first)
    pieces = ["a ", "b ", "ab ", "aa ", ". ", "a ", "b ", "ab ", "# ", "... ", "…\n", "\n", "-\n\n", ".\n"]
    letters = []
    for number in range(len(pieces) - 3):
        told = chance.choices(pieces[: 4 + number], k=60)
        letters.append("".join([*told, *told[10:40], *chance.choices(told, k=20), *told[20:50]]))
    short = [chance.choice(texts)[:1200] for _ in range(15)]
    found = []
    for text in [*EDGES, *letters, *short]:
        peer.words = load_word_tokenizer(TOKENIZERS[language]).word_tokenize(text)
        told = {rule: peer.figure(rule, text, language) for rule in RULES}
        found.append({"language": language, "text": text, "words": peer.words, "figures": told})
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--first", type=int, default=0, help="number of the first document")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("reference.json"))
    options = parser.parse_args()
    peer, reference = Peer(), {"datatrove": importlib.metadata.version("datatrove"), "figures": [], "near": {}}
    for language in ("lv", "et"):
        texts = mutations.sample(language)
        reference["figures"] += figures(peer, language, texts, options.first)
        for rule in RULES:
            entry = {"threshold": RULES[rule][1 if language == "lv" else 2]}
            entry["documents"] = near(peer, rule, language, texts, options.first)
            reference["near"].setdefault(rule, {})[language] = entry
    options.out.write_text(json.dumps(reference, ensure_ascii=False, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
