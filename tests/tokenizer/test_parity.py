from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.tokenizer.reference import SHARED
from tests.tokens.small_corpus import QUIET, write_shard

from eurolm.config.tokens import TokenizerConfig
from eurolm.errors import ConfigError, InputError
from eurolm.tasks.load import load_task, task_names
from eurolm.tokenizer.counts import Counts, build_counts, read_counts
from eurolm.tokenizer.inventory import Inventory, read_inventory
from eurolm.tokenizer.load import load
from eurolm.tokenizer.parallel.make import make
from eurolm.tokenizer.parity import Parity, measure, search
from eurolm.tokenizer.stage import build_tokenizer
from eurolm.tokenizer.train import train
from eurolm.tokenizer.tuning import CARRIED, read_tuning


def fields(**others: object) -> TokenizerConfig:
    return TokenizerConfig.model_validate(
        {"vocab_size": 2000, "spare_tokens": 4, "workers": 1, "parity": {"mode": "search"}, **others}
    )


@pytest.fixture(scope="module")
def counted(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Counts, Inventory]:
    out = tmp_path_factory.mktemp("parity")
    build_counts(fields(), corpus, out, QUIET)
    counts = read_counts(out)
    return counts, read_inventory(counts)


@pytest.fixture(scope="module")
def found(counted: tuple[Counts, Inventory]) -> Parity:
    return search(fields(), *counted, QUIET)[0]


