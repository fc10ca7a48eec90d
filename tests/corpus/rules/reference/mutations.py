"""Documents on either side of a threshold, made from the embedded sample: one damage per rule, done `amount` times.

Plain Python and no eurolm, for this runs under the environment of the reference too. The same arguments give the same
text, so that the frozen reference need not hold the texts.
"""

from __future__ import annotations

import io
import json
import random
import re
from collections.abc import Callable
from pathlib import Path

import zstandard

SAMPLE = Path(__file__).resolve().parents[4] / "src" / "eurolm" / "corpus" / "sample"
SOURCES = {
    "lv": ("lv_likumi", "lv_eltec", "lv_udhr", "lv_common_voice"),
    "et": ("et_riigi_teataja", "et_udhr", "et_common_voice"),
}
"""Public domain and CC0."""
STOPWORDS = {
    "lv": ["un", "ir", "no", "ar", "gadā", "gada", "par", "bija", "arī"],
    "et": ["ja", "on", "oli", "ta", "aastal", "eesti", "ka", "ning", "et", "mis", "kui", "aasta", "ei", "või", "see"],
}
BASE_WORDS = 240


def sample(language: str) -> list[str]:
    """Texts of the embedded sample that may be quoted anywhere."""
    texts = []
    for name in SOURCES[language]:
        with (SAMPLE / f"{name}.jsonl.zst").open("rb") as raw:
            lines = io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(raw), encoding="utf-8")
            texts += [json.loads(line)["text"] for line in lines]
    return texts


def words_in(text: str) -> list[str]:
    """What a word is for both sides: one regex in one Python."""
    return re.findall(r"\w+", text)


def document(rule: str, language: str, texts: list[str], number: int, amount: int) -> str:
    """Document `number` for this rule, damaged `amount` times; a greater amount never undoes what a smaller did."""
    chance = random.Random(f"{rule} {language} {number}")
    start = chance.randrange(len(texts))
    words: list[str] = []
    while len(words) < BASE_WORDS:
        words += [word for word in texts[start % len(texts)].split() if word.strip("#-•.…")]
        start += 1
    begin = chance.randrange(len(words) - BASE_WORDS + 1)
    return DAMAGE[rule](words[begin : begin + BASE_WORDS], amount, chance, language)


def _mixed(count: int, chance: random.Random) -> list[int]:
    return chance.sample(range(count), count)


def _lines(words: list[str], length: int) -> list[str]:
    return [" ".join(words[start : start + length]) for start in range(0, len(words), length)]


def _shorter(words: list[str], amount: int, chance: random.Random, _: str) -> str:
    return " ".join(words[: max(len(words) - amount, 1)])


def _short_words(words: list[str], amount: int, chance: random.Random, _: str) -> str:
    chosen = set(_mixed(len(words), chance)[:amount])
    return " ".join("a" if place in chosen else word for place, word in enumerate(words))


def _long_words(words: list[str], amount: int, chance: random.Random, _: str) -> str:
    bare = ["".join(re.findall(r"\w", word)) or "x" for word in words]
    chosen = set(_mixed(len(words), chance)[:amount])
    return "".join(word + ("" if place in chosen else " ") for place, word in enumerate(bare))


