"""Datasets of the Hugging Face hub, streamed shard by shard by `datasets` (extra `hub`).

Code that a dataset brings along is never run. Compute nodes have no network, so what goes wrong ends with how to
fetch the files on a login node and read them under `paths`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from eurolm.config.corpus import SourceConfig
from eurolm.corpus.sources.batches import Batch
from eurolm.corpus.sources.dataset import HubDataset, hub_dataset
from eurolm.corpus.sources.tables import MAX_ROWS, table_batch
from eurolm.errors import EurolmError, InputError, MachineError

if TYPE_CHECKING:
    from eurolm.corpus.sources.units import Slice


def shards(dataset: HubDataset) -> int:
    """Number of shards that can be read apart. Raises InputError where the dataset cannot be reached."""
    with _explained(dataset):
        return int(_stream(dataset).num_shards)


def batches(piece: Slice, source: SourceConfig) -> Iterator[Batch]:
    """Rows of the shards `start` to `end`, each shard numbered from 0."""
    dataset = hub_dataset(source)
    with _explained(dataset):
        stream = _stream(dataset)
        for shard in range(piece.start, piece.end):
            row = 0
            for table in stream.shard(stream.num_shards, shard).with_format("arrow").iter(MAX_ROWS):
                for part in table.to_batches():
                    yield table_batch(part, f"{piece.label}#{shard}", row, source)
                    row += part.num_rows
        yield Batch()


def _stream(dataset: HubDataset) -> Any:
    try:
        import datasets
    except ImportError:
        raise MachineError(
            f"corpus source {dataset.source}: reading {dataset.name} from the hub needs `datasets`, "
            "which is not installed: pip install 'eurolm[hub]'."
        ) from None
    return datasets.load_dataset(
        dataset.name, dataset.config, split=dataset.split, revision=dataset.revision, streaming=True
    )


@contextmanager
def _explained(dataset: HubDataset) -> Iterator[None]:
    """Whatever the hub, the network or `datasets` complain of, with the way around it."""
    try:
        yield
    except EurolmError:
        raise
    except Exception as error:  # the causes are of a dozen libraries: HTTP, file systems, every file format
        raise InputError(
            f"corpus source {dataset.source}: {dataset.name} at {dataset.revision} cannot be read from the hub: "
            f"{' '.join(str(error).split())[:300]} ({type(error).__name__}). Without network, as on compute nodes, "
            f"fetch it first on a login node: hf download --repo-type dataset {dataset.name} "
            f"--revision {dataset.revision} --local-dir DIR; and name the files: paths: [DIR/**/*.parquet]."
        ) from None
