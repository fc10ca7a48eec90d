"""Encoding repair: mends what was decoded wrongly, and nothing else."""

from __future__ import annotations

import sys

import polars as pl
import pytest
from tests.corpus.text.real import needs_shared_text, sample_texts, sources, texts

from eurolm.corpus.text import encoding
from eurolm.errors import MachineError

ftfy = pytest.importorskip("ftfy", reason="encoding repair is the extra `encoding`")


def garbled(text: str, wrong: str) -> str:
    """UTF-8 read as a single-byte encoding; bytes that have no character there stay control characters."""
    return "".join(
        bytes([byte]).decode(wrong, errors="ignore") or bytes([byte]).decode("latin-1") for byte in text.encode()
    )


def with_letters(language: str) -> list[str]:
    return [text[:1500] for text in sample_texts(language)[::6] if not text[:1500].isascii()]


@pytest.mark.parametrize("language", ["lv", "et"])
@pytest.mark.parametrize("wrong", ["latin-1", "windows-1252"])
def test_garbled_text_is_mended(language: str, wrong: str) -> None:
    right = with_letters(language)
    mended, changed = encoding.repair(pl.Series([garbled(text, wrong) for text in right]))
    assert changed.all() and changed.dtype == pl.Boolean
    assert sum(a == b for a, b in zip(mended, right, strict=True)) >= 0.98 * len(right)


@pytest.mark.parametrize("wrong", ["latin-1", "windows-1257", "windows-1250", "windows-1251", "cp437"])
def test_the_filter_keeps_nothing_from_ftfy(wrong: str) -> None:
    batch = [garbled(text[:400], wrong) for text in with_letters("lv")[::4] + with_letters("et")[::4]]
    mended, _ = encoding.repair(pl.Series(batch))
    settings = ftfy.TextFixerConfig(
        unescape_html=False, remove_terminal_escapes=False, fix_latin_ligatures=False, fix_character_width=False,
        uncurl_quotes=False, fix_line_breaks=False, fix_surrogates=False, remove_control_chars=False,
        normalization="NFC",
    )  # fmt: skip
    assert mended.to_list() == [ftfy.fix_text(text, settings) for text in batch]


def test_clean_text_stays() -> None:
    odd = [
        "„Jā,” viņš teica — «nē»… ‘tā’ “tas”",
        "ŠĶĒRŠĀM ŽŪŅA, ÕÄÖÜ õäöü šž",
        "½ ﬁ Ａ &amp; &scaron; \x1b[0m x\r\ny",
        "",
        "№ 5 €",
    ]
    before = pl.Series("text", [*sample_texts("lv"), *sample_texts("et"), *odd, None])
    after, changed = encoding.repair(before)
    assert after.equals(before, null_equal=True) and not changed.any()


@needs_shared_text
@pytest.mark.long
def test_all_clean_text_stays() -> None:
    for language in ("lv", "et", "lt", "fi", "en", "ru", "ltg"):
        for source in sources(language):
            assert not encoding.repair(pl.Series(texts(language, source)))[1].any(), source


def test_only_the_garbled_line_changes() -> None:
    clean = "„Rīga” — pilsēta"
    before = pl.Series([f"{clean}\n{garbled('Tallinn õhtul, šodien Rīgā', 'latin-1')}\n{clean}", clean])
    after, changed = encoding.repair(before)
    assert after.to_list() == [f"{clean}\nTallinn õhtul, šodien Rīgā\n{clean}", clean]
    assert changed.to_list() == [True, False] and before[0] != after[0]


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ftfy", None)
    with pytest.raises(MachineError, match=r"needs ftfy, .* pip install 'eurolm\[encoding\]'"):
        encoding.repair(pl.Series(["x"]))
