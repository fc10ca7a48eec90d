"""A run as a user meets it: from text to report, again as a no-op, changed, renamed, and on parts from elsewhere."""

from __future__ import annotations

import json
import shutil
import time

from tests.conftest import Workspace, text_from

STAGES = ("corpus", "tokenizer", "tokens", "packs")


def test_all_six_stages_leave_their_results(finished_workspace: Workspace) -> None:
    run = finished_workspace.path / "runs" / "small"
    for stage in STAGES:
        assert len(finished_workspace.contents(stage)) == 1
        assert (run / stage).is_symlink() and (run / stage / "manifest.json").is_file()
    assert (run / "model" / "config.json").is_file() and list((run / "model").glob("*.safetensors"))
    results = json.loads((run / "evaluation" / "results.json").read_text())
    assert set(results["tasks"]) == {"scala-lv", "inflection-swap-et"}
    assert (run / "report" / "index.html").stat().st_size > 50_000
    losses = [line["loss"] for line in finished_workspace.metrics() if line["event"] == "step"]
    assert len(losses) == 40 and losses[-1] < losses[0] - 0.5


def test_again_is_a_no_op(copy_of_finished: Workspace) -> None:
    before = {path: path.stat().st_mtime_ns for path in copy_of_finished.path.rglob("*") if path.is_file()}
    output = copy_of_finished.run("run", "small.yaml")
    assert "nothing to do" in output
    changed = {path for path in before if path.stat().st_mtime_ns != before[path]}
    assert {path.name for path in changed} <= {"ledger.jsonl", "config.yaml"}


def test_changed_output_field_of_training_is_refused_with_three_ways_out(copy_of_finished: Workspace) -> None:
    model = copy_of_finished.path / "runs" / "small" / "model" / "model.safetensors"
    before = model.read_bytes()
    output = copy_of_finished.run("run", "small.yaml", "train.optimizer.learning_rate=0.001", expect=2)
    for way in ("train.optimizer.learning_rate", "--accept-change", "eurolm fork", "name=NEW"):
        assert way in output
    assert model.read_bytes() == before
    output = copy_of_finished.run("run", "small.yaml", "mixture.phases.0.tokens=40960", expect=2)
    assert "past the stable phase" in output


def test_what_is_refused_leaves_the_run_as_it_was(copy_of_finished: Workspace) -> None:
    run = copy_of_finished.path / "runs" / "small"
    before = {stage: (run / stage).readlink() for stage in STAGES}, (run / "config.yaml").read_text()
    said = copy_of_finished.run("run", "small.yaml", "tokenizer.vocab_size=900", expect=2)
    assert "training of small has started on another tokenizer." in said
    change = ("model.layers=3", "--accept-change", "model.layers")
    said = copy_of_finished.run("run", "small.yaml", *change, expect=2)
    assert "has started with another model.layers, and its checkpoints hold the weights" in said
    assert ({stage: (run / stage).readlink() for stage in STAGES}, (run / "config.yaml").read_text()) == before
    # Both would read another order of rows, and rows of another tokenizer.
    copy_of_finished.run("export", "small", "--out", "exported")


def test_a_new_name_reuses_corpus_tokenizer_and_shards(copy_of_finished: Workspace) -> None:
    before = {stage: copy_of_finished.contents(stage) for stage in STAGES}
    output = copy_of_finished.run(
        "run", "small.yaml", "name=other", "train.optimizer.learning_rate=0.001", "--until", "train"
    )
    assert {stage: copy_of_finished.contents(stage) for stage in STAGES} == before
    assert "corpus     finished before" in output
    assert copy_of_finished.losses("other")[0] == copy_of_finished.losses("small")[0]
    assert copy_of_finished.losses("other")[-1] != copy_of_finished.losses("small")[-1]


def test_foreign_tokenizer_and_megatron_shards(copy_of_finished: Workspace) -> None:
    run = copy_of_finished.path / "runs" / "small"
    hf = copy_of_finished.path / "hf-tokenizer"
    hf.mkdir()
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(run / "tokenizer" / name, hf / name)
    shards = copy_of_finished.path / "megatron"
    shards.mkdir()
    for path in sorted((run / "tokens").resolve().rglob("*.idx")):
        for suffix in (".idx", ".bin"):
            shutil.copy(path.with_suffix(suffix), shards / f"{path.parent.name}-{path.stem}_text_document{suffix}")
    (copy_of_finished.path / "foreign.yaml").write_text(
        (copy_of_finished.path / "small.yaml")
        .read_text()
        .replace("name: small", "name: foreign")
        .replace(
            "tokenizer: {vocab_size: 1024, spare_tokens: 4}", "tokenizer: {use: hf-tokenizer}\ntokens: {use: megatron}"
        )
    )
    copy_of_finished.run("run", "foreign.yaml")
    assert len(copy_of_finished.losses("foreign")) == 40
    results = json.loads((copy_of_finished.path / "runs" / "foreign" / "evaluation" / "results.json").read_text())
    assert set(results["tasks"]) == {"scala-lv", "inflection-swap-et"}


