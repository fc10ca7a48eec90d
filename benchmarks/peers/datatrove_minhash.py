"""MinHash signatures of one JSONL file by datatrove. Usage: datatrove_minhash.py INPUT_DIR OUTPUT_DIR shipped|regex."""

from __future__ import annotations

import sys

from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.dedup import minhash
from datatrove.pipeline.readers import JsonlReader
from datatrove_corpus import RegexWords


def main() -> None:
    """Stage one alone."""
    source, out, words = sys.argv[1:]
    if words == "regex":
        minhash.load_word_tokenizer = lambda language: RegexWords(language)
    config = minhash.MinhashConfig(n_grams=5, num_buckets=14, hashes_per_bucket=8)
    steps = [JsonlReader(source), minhash.MinhashDedupSignature(f"{out}/sigs", config, language="lvs_Latn")]
    LocalPipelineExecutor(steps, tasks=1, workers=1, logging_dir=f"{out}/logs").run()


if __name__ == "__main__":
    main()
