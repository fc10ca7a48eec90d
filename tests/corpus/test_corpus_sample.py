"""The embedded sample: size, licences, groups, the table of origins, and that its planted noise is caught."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.corpus.building import SAMPLE, SHARED_TEXT, all_documents, all_heldout, build, config, report, sample

from eurolm.corpus.sample.make import make_sample
from eurolm.corpus.sample.noise import COUNTS, EXACT, LEAST_JACCARD, NEAR, similarity
from eurolm.corpus.sample.pick import SHARES, EvaluationItems, evaluation_texts

VERBATIM = {
    "lv_lvtb", "lv_common_voice", "lv_udhr", "lv_libreoffice_help",
    "et_common_voice", "et_udhr", "et_libreoffice_help", "et_optalvik_ssl_course",
}  # fmt: skip


def sample_sources() -> list[dict[str, object]]:
    """The sources as the quickstart lists them."""
    listed: list[dict[str, object]] = [
        {"name": s.name, "language": s.language, "verbatim": s.name in VERBATIM, "register": s.register} for s in SHARES
    ]
    return [
        item | {"paths": [f"package:corpus/sample/{item['name']}.jsonl.zst"]} for item in [*listed, {"name": "noise"}]
    ]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    section = config(sample_sources(), heldout={"share": 0.04, "salt": "eurolm-heldout-2"})
    return build(tmp_path_factory.mktemp("sample"), section)


def test_size_and_balance() -> None:
    files = {path.name for path in SAMPLE.glob("*.jsonl.zst")}
    assert files == {f"{share.name}.jsonl.zst" for share in SHARES} | {"noise.jsonl.zst"}
    assert 4e6 < sum((SAMPLE / name).stat().st_size for name in files) < 6e6
    size = {language: sum(len(r["text"].encode()) for s in SHARES if s.language == language for r in sample(s.name))
            for language in ("lv", "et")}  # fmt: skip
    assert 0.9 < size["lv"] / size["et"] < 1.1


def test_every_record_has_licence_group_and_a_row_in_the_table() -> None:
    origins = (SAMPLE / "ORIGINS.md").read_text()
    for share in SHARES:
        records = sample(share.name)
        assert all(set(r) == {"id", "text", "language", "source", "license", "group"} for r in records)
        assert all(record["license"] and record["license"] in origins for record in records)
        size = sum(len(record["text"].encode()) for record in records)
        assert f"| `{share.name}.jsonl.zst` | {share.origin} |" in origins
        assert f"| {len(records):,} | {size:,} |" in origins
    assert all(record["license"] for record in sample("noise") if record["planted"])
    books = {record["group"] for record in sample("lv_eltec")}
    assert len(books) == 25 and "eltec/LAV413085_KaudR_MernL" in books
    assert len({record["group"] for record in sample("et_riigikogu_stenograms")}) > 100


def test_planted_near_duplicates_are_as_alike_as_they_say() -> None:
    texts = {f"{share.language}/{record['id']}": record for share in SHARES for record in sample(share.name)}
    noise = sample("noise")
    for record in [record for record in noise if record["planted"] == NEAR]:
        base = texts[record["planted_of"]]
        assert similarity(base["text"], record["text"]) == pytest.approx(record["planted_jaccard"], abs=1e-4)
        assert LEAST_JACCARD <= record["planted_jaccard"] < 1
        assert record["group"] == base["group"] and record["license"] == base["license"]
    exact = [record for record in noise if record["planted"] == EXACT]
    assert all(record["text"] == texts[record["planted_of"]]["text"] for record in exact)


def test_planted_noise_is_caught_and_reported(corpus: Path) -> None:
    told = report(corpus)["planted"]
    assert set(told) == set(COUNTS)
    for kind, counts in told.items():
        assert counts["planted"] == sum(record["planted"] == kind for record in sample("noise")) >= 40
        assert counts["caught"] >= 0.9 * counts["planted"], (kind, counts)
        assert sum(counts["rules"].values()) == counts["caught"]
    shown = [item for items in report(corpus)["samples"]["dropped"].values() for item in items]
    assert {item.get("planted") for item in shown} >= set(COUNTS)


def test_real_text_survives_and_every_register_is_held_out(corpus: Path) -> None:
    told = report(corpus)
    for name, entry in told["sources"].items():
        if name != "noise":
            # Nearly half of the statutes come with every article twice: dropped for repetition, as they should be.
            least = 0.4 if name == "lv_likumi" else 0.85
            assert entry["kept"] + entry["heldout"] >= least * entry["read"], name
    assert {"lv_eltec", "lv_likumi", "et_riigikogu_stenograms", "et_riigi_teataja"} <= {
        document.source for document in all_heldout(corpus)
    }
    bytes_held = {language: sum(len(d.text.encode()) for d in all_heldout(corpus) if d.language == language)
                  for language in ("lv", "et")}  # fmt: skip
    assert all(300_000 < size < 800_000 for size in bytes_held.values())
    assert {document.register for document in all_documents(corpus)} >= {"legal", "fiction", "parliament", "help"}


@pytest.mark.long
@pytest.mark.skipif(not SHARED_TEXT.is_dir(), reason="needs the collected text beside the checkout")
def test_the_sample_can_be_made_again(tmp_path: Path) -> None:
    make_sample(SHARED_TEXT.parent, tmp_path)
    for path in tmp_path.iterdir():
        assert path.read_bytes() == (SAMPLE / path.name).read_bytes(), path.name


@pytest.mark.skipif(not SHARED_TEXT.is_dir(), reason="needs the collected text beside the checkout")
def test_no_evaluation_item_is_in_the_sample() -> None:
    items = EvaluationItems(evaluation_texts(SHARED_TEXT.parent))
    assert sum(map(len, items.grams.values())) > 100_000
    assert items.occur_in("X " + next(text for text in evaluation_texts(SHARED_TEXT.parent) if len(text.split()) > 20))
    found = [r["id"] for s in SHARES[1:4] for r in sample(s.name, 60) if items.occur_in(r["text"])]
    assert found == []
