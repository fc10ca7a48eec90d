"""What `dataset` of a source means: a directory that `datasets` saved to disk, or a dataset of the hub.

A saved directory is Arrow files, which pyarrow reads by itself.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eurolm.config.corpus import SourceConfig
from eurolm.errors import ConfigError, InputError

HUB_NAME = re.compile(r"(?P<name>[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(:(?P<config>[\w.-]+))?")
END_OF_STREAM = b"\xff\xff\xff\xff\0\0\0\0"
"""What an Arrow stream ends with; without it a stream cut between two tables would pass for a whole one."""


@dataclass(frozen=True)
class HubDataset:
    """A dataset of the hub at one revision."""

    source: str
    name: str
    config: str | None
    split: str
    revision: str


def saved_files(source: SourceConfig, base: Path) -> list[Path] | None:
    """Arrow files of a dataset saved on disk, in order; null where the source names a dataset of the hub.

    Raises InputError for a directory that is no saved dataset, lacks the split, or has broken files.
    """
    place = base / (source.dataset or "")
    if not place.is_dir():
        return None
    where = f"corpus source {source.name}: {place}"
    if (place / "dataset_dict.json").is_file():
        splits = _json(place / "dataset_dict.json")["splits"]
        if source.split not in splits:
            raise InputError(f"{where} has no split {source.split!r}; it has {', '.join(splits)}. Set `split`.")
        place /= source.split
    if not (place / "state.json").is_file():
        raise InputError(
            f"{where} is no dataset that `save_to_disk` wrote (state.json is missing). "
            "Name the files of any other directory under `paths`, as in DIR/*.parquet."
        )
    state = _json(place / "state.json")
    if "split" in source.model_fields_set and state.get("_split") not in (None, source.split):
        raise InputError(f"{where} holds the split {state['_split']!r}, not {source.split!r}. Set `split`.")
    files = [place / entry["filename"] for entry in state["_data_files"]]
    for path in files:
        _check_whole(path)
    return files


def _json(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_bytes()))
    except ValueError as error:
        raise InputError(f"{path} is not JSON: {error}. Save the dataset again.") from None


def _check_whole(path: Path) -> None:
    try:
        with path.open("rb") as file:
            file.seek(-len(END_OF_STREAM), 2)
            tail = file.read()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}. Save the dataset again.") from None
    if tail != END_OF_STREAM:
        raise InputError(f"{path} is truncated: the Arrow stream has no end. Fetch or save the dataset again.")


def hub_dataset(source: SourceConfig) -> HubDataset:
    """The hub dataset that a source names. Raises ConfigError or InputError for what cannot be one."""
    match = HUB_NAME.fullmatch(source.dataset or "")
    if match is None:
        raise InputError(
            f"corpus source {source.name}: dataset = {source.dataset} is neither a directory nor OWNER/NAME[:CONFIG] "
            "of the hub."
        )
    if source.revision is None:
        raise ConfigError(
            f"corpus source {source.name}: {source.dataset} is no directory here, and a dataset of the hub needs "
            "`revision`, a commit of its repository, so that the same config always reads the same text."
        )
    return HubDataset(source.name, match["name"], match["config"], source.split, source.revision)
