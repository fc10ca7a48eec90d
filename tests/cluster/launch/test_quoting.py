"""Nothing a user or a profile supplies can run as a command: scripts rendered from hostile values are executed."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from tests.cluster.launch.orders import order

from eurolm.cluster.environment import Variable
from eurolm.cluster.jobs import ENCODE, KINDS
from eurolm.cluster.profile import load_profile
from eurolm.cluster.quoting import comment, directive, filled, shell
from eurolm.cluster.render import render, render_all
from eurolm.config.cluster import ClusterConfig
from eurolm.config.model import Config
from eurolm.errors import ConfigError

HOSTILE = [
    "$(touch PWNED)", "`touch PWNED`", "a'; touch PWNED; '", 'a"; touch PWNED; "', "a\ntouch PWNED\n", "&& touch PWNED",
    "${x:=$(touch PWNED)}", "\\'; touch PWNED #", "-rf", "*", "ā $HOME ~", "a\r\ntouch PWNED", "%j", "'\n'",
]  # fmt: skip
LUMI = load_profile("lumi-g")
# Anything a file name or an argument can hold: no NUL, and no lone surrogates, which no UTF-8 file can hold.
TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=40)
ANYTHING = TEXT | st.sampled_from(HOSTILE)
RECORDER = '#!/bin/bash\nprintf "%s\\0" "$PWD" "$REASONED" "$@" >"$SAID"\n'


def hostile(test: Callable[..., None]) -> Callable[..., None]:
    """Every hostile text in every place, always."""
    for text in HOSTILE:
        test = example(folder=text, argument=text, value=text, reason=text)(test)
    return test


@hostile
@given(folder=ANYTHING, argument=ANYTHING, value=ANYTHING, reason=ANYTHING)
@settings(max_examples=60, deadline=None)
def test_a_script_passes_every_value_on_as_it_is(folder: str, argument: str, value: str, reason: str) -> None:
    folder = folder.replace("/", "_").strip(".") or "x"
    while len(folder.encode()) > 200:
        folder = folder[:-1]
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        workdir = root / folder
        recorder = root / folder / "venv" / "bin" / "python"
        recorder.parent.mkdir(parents=True)
        recorder.write_text(RECORDER)
        recorder.chmod(0o755)
        table = {"REASONED": Variable(value=value, reason=reason, source=reason)}
        profile = LUMI.model_copy(update={"container": None, "environment": table})
        given_order = order(
            profile=profile, workdir=workdir, config_file=workdir / "c.yaml", overrides=(argument,),
            environment=str(workdir / "venv"),
        )  # fmt: skip
        scripts = given_order.run_dir / "slurm"
        scripts.mkdir(parents=True)
        for file, text in render_all(given_order, (ENCODE,)).items():
            (scripts / file).write_text(text)
        said = root / "said"
        environment = {"PATH": "/usr/bin:/bin", "SLURM_JOB_ID": "7", "SAID": str(said), "HOME": str(root)}
        subprocess.run(["bash", str(scripts / "encode.sbatch")], env=environment, cwd=root, check=True, timeout=20)
        place, reasoned, *arguments = said.read_bytes().decode().split("\0")[:-1]
        assert Path(place) == workdir.resolve()
        expected = value.replace("{job_id}", "7").replace("{node_dir}", "/tmp/eurolm-7")  # noqa: S108
        assert reasoned == expected
        config = [str(workdir / "c.yaml"), argument, "train.ranks=16", "train.threads_per_rank=7"]
        assert arguments == ["-m", "eurolm", "run", *config, "--only", "tokens"]
        assert not list(root.rglob("PWNED"))


@given(ANYTHING)
@example("a b")
@example("a\n#SBATCH --wrap=x")
def test_an_sbatch_line_takes_plain_words_or_refuses(text: str) -> None:
    try:
        said = directive(text)
    except ConfigError:
        return
    assert said == text and not set(text) & set(" \t\n\r\"'\\$`;&|<>()#*?!{}~") and text.isascii()


@given(ANYTHING)
def test_a_comment_is_one_line(text: str) -> None:
    assert len(f"# {comment(text)}".splitlines()) == 1


@pytest.mark.parametrize("text", HOSTILE)
def test_run_names_and_slurm_words_are_plain_from_the_start(text: str) -> None:
    with pytest.raises(ValidationError):
        Config.model_validate({"name": text})
    for field in ("account", "partition", "qos"):
        with pytest.raises(ValidationError):
            ClusterConfig.model_validate({field: text})
    with pytest.raises(ValidationError):
        ClusterConfig.model_validate({"exclude": [text]})


def test_a_profile_cannot_smuggle_a_line_into_the_head() -> None:
    profile = load_profile("lumi-g")
    queues = {
        name: queue.model_copy(update={"partition": "p\n#SBATCH --wrap=x"}) for name, queue in profile.queues.items()
    }
    for kind in KINDS:
        with pytest.raises(ConfigError, match="cannot stand on an #SBATCH line"):
            render(kind, order(profile=profile.model_copy(update={"queues": queues})))


def test_a_colon_in_a_bound_directory_is_refused() -> None:
    with pytest.raises(ConfigError, match="a colon or a comma"):
        render(ENCODE, order(workdir=Path("/scratch/a:b")))


def test_placeholders_are_the_only_expansion() -> None:
    assert filled("{node_dir}/a b") == "\"$EUROLM_NODE_DIR\"'/a b'"
    assert filled("") == "''" and filled("$HOME") == "'$HOME'"
    with pytest.raises(ConfigError, match="NUL"):
        shell("a\0b")
