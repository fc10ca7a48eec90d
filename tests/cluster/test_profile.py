"""Machine profiles: shipped ones hold together, a user's own extends one, mistakes name their line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from eurolm.cli.main import cli
from eurolm.cluster.facts import Facts
from eurolm.cluster.profile import load_profile, profile_names
from eurolm.errors import ConfigError

SITES = ["leonardo", "lumi-g", "marenostrum5"]


def test_the_shipped_profiles() -> None:
    assert profile_names() == ["leonardo", "local", "lumi-g", "marenostrum5"]
    for name in profile_names():
        assert load_profile(name).name == name


@pytest.mark.parametrize("name", SITES)
def test_a_site_has_what_jobs_need(name: str) -> None:
    profile = load_profile(name)
    purposes = {queue.purpose for queue in profile.queues.values()}
    assert {"train", "debug"} <= purposes
    assert any(area.use == "runs" and area.path for area in profile.storage.values())
    assert any(area.use == "node" for area in profile.storage.values())
    assert profile.devices.per_node * profile.cores.per_device <= profile.cores.usable
    for key, variable in profile.environment.items():
        assert variable.reason.strip(), key
        assert variable.source.strip(), key
    # Compute nodes that cannot reach the hub must not try to.
    assert profile.environment["HF_HUB_OFFLINE"].value == "1"
    forbidden = {"--gpus-per-task", "--ntasks-per-gpu"}
    assert forbidden <= set(profile.slurm.forbidden_options)


def test_masks_of_lumi_are_the_seven_cores_of_each_devices_ccd() -> None:
    cores = load_profile("lumi-g").cores
    taken = 0
    for mask, first in zip(cores.device_masks, cores.device_first_cores, strict=True):
        assert int(mask, 16) == sum(1 << core for core in range(first, first + cores.per_device))
        assert first % 8 == 1, "the first core of every CCD belongs to the system"
        assert not taken & int(mask, 16)
        taken |= int(mask, 16)
    assert taken.bit_count() == cores.usable == 56


def test_the_variables_that_hang_jobs_on_lumi_are_not_set() -> None:
    environment = load_profile("lumi-g").environment
    assert environment["NCCL_NET_GDR_LEVEL"].value is None
    assert environment["ROCR_VISIBLE_DEVICES"].value is None
    assert environment["FI_MR_CACHE_MONITOR"].value == "userfaultfd"


def test_a_profile_of_ones_own_extends_a_shipped_one(tmp_path: Path) -> None:
    own = tmp_path / "mine.yaml"
    own.write_text(
        "extends: [clusters/lumi-g.yaml]\nname: mine\ncores: {per_device: 6}\n"
        "environment:\n  MY_FLAG: {value: '1', reason: a test, source: this file}\n"
    )
    mine, shipped = load_profile(own), load_profile("lumi-g")
    assert (mine.name, mine.cores.per_device) == ("mine", 6)
    assert mine.queues == shipped.queues
    assert mine.environment["MY_FLAG"].reason == "a test"
    assert mine.environment.keys() > shipped.environment.keys()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "cores: {per_devices: 6}",
            r"cores\.per_devices is not a known key\. Nearest: cores\.per_device\..*yaml:3",
        ),
        ("power: {pue: null}", r"power.*pue is null without a reason.*mine\.yaml:3"),
        ("devices: {per_node: many}", r"devices\.per_node = 'many'.*mine\.yaml:3"),
        ("environment: {A: {value: '1', source: s}}", r"environment\.A\.reason is missing.*mine\.yaml:3"),
    ],
)
def test_mistakes_name_their_line(text: str, message: str, tmp_path: Path) -> None:
    own = tmp_path / "mine.yaml"
    own.write_text(f"extends: [clusters/lumi-g.yaml]\nname: mine\n{text}\n")
    with pytest.raises(ConfigError, match=message):
        load_profile(own)


def test_an_unknown_machine_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="Nearest: lumi-g"):
        load_profile("lumi")


def shown(name: str, columns: int) -> str:
    answer = CliRunner().invoke(cli, ["cluster", "show", name], env={"COLUMNS": str(columns)})
    assert answer.exit_code == 0
    return answer.output


@pytest.mark.parametrize("columns", [80, 120])
def test_show_prints_every_variable_with_reason_and_source(columns: int) -> None:
    text = " ".join(shown("lumi-g", columns).split())
    for name, variable in load_profile("lumi-g").environment.items():
        assert f"{name}={variable.value}" in text or f"{name} (not set)" in text
        assert " ".join(f"{variable.reason} ({variable.source})".split()) in text
    assert json.loads(CliRunner().invoke(cli, ["cluster", "show", "leonardo", "--json"]).output)["name"] == "leonardo"
    listed = CliRunner().invoke(cli, ["cluster", "show"]).output
    assert all(name in listed for name in profile_names())


@pytest.mark.parametrize("name", [*SITES, "local"])
def test_show_tells_every_source_and_every_gap_and_fits_the_screen(name: str) -> None:
    profile, text = load_profile(name), shown(name, 80)
    assert all(len(line) <= 80 or len(line.split()[-1]) > 50 for line in text.splitlines()), "or one long word"
    flat = " ".join(text.split())
    parts = [getattr(profile, part) for part in type(profile).model_fields]
    groups = [part for part in parts if isinstance(part, Facts)]
    groups += [group for part in parts if isinstance(part, dict) for group in part.values() if isinstance(group, Facts)]
    assert len(groups) >= 8
    for group in groups:
        for told in (group.source, *group.sources.values(), *group.unknown.values()):
            assert " ".join(told.split()) in flat
