"""The stage: figures equal to those computed by hand from its parts, resumed by units, wrong input refused."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import TypeAdapter

from eurolm.config.model import Config
from eurolm.console import Reporter
from eurolm.corpus.documents import heldout
from eurolm.errors import ConfigError, InputError, NumericsError
from eurolm.evaluate.results import Results, json_schema, read_results, scores_sha256
from eurolm.evaluate.stage import run_evaluation
from eurolm.evaluate.subject import choose_device, trained, untrained
from eurolm.evaluate.training_text import training_text
from eurolm.model.build import build_model
from eurolm.model.load import load_model
from eurolm.scoring.bits_per_byte import bits_per_byte, score_documents
from eurolm.tokenizer.load import load

QUIET = Reporter("quiet")


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory, config: Config, model_dir: Path, corpus: Path) -> Path:
    place = tmp_path_factory.mktemp("run")
    run_evaluation(config, model_dir, corpus, place, QUIET)
    return place


def changed(config: Config, **evaluate: Any) -> Config:
    return config.model_copy(update={"evaluate": config.evaluate.model_copy(update=evaluate)})


def test_results_fit_their_schema_and_name_everything(run_dir: Path, model_dir: Path) -> None:
    results = TypeAdapter(Results).validate_python(read_results(run_dir / "evaluation"))
    assert sorted(results.bits_per_byte) == ["et", "lv"]
    assert list(results.tasks) == ["scala-lv"]
    assert results.parameters == sum(value.numel() for value in load_model(model_dir).parameters())
    assert results.settings.window_tokens == 64
    assert results.settings.stride_tokens == 32
    assert results.settings.versions["torch"] == torch.__version__.partition("+")[0] or torch.__version__
    assert json_schema()["properties"].keys() == read_results(run_dir / "evaluation").keys()
    assert any("reviewed" in note for note in results.notes)
    assert not any("n-gram" in note for note in results.notes)


def test_bits_per_byte_are_those_of_the_documents(run_dir: Path, model_dir: Path, corpus: Path, config: Config) -> None:
    results = TypeAdapter(Results).validate_python(read_results(run_dir / "evaluation"))
    tokenizer, device = load(model_dir), choose_device()
    for language, score in results.bits_per_byte.items():
        found = heldout(corpus, language)
        for model, value, stride in (
            (load_model(model_dir), score.value, 32),
            (build_model(config.model, tokenizer.vocab_size, tokenizer.eod_id), score.rows.untrained, 64),
        ):
            wanted = score_documents(model.to(device.dtype), tokenizer, [each.text for each in found], 64, stride, 999)
            assert value == pytest.approx(bits_per_byte(wanted), rel=1e-4)
        assert score.rows.uniform == pytest.approx(math.log2(tokenizer.vocab_size) * score.tokens / score.bytes)
        assert score.rows.ngram_5 is not None
        assert score.rows.ngram_3 is not None
        assert score.rows.ngram_5 < score.rows.ngram_3 < score.value
        assert score.clusters == 15
        assert score.low is not None
        assert score.high is not None
        assert score.low < score.value < score.high
        per_document = lines(run_dir / "evaluation" / f"documents-{language}.jsonl")
        assert [entry["id"] for entry in per_document] == [each.id for each in found]
        assert math.fsum(entry["bits"] for entry in per_document) / score.bytes == pytest.approx(score.value)
        assert score.sources == {f"{language}_text": pytest.approx(score.value)}


def test_pair_figures_follow_from_the_items(run_dir: Path) -> None:
    task = TypeAdapter(Results).validate_python(read_results(run_dir / "evaluation")).tasks["scala-lv"]
    found = lines(run_dir / "evaluation" / "items-scala-lv.jsonl")
    equal = [entry for entry in found if entry["bytes"][0] == entry["bytes"][1]]
    right = [float(entry["log2_probability"][0] > entry["log2_probability"][1]) for entry in found]
    assert (len(found), len(equal)) == (1470, 662)
    headline, every = task.scores[task.headline], task.scores["accuracy"]
    assert task.headline == "accuracy_equal_bytes" and headline.figure.items == 662
    assert headline.figure.value == pytest.approx(sum(entry["rows"][task.headline][0] for entry in equal) / 662)
    assert every.figure.value == pytest.approx(sum(right) / 1470)
    assert headline.baselines["shortest"] == headline.baselines["longest"] == 0.5
    assert every.baselines["shortest"] == pytest.approx(0.225, abs=5e-4)
    assert every.baselines["longest"] == pytest.approx(0.775, abs=5e-4)
    assert "untrained" in headline.baselines and headline.best_baseline in headline.baselines
    assert headline.figure.low is not None and headline.figure.value is not None
    assert headline.figure.low < headline.figure.value
    # Random weights know no Latvian: the interval holds a half, and the report may not say otherwise.
    assert headline.above_baseline is False
    assert task.contamination is None and task.spread is None and task.calibration is None


def test_times_and_hosts_stand_in_the_manifest_alone(run_dir: Path) -> None:
    place = run_dir / "evaluation"
    manifest = json.loads((place / "manifest.json").read_text())
    assert manifest["scores_sha256"] == scores_sha256(read_results(place))
    assert set(manifest["unit_seconds"]) >= {"task-scala-lv-trained", "task-scala-lv-untrained", "text-lv-ngram"}
    assert manifest["host"] not in (place / "results.json").read_text()


def test_finished_units_are_reused_and_a_lost_one_is_repeated(
    run_dir: Path, config: Config, model_dir: Path, corpus: Path, tmp_path: Path
) -> None:
    place = tmp_path / "run"
    shutil.copytree(run_dir, place)
    before = (place / "evaluation" / "results.json").read_bytes()
    units = sorted((place / "evaluation" / "units").iterdir())
    stamps = {unit.name: unit.stat().st_mtime_ns for unit in units}
    lost, torn = place / "evaluation/units/text-et-ngram.json", place / "evaluation/units/text-lv-trained.json"
    lost.unlink()
    torn.write_bytes(torn.read_bytes()[:40])
    (place / "evaluation" / "units" / "text-et-trained.json.partial-123").write_text("half")
    (place / "evaluation" / "results.json").unlink()
    run_evaluation(config, model_dir, corpus, place, QUIET)
    assert (place / "evaluation" / "results.json").read_bytes() == before
    after = {unit.name: unit.stat().st_mtime_ns for unit in sorted((place / "evaluation" / "units").iterdir())}
    assert sorted(after) == sorted(stamps)
    assert {name for name in after if after[name] != stamps[name]} == {lost.name, torn.name}


def test_a_changed_setting_repeats_what_depends_on_it(
    run_dir: Path, config: Config, model_dir: Path, corpus: Path, tmp_path: Path
) -> None:
    place = tmp_path / "run"
    shutil.copytree(run_dir, place)
    units = place / "evaluation" / "units"
    stamps = {unit.name: unit.stat().st_mtime_ns for unit in units.glob("*.json")}
    before = (place / "evaluation" / "results.json").read_bytes()
    run_evaluation(changed(config, stride_tokens=64), model_dir, corpus, place, QUIET)
    repeated = {unit.name for unit in units.glob("*.json") if unit.stat().st_mtime_ns != stamps[unit.name]}
    assert repeated == {"text-et-trained.json", "text-lv-trained.json"}
    assert read_results(place / "evaluation")["settings"]["stride_tokens"] == 64
    # The first question again: what it cost was kept.
    run_evaluation(config, model_dir, corpus, place, QUIET)
    assert {unit.name: unit.stat().st_mtime_ns for unit in units.glob("*.json")} == stamps
    assert (place / "evaluation" / "results.json").read_bytes() == before


def test_less_text_and_other_orders_are_said(config: Config, model_dir: Path, corpus: Path, tmp_path: Path) -> None:
    small = changed(config, tasks=[], heldout_max_bytes=400, ngram_max_bytes=50_000, ngram_orders=[4])
    value = run_evaluation(small, model_dir, corpus, tmp_path, QUIET)
    assert value["tasks"] == {}
    for language in ("et", "lv"):
        score = value["bits_per_byte"][language]
        assert score["bytes"] <= 400 or score["documents"] == 1
        assert (score["low"], score["high"]) == (None, None)
        assert score["rows"]["ngram_3"] is None
        assert list(score["rows"]["ngrams"]) == ["4"]
        assert any(note.startswith(f"{language}: {score['documents']} of 30 held-out") for note in value["notes"])
        assert any(note.startswith(f"{language}: n-gram models saw") for note in value["notes"])


def test_training_text_takes_every_shard_in_proportion(corpus: Path) -> None:
    everything, complete = training_text(corpus, "lv", 10_000_000)
    assert complete
    part, complete = training_text(corpus, "lv", 100_000)
    assert not complete
    size = sum(len(text.encode()) for text in part)
    assert 90_000 < size < 100_000 + 2 * max(len(text.encode()) for text in everything)
    assert set(part) < set(everything)


def test_a_run_without_corpus_scores_its_tasks(run_dir: Path, config: Config, model_dir: Path, tmp_path: Path) -> None:
    shutil.copytree(run_dir / "evaluation" / "units", tmp_path / "evaluation" / "units")
    value = run_evaluation(config, model_dir, None, tmp_path, QUIET)
    assert value["bits_per_byte"] == {}
    assert value["tasks"]["scala-lv"]["scores"]["accuracy_equal_bytes"]["figure"]["items"] == 662
    assert any("No held-out text" in note for note in value["notes"])


def test_untrained_row_of_a_continued_model_is_that_model(config: Config, model_dir: Path) -> None:
    tokenizer, device = load(model_dir), choose_device()
    opens = trained(model_dir, tokenizer, device).opening
    start = untrained(config.model.model_copy(update={"use": model_dir}), tokenizer, device, opens)
    weight = load_model(model_dir).lm_head.weight
    assert torch.equal(start.model.lm_head.weight.float(), weight.to(device.dtype).float())
    assert start.identity != untrained(config.model, tokenizer, device, opens).identity


def test_wrong_input_is_refused_before_anything_is_scored(
    config: Config, model_dir: Path, corpus: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="Did you mean scala-lv"):
        run_evaluation(changed(config, tasks=["scala-lw"]), model_dir, corpus, tmp_path, QUIET)
    with pytest.raises(ConfigError, match="stride_tokens = 65 is longer than the window of 64"):
        run_evaluation(changed(config, stride_tokens=65), model_dir, corpus, tmp_path, QUIET)
    with pytest.raises(ConfigError, match="window of 4096 tokens is longer than the context of 2048"):
        run_evaluation(changed(config, context_tokens=4096), model_dir, corpus, tmp_path, QUIET)
    with pytest.raises(InputError, match=r"holds no \*.safetensors file"):
        lonely = tmp_path / "lonely"
        shutil.copytree(model_dir, lonely, ignore=shutil.ignore_patterns("*.safetensors"))
        run_evaluation(config, lonely, corpus, tmp_path, QUIET)
    bare = tmp_path / "corpus"
    shutil.copytree(corpus, bare)
    shutil.rmtree(bare / "heldout")
    with pytest.raises(InputError, match=r"has no held-out text.*corpus\.heldout\.share"):
        run_evaluation(config, model_dir, bare, tmp_path, QUIET)
    assert not list((tmp_path / "evaluation").glob("units/*"))


def test_a_broken_model_stops_instead_of_scoring(config: Config, model_dir: Path, corpus: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(model_dir, broken)
    model = load_model(model_dir)
    with torch.no_grad():
        model.model.norm.weight[0] = float("nan")
    model.save_pretrained(broken)
    with pytest.raises(NumericsError, match="not finite"):
        run_evaluation(config, broken, corpus, tmp_path, QUIET)
    assert not (tmp_path / "evaluation" / "results.json").exists()
