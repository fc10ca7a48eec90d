"""Artifacts are complete or absent, reused by fingerprint, adopted after a kill, refused when damaged."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from eurolm.artifacts import store
from eurolm.artifacts.manifest import MANIFEST, SCHEMA, damaged_files, read_manifest
from eurolm.artifacts.paths import link
from eurolm.artifacts.store import Recipe
from eurolm.errors import InputError

RECIPE = Recipe("corpus", 1, {"a": 1}, {"up": "0f"}, {"numpy": "2"}, [{"path": "x", "bytes": 1, "mtime_ns": 2}])


def make(directory: Path) -> None:
    (directory / "sub").mkdir(exist_ok=True)
    (directory / "sub" / "one.bin").write_bytes(b"1" * 1000)
    (directory / "two.txt").write_text("two")


def test_content_depends_on_bytes_alone(tmp_path: Path) -> None:
    first = store.build(tmp_path / "a", RECIPE, "1.0", make)
    second = store.build(tmp_path / "b", replace(RECIPE, config={"a": 2}), "2.0", make)
    assert first.content == second.content
    assert first.fingerprint != second.fingerprint


@pytest.mark.parametrize("field", ["recipe", "config", "upstream", "libraries", "inputs"])
def test_everything_that_determines_bytes_is_in_the_fingerprint(field: str) -> None:
    changed = {"recipe": 2, "config": {"a": 2}, "upstream": {}, "libraries": {"numpy": "3"}, "inputs": []}
    assert replace(RECIPE, **{field: changed[field]}).fingerprint != RECIPE.fingerprint


def test_golden_fingerprint() -> None:
    # Changing how fingerprints are made orphans every store: do it on purpose only.
    assert RECIPE.fingerprint == "959de3ab18970c21"


def test_a_failed_build_leaves_no_final_name_and_is_adopted(tmp_path: Path) -> None:
    place = tmp_path / "f"

    def half(directory: Path) -> None:
        (directory / "unit").write_text("done")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.build(place, RECIPE, "1", half)
    assert not place.exists()

    def rest(directory: Path) -> None:
        assert (directory / "unit").read_text() == "done"
        make(directory)

    store.build(place, RECIPE, "1", rest)
    assert store.finished(place) is not None
    assert [path.name for path in tmp_path.iterdir()] == ["f"]


def test_a_finished_artifact_is_not_made_again(tmp_path: Path) -> None:
    store.build(tmp_path / "f", RECIPE, "1", make)

    def refuse(directory: Path) -> None:
        raise AssertionError("made twice")

    store.build(tmp_path / "f", RECIPE, "1", refuse)


def test_damage_is_found(tmp_path: Path) -> None:
    place = tmp_path / "f"
    manifest = store.build(place, RECIPE, "1", make)
    assert damaged_files(place, manifest) == []
    (place / "two.txt").write_text("owt")
    assert store.finished(place) is not None  # same size: only the full check sees it
    assert damaged_files(place, manifest) == ["two.txt"]
    (place / "two.txt").write_text("longer")
    with pytest.raises(InputError, match=r"two\.txt"):
        store.finished(place)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (json.dumps({"schema": SCHEMA + 1}), f"schema {SCHEMA + 1}"),
        ("{", "not a manifest"),
        ("[]", "not a manifest"),
        (json.dumps({"schema": SCHEMA, "surprise": 1}), "not a manifest"),
    ],
)
def test_newer_or_broken_manifests_are_refused(tmp_path: Path, text: str, expected: str) -> None:
    (tmp_path / MANIFEST).write_text(text)
    with pytest.raises(InputError, match=expected):
        read_manifest(tmp_path)


def test_links_are_relative_and_replaced_in_one_step(tmp_path: Path) -> None:
    run, first, second = tmp_path / "runs" / "r", tmp_path / "store" / "1", tmp_path / "store" / "2"
    for directory in (run, first, second):
        directory.mkdir(parents=True)
    link(run, "corpus", first)
    link(run, "corpus", second)
    assert (run / "corpus").resolve() == second
    assert str((run / "corpus").readlink()) == "../../store/2"
    (run / "tokens").mkdir()
    with pytest.raises(InputError, match="in the way"):
        link(run, "tokens", first)
