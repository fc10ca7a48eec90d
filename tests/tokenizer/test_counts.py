from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.tokenizer.reference import pre_tokens
from tests.tokens.small_corpus import ODD_TEXTS, QUIET, corpus_texts, files_of, write_shard

from eurolm.artifacts.hashing import sha256_json
from eurolm.config.tokens import TokenizerConfig
from eurolm.errors import InputError
from eurolm.tokenizer import counts as counts_module
from eurolm.tokenizer.bounded import BoundedCounts
from eurolm.tokenizer.counts import build_counts, read_counts
from eurolm.tokenizer.stage import build_tokenizer

PINNED = {1: "ba131b427dff0d3979c66493f25fd38fe043512df59a215eb5586f765316fa45"}
CONFIG = TokenizerConfig(vocab_size=600, spare_tokens=4, workers=1)


@pytest.fixture(scope="module")
def counted(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("counted") / "counts"
    build_counts(CONFIG, corpus, out, QUIET)
    return out


def of_language(corpus: Path, language: str) -> list[str]:
    return [text for name, text in corpus_texts(corpus).items() if (name.startswith("et")) == (language == "et")]


def test_counts_are_those_of_the_text(corpus: Path, counted: Path) -> None:
    counts = read_counts(counted)
    assert list(counts.languages) == ["et", "lv"]
    for language, facts in counts.languages.items():
        texts = of_language(corpus, language)
        table = counts.table(language)
        assert table.rows() == sorted(pre_tokens(texts).items(), key=lambda row: (-row[1], row[0].encode()))
        assert (facts.read_documents, facts.read_bytes) == (len(texts), sum(len(text.encode()) for text in texts))
        assert (facts.distinct, facts.pre_tokens) == (table.height, table["count"].sum())
        assert (facts.floor, facts.dropped) == (0, 0)


def test_counts_are_the_same_bytes_with_workers_and_after_a_kill(tmp_path: Path, corpus: Path, counted: Path) -> None:
    before = files_of(counted)
    build_counts(CONFIG.model_copy(update={"workers": 2}), corpus, tmp_path / "two", QUIET)
    assert files_of(tmp_path / "two") == before

    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(counts_module, "_merge", stopped)
        build_counts(CONFIG, corpus, tmp_path / "killed", QUIET)
    parts = sorted((tmp_path / "killed" / "parts").rglob("*.parquet"))
    kept = parts[0].stat().st_mtime_ns
    parts[1].unlink()
    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(counts_module, "_merge", stopped)
        build_counts(CONFIG, corpus, tmp_path / "killed", QUIET)
    assert parts[0].stat().st_mtime_ns == kept
    build_counts(CONFIG, corpus, tmp_path / "killed", QUIET)
    assert files_of(tmp_path / "killed") == before


def test_a_further_vocabulary_does_not_read_the_corpus_again(tmp_path: Path, corpus: Path, counted: Path) -> None:
    before = files_of(counted)
    for name, text in (("with", corpus), ("without", tmp_path / "no corpus")):
        (tmp_path / name).mkdir()
        build_tokenizer(CONFIG, text, tmp_path / name, QUIET, counts=counted)
    assert files_of(counted) == before
    tokenizers = [(tmp_path / name / "tokenizer.json").read_bytes() for name in ("with", "without")]
    assert tokenizers[0] == tokenizers[1]


@settings(max_examples=200, deadline=None)
@given(
    tables=st.lists(st.dictionaries(st.text("abāž", min_size=1, max_size=3), st.integers(1, 50)), max_size=12),
    limit=st.integers(2, 20),
)
def test_pruned_counts_are_within_the_error_stated(tables: list[dict[str, int]], limit: int) -> None:
    exact: dict[str, int] = {}
    bounded = BoundedCounts(limit)
    for table in tables:
        bounded.add_words(table)
        for word, count in table.items():
            exact[word] = exact.get(word, 0) + count
    found = dict(bounded.table().iter_rows())
    assert len(found) <= limit
    assert all(exact[word] - bounded.error.floor <= found.get(word, 0) <= exact[word] for word in exact)
    assert sum(exact.values()) - sum(found.values()) == bounded.error.dropped
    assert bounded.error.dropped == 0 or len(exact) > limit


def test_pruning_is_told_and_recorded(
    tmp_path: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(counts_module, "MAX_DISTINCT", 500)
    build_counts(CONFIG, corpus, tmp_path / "counts", QUIET)
    counts = read_counts(tmp_path / "counts")
    for language, facts in counts.languages.items():
        exact = pre_tokens(of_language(corpus, language))
        found = dict(counts.table(language).iter_rows())
        assert facts.distinct == len(found) <= 500
        assert facts.dropped == sum(exact.values()) - sum(found.values()) > 0
        assert max(exact[word] - found.get(word, 0) for word in exact) <= facts.floor
    assert "the rarest were dropped" in capsys.readouterr().err


def test_text_counted_per_language_is_bounded(tmp_path: Path, corpus: Path) -> None:
    config = CONFIG.model_copy(update={"max_bytes_per_language": 200_000})
    build_counts(config, corpus, tmp_path / "counts", QUIET)
    shards = len(list((corpus / "documents").rglob("*.parquet")))
    longest = max(len(text.encode()) for text in corpus_texts(corpus).values())
    for facts in read_counts(tmp_path / "counts").languages.values():
        assert abs(facts.read_bytes - 200_000) <= shards * longest / 2
        assert facts.read_bytes < facts.text_bytes


def test_a_language_of_empty_documents_is_refused(tmp_path: Path) -> None:
    write_shard(tmp_path / "corpus/documents/a/00000.parquet", ["daudz teksta"], "lv", "a")
    write_shard(tmp_path / "corpus/documents/b/00000.parquet", ["", ""], "et", "b")
    with pytest.raises(InputError, match=r"all 2 documents of 'et' are empty"):
        build_counts(CONFIG, tmp_path / "corpus", tmp_path / "counts", QUIET)


def test_a_directory_without_counts_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has no counts\.json"):
        read_counts(tmp_path)


def test_the_counts_of_a_recipe_are_pinned(tmp_path: Path) -> None:
    """Raise counts.RECIPE and pin the new hash when this fails."""
    write_shard(tmp_path / "corpus/documents/a/00000.parquet", ODD_TEXTS, "lv", "a")
    write_shard(tmp_path / "corpus/documents/b/00000.parquet", ODD_TEXTS[::-1], "et", "b")
    build_counts(CONFIG, tmp_path / "corpus", tmp_path / "counts", QUIET)
    counts = read_counts(tmp_path / "counts")
    rows = {language: [list(row) for row in counts.table(language).rows()] for language in counts.languages}
    assert PINNED[counts_module.RECIPE] == sha256_json(rows)


def test_counts_json_is_readable(counted: Path) -> None:
    told = json.loads((counted / "counts.json").read_text())
    assert told["pre_tokenizer"] == "llama3"
    assert sorted(path.name for path in counted.iterdir()) == ["counts.json", "et.parquet", "lv.parquet"]
