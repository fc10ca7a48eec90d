"""A small finished corpus with groups and held-out text, and a model directory to evaluate."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.tokens.small_corpus import COLUMNS, SCHEMA, texts

from eurolm.config.architecture import ModelConfig
from eurolm.config.model import Config
from eurolm.config.tokens import TokenizerConfig
from eurolm.console import Reporter
from eurolm.model.build import build_model
from eurolm.tokenizer.load import load
from eurolm.tokenizer.stage import build_tokenizer

QUIET = Reporter("quiet")
SIZES = {"hidden_size": 48, "layers": 2, "attention_heads": 4, "key_value_heads": 2, "intermediate_size": 96}


def write_documents(path: Path, found: list[str], language: str, source: str, groups: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [
        dict.fromkeys(COLUMNS)
        | {"id": f"{number:04d}", "text": text, "language": language, "source": source, "group": f"g{number % groups}"}
        for number, text in enumerate(found)
    ]
    pq.write_table(pa.Table.from_pylist(rows, SCHEMA), path, compression="zstd")


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two languages, two shards each, 30 held-out documents in 15 groups."""
    out = tmp_path_factory.mktemp("evaluate") / "corpus"
    sources = {}
    for language in ("et", "lv"):
        found, source = texts(language, 400_000), f"{language}_text"
        held, training = [text[:2000] for text in found[:30]], found[30:]
        write_documents(out / "heldout" / language / f"{source}.parquet", held, language, source, 15)
        for shard in range(2):
            write_documents(
                out / "documents" / source / f"{shard:05d}.parquet", training[shard::2], language, source, 9
            )
        sources[source] = {
            "kept": len(training),
            "kept_bytes": sum(len(text.encode()) for text in training),
            "language": {language: len(training)},
            "heldout": len(held),
        }
    totals = {"language": {language: sources[f"{language}_text"]["kept"] for language in ("et", "lv")}}
    (out / "report.json").write_text(json.dumps({"sources": sources, "totals": totals}))
    return out


@pytest.fixture(scope="session")
def config(corpus: Path) -> Config:
    return Config.model_validate(
        {
            "name": "test",
            "model": SIZES,
            "mixture": {"phases": [{"tokens": 1000, "row_tokens": 64, "batch_rows": 2}]},
            "evaluate": {"tasks": ["scala-lv"], "ngram_max_bytes": 10_000_000},
        }
    )


@pytest.fixture(scope="session")
def model_dir(corpus: Path, config: Config) -> Path:
    """A finished model: another seed than the config's, so that trained and untrained differ."""
    place, tokenizer = corpus.parent / "model", corpus.parent / "tokenizer"
    tokenizer.mkdir()
    build_tokenizer(TokenizerConfig(vocab_size=800, spare_tokens=4), corpus, tokenizer, QUIET)
    loaded = load(tokenizer)
    model = build_model(ModelConfig(**SIZES, seed=5), loaded.vocab_size, loaded.eod_id)
    model.save_pretrained(place)
    for file in tokenizer.glob("*.json"):
        shutil.copy(file, place)
    return place
