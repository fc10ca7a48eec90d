"""A checkpoint checked from its files alone: hashes, and the sums of its receipt computed anew."""

from __future__ import annotations

from pathlib import Path

import torch

from eurolm.artifacts.manifest import damaged_files, read_manifest
from eurolm.errors import InputError
from eurolm.train import store
from eurolm.train.measure import WEIGHT, bit_sums
from eurolm.train.receipt import Receipt, ReceiptError, Sums, differences
from eurolm.train.shards import MASTER
from eurolm.train.tensors import read_index, read_range


def verify_checkpoint(checkpoint: Path) -> int:
    """Bytes checked. Raises InputError for files that differ from the manifest, ReceiptError where tensors do not add
    up to the receipt."""
    manifest = read_manifest(checkpoint)
    if damaged := damaged_files(checkpoint, manifest):
        raise InputError(f"{checkpoint}: {len(damaged)} files differ from the manifest, first {damaged[0]}.")
    receipt = store.read_receipt(checkpoint)
    found = Receipt(sums_of_files(checkpoint / store.TENSORS), receipt.steps, receipt.probe_loss)
    if said := differences(receipt, found):
        raise ReceiptError(f"{checkpoint}: the tensors do not add up to the receipt: {'; '.join(said[:3])}.")
    return sum(int(entry["bytes"]) for entry in manifest.files.values())


def sums_of_files(place: Path) -> Sums:
    """Sums of every saved tensor, and of the bf16 weights, which are the masters rounded."""
    sums: Sums = {}
    for name, states in sorted(read_index(place).items()):
        found = {}
        for state, parts in states.items():
            total, rounded = torch.zeros(2, dtype=torch.int64), torch.zeros(2, dtype=torch.int64)
            for first, values in read_range(place, parts, 0, parts[-1].end):
                total += bit_sums(values, first)
                if state == MASTER:
                    rounded += bit_sums(values.to(torch.bfloat16), first)
            found[state] = total.tolist()
            if state == MASTER:
                found[WEIGHT] = rounded.tolist()
        sums[name] = found
    return sums
