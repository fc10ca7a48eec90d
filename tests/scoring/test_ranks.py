"""Several ranks: exactly the results of one, an error on one ends all, and a launcher that waits for nobody."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.scoring.test_choices import REQUESTS

from eurolm.evaluate.devices import start_ranks
from eurolm.scoring.bits_per_byte import score_documents
from eurolm.scoring.choices import score_continuations
from eurolm.scoring.generate import generate_until
from eurolm.scoring.ranks import ALONE, Ranks
from eurolm.tokenizer.load import LoadedTokenizer

TEXTS = [request.context + request.text for request in REQUESTS]

PROGRAM = """
import sys, torch
from pathlib import Path
from transformers import AutoModelForCausalLM
from tests.scoring.test_ranks import REQUESTS, score_all, score_continuations
from eurolm.evaluate.devices import join_ranks
from eurolm.tokenizer.load import load

place = Path(sys.argv[1])
ranks = join_ranks()
torch.set_num_threads(1)
model, tokenizer = AutoModelForCausalLM.from_pretrained(place).eval(), load(place)
(place / f"scores-{ranks.rank}-of-{ranks.count}.txt").write_text(repr(score_all(model, tokenizer, ranks)))
if ranks.rank == 1:
    model.base_model.forward = None
try:
    ranks.together(lambda: score_continuations(model, tokenizer, REQUESTS, batch_tokens=40))
except Exception as error:
    (place / f"error-{ranks.rank}.txt").write_text(f"{type(error).__name__}: {error}")
"""


def score_all(model: Any, tokenizer: LoadedTokenizer, ranks: Ranks) -> list[Any]:
    """Continuations, documents and written text, in batches that two ranks share unevenly."""
    return [
        score_continuations(model, tokenizer, REQUESTS, batch_tokens=40, ranks=ranks),
        score_documents(model, tokenizer, TEXTS, 32, 16, 64, ranks=ranks),
        generate_until(model, tokenizer, TEXTS, [()] * len(TEXTS), 8, batch_tokens=60, ranks=ranks),
    ]


def test_two_ranks_give_exactly_the_results_of_one_and_fail_together(
    model: Any, tokenizer: LoadedTokenizer, tokenizer_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model.save_pretrained(tmp_path)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / name).write_bytes((tokenizer_dir / name).read_bytes())
    monkeypatch.chdir(Path(__file__).resolve().parents[2])
    assert start_ranks([sys.executable, "-c", PROGRAM, str(tmp_path)], 2) == 0
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        alone = repr(score_all(model, tokenizer, ALONE))
    finally:
        torch.set_num_threads(threads)
    for rank in (0, 1):
        assert (tmp_path / f"scores-{rank}-of-2.txt").read_text() == alone
    assert (tmp_path / "error-1.txt").read_text().startswith("TypeError: ")
    assert (
        (tmp_path / "error-0.txt")
        .read_text()
        .startswith("MachineError: rank 1 of 2 failed to score its share: TypeError: ")
    )


def test_when_a_rank_fails_the_others_are_ended() -> None:
    program = "import os, sys, time; sys.exit(3) if os.environ['RANK'] == '1' else time.sleep(60)"
    started = time.monotonic()
    assert start_ranks([sys.executable, "-c", program], 2) == 3
    assert time.monotonic() - started < 30
