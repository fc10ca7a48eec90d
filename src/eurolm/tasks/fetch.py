"""Items from their public source, for machines with network: fetched once, converted, kept as JSON lines.

Compute nodes have no network, so nothing is fetched behind anybody's back: `eurolm tasks fetch` runs on a login node,
and a task whose items are not there says so. Code that a dataset brings along is never run; archives are read in
memory and never unpacked.
"""

from __future__ import annotations

import io
import json
import tarfile
import urllib.request
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from eurolm.artifacts.atomic import write_text
from eurolm.errors import ConfigError, InputError, MachineError
from eurolm.tasks.convert import Record, Row, converted
from eurolm.tasks.description import HubSource, RepositorySource
from eurolm.tasks.items import items
from eurolm.tasks.load import FETCHED, Task, with_items
from eurolm.tasks.repository_files import READERS

TIMEOUT_SECONDS = 60


def fetch(task: Task) -> Path:
    """Fetch, convert and check the items of a task; does nothing where they are here. Returns their file.

    Raises ConfigError for a task without a public source, MachineError for a missing library, InputError for a
    source that cannot be reached or has another form than the converter knows.
    """
    path = task.fetched_path
    if path.is_file():
        return path
    if task.source.hub is not None:
        return keep(task, converted(hub_rows(task.source.hub), task.source.hub.convert), path)
    if task.source.repository is not None:
        source = task.source.repository
        return keep(task, repository_records(source, _archive(source)), path)
    raise ConfigError(f"{task.name} has no public source to fetch: {task.source.none}")


def keep(task: Task, records: Iterator[Record], path: Path) -> Path:
    """Write the records and read them back as items; a file that cannot be read stays under another name."""
    partial = path.with_name(f"unchecked-{path.name}")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(partial, "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records))
    items(with_items(task, partial))
    partial.replace(path)
    return path


def hub_rows(source: HubSource) -> Iterator[Row]:
    """Rows of a hub dataset, of all configs that match `source.config`."""
    try:
        import datasets
    except ImportError:
        raise MachineError(f"{source.hub} is read by `datasets`: pip install 'eurolm[hub]'.") from None
    for config in _configs(datasets, source):
        try:
            table = _table(datasets, source, config)
        except Exception as error:  # the causes are of a dozen libraries: HTTP, file systems, every file format
            raise _unreachable(source.hub, error) from None
        for number, values in enumerate(table):
            place = f"{source.hub} ({config or 'default'}, {source.split}) row {number}"
            yield Row(values, config or "", number, place)


def _table(datasets: Any, source: HubSource, config: str | None) -> Any:
    if source.files is None:
        return datasets.load_dataset(source.hub, config, split=source.split, revision=source.revision)
    address = f"hf://datasets/{source.hub}@{source.revision}/{source.files}"
    return datasets.load_dataset("json", data_files={source.split: address}, split=source.split)


def _configs(datasets: Any, source: HubSource) -> list[str | None]:
    if source.config is None or "*" not in source.config:
        return [source.config]
    try:
        names = datasets.get_dataset_config_names(source.hub, revision=source.revision)
    except Exception as error:
        raise _unreachable(source.hub, error) from None
    return [name for name in sorted(names) if fnmatchcase(name, source.config)]


def repository_records(source: RepositorySource, archive: bytes) -> Iterator[Record]:
    """Records of the files in a gzipped tar archive of the repository that match `source.files`."""
    if source.convert not in READERS:
        raise InputError(f"source.repository.convert = {source.convert!r} is none of {', '.join(READERS)}.")
    files = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as tar:
            for member in tar:
                path = member.name.partition("/")[2]
                stream = tar.extractfile(member) if any(fnmatchcase(path, name) for name in source.files) else None
                if stream is not None:
                    files[path] = stream.read()
    except (tarfile.TarError, EOFError, OSError) as error:
        raise InputError(f"the archive of {source.repository}@{source.commit} is damaged: {error}.") from None
    if not files:
        raise InputError(f"{source.repository}@{source.commit} holds no file {' or '.join(source.files)}.")
    return READERS[source.convert](files)


def _archive(source: RepositorySource) -> bytes:
    address = f"{source.repository}/archive/{source.commit}.tar.gz"
    if not address.startswith("https://"):
        raise ConfigError(f"source.repository.repository = {source.repository!r} must begin with https://.")
    try:
        with urllib.request.urlopen(address, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310 - https, checked above
            return bytes(answer.read())
    except OSError as error:
        raise _unreachable(address, error) from None


def _unreachable(what: str, error: Exception) -> InputError:
    said = " ".join(str(error).split())[:300]
    return InputError(
        f"{what} cannot be read: {said} ({type(error).__name__}). Without network, as on compute nodes, run the same "
        f"command on a login node; the items are kept in the directory {FETCHED}, or ~/.cache/eurolm/items."
    )
