"""A real fastText model, small, with GlotLID's labels (`train_fasttext.py` made it)."""

from __future__ import annotations

import sys
from pathlib import Path

import langcodes
import numpy as np
import pytest
from tests.corpus.text.real import sample_texts

from eurolm.config.corpus import LanguageDetection
from eurolm.corpus.text import fasttext
from eurolm.corpus.text.language import detector
from eurolm.errors import ConfigError, MachineError

MODEL = Path(__file__).with_name("udhr.ftz")


def test_labels_become_language_codes() -> None:
    found = detector(LanguageDetection(detector="udhr", model=MODEL))
    assert found.name == "udhr"
    assert found.labels == {"lv", "et", "lt", "fi", "en", "ru"}


def test_it_tells_latvian_from_estonian() -> None:
    found = detector(LanguageDetection(detector="udhr", model=MODEL))
    for language in ("lv", "et"):
        batch = [text.replace(". ", ".\n")[:500] for text in sample_texts(language) if len(text) > 300][::20]
        answers, scores = found.detect(batch)
        assert (answers == language).mean() > 0.95
        assert scores.is_between(0, 1).all() and scores.median() > 0.8


def test_odd_text_is_answered() -> None:
    labels, scores = fasttext.load(MODEL).classify(["", "\n\n", "a\ud800b", "\0", "x" * 100_000])
    assert len(labels) == 5 and np.all((scores >= 0) & (scores <= 1))
    assert fasttext.load(MODEL).classify([])[0] == []


@pytest.mark.parametrize(
    ("label", "code"),
    [("lav", "lv"), ("lvs", "lv"), ("est", "et"), ("ekk", "et"), ("ltg", "ltg"), ("vro", "vro"), ("lit", "lt"),
     ("eng", "en"), ("fin", "fi"), ("rus", "ru"), ("lv", "lv"), ("zsm", "ms"), ("liv", "liv")],
)  # fmt: skip
def test_codes(label: str, code: str) -> None:
    assert fasttext._bcp47(label, langcodes) == code


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(b"not a model at all")
    with pytest.raises(ConfigError, match="is not a fastText classifier"):
        fasttext.load(tmp_path / "model.bin")


@pytest.mark.parametrize("library", ["fasttext", "langcodes"])
def test_a_missing_library_is_named(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(MachineError, match=rf"needs {library}, .* pip install 'eurolm\[lid\]'"):
        fasttext.load(MODEL)
