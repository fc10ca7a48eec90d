"""Forget lists: documents left out of a corpus that is not rewritten, and counted."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from eurolm.corpus.documents import BATCH_DOCUMENTS, LeftOut, batches, documents, heldout, left_out
from eurolm.corpus.forget import NOTHING, Forgotten
from eurolm.corpus.sources.records import COLUMNS, document_id
from eurolm.errors import InputError

COUNT = BATCH_DOCUMENTS + 100
IDS = [document_id("a", "key", str(number)) for number in range(COUNT)]


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """One shard of training documents, a few of another language, and ten held-out ones."""
    columns = {name: [f"{name} {number}" for number in range(COUNT)] for name in COLUMNS}
    columns |= {
        "id": IDS,
        "url": [f"https://www.a.lv/{number}/" if number % 2 else None for number in range(COUNT)],
        "language": ["lv" if number % 5 else "et" for number in range(COUNT)],
    }
    table = pa.table(columns)
    for name, part in (("documents/a/00000", table.slice(10)), ("heldout/lv/a", table.slice(0, 10))):
        path = tmp_path / "corpus" / f"{name}.parquet"
        path.parent.mkdir(parents=True)
        pq.write_table(part, path)
    return tmp_path / "corpus"


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_documents_are_left_out_by_id_and_url(corpus: Path, tmp_path: Path) -> None:
    first = write(tmp_path / "ids.txt", f"# removal request 17\n{IDS[20]}\n{IDS[3]}\n{'0' * 32}\n")
    second = write(
        tmp_path / "more.jsonl",
        f'{{"id": "{IDS[COUNT - 1]}", "task": "x", "url": "https://elsewhere.lv/"}}\n{{"url": "http://a.lv/31"}}\n'
        '{"id": null, "url": "https://b.lv/1"}\n',
    )
    forgotten = Forgotten.load([first, second])
    before = [document.id for document in documents(corpus)]
    after = [document.id for document in documents(corpus, forgotten=forgotten)]
    gone = {IDS[20], IDS[31], IDS[COUNT - 1]}
    assert len(before) == COUNT - 10
    assert after == [document for document in before if document not in gone]
    assert [document.id for document in heldout(corpus, "lv", forgotten)] == sorted(set(IDS[:10]) - {IDS[3]})
    assert left_out(corpus, forgotten) == LeftOut(documents=3, heldout=1, unmatched=("0" * 32, "b.lv/1"))
    by_language = [document.id for document in documents(corpus, language="et", forgotten=forgotten)]
    assert by_language == [document for document in after if IDS.index(document) % 5 == 0]


def test_every_reader_gets_the_columns_it_asks_for(corpus: Path) -> None:
    path = corpus / "documents" / "a" / "00000.parquet"
    for forgotten, rows in ((NOTHING, COUNT - 10), (Forgotten(frozenset(IDS[:13])), COUNT - 13)):
        found = list(batches(path, ["text", "language"], forgotten))
        assert all(batch.schema.names == ["text", "language"] for batch in found)
        assert sum(batch.num_rows for batch in found) == rows
    assert left_out(corpus, NOTHING) == LeftOut(0, 0, ())


def test_the_identity_is_that_of_the_set(tmp_path: Path) -> None:
    one = write(tmp_path / "1", f"{IDS[1]}\nhttps://a.lv/x/\n")
    other = [write(tmp_path / "2", f"# other\nhttp://www.A.lv/x\n{IDS[1]}\n"), write(tmp_path / "3", f"{IDS[1]}\n")]
    assert Forgotten.load([one]) == Forgotten.load(other)
    assert Forgotten.load([one]).identity() == Forgotten.load(other).identity()
    assert Forgotten.load([one]).identity() != Forgotten.load(other[1:]).identity()
    assert not Forgotten.load([])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "named under corpus.forget, has no entry"),
        ("12\n", r"list:1: '12' is neither a document id \(32 hex digits\) nor a URL"),
        (f"{IDS[0].upper()}G\n", "is neither a document id"),
        ("\n{broken\n", "list:2: not JSON"),
        ('{"text": "x"}\n', "has neither `id` nor `url`"),
        ('{"id": 7}\n', "has neither `id` nor `url`"),
    ],
)
def test_what_is_no_list(tmp_path: Path, text: str, expected: str) -> None:
    with pytest.raises(InputError, match=expected):
        Forgotten.load([write(tmp_path / "list", text)])
    with pytest.raises(InputError, match="does not exist"):
        Forgotten.load([tmp_path / "nowhere"])
