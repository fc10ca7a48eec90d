"""What is left of a document: nothing that evaluation or held-out text holds, and everything else as it was."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.corpus.contamination.real import sample, words_list

from eurolm.config.corpus import CorpusConfig, DecontaminationConfig
from eurolm.corpus.boilerplate import paragraph_hashes
from eurolm.corpus.contamination.clean import Cleaned, Unwanted, clean
from eurolm.corpus.contamination.heldout_windows import HeldoutIndex
from eurolm.corpus.contamination.items import ItemIndex
from eurolm.corpus.contamination.queries import Query, queries
from eurolm.corpus.text.words import words_of


def cleaned(texts: list[str], unwanted: Unwanted, changes: dict[str, Any] | None = None, **columns: Any) -> Cleaned:
    config = CorpusConfig.model_validate({"languages": {"lv": {"min_words": 5}}} | (changes or {}))
    ids = [f"d{number}" for number in range(len(texts))]
    frame = pl.DataFrame({"id": ids, "text": texts, "language": "lv", **columns}, schema_overrides={"text": pl.String})
    result = clean(frame, config, unwanted)
    assert len(result.texts) == len(result.verdicts) == len(texts)
    return result


def held(path: Path, texts: list[str], shared_words: int = 50) -> HeldoutIndex:
    HeldoutIndex.build([words_of(pl.Series(texts, dtype=pl.String))], shared_words, path)
    return HeldoutIndex.open(path)


def windows(texts: list[str], length: int) -> set[tuple[str, ...]]:
    lists = [[word.lower() for word in words_list(text)] for text in texts]
    return {tuple(words[at : at + length]) for words in lists for at in range(len(words) - length + 1)}


def index(*items: str) -> ItemIndex:
    return ItemIndex.build(Query("task", f"i{number}", (item,)) for number, item in enumerate(items))


ITEM = "Šis ir vienpadsmit vārdu garš jautājums par to kas notika toreiz Rīgā"
LONG = [f"Rindkopa numur {n} ir gara un saturīga, tajā ir daudz vārdu par laiku, upēm un cilvēkiem." for n in range(20)]


def test_items_of_every_task_leave_real_text_and_nothing_else_does() -> None:
    draw = random.Random(1)
    found = list(queries(DecontaminationConfig()))
    index_ = ItemIndex.build(found)
    found = [query for query in found if all(len(view.split()) >= 5 for view in query.views)]
    texts, expected, planted = [], [], set()
    for number, record in enumerate(sample("lv_eltec")):
        lines = record["text"].split("\n")
        expected.append(record["text"])
        if number % 2:
            query = draw.choice(found)
            place = draw.randrange(len(lines) + 1)
            lines.insert(place, draw.choice(query.views))
            planted.add((f"d{number}", query.task, query.item, place))
        texts.append("\n".join(lines))
    result = cleaned(texts, Unwanted(index_), {"decontamination": {"max_removed_share": 1.0}})
    assert planted <= set(result.hits.select("document", "task", "item", "paragraph").iter_rows())
    assert set(result.hits["outcome"]) == {"removed"}
    touched = set(result.hits["document"])
    for number, (text, wanted) in enumerate(zip(result.texts, expected, strict=True)):
        if f"d{number}" in touched:
            gone = result.hits.filter(pl.col("document") == f"d{number}")["paragraph"].to_list()
            assert [line for at, line in enumerate(texts[number].split("\n")) if at not in gone and line.strip()] == [
                line for line in text.split("\n") if line.strip()
            ]
        else:
            assert text == wanted
    assert len(index_.match(words_of(result.texts), result.texts.to_list())) == 0
    assert result.verdicts["evaluation_item_paragraphs"].sum() == result.hits.n_unique(["document", "paragraph"])


@pytest.mark.parametrize(("paragraphs", "rule"), [(20, None), (2, "contaminated")])
def test_a_document_that_loses_too_much_goes_whole(paragraphs: int, rule: str | None) -> None:
    result = cleaned(["\n\n".join([*LONG[:paragraphs], ITEM])], Unwanted(index(ITEM)))
    assert result.verdicts["rule"].to_list() == [rule]
    assert result.hits.rows() == [("d0", "task", "i0", 2 * paragraphs, "dropped" if rule else "removed")]
    if rule is None:
        assert result.texts[0] == "\n\n".join(LONG)
        assert result.verdicts["evaluation_item_characters"].to_list() == [len(ITEM)]
    else:
        assert float(result.verdicts["value"][0]) == pytest.approx(
            len(ITEM) / (len(ITEM) + sum(map(len, LONG[:2]))), abs=1e-4
        )


def test_the_share_is_of_the_config() -> None:
    texts = ["\n".join([*LONG[:2], ITEM])]
    changes = {"decontamination": {"max_removed_share": 0.4}}
    assert cleaned(texts, Unwanted(index(ITEM)), changes).verdicts["rule"].to_list() == [None]


def test_an_item_over_two_paragraphs_takes_both_and_numbers_are_those_of_the_text_as_read() -> None:
    one, two = ITEM[:30], ITEM[30:]
    assert words_list(one) + words_list(two) == words_list(ITEM)
    lines = [*LONG[:5], "", one, "", two, *LONG[5:]]
    result = cleaned(["\n".join(lines)], Unwanted(index(ITEM)))
    assert result.hits["paragraph"].to_list() == [6, 8]
    assert result.texts[0] == "\n".join([*LONG[:5], "", *LONG[5:]])


def test_what_removal_brings_together_is_searched_again() -> None:
    one, two = ITEM[:30], ITEM[30:]
    other = "pavisam cits teikums kam ir astoņi vārdi garumā"
    lines = [*LONG[:10], one, other, two, *LONG[10:]]
    result = cleaned(["\n".join(lines)], Unwanted(index(ITEM, other)))
    assert result.hits.select("item", "paragraph").rows() == [("i0", 10), ("i1", 11), ("i0", 12)]
    assert result.texts[0] == "\n".join(LONG)


def test_held_out_documents_stay_and_their_items_are_listed() -> None:
    text = "\n".join([LONG[0], ITEM])
    result = cleaned([text, text], Unwanted(index(ITEM)), heldout=[True, False])
    assert result.texts[0] == text
    assert result.verdicts["rule"].to_list() == [None, "contaminated"]
    assert result.hits["outcome"].to_list() == ["listed", "dropped"]
    assert result.verdicts.row(0)[2:] == (0,) * 8


def test_no_window_of_held_out_text_stays_in_training(tmp_path: Path) -> None:
    draw = random.Random(2)
    records = [record["text"] for record in sample("lv_eltec", 80)]
    heldout, training = records[::4], []
    for number, text in enumerate(records):
        if number % 4:
            lines = text.split("\n")
            if number % 2:
                donor = draw.choice(heldout)
                begin = draw.randrange(max(len(donor) - 1500, 1))
                # From anywhere to anywhere: within a paragraph, over several, cut at both ends.
                lines.insert(draw.randrange(len(lines) + 1), donor[begin : begin + draw.randrange(200, 1500)])
            training.append("\n".join(lines))
    known = windows(heldout, 50)
    assert sum(not windows([text], 50).isdisjoint(known) for text in training) > 20
    result = cleaned(training, Unwanted(heldout=held(tmp_path / "index", heldout)))
    kept = result.texts.filter(result.verdicts["rule"].is_null()).to_list()
    assert windows(kept, 50).isdisjoint(known)
    assert result.verdicts["heldout_window_paragraphs"].sum() > 20
    assert len(kept) > 0.9 * len(training)
    same = [text == new for text, new in zip(training, result.texts, strict=True)]
    assert same == (result.verdicts["heldout_window_paragraphs"] == 0).to_list()


def test_a_copy_of_a_held_out_document_leaves_nothing(tmp_path: Path) -> None:
    text = sample("lv_eltec", 1)[0]["text"]
    result = cleaned([text.upper(), LONG[0]], Unwanted(heldout=held(tmp_path / "index", [text])))
    assert result.verdicts["rule"].to_list() == ["heldout_window", None]


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text("ab \n", max_size=120), max_size=3), st.lists(st.text("ab \n", max_size=150), max_size=3))
def test_nothing_is_found_a_second_time(tmp_path: Path, heldout: list[str], training: list[str]) -> None:
    unwanted = Unwanted(index("a b a b a b a b", "b b a"), held(tmp_path / "index", heldout, 10))
    result = cleaned(training, unwanted, {"languages": {"lv": {"min_words": 1}}})
    kept = result.texts.filter(result.verdicts["rule"].is_null()).to_list()
    assert windows(kept, 10).isdisjoint(windows(heldout, 10))
    again = cleaned(kept, unwanted)
    assert again.texts.to_list() == kept and not len(again.hits)


def test_boilerplate_and_foreign_paragraphs_leave_with_their_cause() -> None:
    notice = "Mēs izmantojam sīkdatnes, lai uzlabotu jūsu pieredzi."
    hashes, _ = paragraph_hashes([notice], words_of(pl.Series([notice])), 5)
    texts = [f"{LONG[0]}\n{notice.upper()}\nThis is foreign.\n\n{LONG[1]}", notice, LONG[2], f"Īsi.\n{notice}"]
    result = cleaned(texts, Unwanted(boilerplate=hashes), foreign=[[2, 3], None, [], None])
    assert result.texts.to_list()[:1] == [f"{LONG[0]}\n{LONG[1]}"]
    assert result.verdicts["rule"].to_list() == [None, "boilerplate", None, "boilerplate"]
    assert result.verdicts["boilerplate_paragraphs"].to_list() == [1, 1, 0, 1]
    assert result.verdicts["foreign_paragraphs"].to_list() == [1, 0, 0, 0]
    assert result.verdicts["foreign_characters"].to_list() == [len("This is foreign."), 0, 0, 0]


def test_a_document_left_too_short_goes_with_the_cause_of_most_of_the_loss() -> None:
    result = cleaned([f"Īss.\n{LONG[0]}\nCits gan."], Unwanted(), foreign=[[1]])
    assert result.verdicts["rule"].to_list() == ["foreign"]


def test_nothing_unwanted_changes_nothing() -> None:
    texts = [record["text"] for record in sample("lv_likumi", 20)] + ["", "\n\n", "\n vārds \n"]
    result = cleaned(texts, Unwanted(index("nekad"), None, np.zeros(0, np.uint64)))
    assert result.texts.to_list() == texts and not len(result.hits)
    assert not result.verdicts["rule"].is_not_null().any()
    assert len(cleaned([], Unwanted(index(ITEM))).texts) == 0
