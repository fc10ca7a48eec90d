from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.tokenizer.reference import pre_tokens
from tests.tokens.small_corpus import ODD_TEXTS, corpus_texts

from eurolm.tokenizer.pretokens import PreTokenCounter

CHARACTERS = [number for number in range(0x110000) if not 0xD800 <= number < 0xE000]


def counted(texts: list[str], pre_tokenizer: str = "llama3") -> dict[str, int]:
    counter = PreTokenCounter(pre_tokenizer)
    counter.add(texts)
    return counter.drain()


def in_contexts(numbers: list[int]) -> list[str]:
    """Text with each character in many places, twice: ended by a letter and, which is counted otherwise, by a space."""
    text = "".join(f"a{c}b 1{c}2 .{c}, {c} '{c}s\n{c}\n  {c}'t{c}\t{c}{c}\n\n" for c in map(chr, numbers))
    return [f"{text}a", f"{text} "]


def at_the_end(numbers: list[int]) -> list[str]:
    """Each character as the end of a text, before and after white space."""
    return [text for c in map(chr, numbers) for text in (c, f"a{c}", f".\n {c}", f"a {c}\n ", f"{c}  ")]


def test_real_text_is_cut_as_tokenizers_cuts_it(corpus: Path) -> None:
    texts = [*corpus_texts(corpus).values(), *ODD_TEXTS]
    assert counted(texts) == pre_tokens(texts)


@settings(max_examples=400, deadline=None)
@given(
    texts=st.lists(
        st.text(alphabet=st.characters(exclude_categories=["Cs"]))
        | st.text(alphabet=" \t\n\r\u00a0'sStlLdāä1٣.🙂\u0301ſ"),
        max_size=3,
    )
)
def test_any_text_is_cut_as_tokenizers_cuts_it(texts: list[str]) -> None:
    assert counted(texts) == pre_tokens(texts)


def test_one_character_of_every_kind_is_cut_as_tokenizers_cuts_it() -> None:
    kinds: dict[tuple[str, int], int] = {}
    for number in CHARACTERS:
        kinds.setdefault((unicodedata.category(chr(number)), number >> 8), number)
    numbers = list(kinds.values())
    assert counted(in_contexts(numbers)) == pre_tokens(in_contexts(numbers))
    assert counted(at_the_end(numbers)) == pre_tokens(at_the_end(numbers))


@pytest.mark.long
@pytest.mark.parametrize("part", range(8))
def test_every_character_is_cut_as_tokenizers_cuts_it(part: int) -> None:
    mine = CHARACTERS[part::8]
    for start in range(0, len(mine), 5000):
        texts = in_contexts(mine[start : start + 5000])
        assert counted(texts) == pre_tokens(texts), hex(mine[start])


def test_words_keep_the_space_before_them_and_know_no_line_ends() -> None:
    text = " a  b\tc\n\r\nd e<|endoftext|>\u00a0f "
    assert counted([text], "words") == {" a": 1, " ": 2, " b": 1, "c": 1, "d": 1, " e<|endoftext|>\u00a0f": 1}