def test_only_from_until(small_workspace: Workspace) -> None:
    output = small_workspace.run("run", "small.yaml", "--only", "tokens", expect=2)
    assert "corpus is not finished" in output
    small_workspace.run("run", "small.yaml", "--until", "corpus")
    assert small_workspace.contents("corpus") and not small_workspace.contents("tokenizer")
    small_workspace.run("run", "small.yaml", "--from", "tokenizer", "--until", "tokenizer")
    assert small_workspace.contents("tokenizer") and not small_workspace.contents("tokens")
    small_workspace.run("run", "small.yaml", "--only", "train", "--until", "train", expect=2)


def test_inspect_and_generate(finished_workspace: Workspace) -> None:
    run = finished_workspace.path / "runs" / "small"
    assert "trained" in finished_workspace.run("inspect", str(run))
    for stage in ("corpus", "tokens", "tokenizer"):
        assert "content" in finished_workspace.run("inspect", str(run / stage))
    for pattern in ("*.parquet", "*.idx"):
        shard = next((run / ("corpus" if "parquet" in pattern else "tokens")).resolve().rglob(pattern))
        assert ("rows" if "parquet" in pattern else "documents") in finished_workspace.run("inspect", str(shard))
    assert "learning_rate" in finished_workspace.run("inspect", str(run / "metrics.jsonl"))
    first = finished_workspace.run("generate", "small", "--prompt", "Rīgā", "--max-tokens", "6")
    assert first.startswith("Rīgā") and first == finished_workspace.run(
        "generate", "small", "--prompt", "Rīgā", "--max-tokens", "6"
    )


def test_sigterm_stops_in_good_order_with_exit_10_and_the_same_command_goes_on(
    small_workspace: Workspace, finished_workspace: Workspace
) -> None:
    text_from(finished_workspace, small_workspace.path)
    process = small_workspace.start("run", "small.yaml", "--until", "train")
    metrics = small_workspace.path / "runs" / "small" / "metrics.jsonl"
    while process.poll() is None and not (metrics.is_file() and '"step": 5,' in metrics.read_text()):
        time.sleep(0.02)
    process.terminate()
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 10, output
    assert "stopped at step" in output and "same command resumes" in output
    small_workspace.run("run", "small.yaml", "--until", "train")
    assert small_workspace.losses() == finished_workspace.losses()


def test_the_horizon_of_a_run_stopped_in_its_stable_phase_may_grow(
    small_workspace: Workspace, finished_workspace: Workspace
) -> None:
    text_from(finished_workspace, small_workspace.path)
    run = small_workspace.path / "runs" / "small"
    longer = ("mixture.phases.0.tokens=204800", "mixture.phases.0.max_epochs=100", "--until", "train")
    process = small_workspace.start("run", "small.yaml", *longer)
    while process.poll() is None and not ((run / "metrics.jsonl").is_file() and small_workspace.losses()[30:]):
        time.sleep(0.02)
    process.terminate()
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 10, output
    stopped = small_workspace.losses()
    still = ("mixture.phases.0.tokens=225280", *longer[1:])
    small_workspace.run("run", "small.yaml", *still)
    assert small_workspace.losses()[: len(stopped)] == stopped
    assert len(small_workspace.losses()) == 440


def test_an_accepted_change_is_noted_and_keeps_the_model(copy_of_finished: Workspace) -> None:
    run = copy_of_finished.path / "runs" / "small"
    before = (run / "model" / "model.safetensors").read_bytes()
    change = ("train.optimizer.learning_rate=0.001", "--accept-change", "train.optimizer.learning_rate")
    copy_of_finished.run("run", "small.yaml", *change)
    assert (run / "model" / "model.safetensors").read_bytes() == before
    assert '"accepted": ["train.optimizer.learning_rate"]' in (run / "ledger.jsonl").read_text()
    assert "nothing to do" in copy_of_finished.run("run", "small.yaml", change[0])
