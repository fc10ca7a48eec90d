from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
from tests.tokenizer.scoring.making import byte_level, sample

from eurolm.console import Reporter
from eurolm.errors import ConfigError
from eurolm.tokenizer.scoring.boundaries import Segmentation
from eurolm.tokenizer.scoring.candidates import open_all
from eurolm.tokenizer.scoring.intervals import Figure
from eurolm.tokenizer.scoring.metrics import DEFINITIONS
from eurolm.tokenizer.scoring.plot import draw, write_plot
from eurolm.tokenizer.scoring.score import Scores, score
from eurolm.tokenizer.scoring.table import as_text, figure
from eurolm.tokenizer.scoring.texts import Parallel, Texts

LONG = "a name far too long for any table"


@pytest.fixture(scope="module")
def scores(tmp_path_factory: pytest.TempPathFactory) -> Scores:
    place = tmp_path_factory.mktemp("scores")
    lv, et = list(sample("lv", 80)), list(sample("et", 80))
    one = byte_level(600, lv + et, place / "one" / "tokenizer.json")
    other = byte_level(60, lv, place / "other" / "tokenizer.json")
    texts = {code: Texts(code, own, [str(n) for n in range(80)], ["x"], 5) for code, own in (("et", et), ("lv", lv))}
    parallel = Parallel(["p.tsv"], {"lv": lv, "et": et}, [str(n) for n in range(80)], 3)
    gold = Segmentation("lv", "gold.tsv", {"pasaule": ["pa", "saule"], "mājas": ["māj", "as"]}, 3)
    candidates = open_all([str(one), f"{LONG}={other}"])
    found = score(candidates, texts, parallel, [gold], {}, Reporter("quiet"))
    return found.with_trial(
        {
            "equal": "bytes",
            "bytes": 80_000,
            "epochs": 1.0,
            "tokenizers": {
                name: {"tokens": 123_456, "embedding_parameters": 4_194_304, "cpu_s": 1234.5} for name in ("one", LONG)
            },
            "bits_per_byte": {
                "lv": {
                    name: dataclasses.asdict(Figure(2.123, 2.1, 2.2, 0.1, 0.05, 0.2, True)) for name in ("one", LONG)
                }
            },
        }
    )


@pytest.mark.parametrize("columns", [80, 100])
def test_tables_fit_the_terminal_and_lose_nothing(scores: Scores, columns: int) -> None:
    text = as_text(scores, columns)
    assert max(map(len, text.splitlines())) <= columns
    for title in ("Tokenizers", "What the text costs", "How words are cut", "The same content", "Cuts at morpheme",
                  "The same small model"):  # fmt: skip
        assert title in text
    shown = text.split()
    for by_name in scores.figures.values():
        first, second = by_name["one"]["tokens_per_word"], by_name[LONG]["tokens_per_word"]
        assert f"{first.value:.3f}" in shown
        assert second.beyond
        assert f"±{((second.high or 0) - (second.low or 0)) / 2:.3f}*" in shown
        for metric in ("continued_word_share", "renyi_efficiency", "single_token_share", "vocabulary_used"):
            assert f"{100 * (by_name['one'][metric].value or 0):.1f}" in shown, metric
    assert f"{scores.parity[LONG].languages[scores.parity[LONG].best].tokens:,}" in shown
    assert "4,194,304" in shown
    assert "2 of 3 words are concatenative (67 %)" in " ".join(shown)


def test_a_figure_says_how_sure_it_is() -> None:
    assert figure(Figure(None)) == "n/a"
    assert figure(Figure(1.5)) == "1.500"
    assert figure(Figure(0.5, 0.48, 0.53, 0.1, 0.05, 0.2, True), 1, 100) == "50.0 ±2.5*"
    assert figure(Figure(0.5, 0.48, 0.53, 0.1, -0.05, 0.2, False), 1, 100) == "50.0 ±2.5"


def test_the_json_is_complete_plain_and_explains_its_metrics(scores: Scores) -> None:
    value = json.loads(json.dumps(scores.as_json(), allow_nan=False))
    assert value["schema"] == 1
    assert value["texts"]["lv"]["groups"] == 80
    assert value["parallel"]["incomplete"] == 3
    one = value["figures"]["et"][LONG]["tokens_per_word"]
    assert one["low"] < one["value"] < one["high"]
    assert one["beyond"] is True
    assert value["parity"]["one"]["languages"]["et"]["ratio"]["value"] >= 1
    assert value["boundaries"]["lv"]["one"]["random_precision"] > 0
    assert value["tokenizers"][0]["sha256"] != value["tokenizers"][1]["sha256"]
    assert set(value["figures"]["lv"]["one"]) <= set(DEFINITIONS) == set(value["definitions"])
    assert any("3 parallel rows" in warning for warning in value["warnings"])


def test_the_plot_is_a_whole_svg_that_shows_every_figure_and_repeats_itself(scores: Scores, tmp_path: Path) -> None:
    text = draw(scores)
    assert text == draw(scores)
    drawn = ["".join(element.itertext()).strip() for element in ElementTree.fromstring(text).iter()]  # noqa: S314 - our own
    assert {"lv", "et", "one", LONG, "Tokens per word"} <= set(drawn)
    for by_name in scores.figures.values():
        own = by_name[LONG]["tokens_per_word"]
        assert f"{own.value:.2f}*" in drawn
    write_plot(scores, tmp_path / "plot.svg")
    assert (tmp_path / "plot.svg").read_text() == text
    with pytest.raises(ConfigError, match=r"name it plot\.svg"):
        write_plot(scores, tmp_path / "plot.pdf")
