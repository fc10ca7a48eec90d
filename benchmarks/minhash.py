"""MinHash signatures of one JSONL file by eurolm, reading included. Usage: python -m benchmarks.minhash FILE."""

from __future__ import annotations

import sys
from pathlib import Path

from eurolm.config.corpus import CorpusConfig
from eurolm.corpus.duplicates.shingles import shingle, signatures
from eurolm.corpus.sources.records import Tally, unit_documents
from eurolm.corpus.sources.units import plan_units
from eurolm.corpus.text.words import words_of


def main() -> None:
    """Prints how many signatures were made."""
    path = Path(sys.argv[1])
    config = CorpusConfig.model_validate({"sources": [{"name": "a", "paths": [path.name]}]})
    made = 0
    for unit in plan_units(config, path.parent):
        for frame in unit_documents(unit, config, Tally()):
            made += len(signatures(shingle(words_of(frame["text"]), 5), 112, 1))
    print(made)


if __name__ == "__main__":
    main()
