from __future__ import annotations

import json
import math
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.tokenizer.scoring.making import byte_level, sample, sentencepiece_model
from tests.tokens.small_corpus import write_shard

from eurolm.console import Reporter
from eurolm.errors import ConfigError, InputError
from eurolm.evaluate.tokenizer_trial import run_trial, train
from eurolm.evaluate.trial_text import ROW_BYTES, Budget, chunks, mixed, parse_budget, trial_text
from eurolm.tokenizer.scoring.candidates import Candidate, open_all
from eurolm.tokenizer.scoring.texts import Texts, read_texts

QUIET = Reporter("quiet")


@pytest.fixture(autouse=True)
def one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def documents() -> list[str]:
    return list(sample("lv", 300))


@pytest.fixture(scope="module")
def texts(documents: list[str]) -> dict[str, Texts]:
    return {"lv": Texts("lv", documents, [str(number) for number in range(len(documents))], ["x"])}


@pytest.fixture(scope="module")
def candidates(tmp_path_factory: pytest.TempPathFactory, documents: list[str]) -> list[Candidate]:
    """The same size and make; the second learnt its merges from words of the same lengths with random letters."""
    place, generator = tmp_path_factory.mktemp("trial"), random.Random(1)
    letters = "".join(documents).replace(" ", "")
    nonsense = [
        " ".join("".join(generator.choice(letters) for _ in word) for word in text.split()) for text in documents
    ]
    good = byte_level(500, documents, place / "good" / "tokenizer.json")
    bad = byte_level(500, nonsense, place / "nonsense" / "tokenizer.json")
    return open_all([str(good), str(bad)])


def test_models_learn_and_nonsense_merges_score_worse(candidates: list[Candidate], texts: dict[str, Texts]) -> None:
    text = trial_text([], texts)
    found = run_trial(candidates, text, Budget(64_000, in_bytes=True), QUIET)
    good, bad = (found["bits_per_byte"]["lv"][name] for name in ("good", "nonsense"))
    heldout = "".join(text["lv"].heldout).encode()
    counts = Counter(heldout)
    order_0 = -sum(n / len(heldout) * math.log2(n / len(heldout)) for n in counts.values())
    assert good["low"] < good["value"] < good["high"] < order_0, "better than knowing the frequency of every byte"
    assert bad["difference_low"] > 0.2
    assert bad["beyond"]
    one, other = found["tokenizers"]["good"], found["tokenizers"]["nonsense"]
    assert one["body_parameters"] == other["body_parameters"]
    assert one["tokens"] < other["tokens"]
    assert 12 <= found["steps"] <= 30
    assert 0 < found["bytes"] <= found["steps"] * found["rows_per_step"] * ROW_BYTES
    json.dumps(found, allow_nan=False)


def test_the_same_text_trains_the_same_model(candidates: list[Candidate], documents: list[str]) -> None:
    rows = chunks(documents)[:32]
    (one, seen), (again, _), (other, _) = (train(candidates[0], order) for order in (rows, rows, rows[::-1]))
    assert seen == sum(map(len, candidates[0].encode_batch(rows)))
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), again.parameters(), strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def test_other_makes_train_too_and_a_time_is_a_budget(tmp_path: Path, texts: dict[str, Texts]) -> None:
    model = sentencepiece_model(texts["lv"].texts, tmp_path / "sp.model", model_type="bpe", byte_fallback=True)
    found = run_trial(open_all([str(model)]), trial_text([], texts), parse_budget("0.1s"), QUIET)
    assert found["steps"] == 10, "the least that says anything"
    assert found["bits_per_byte"]["lv"]["sp"]["value"] < 8


def test_rows_are_the_text_in_pieces_of_bounded_bytes() -> None:
    odd = ["ā" * 3000 + " beigas", "  divas  atstarpes \n\n", "x", "vārds " * 300]
    pieces = chunks(odd)
    assert "".join(pieces) == "".join(odd)
    assert max(len(piece.encode()) for piece in pieces) <= ROW_BYTES
    assert all(piece.startswith(" vārds") for piece in pieces[-3:])


def test_languages_take_turns_in_a_seeded_order() -> None:
    rows = {"et": [f"e{n}" for n in range(50)], "lv": [f"l{n}" for n in range(20)]}
    found = mixed(rows, 1)
    assert [row[0] for row in found] == ["e", "l"] * 20
    assert found == mixed(rows, 1) != mixed(rows, 2)
    assert sorted(found[1::2]) == sorted(rows["lv"])


def test_a_tenth_of_the_groups_is_held_out_whole(texts: dict[str, Texts]) -> None:
    own = texts["lv"]
    grouped = {"lv": Texts("lv", own.texts, [str(number // 4) for number in range(len(own.texts))])}
    found = trial_text([], grouped)["lv"]
    assert len(set(found.groups)) == 8
    held = set(found.groups)
    assert found.training == [t for t, g in zip(own.texts, grouped["lv"].groups, strict=True) if g not in held]
    assert found.heldout == [t for t, g in zip(own.texts, grouped["lv"].groups, strict=True) if g in held]
    with pytest.raises(InputError, match="a single document"):
        trial_text([], {"lv": Texts("lv", ["a", "b"], ["x", "x"])})


def test_of_a_corpus_the_training_documents_are_trained_on(tmp_path: Path) -> None:
    corpus = tmp_path / "run" / "corpus"
    write_shard(corpus / "documents" / "s" / "00000.parquet", ["mācības", "vēl"], "lv", "s")
    write_shard(corpus / "heldout" / "lv" / "s.parquet", ["pārbaude"], "lv", "s")
    facts = {"kept": 2, "kept_bytes": 12, "language": {"lv": 2}, "heldout": 1}
    (corpus / "report.json").write_text(json.dumps({"sources": {"s": facts}, "totals": {"language": {"lv": 2}}}))
    for given in (tmp_path / "run", corpus):
        found = trial_text([str(given)], read_texts([str(given)]))["lv"]
        assert (found.training, found.heldout) == (["mācības", "vēl"], ["pārbaude"])


@pytest.mark.parametrize(
    ("given", "budget"),
    [("90s", Budget(90, False)), ("5m", Budget(300, False)), ("1.5h", Budget(5400, False)), ("4MB", Budget(4e6, True))],
)
def test_budgets_are_times_or_amounts(given: str, budget: Budget) -> None:
    assert parse_budget(given) == budget
    for wrong in ("5", "0m", "m", "5 m", "-1s"):
        with pytest.raises(ConfigError, match="5m, 1h"):
            parse_budget(wrong)
