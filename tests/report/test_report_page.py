"""The page: self-contained, safe for hostile text, the same bytes twice, true to its inputs, honest about gaps."""

from __future__ import annotations

import html
import json
import re
import time
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from tests.report.html_page import Page
from tests.report.run_directory import END, HOSTILE, ROW_TOKENS, ROWS, SCORES, STEPS

from eurolm.config.model import Config
from eurolm.console import Reporter
from eurolm.report.numbers import fixed, percent, size, whole
from eurolm.report.stage import write_report
from eurolm.tokenizer.load import load

QUIET = Reporter("quiet")


def read(run_dir: Path, name: str) -> dict:
    return json.loads((run_dir / name).read_bytes())


def test_nothing_is_loaded_and_nothing_runs(run_dir: Path) -> None:
    page = Page.of(run_dir)
    assert not page.tags() & {"script", "link", "img", "iframe", "object", "embed", "image", "foreignobject", "base"}
    for tag, attributes in page.elements:
        assert not any(name.startswith("on") for name in attributes), tag
        for name in ("src", "srcset", "href", "xlink:href", "action", "data", "poster"):
            assert (attributes.get(name) or "#").startswith("#"), (tag, name)
        for value in attributes.values():
            assert "url(" not in (value or "") or "url(#" in (value or "")
    source = (run_dir / "report" / "index.html").read_text()
    assert not re.search(r"@import|@font-face|url\((?!#)", source)
    policy = next(a["content"] for tag, a in page.elements if tag == "meta" and "http-equiv" in a)
    assert policy == "default-src 'none'; style-src 'unsafe-inline'"


def test_ids_are_unique_and_every_reference_has_its_target(run_dir: Path) -> None:
    page = Page.of(run_dir)
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    source = (run_dir / "report" / "index.html").read_text()
    assert len(ids) == len(set(ids))
    references = set(re.findall(r'href="#([^"]+)"', source)) | set(re.findall(r"url\(#([^)]+)\)", source))
    assert references and references <= set(ids)


def test_hostile_text_is_shown_and_not_obeyed(run_dir: Path) -> None:
    page = Page.of(run_dir)
    source = (run_dir / "report" / "index.html").read_text()
    for document in HOSTILE[:2]:
        assert document in page.text
    assert "{{ 7 * 7 }} {% raw %} \ufffd[31m\ufffd &lt;b&gt; 'quoted' \"double\"" in page.text
    assert "x<script>9" in page.text and "<b>CC0</b>" not in source and "<i>lv</i>" in page.text
    assert not re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", source)


def test_every_colour_is_the_page_s_own(run_dir: Path) -> None:
    source = (run_dir / "report" / "index.html").read_text()
    drawings = re.findall(r"<svg.*?</svg>", source, flags=re.DOTALL)
    assert len(drawings) == 8  # funnel, drops, lengths, loss, validation, small, tasks, curves
    for drawing in drawings:
        assert not re.search(r"#[0-9a-f]{6}\b|font-family", drawing)
        assert 'role="img"' in drawing and re.search(r'aria-label="[^"]+"', drawing)
    used = set(re.findall(r"var\(--([a-z]\w*)\)", source))
    for block in re.findall(r":root \{(.*?)\}", source, flags=re.DOTALL):
        assert used <= set(re.findall(r"--(\w+):", block))


def test_two_builds_are_the_same_bytes(run_dir: Path, config: Config, without: Callable[..., Path]) -> None:
    again = without("report")
    write_report(again, config, QUIET)
    for name in ("index.html", "report.json"):
        assert (again / "report" / name).read_bytes() == (run_dir / "report" / name).read_bytes()


def test_scores_are_those_of_the_results(run_dir: Path) -> None:
    text = Page.of(run_dir).text
    report = read(run_dir, "report/report.json")
    for language, (value, low, high, three, five) in SCORES.items():
        for figure in (value, three, five, 4.654321, 4.444444):
            assert fixed(figure) in text
        figures = report["bits_per_byte"][language]
        assert (figures["model"], figures["ngram"]) == (value, {"3": three, "5": five})
        assert figures["interval_95"] == (None if low is None else [low, high])
    assert "3.101–3.302" in text and "0.26 below the 3-gram model, 0.18 above the 5-gram model" in text
    pairs = report["tasks"]["scala-lv"]
    assert (pairs["value"], pairs["items"], pairs["baselines"]["untrained"]) == (0.5678, 358, 0.5125)
    for figure in (0.5678, 0.5125, 0.6543, 0.2233, 0.6012, 0.5654, 0.9876):
        assert percent(figure).replace("\u00a0", " ") in text
    assert "not told apart from the best baseline" in text and report["parameters"] == 123_456


def test_training_is_that_of_the_log(run_dir: Path) -> None:
    text = Page.of(run_dir).text
    training = read(run_dir, "report/report.json")["training"]
    assert training["steps"] == STEPS and training["tokens"] == STEPS * ROWS * ROW_TOKENS
    assert training["step_seconds"] == pytest.approx(0.25 * (STEPS - 1))
    assert (training["skipped_steps"], training["resumes"]) == (1, 1)
    assert "Step 30 was skipped: the loss was not finite." in text and "Resumed 1 time" in text
    for value in END.values():
        assert f"model {value:.3f}" in text
    assert "start · step 0" in text and "⅓ · step 14" in text and "end · step 40" in text
    assert "Rīga ir Latvijas galvaspilsēta." in text


