"""Items are found wherever they stand, by the n-grams of the rule; what only looks like one stays."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import orjson
import polars as pl
import pytest
from tests.corpus.contamination.real import SHARED_ITEMS, sample

from eurolm.config.corpus import DecontaminationConfig, ItemsFile
from eurolm.corpus.contamination.items import Hits, ItemIndex
from eurolm.corpus.contamination.queries import Query, queries
from eurolm.corpus.text.words import words_of
from eurolm.errors import ConfigError, InputError
from eurolm.tasks.load import task_names


def match(index: ItemIndex, texts: list[str]) -> Hits:
    return index.match(words_of(pl.Series(texts, dtype=pl.String)), texts)


def items_found(index: ItemIndex, text: str) -> set[str]:
    return {index.items[item].item for item in match(index, [text]).item}


def index_of(**views: str | tuple[str, ...]) -> ItemIndex:
    return ItemIndex.build(
        Query("task", name, (view,) if isinstance(view, str) else view) for name, view in views.items()
    )


def numbered(count: int, prefix: str = "vārds") -> str:
    return " ".join(f"{prefix}{number}" for number in range(count))


@pytest.mark.parametrize(
    ("words", "shared", "found"),
    [(40, 13, True), (40, 12, False), (13, 13, True), (12, 8, True), (12, 7, False), (8, 8, True), (8, 7, False),
     (7, 7, True), (7, 6, False), (5, 5, True), (5, 4, False)],
)  # fmt: skip
def test_the_rule_by_the_length_of_the_item(words: int, shared: int, found: bool) -> None:
    index = index_of(one=numbered(words))
    piece = " ".join(numbered(words).split()[-shared:])
    assert (items_found(index, f"Pirms tam {piece} un pēc tam.") == {"one"}) is found
    hits = match(index, ["nekas", f"Pirms tam {piece} un pēc tam."])
    if found:
        assert set(hits.text.tolist()) == {1} and hits.first.min() == 2 and hits.last.max() == 2 + shared


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Kaķis jau guļ.", True),
        ("Vakars. Kaķis jau guļ! Suns nē.", True),
        ("„Kaķis jau guļ,” viņa teica.", True),
        ("Kaķis jau guļ, viņa teica.", False),
        ("Viņa teica: „kaķis jau guļ”.", True),
        ("— Kaķis jau guļ…", True),
        ("virsraksts\nKAĶIS  JAU GUĻ\nnākamais", True),
        ("Mans kaķis jau guļ.", False),
        ("Kaķis jau guļ dīvānā.", False),
    ],
)
def test_very_short_items_count_where_they_stand_alone(text: str, found: bool) -> None:
    assert bool(items_found(index_of(one="Kaķis jau guļ."), text)) is found


@pytest.mark.parametrize("count", [5, 8, 13])
def test_words_do_not_run_from_one_text_into_the_next(count: int) -> None:
    index, words = index_of(one=numbered(count)), numbered(count).split()
    for cut in range(1, count):
        halves = [" ".join(words[:cut]), " ".join(words[cut:])]
        assert len(match(index, [*halves, "beigas"])) == 0
        assert len(match(index, ["\n".join(halves)])) > 0


def test_every_item_that_shares_an_ngram_is_hit_and_every_view_counts() -> None:
    common = numbered(13)
    index = index_of(one=f"{common} viens", two=f"divi {common}", three=("trīs", numbered(9, "cits")), four="četri")
    assert items_found(index, common) == {"one", "two"}
    assert items_found(index, numbered(9, "cits")) == {"three"}
    assert [item.item for item in index.unchecked] == ["four"]
    assert index.counts() == {"task": {"items": 4, "not_checkable": 1}}


def test_short_items_of_numbers_cannot_be_checked() -> None:
    index = index_of(sum="4.3.1.", pair="Jā, nē", words="Viens divi trīs")
    assert [item.item for item in index.unchecked] == ["sum", "pair"]
    assert items_found(index, "4.3.1.") == set()


def test_split_words_match_running_text() -> None:
    index = index_of(ner='" Rīgas domes " , kas 1995. gadā ( pirms tam ) sāka darbu , vairs nav .')
    assert items_found(index, 'Raksts: "Rīgas domes", kas 1995. gadā (pirms tam) sāka darbu, vairs nav.') == {"ner"}


def test_saved_and_loaded_is_the_same(tmp_path: Path) -> None:
    index = ItemIndex.build(queries(DecontaminationConfig()))
    for name in ("one.npz", "two.npz"):
        index.save(tmp_path / name)
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()
    loaded = ItemIndex.load(tmp_path / "one.npz")
    texts = [view for query in queries(DecontaminationConfig()) for view in query.views][::50]
    for one, other in zip(match(index, texts).__dict__.values(), match(loaded, texts).__dict__.values(), strict=True):
        assert np.array_equal(one, other)
    assert (loaded.items, loaded.unchecked) == (index.items, index.unchecked)


def plant_all(config: DecontaminationConfig, most: int = 2000) -> tuple[ItemIndex, int]:
    """Plant every view that is long enough into real text and look for its item there; returns how many. Of a larger
    file `most` items spread over it are planted; all are in the index."""
    found = list(queries(config))
    index = ItemIndex.build(found)
    draw = random.Random(5)
    carriers = [line for record in sample("lv_eltec", 10) for line in record["text"].split("\n") if len(line) > 200]
    views = [(number, view) for number in range(0, len(found), -(-len(found) // most)) for view in found[number].views]
    words = words_of(pl.Series([view for _, view in views]))
    lettered = words.per_text(np.array([any(map(str.isalpha, word)) for word in words.distinct], np.int64))
    places = [view for view, count in zip(views, lettered.tolist(), strict=True) if count >= 3]
    assert {found[number][:2] for number, _ in places}.isdisjoint(index.unchecked)
    texts = [f"{draw.choice(carriers)}.\n{view}\n{draw.choice(carriers)}" for _, view in places]
    hits = match(index, texts)
    named = set(zip(hits.text.tolist(), hits.item.tolist(), strict=True))
    missed = [places[at] for at in range(len(places)) if (at, places[at][0]) not in named]
    assert not missed, missed[:3]
    return index, len(places)


def test_every_item_of_every_task_is_found_when_planted() -> None:
    index, planted = plant_all(DecontaminationConfig(), 10_000)
    assert planted > 6000 and set(index.counts()) == set(task_names())


@pytest.mark.parametrize("path", sorted(SHARED_ITEMS.glob("*/*.jsonl*")), ids=lambda path: path.name)
def test_every_item_of_every_shared_file_is_found_when_planted(path: Path) -> None:
    index, planted = plant_all(DecontaminationConfig(tasks=[], files=[ItemsFile(path=path)]))
    assert planted > 0 or len(index.unchecked) == len(index.items)


def test_the_shared_files_are_there() -> None:
    if not SHARED_ITEMS.is_dir():
        pytest.skip("the shared data is not beside this checkout")
    assert len(list(SHARED_ITEMS.glob("*/*.jsonl*"))) == 20


def test_named_fields_and_ids_of_a_file(tmp_path: Path) -> None:
    records = [
        {"id": "a", "q": "Viens divi trīs četri pieci", "x": "kaut kas cits pavisam"},
        {"q": "Seši septiņi astoņi"},
    ]
    path = tmp_path / "mine.jsonl"
    path.write_bytes(b"\n".join(map(orjson.dumps, records)))
    config = DecontaminationConfig(tasks=[], files=[ItemsFile(path=path, fields=["q"])])
    assert list(queries(config)) == [
        Query("mine", "a", ("Viens divi trīs četri pieci",)),
        Query("mine", "2", ("Seši septiņi astoņi",)),
    ]


@pytest.mark.parametrize(
    ("content", "fields", "said"),
    [
        (b'{"q": "a b c"}\n', ["text"], "no record has the field 'text'.*Fields of its records: q"),
        (b'{"n": 1}\n', [], "no record holds text"),
        (b"", [], "no record holds text.*none"),
        (b'{"q": "a b c"}\n[1]\n', [], r"mine.jsonl:2: a JSON object is wanted, not list"),
        (b"{\n", [], r"mine.jsonl:1: not JSON"),
    ],
)
def test_a_file_that_cannot_be_searched_for_is_refused(
    tmp_path: Path, content: bytes, fields: list[str], said: str
) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_bytes(content)
    with pytest.raises(InputError, match=said):
        list(queries(DecontaminationConfig(tasks=[], files=[ItemsFile(path=path, fields=fields)])))


def test_a_missing_file_and_an_unknown_task_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        list(queries(DecontaminationConfig(tasks=[], files=[ItemsFile(path=tmp_path / "none.jsonl")])))
    with pytest.raises(ConfigError, match="'skala-\\*' matches no task"):
        list(queries(DecontaminationConfig(tasks=["skala-*"])))
    assert {query.task for query in queries(DecontaminationConfig(tasks=["scala-*"]))} == {"scala-lv"}
