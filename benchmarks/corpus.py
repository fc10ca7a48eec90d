"""The corpus stage against datatrove: the same documents, the same rules and thresholds, CPU-seconds of whole programs.

Latvian and Estonian text with near-duplicates planted in it. datatrove runs as it ships (spaCy words) and with runs of
letters and digits put in their place; eurolm does all it does by default, which is more (windows shared with held-out
text, evaluation items, personal codes). One process each.
"""

from __future__ import annotations

import json
import math
import random
import statistics
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.environments import ROOT, python_of
from benchmarks.figures import Figure, Spent, against, spend
from eurolm.config.load import load_config
from eurolm.corpus.sources.streams import lines

TEXT = ROOT.parent / "shared" / "data" / "text"
SAMPLE = ROOT / "src" / "eurolm" / "corpus" / "sample"
LANGUAGES = ("lv", "et")
COMMAND = "scripts/bench corpus"
PEER_BYTES, QUICK_PEER_BYTES = 16_000_000, 8_000_000
"""Text the peers get: as it ships, datatrove needs two CPU-minutes for 16 MB."""
MINHASH_DOCUMENTS, PEER_MINHASH_DOCUMENTS = 24_000, 3000
DOCUMENT_CHARACTERS = 2250
PLANTED_SHARE = 0.1
SINGLE = {"POLARS_MAX_THREADS": "1", "RAYON_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
RULES = ROOT / "benchmarks" / "peers"


def run(quick: bool) -> dict[str, Figure]:
    """All figures of the corpus stage."""
    with tempfile.TemporaryDirectory(prefix="eurolm-bench-") as name:
        place = Path(name)
        figures = _pipeline(place, QUICK_PEER_BYTES if quick else PEER_BYTES)
        figures |= _minhash(place)
        if not quick:
            figures |= _scaling(place)
    return figures


def documents(language: str) -> Iterator[dict[str, Any]]:
    """Records of the collected text where it lies beside the checkout, else of the embedded sample."""
    files = sorted((TEXT / language).glob("*.jsonl.zst")) or sorted(SAMPLE.glob(f"{language}_*.jsonl.zst"))
    for path in files:
        for _, line in lines(path, 0, path.stat().st_size):
            yield json.loads(line)


def write_text(place: Path, limit: int | None, copies: int = 1) -> int:
    """JSONL per language below `place`, about `limit` bytes of text over both, near-duplicates among them; returns the
    bytes. Further copies have their words shuffled line by line, so that they are as long and no duplicates."""
    total = 0
    for language in LANGUAGES:
        chooser, written = random.Random(7), 0
        (place / language).mkdir(parents=True)
        with (place / language / "text.jsonl").open("w") as stream:
            for number, record in enumerate(_chosen(language, limit)):
                texts = [record["text"]] + [_shuffled(record["text"], chooser) for _ in range(1, copies)]
                if chooser.random() < PLANTED_SHARE:
                    texts.append(_edited(record["text"], chooser))
                for place_, text in enumerate(texts):
                    written += len(text.encode())
                    stream.write(json.dumps({"id": f"{number}-{place_}", "text": text}, ensure_ascii=False) + "\n")
        total += written
    return total


def _chosen(language: str, limit: int | None) -> Iterator[dict[str, Any]]:
    """All documents, or every k-th so that about `limit` bytes over both languages come from all sources."""
    records = list(documents(language))
    size = sum(len(record["text"].encode()) for record in records)
    share = 1.0 if limit is None else min(1.0, limit / len(LANGUAGES) / size)
    chooser = random.Random(11)
    return (record for record in records if chooser.random() < share)


def _edited(text: str, chooser: random.Random) -> str:
    words = text.split(" ")
    for place in chooser.sample(range(len(words)), len(words) // 100):
        words[place] = f"x{chooser.randrange(10**6)}"
    return " ".join(words)


def _shuffled(text: str, chooser: random.Random) -> str:
    return "\n".join(
        " ".join(chooser.sample(words, len(words))) for words in (line.split(" ") for line in text.split("\n"))
    )


def _pipeline(place: Path, limit: int) -> dict[str, Figure]:
    megabytes = write_text(place / "text", limit) / 1e6
    rules = place / "rules.json"
    rules.write_text(json.dumps(peer_rules()))
    peer, script = python_of("datatrove"), ROOT / "benchmarks" / "peers" / "datatrove_corpus.py"
    ours, peers = [], {"shipped": [], "regex": []}
    for turn in range(3):
        ours.append(eurolm(place / f"ours{turn}", place / "text").cpu_s)
        for words, spent in peers.items():
            if words == "regex" or not spent:
                out = place / f"{words}{turn}"
                spent.append(spend([peer, script, place / "text", out, rules, words], SINGLE).cpu_s)
    rate = megabytes / statistics.median(ours)
    return {
        name: against(rate, "MB/CPU-s", COMMAND, peer_name, megabytes / statistics.median(peers[words]),
                      f"{megabytes:.1f} MB; eurolm's start-up of 3 to 4 CPU-s included")
        for name, peer_name, words in (
            ("corpus.pipeline", "datatrove 0.10.1 as shipped", "shipped"),
            ("corpus.pipeline_regex", "datatrove 0.10.1 with regex words", "regex"),
        )
    }  # fmt: skip


def _config(text: Path) -> dict[str, Any]:
    sources = [
        {"name": language, "language": language, "paths": [str(text / language / "text.jsonl")]}
        for language in LANGUAGES
    ]
    return {
        "name": "bench",
        "extends": [f"languages/{language}.yaml" for language in LANGUAGES],
        "corpus": {"sources": sources, "workers": 1},
    }


def eurolm(place: Path, text: Path) -> Spent:
    """The whole corpus stage on `text` in one process."""
    place.mkdir(parents=True)
    (place / "bench.yaml").write_text(json.dumps(_config(text)))
    command = [sys.executable, "-m", "eurolm", "run", place / "bench.yaml", "--only", "corpus", "--quiet"]
    return spend([*command, f"run.workspace={place}"], SINGLE)


def peer_rules() -> dict[str, dict[str, dict[str, Any]]]:
    """The shipped thresholds under datatrove's names."""
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        json.dump(_config(Path("/nowhere")), file)
        file.flush()
        languages = load_config(Path(file.name)).config.corpus.languages
    return {
        language: {
            "repetition": {
                "dup_line_frac": rules.max_duplicate_line_share,
                "dup_para_frac": rules.max_duplicate_paragraph_share,
                "dup_line_char_frac": None,
                "dup_para_char_frac": rules.max_duplicate_paragraph_character_share,
                "top_n_grams": sorted(rules.max_top_ngram_share.items()),
                "dup_n_grams": sorted(rules.max_duplicate_ngram_share.items()),
            },
            "fineweb": {
                "line_punct_thr": rules.min_punctuated_line_share or 0.0,
                "short_line_thr": 999,
                "char_duplicates_ratio": rules.max_duplicate_line_character_share or 1.0,
                "new_line_ratio": rules.max_newline_word_ratio or 999,
            },
            "gopher": {
                "min_doc_words": rules.min_words,
                "max_doc_words": rules.max_words,
                "min_avg_word_length": rules.min_average_word_length,
                "max_avg_word_length": rules.max_average_word_length,
                "max_symbol_word_ratio": rules.max_symbol_word_ratio,
                "max_bullet_lines_ratio": rules.max_bullet_line_share,
                "max_ellipsis_lines_ratio": rules.max_ellipsis_line_share,
                "max_non_alpha_words_ratio": rules.min_alphabetic_word_share,
                "min_stop_words": rules.min_stopwords,
                "stop_words": rules.stopwords,
            },
        }
        for language, rules in languages.items()
    }


def _minhash(place: Path) -> dict[str, Figure]:
    """Signatures of 2.5 kB documents, reading them included."""
    whole, part = place / "minhash", place / "minhash-peers"
    for folder, count in ((whole, MINHASH_DOCUMENTS), (part, PEER_MINHASH_DOCUMENTS)):
        folder.mkdir()
        with (folder / "text.jsonl").open("w") as stream:
            for number, text in enumerate(_equal_documents(count)):
                stream.write(json.dumps({"id": str(number), "text": text}, ensure_ascii=False) + "\n")
    peer, script = python_of("datatrove"), ROOT / "benchmarks" / "peers" / "datatrove_minhash.py"
    empty = place / "nothing"
    empty.mkdir()
    (empty / "text.jsonl").write_text(json.dumps({"id": "0", "text": "viens"}) + "\n")

    def ours(source: Path) -> float:
        return spend([sys.executable, "-m", "benchmarks.minhash", source / "text.jsonl"], SINGLE).cpu_s

    def theirs(source: Path, words: str) -> float:
        with tempfile.TemporaryDirectory(dir=place) as out:
            return spend([peer, script, source, out, words], SINGLE).cpu_s

    # Imports take longer than signatures do; what one document costs is taken off.
    rates = {
        "ours": [MINHASH_DOCUMENTS / (ours(whole) - ours(empty)) for _ in range(3)],
        "regex": [PEER_MINHASH_DOCUMENTS / (theirs(part, "regex") - theirs(empty, "regex")) for _ in range(2)],
        "shipped": [PEER_MINHASH_DOCUMENTS / (theirs(part, "shipped") - theirs(empty, "shipped"))],
    }
    median = {name: statistics.median(values) for name, values in rates.items()}
    unit = "documents of 2.5 kB/CPU-s"
    return {
        "corpus.minhash": against(median["ours"], unit, COMMAND, "datatrove 0.10.1 as shipped", median["shipped"]),
        "corpus.minhash_regex": against(
            median["ours"], unit, COMMAND, "datatrove 0.10.1 with regex words", median["regex"]
        ),
    }


def _equal_documents(count: int) -> Iterator[str]:
    text = " ".join(record["text"] for language in LANGUAGES for record in _chosen(language, 16_000_000))
    for number in range(count):
        start = number * DOCUMENT_CHARACTERS % (len(text) - DOCUMENT_CHARACTERS)
        yield text[start : start + DOCUMENT_CHARACTERS]


def _scaling(place: Path) -> dict[str, Figure]:
    """All the text and ten times as much: time, memory, and the exponent of time against size."""
    spent = {}
    for copies in (1, 10):
        megabytes = write_text(place / f"scale{copies}", None, copies) / 1e6
        spent[copies] = megabytes, eurolm(place / f"scaled{copies}", place / f"scale{copies}")
    exponent = math.log(spent[10][1].cpu_s / spent[1][1].cpu_s) / math.log(spent[10][0] / spent[1][0])
    figures = {
        f"corpus.pipeline_{copies}x": against(megabytes / used.cpu_s, "MB/CPU-s", COMMAND, note=f"{megabytes:.0f} MB")
        for copies, (megabytes, used) in spent.items()
    }
    figures |= {
        f"corpus.peak_memory_{copies}x": against(used.peak_bytes / 1e9, "GB in the largest process", COMMAND)
        for copies, (_, used) in spent.items()
    }
    return figures | {"corpus.time_exponent": against(exponent, "of CPU time against size", COMMAND)}