def test_corpus_is_that_of_its_report(run_dir: Path) -> None:
    text = Page.of(run_dir).text
    corpus, figures = read(run_dir, "corpus/report.json"), read(run_dir, "report/report.json")["corpus"]
    totals = corpus["totals"]
    for name in ("read", "invalid", "kept", "kept_bytes", "heldout", "heldout_bytes", "dropped"):
        assert figures[name] == totals[name]
    assert totals["invalid"] == 2 and totals["dropped"]
    assert f"{whole(totals['read'])} documents ({size(totals['read_bytes'])}) were read" in text
    for rule, count in totals["dropped"].items():
        shown = len(corpus["samples"]["dropped"][rule])
        assert f"Dropped by {rule.replace('_', ' ')}: {shown} of {whole(count)}" in text
    tokenizer = read(run_dir, "tokenizer/training.json")["languages"]
    for language in ("lv", "et"):
        assert fixed(tokenizer[language]["heldout"]["bytes_per_token"], 3) in text


def test_tokens_put_together_are_sentences_of_the_heldout_text(run_dir: Path) -> None:
    page = (run_dir / "report" / "index.html").read_text()
    pattern = r'class="count">(\d+) tokens.*?<span class="tokens">(.*?)</span>\s*</div>'
    shown = [(int(count), spans) for count, spans in re.findall(pattern, page, flags=re.DOTALL)]
    heldout = [
        text for path in (run_dir / "corpus" / "heldout").rglob("*.parquet") for text in pl.read_parquet(path)["text"]
    ]
    own = load(run_dir / "tokenizer")
    found = set()
    for count, spans in shown:
        pieces = re.findall(r'<span class="t t\d">(.*?)(?:<sup>(\d+)</sup>)?</span>', spans + "</span>")
        sentence = html.unescape("".join(text for text, _ in pieces))
        assert any(sentence in text for text in heldout)
        assert count == sum(int(times or 1) for _, times in pieces)
        if count == len(own.encode(sentence)):
            found.add(sentence)
    assert len(found) == 2


MISSING = {
    "corpus/report.json": "corpus",
    "tokenizer/training.json": "tokenizer",
    "metrics.jsonl": "training",
    "evaluation/results.json": "bits_per_byte",
}


@pytest.mark.parametrize(
    "name", [*MISSING, "samples.jsonl", "tokens/tokens.json", "config.yaml", "ledger.jsonl", "tokenizer"]
)
def test_a_missing_file_is_a_stated_gap(name: str, config: Config, without: Callable[..., Path]) -> None:
    place = without(name, "report")
    write_report(place, config, QUIET)
    page, report = Page.of(place), read(place, "report/report.json")
    assert "n/a: " in page.text and name.split("/")[0].split(".")[0] in page.text
    key = MISSING.get(name)
    if key:
        assert report[key] is None and "is missing" in report["not_measured"][key]
        assert f"n/a: {report['not_measured'][key]}." in page.text


def test_an_empty_run_still_gets_a_page_without_a_figure(tmp_path: Path, config: Config) -> None:
    write_report(tmp_path, config, QUIET)
    report = read(tmp_path, "report/report.json")
    assert {key for key, value in report.items() if value is None} == {
        "bits_per_byte", "tasks", "parameters", "training", "tokenizer", "corpus"
    }  # fmt: skip
    summary = re.search(r'<dl class="facts">.*?</dl>', (tmp_path / "report" / "index.html").read_text(), re.DOTALL)
    assert summary and not re.search(r"\d", re.sub(r"<[^>]+>", "", summary[0]))


@pytest.mark.parametrize("content", ["{", "[]", '{"schema": 99}', '{"schema": 1, "bits_per_byte": {"lv": {}}}'])
def test_unreadable_results_are_a_stated_gap(content: str, config: Config, without: Callable[..., Path]) -> None:
    place = without("report")
    (place / "evaluation" / "results.json").write_text(content)
    write_report(place, config, QUIET)
    report = read(place, "report/report.json")
    assert report["bits_per_byte"] is None and "evaluation/results.json" in report["not_measured"]["bits_per_byte"]
    assert f"n/a: {report['not_measured']['bits_per_byte']}." in Page.of(place).text.replace("&nbsp;", " ")


def test_an_interval_that_was_not_measured_is_named(run_dir: Path) -> None:
    report = read(run_dir, "report/report.json")
    assert report["not_measured"] == {
        "bits_per_byte.et.interval_95": "too few independent groups of documents for an interval"
    }


def test_gaps_are_said_on_the_console_too(
    config: Config, without: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    write_report(without("report", "metrics.jsonl"), config, Reporter("quiet"))
    assert "the report has a gap: metrics.jsonl is missing" in " ".join(capsys.readouterr().err.split())


def test_a_torn_line_is_counted_and_the_rest_is_shown(config: Config, without: Callable[..., Path]) -> None:
    place = without("report")
    with (place / "metrics.jsonl").open("a") as stream:
        stream.write('{"event": "step", "step": 41, "samp')
    write_report(place, config, QUIET)
    assert "1 torn line in metrics.jsonl" in Page.of(place).text
    assert read(place, "report/report.json")["training"]["steps"] == STEPS


def test_the_stage_is_quick(config: Config, without: Callable[..., Path]) -> None:
    place = without("report")
    started = time.process_time()
    write_report(place, config, QUIET)
    assert time.process_time() - started < 15
