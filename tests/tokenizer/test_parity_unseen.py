"""What parity on the tuning text does to parallel text that the search never saw: FLORES and NTREX."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks.tokenizer import VOCAB_SIZE, unseen, write_corpus
from tests.tokenizer.reference import shared_rows
from tests.tokens.small_corpus import QUIET

from eurolm.config.tokens import TokenizerConfig
from eurolm.tokenizer.counts import build_counts, read_counts
from eurolm.tokenizer.inventory import read_inventory
from eurolm.tokenizer.parity import search
from eurolm.tokenizer.train import train


@pytest.mark.long
def test_unseen_text_is_no_further_apart_than_at_equal_bytes(tmp_path: Path) -> None:
    suites = {name: shared_rows(f"eval/multi/{name}.jsonl") for name in ("flores101_devtest", "ntrex128")}
    config = TokenizerConfig.model_validate({"vocab_size": VOCAB_SIZE, "workers": 1, "parity": {"mode": "search"}})
    write_corpus(tmp_path / "corpus", 20_100_000)
    build_counts(config, tmp_path / "corpus", tmp_path / "counts", QUIET)
    counts = read_counts(tmp_path / "counts")
    inventory = read_inventory(counts)
    parity, vocabulary = search(config, counts, inventory, QUIET)
    assert parity.reached
    equal = train(config, inventory, parity.rounds[0].weights)
    for name, rows in suites.items():
        figures = unseen(name, rows, {"equal": equal, "parity": vocabulary})
        excess, fertility = (figures[f"tokenizer.parity_{name}_{figure}"] for figure in ("excess", "fertility"))
        assert excess["value"] <= excess["peer_value"]
        assert fertility["ratio"] <= 1.02
        assert "difference" in excess["note"]
