"""The parts below the page: pieces of tokens, the clock, smoothing, numbers, drawings."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import sentencepiece
from tests.conftest import sample_documents

from eurolm.config.model import Config
from eurolm.config.tokens import MixtureConfig, PhaseConfig
from eurolm.errors import InputError
from eurolm.mixture.phases import build_phases
from eurolm.report.numbers import between, compact, duration, percent, size, whole
from eurolm.report.pieces import Piece, by_bytes, by_ends, count, from_directory, from_path, mistral
from eurolm.report.sentences import handy
from eurolm.report.svg import COLOURS, render
from eurolm.report.training import course, prompts, smoothed, summary
from eurolm.tokenizer.load import load

TEXTS = [document["text"][:400] for language in ("lv", "et") for document in sample_documents(language, 40)]


def test_own_pieces_are_the_text_and_count_its_tokens(run_dir: Path) -> None:
    own, loaded = from_directory(run_dir / "tokenizer", "own"), load(run_dir / "tokenizer")
    for text in [*TEXTS, "日本 😀\n\nx", " ", "e\u0301"]:
        pieces = own.split(text)
        assert "".join(piece.text for piece in pieces) == text
        assert count(pieces) == len(loaded.encode(text))


def test_sentencepiece_pieces_are_the_text_and_count_its_tokens(tmp_path: Path) -> None:
    lines = [line for text in TEXTS for line in text.splitlines() if line]
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_prefix=str(tmp_path / "unigram"), vocab_size=600, byte_fallback=True,
        hard_vocab_limit=False, minloglevel=2,
    )  # fmt: skip
    splitter = from_path(tmp_path / "unigram.model")
    processor = sentencepiece.SentencePieceProcessor(model_file=str(tmp_path / "unigram.model"))
    for text in ["Rīgā līst lietus.", "Täna sajab vihma.", "日本 😀 õ"]:
        pieces = splitter.split(text)
        assert "".join(piece.text for piece in pieces) == text
        assert count(pieces) == len(processor.encode(text))


def test_mistral_pieces_are_the_text() -> None:
    # Installed with the test environment (scripts/environment); the run itself does without.
    splitter = mistral()
    assert splitter is not None and splitter.vocab_size == 32_000
    text = "Rīgas ielās no rīta valda klusums."
    pieces = splitter.split(text)
    assert "".join(piece.text for piece in pieces) == text
    assert count(pieces) > len(text) / 4


def test_what_is_no_tokenizer_is_said(tmp_path: Path) -> None:
    (tmp_path / "x.model").write_bytes(b"nothing")
    for path in (tmp_path / "x.model", tmp_path / "absent.model", tmp_path):
        with pytest.raises(InputError, match=str(path)):
            from_path(path)


def test_a_split_character_stays_whole() -> None:
    assert by_ends("aēb", [1, 2, 2, 3]) == [Piece("a", 1), Piece("ē", 2), Piece("b", 1)]
    assert by_bytes([b"a", b"\xc4", b"\x93b"]) == [Piece("a", 1), Piece("ēb", 2)]
    assert by_bytes([b"\xc4"]) == [Piece("\ufffd", 1)]


def test_handy_sentences_have_letters_only() -> None:
    good = "Saule spīdēja pāri klusajam mežam, un mēs gājām mājup."
    assert list(handy(f"1. pants. {good} Īss.\nTabula 3 | 4 rāda skaitļus, kuri nevienam nav vajadzīgi.")) == [good]


def test_tokens_follow_the_same_clock_as_the_mixture() -> None:
    phases = [
        PhaseConfig(tokens=10_000, row_tokens=64, batch_rows=8, max_epochs=1e9),
        PhaseConfig(tokens=5_000, row_tokens=128, batch_rows=4, max_epochs=1e9),
    ]
    table, _ = build_phases(phases, 1, ["a"], {64: {"a": 100}, 128: {"a": 50}})
    for phase in table:
        for sample in (0, 1, phase.samples):
            expected = phase.first_token + sample * phase.row_tokens
            assert MixtureConfig(phases=phases).tokens_of(phase.first_sample + sample) == expected


def test_smoothing_neither_lags_nor_leaves_the_range() -> None:
    line = [100.0 - step for step in range(1000)]
    soft = smoothed(line)
    assert soft[:900] == pytest.approx(line[:900])
    noisy = [random.Random(step).random() for step in range(500)]
    assert all(0.3 < value < 0.7 for value in smoothed(noisy)[50:-50])
    assert smoothed([]) == [] and smoothed([2.0]) == [2.0]


def test_a_log_with_gaps_has_no_total_time() -> None:
    lines = [{"event": "step", "step": step, "samples": step, "step_s": 1.0} for step in (10, 20)]
    assert summary(course(lines, MixtureConfig()))["step_seconds"] is None
    assert (
        summary(course([{**line, "step": 1 + n} for n, line in enumerate(lines)], MixtureConfig()))["step_seconds"]
        == 2.0
    )


def test_samples_are_ordered_by_step_and_a_later_line_counts() -> None:
    lines = [
        {"event": "sample", "step": step, "share": step / 9, "prompt": prompt, "text": text}
        for step, prompt, text in ((9, "b", "end"), (0, "b", "old"), (0, "b", "start"), (0, "a", "x"))
    ]
    found = prompts([*lines, {"prompt": "broken"}])
    assert [item["prompt"] for item in found] == ["b", "a"]
    assert [text["text"] for text in found[0]["texts"]] == ["start", "end"]


def test_numbers() -> None:
    assert [whole(1234567), whole(None), size(4_710_000), size(12), percent(1, 3), percent(1, 0)] == [
        "1,234,567", "n/a", "4.71 MB", "12 bytes", "33.3\u00a0%", "n/a"
    ]  # fmt: skip
    assert [percent(1, 10_000), percent(0, 5)] == ["<\u00a00.1\u00a0%", "0.0\u00a0%"]
    assert [compact(0), compact(250_000), compact(1.5e6), compact(999_900)] == ["0", "250k", "1.5M", "1M"]
    assert [duration(4.24), duration(171), duration(11_220), duration(None)] == [
        "4.2 s", "2 min 51 s", "3 h 07 min", "n/a"
    ]  # fmt: skip
    assert [between(1.0, 2.0), between(None, 2.0)] == ["1.000–2.000", "n/a"]


def test_a_drawing_escapes_its_text_and_keeps_its_ids_to_itself() -> None:
    def draw(figure) -> None:
        axes = figure.add_subplot()
        axes.plot([0, 1], [0, 1], marker="o", color=COLOURS["s1"])
        axes.set_title('<script>$x$ & "y"')

    first, again = (str(render(draw, "one", '"quoted" <b>', (4, 2))) for _ in range(2))
    other = str(render(draw, "two", "label", (4, 2)))
    assert first == again
    assert (
        "&lt;script&gt;$x$ &amp; " in first
        and "<script" not in first
        and 'aria-label="&quot;quoted&quot; &lt;b&gt;"' in first
    )
    assert 'id="one-' in first and 'id="one-' not in other


def test_large_logs_stay_small_pages(config: Config, tmp_path: Path) -> None:
    from eurolm.report.charts import loss_chart, small_charts

    lines = [
        {"event": "step", "step": n, "samples": n * 8, "loss": 3 + random.Random(n).random(), "tokens_per_s": 1e4}
        for n in range(1, 50_001)
    ]
    went = course(lines, config.mixture)
    assert len(str(loss_chart(went))) < 150_000
    assert len(str(small_charts(went))) < 150_000
