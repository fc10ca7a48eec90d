"""Composition, overrides and error messages of configs."""

from __future__ import annotations

from pathlib import Path

import pytest

from eurolm.config.load import explain, load_config
from eurolm.errors import ConfigError

SHIPPED = Path(__file__).resolve().parents[2] / "configs"


def write(directory: Path, name: str, text: str) -> Path:
    path = directory / name
    path.write_text(text)
    return path


def test_stopwords_no_and_on_stay_strings(tmp_path: Path) -> None:
    path = write(tmp_path, "a.yaml", "name: a\ncorpus: {languages: {lv: {stopwords: [no, on, yes, off]}}}\n")
    assert load_config(path).config.corpus.languages["lv"].stopwords == ["no", "on", "yes", "off"]


def test_extends_merges_mappings_and_replaces_lists(tmp_path: Path) -> None:
    write(tmp_path, "base.yaml", "train: {ranks: 4, prompts: [a, b]}\ntokenizer: {vocab_size: 5000}\n")
    path = write(tmp_path, "a.yaml", "name: a\nextends: [base.yaml]\ntrain: {prompts: [c]}\n")
    loaded = load_config(path, ["tokenizer.spare_tokens=3"])
    assert loaded.config.train.ranks == 4
    assert loaded.config.train.prompts == ["c"]
    assert loaded.config.tokenizer.vocab_size == 5000
    assert loaded.config.tokenizer.spare_tokens == 3


def test_explain_names_default_file_line_and_override(tmp_path: Path) -> None:
    write(tmp_path, "base.yaml", "train:\n  ranks: 4\n")
    path = write(tmp_path, "a.yaml", "name: a\nextends: [base.yaml]\n")
    rows = {key: (value, where) for key, value, where in explain(load_config(path, ["model.layers=7"]))}
    assert rows["train.ranks"][0] == 4 and rows["train.ranks"][1].endswith("base.yaml:2")
    assert rows["model.layers"] == (7, "override")
    assert rows["model.hidden_size"][1] == "default"
    assert rows["train.compile"][1] == "default"


def test_paths_are_relative_to_the_file_they_stand_in(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    write(tmp_path / "sub", "base.yaml", "corpus: {sources: [{name: a, paths: [x/*.txt, 'package:y.zst']}]}\n")
    path = write(tmp_path, "a.yaml", "name: a\nextends: [sub/base.yaml]\ntokens: {use: shards}\n")
    config = load_config(path, ["model.use=m"]).config
    assert config.corpus.sources[0].paths == [str(tmp_path / "sub" / "x/*.txt"), "package:y.zst"]
    assert config.tokens.use == tmp_path / "shards"
    assert config.model.use == Path.cwd() / "m"


@pytest.mark.parametrize(
    ("text", "overrides", "expected"),
    [
        ("name: a\ntrain: {rnaks: 2}\n", [], "train.rnaks is not a known key. Nearest: train.ranks. (", ),
        ("name: a\ntrain:\n  ranks: two\n", [], "train.ranks = 'two': input should be a valid integer"),
        ("name: a\ncorpus: {languages: {lv: {min_wrods: 2}}}\n", [], "Nearest: corpus.languages.lv.min_words"),
        ("name: a\n", ["train.ranks=0"], "(override)"),
        ("name: a\n", ["ranks"], "not of the form key.path=value"),
        ("name: a\n", ["train.ranks.x=1"], "train.ranks"),
        ("name: a\ncorpus: {sources: [{name: a, paths: [x]}]}\n", ["corpus.sources.3.name=x"], "does not exist"),
        ("name: 'a; rm -rf'\n", [], "name = 'a; rm -rf'"),
        ("name: a\nname: b\n", [], "duplicate key"),
        ("[1, 2]\n", [], "must hold a mapping"),
        ("name: [\n", [], "is not valid YAML"),
        ("extends: [missing.yaml]\nname: a\n", [], "missing.yaml is neither beside"),
        ("extends: [a.yaml]\nname: a\n", [], "extends itself"),
    ],
)  # fmt: skip
def test_mistakes_name_value_rule_and_place(tmp_path: Path, text: str, overrides: list[str], expected: str) -> None:
    path = write(tmp_path, "a.yaml", text)
    with pytest.raises(ConfigError) as caught:
        load_config(path, overrides)
    assert expected in str(caught.value)


def test_line_of_an_error_is_the_line_in_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, "a.yaml", "name: a\n\ntrain:\n  # why\n  ranks: -1\n")
    with pytest.raises(ConfigError, match=r"a\.yaml:5\)"):
        load_config(path)


def test_missing_config_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        load_config(tmp_path / "none.yaml")


NO_RUNS = {"throughput.yaml"}
"""Tables beside the configs."""


@pytest.mark.parametrize(
    "path", [path for path in sorted(SHIPPED.glob("*.yaml")) if path.name not in NO_RUNS], ids=lambda path: path.name
)
def test_shipped_configs_are_valid(path: Path) -> None:
    load_config(path, ["name=x"])
