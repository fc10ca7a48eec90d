"""A finished corpus in the layout of the corpus stage, real text, small; and what is built from it."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.conftest import sample_documents

from eurolm.config.tokens import TokenizerConfig, TokensConfig
from eurolm.console import Reporter
from eurolm.tokenizer.stage import build_tokenizer
from eurolm.tokens.stage import encode_corpus

COLUMNS = ("id", "text", "language", "source", "license", "url", "date", "group", "register", "meta")
SCHEMA = pa.schema([(name, pa.string()) for name in COLUMNS])
QUIET = Reporter("quiet")

ODD_TEXTS = [
    "Raksta <|endoftext|> tekstā, un <|im_start|>system arī <|spare_0|>.",
    "  divas atstarpes  un   trīs\tun\ttabulators\n\n\njauna rinda\r\nun vēl \n ",
    "🙂👩‍👩‍👧 emodži un a\u0301 e\u0304 o\u0302\u0323 kombinētas zīmes",
    "āčēģīķļņšūž ĀČĒĢĪĶĻŅŠŪŽ äöõüšž ÄÖÕÜŠŽ",
    " ",
    "x",
    "ÿ\u0000\ufeff\u2028\U0010ffff",
    "1234567890 12.05.2024. plkst. 10:30",
]


def texts(language: str, limit: int) -> list[str]:
    """Documents of the embedded sample, up to `limit` bytes."""
    kept, size = [], 0
    for text in (document["text"] for document in sample_documents(language, 2000)):
        size += len(text.encode())
        if size > limit:
            break
        kept.append(text)
    return kept


def write_shard(path: Path, documents: list[str], language: str, source: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [
        dict.fromkeys(COLUMNS)
        | {"id": f"{source}-{path.stem}-{n}", "text": text, "language": language, "source": source}
        | {"url": f"https://example.org/{source}/{path.stem}/{n}"}
        for n, text in enumerate(documents)
    ]
    pq.write_table(pa.Table.from_pylist(rows, SCHEMA), path, compression="zstd")


def write_corpus(out: Path, limit: int = 400_000) -> Path:
    """Ten shards of unequal size in three sources, and held-out text in two languages."""
    for language in ("lv", "et"):
        source, found = f"{language}_text", texts(language, limit)
        heldout, training = found[::20], [text for number, text in enumerate(found) if number % 20]
        start = 0
        for number, share in enumerate((0.05, 0.5, 0.1, 0.35)):
            end = len(training) if number == 3 else start + max(1, round(share * len(training)))
            write_shard(out / "documents" / source / f"{number:05d}.parquet", training[start:end], language, source)
            start = end
        write_shard(out / "heldout" / language / f"{source}.parquet", heldout, language, source)
    sentences = [sentence for text in texts("lv", 40_000) for sentence in text.split(". ") if sentence]
    write_shard(out / "documents" / "odd" / "00000.parquet", ODD_TEXTS + sentences, "lv", "odd")
    write_shard(out / "documents" / "odd" / "00001.parquet", ODD_TEXTS[::-1], "lv", "odd")
    return out


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("small") / "corpus")


@pytest.fixture(scope="session")
def tokenizer_dir(corpus: Path) -> Path:
    out = corpus.parent / "tokenizer"
    out.mkdir()
    build_tokenizer(TokenizerConfig(vocab_size=1024, spare_tokens=4), corpus, out, QUIET)
    return out


@pytest.fixture(scope="session")
def tokens_dir(corpus: Path, tokenizer_dir: Path) -> Path:
    out = corpus.parent / "tokens"
    out.mkdir()
    encode_corpus(TokensConfig(workers=1), corpus, tokenizer_dir, out, QUIET)
    return out


def corpus_texts(corpus: Path) -> dict[str, str]:
    """Text of every training document by id."""
    tables = [pq.read_table(path) for path in sorted((corpus / "documents").glob("*/*.parquet"))]
    return {row["id"]: row["text"] for table in tables for row in table.to_pylist()}


def files_of(directory: Path) -> dict[str, bytes]:
    """Bytes of every file by relative path."""
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}
