"""datatrove over JSONL files: language, Gopher and FineWeb filters, personal data, MinHash; one process.

Usage: datatrove_corpus.py INPUT_DIR OUTPUT_DIR RULES.json shipped|regex. `regex` replaces its spaCy words by runs of
letters and digits, which is not what it ships but what it could. RULES.json maps a language to the filters' settings.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

from datatrove.data import Document
from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.dedup import minhash
from datatrove.pipeline.filters import FineWebQualityFilter, GopherQualityFilter, GopherRepetitionFilter
from datatrove.pipeline.filters.base_filter import BaseFilter
from datatrove.pipeline.formatters import PIIFormatter
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.writers import JsonlWriter
from datatrove.utils import text, word_tokenizers
from py3langid.langid import MODEL_FILE, LanguageIdentifier

CODES = {"lv": "lvs_Latn", "et": "ekk_Latn"}


class RegexWords(word_tokenizers.WordTokenizer):
    """Runs of letters and digits."""

    def word_tokenize(self, text: str) -> list[str]:
        return re.findall(r"\w+", text)

    def sent_tokenize(self, text: str) -> list[str]:
        return [text]

    def span_tokenize(self, text: str) -> list[tuple[int, int]]:
        return [(0, len(text))]


class OneLanguage(BaseFilter):
    """py3langid over all its languages, as a user would plug it in: datatrove's own detectors are downloaded."""

    def __init__(self, language: str) -> None:
        super().__init__()
        self.language = language
        self.model = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)

    def filter(self, doc: Document) -> bool:
        return self.model.classify(doc.text[:1000])[0] == self.language


def filters(language: str, rules: dict[str, dict]) -> list:
    """In FineWeb-2's order."""
    code = CODES[language]
    return [
        OneLanguage(language),
        GopherRepetitionFilter(language=code, **rules["repetition"]),
        FineWebQualityFilter(language=code, **rules["fineweb"]),
        GopherQualityFilter(language=code, **rules["gopher"]),
    ]


def main() -> None:
    """Filters, then the four MinHash stages, per language."""
    source, out, rules_file, words = sys.argv[1:]
    if words == "regex":
        for module in (word_tokenizers, text, minhash):
            module.load_word_tokenizer = lambda language: RegexWords(language)
    rules = json.loads(Path(rules_file).read_text())
    config = minhash.MinhashConfig(n_grams=5, num_buckets=14, hashes_per_bucket=8)
    for language in rules:
        place, code = f"{out}/{language}", CODES[language]
        reader = JsonlReader(f"{source}/{language}", glob_pattern="*.jsonl")
        run([reader, *filters(language, rules[language]), JsonlWriter(f"{place}/filtered", compression=None)], place, 0)
        kept = JsonlReader(f"{place}/filtered")
        run([kept, minhash.MinhashDedupSignature(f"{place}/sigs", config, language=code)], place, 1)
        run([minhash.MinhashDedupBuckets(f"{place}/sigs", f"{place}/buckets", config=config)], place, 2, tasks=14)
        run([minhash.MinhashDedupCluster(f"{place}/buckets", f"{place}/remove", config=config)], place, 3)
        last = [kept, minhash.MinhashDedupFilter(f"{place}/remove"), PIIFormatter(), JsonlWriter(f"{place}/final")]
        run(last, place, 4)


def run(pipeline: list, place: str, stage: int, tasks: int = 1) -> None:
    """In this process: a pool's workers would escape the count of CPU-seconds."""
    LocalPipelineExecutor(pipeline, tasks=tasks, workers=1, logging_dir=f"{place}/logs{stage}").run()


if __name__ == "__main__":
    main()