def write_rows(path: Path, rows: list[dict[str, str]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_the_same_content_costs_the_same_after_a_search(
    tmp_path: Path, corpus: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    build_tokenizer(fields(), corpus, tmp_path, QUIET)
    # The small corpus has Latvian help text and no Estonian.
    assert "times off equal bytes" in " ".join(capsys.readouterr().err.split())
    told = json.loads((tmp_path / "parity.json").read_text())
    assert told["rounds"][0]["ratio"] > 1.05
    assert told["reached"] and 1 <= told["ratio"] <= 1.01
    loaded = load(tmp_path)
    tuning, texts = read_tuning(None, ["et", "lv"])
    tokens = {language: sum(map(len, loaded.encode_batch(rows))) for language, rows in texts.items()}
    assert max(tokens.values()) / min(tokens.values()) == told["ratio"]
    assert (tuning.rows, tuning.left_out) == (5763, 0)
    record = json.loads((tmp_path / "training.json").read_text())
    assert {name: facts["weight"] for name, facts in record["languages"].items()} == told["weights"]
    assert f"{told['ratio']:.3f} times the tokens of the cheapest" in (tmp_path / "README.md").read_text()


def test_points_of_all_sizes_are_those_of_trainings_of_that_size(
    counted: tuple[Counts, Inventory], found: Parity
) -> None:
    sizes = [2000, 1000, 500]
    assert [(point.balance, point.vocab_size) for point in found.points] == [
        (balance, size) for balance in ("equal bytes", "parity") for size in sizes
    ]
    small = train(fields(vocab_size=1000), counted[1], found.rounds[0].weights)
    assert found.points[1].cost == measure(small(1000), read_tuning(None, ["et", "lv"])[1], found.rounds[0].weights)
    costs = [point.mean_tokens_per_word for point in found.points]
    assert costs[1] > 1.05 * costs[0] and costs[4] > 1.05 * costs[3]


def test_searched_weights_keep_the_bytes_and_start_equal(counted: tuple[Counts, Inventory], found: Parity) -> None:
    counts = counted[0]
    read = {language: facts.read_bytes for language, facts in counts.languages.items()}
    first = found.rounds[0].weights
    assert first["lv"] * read["lv"] == pytest.approx(first["et"] * read["et"])
    for cost in found.rounds:
        total = sum(cost.weights[language] * read[language] for language in read)
        assert total == pytest.approx(sum(read.values()))


def test_sentencepiece_can_be_balanced_too(counted: tuple[Counts, Inventory], corpus: Path, tmp_path: Path) -> None:
    config = fields(algorithm="sentencepiece_bpe", vocab_size=1000)
    build_tokenizer(config, corpus, tmp_path, QUIET)
    assert json.loads((tmp_path / "parity.json").read_text())["reached"]


def test_three_languages_are_balanced_at_once(tmp_path: Path, corpus: Path) -> None:
    """The third is Latvian spelled without its long vowels, which costs less to begin with."""
    thin = str.maketrans("āēīūšžčģķļņ", "aeiuszcgkln")
    _, carried = read_tuning(None, ["lv", "et"])
    rows = [
        {"lv": lv, "et": et, "ltg": lv.translate(thin)} for lv, et in zip(carried["lv"], carried["et"], strict=True)
    ]
    config = fields(vocab_size=1500, parity={"mode": "search", "tuning": write_rows(tmp_path / "rows.jsonl", rows)})
    for language, texts in (("lv", "lv"), ("et", "et"), ("ltg", "ltg")):
        documents = ["\n".join(row[texts] for row in rows[start : start + 40]) for start in range(0, len(rows), 40)]
        write_shard(tmp_path / "corpus/documents" / language / "00000.parquet", documents, language, language)
    build_counts(config, tmp_path / "corpus", tmp_path / "counts", QUIET)
    counts = read_counts(tmp_path / "counts")
    parity, _ = search(config, counts, read_inventory(counts), QUIET)
    assert parity.rounds[0].ratio > 1.03
    assert parity.reached and parity.ratio <= 1.01


def test_a_fixed_weight_is_left_out_of_the_search(tmp_path: Path) -> None:
    _, carried = read_tuning(None, ["lv", "et"])
    for language, rows in (("lv", carried["lv"]), ("et", carried["et"]), ("fi", carried["et"][:2000])):
        write_shard(tmp_path / f"corpus/documents/{language}/0.parquet", ["\n".join(rows)], language, language)
    config = fields(weights={"fi": 0.25})
    build_counts(config, tmp_path / "corpus", tmp_path / "counts", QUIET)
    counts = read_counts(tmp_path / "counts")
    parity, _ = search(config, counts, read_inventory(counts), QUIET)
    assert parity.weights["fi"] == 0.25
    assert parity.reached
    assert set(parity.rounds[0].tokens) == {"et", "lv"}
    with pytest.raises(InputError, match=r"has text in et, lv, none in 'fi'.*tokenizer\.weights\.fi"):
        search(fields(), counts, read_inventory(counts), QUIET)
    with pytest.raises(ConfigError, match=r"needs two languages.*fixes fi, lv"):
        search(fields(weights={"fi": 1.0, "lv": 1.0}), counts, read_inventory(counts), QUIET)


def test_parity_that_cannot_be_reached_is_told(
    tmp_path: Path, counted: tuple[Counts, Inventory], capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"lv": "viens divi trīs četri pieci seši", "et": "jah"}] * 20
    path = write_rows(tmp_path / "rows.jsonl", rows)
    config = fields(vocab_size=600, parity={"mode": "search", "tuning": path})
    parity, _ = search(config, *counted, QUIET)
    said = " ".join(capsys.readouterr().err.split())
    assert not parity.reached
    assert len(parity.rounds) < 24
    assert parity.ratio == min(cost.ratio for cost in parity.rounds)
    assert "no weights were found" in said and "no Pareto point at 150 entries" in said


def test_tuning_text_is_read_from_tsv_and_incomplete_rows_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "rows.tsv"
    path.write_text('id\tlv\tet\n1\tviens "a\tüks\n2\tdivi\t\n3\ttrīs\tkolm\n')
    tuning, texts = read_tuning(path, ["lv", "et"])
    assert texts == {"lv": ['viens "a', "trīs"], "et": ["üks", "kolm"]}
    assert (tuning.name, tuning.rows, tuning.left_out) == ("rows.tsv", 2, 1)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("rows.tsv", b"lv\tet\nviens\t\n\tkaks\n", r"no row has text in all of lv, et"),
        ("rows.tsv", b"lv\tfi\nviens\tyksi\n", r"has text in fi, lv, none in 'et'"),
        ("rows.jsonl", b'{"lv": 3}\n', r"has text in no language, none in 'lv'"),
        ("rows.jsonl", b"[1]\n", r"neither TSV with a header of language codes nor JSONL"),
        ("rows.jsonl.zst", b"no zstd", r"neither TSV with a header of language codes nor JSONL"),
        ("rows.tsv", b"\xff\xfe", r"neither TSV with a header of language codes nor JSONL"),
        ("gone.tsv", None, r"there is no such file"),
    ],
)
def test_bad_tuning_text_is_refused_by_name(tmp_path: Path, name: str, content: bytes | None, message: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        read_tuning(tmp_path / name, ["lv", "et"])
    assert name in str(caught.value)


def test_items_of_an_evaluation_task_are_refused() -> None:
    task = load_task(task_names()[0])
    with pytest.raises(ConfigError, match=rf"holds the items of the evaluation task {task.name}"):
        read_tuning(task.items_path, ["lv", "et"])


def test_the_carried_text_is_made_from_its_sources_and_says_its_licence(tmp_path: Path) -> None:
    if not SHARED.is_dir():
        pytest.skip("the shared data is not beside this checkout")
    carried = Path(read_tuning.__code__.co_filename).parents[1] / CARRIED
    assert make(SHARED, tmp_path) == 5763
    assert (tmp_path / carried.name).read_bytes() == carried.read_bytes()
    origin = (carried.parent / "ORIGIN.md").read_text()
    assert origin == (tmp_path / "ORIGIN.md").read_text()
    assert "Mozilla Public License 2.0" in origin