def _inserted(*signs: str) -> Callable[[list[str], int, random.Random, str], str]:
    def damage(words: list[str], amount: int, chance: random.Random, _: str) -> str:
        places = _mixed(len(words), chance)
        after = {
            place: "".join(" " + chance.choice(signs) for _ in range(amount // len(words) + 1)) for place in places
        }
        chosen = set(places[: amount % len(words)]) if amount < len(words) else set(places)
        return " ".join(word + (after[place] if place in chosen else "") for place, word in enumerate(words))

    return damage


def _marked(length: int, before: tuple[str, ...], after: tuple[str, ...]) -> Callable[..., str]:
    """Lines of `length` words, `amount` of them marked."""

    def damage(words: list[str], amount: int, chance: random.Random, _: str) -> str:
        lines = [line.rstrip(".!?…") for line in _lines(words, length)]
        marks = [(chance.choice(before), chance.choice(after)) for _ in lines]
        chosen = set(_mixed(len(lines), chance)[:amount])
        marked = (marks[place] if place in chosen else ("", "") for place in range(len(lines)))
        return "\n".join(left + line + right for line, (left, right) in zip(lines, marked, strict=True))

    return damage


def _without_stopwords(words: list[str], amount: int, chance: random.Random, language: str) -> str:
    wanted = chance.sample(STOPWORDS[language], len(STOPWORDS[language]))
    rest = [word for word in words if not set(words_in(word)) & set(wanted)]
    return " ".join([*rest, *wanted[: max(len(wanted) - amount, 0)]])


def _short_lines(words: list[str], amount: int, chance: random.Random, _: str) -> str:
    lines = [line + " un turklāt arī vēl mazliet" for line in _lines(words, 4)]
    chosen = set(_mixed(len(lines), chance)[:amount])
    return "\n".join(line[:30] if place in chosen else line for place, line in enumerate(lines))


def _broken(words: list[str], amount: int, chance: random.Random, _: str) -> str:
    chosen = set(_mixed(len(words), chance)[:amount])
    return "".join(word + ("\n" if place in chosen else " ") for place, word in enumerate(words))


def _repeated(length: int, between: str) -> Callable[[list[str], int, random.Random, str], str]:
    """Lines or paragraphs of `length` words; `amount` of them stand once more, in other places."""

    def damage(words: list[str], amount: int, chance: random.Random, _: str) -> str:
        pieces = _lines(words, length)
        copies = [chance.choice(pieces) for _ in range(4 * len(pieces))]
        for copy in copies[:amount]:
            pieces.insert(chance.randrange(len(pieces) + 1), copy)
        return between.join(pieces)

    return damage


def _phrases(n: int) -> Callable[[list[str], int, random.Random, str], str]:
    """One phrase of n words again and again."""

    def damage(words: list[str], amount: int, chance: random.Random, _: str) -> str:
        begin = chance.randrange(len(words) - n)
        pieces = [*words]
        for _ in range(amount):
            pieces.insert(chance.randrange(len(pieces) + 1), " ".join(words[begin : begin + n]))
        return " ".join(pieces)

    return damage


def _passages(n: int) -> Callable[[list[str], int, random.Random, str], str]:
    """Passages of n words and more copied to other places, also into one another."""

    def damage(words: list[str], amount: int, chance: random.Random, _: str) -> str:
        pieces = [*words]
        for _ in range(amount):
            begin = chance.randrange(len(pieces) - n - 3)
            copy = pieces[begin : begin + n + chance.randrange(4)]
            place = chance.randrange(len(pieces) + 1)
            pieces[place:place] = copy
        return " ".join(pieces)

    return damage


DAMAGE: dict[str, Callable[[list[str], int, random.Random, str], str]] = {
    "min_words": _shorter,
    "max_words": _shorter,
    "min_average_word_length": _short_words,
    "max_average_word_length": _long_words,
    "max_symbol_word_ratio.hash": _inserted("#", "##"),
    "max_symbol_word_ratio.ellipsis": _inserted("...", "…", "....."),
    "max_bullet_line_share": _marked(4, ("- ", "•", "  \t• ", "\xa0-"), ("",)),
    "max_ellipsis_line_share": _marked(4, ("",), ("...", "…", "… ", "...\x1f")),
    "min_alphabetic_word_share": _inserted("12", "3", "4_5"),
    "min_stopwords": _without_stopwords,
    "min_punctuated_line_share": _marked(2, ("", " "), (".", "!", "?")),
    "max_short_line_share": _short_lines,
    "max_duplicate_line_character_share": _repeated(2, "\n"),
    "max_newline_word_ratio": _broken,
    "max_duplicate_paragraph_share": _repeated(5, "\n\n"),
    "max_duplicate_paragraph_character_share": _repeated(4, "\n\n\n"),
    "max_duplicate_line_share": _repeated(4, "\n"),
    "max_duplicate_line_text_share": _repeated(4, "\n\n"),
    **{f"max_top_ngram_share.{n}": _phrases(n) for n in (2, 3, 4)},
    **{f"max_duplicate_ngram_share.{n}": _passages(n) for n in (5, 6, 7, 8, 9, 10)},
}
