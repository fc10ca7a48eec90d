"""eurolm's tokenizer stage as a program: `python -m benchmarks.train_tokenizer CORPUS OUT CONFIG [COUNTS]`.

CONFIG is the section as JSON. COUNTS is a finished directory of counts: the corpus is not counted then.
"""

from __future__ import annotations

import sys
from pathlib import Path

from eurolm.config.tokens import TokenizerConfig
from eurolm.console import Reporter
from eurolm.tokenizer.stage import build_tokenizer


def main() -> None:
    """Run the stage."""
    corpus, out, config, *counts = sys.argv[1:]
    Path(out).mkdir(parents=True)
    build_tokenizer(
        TokenizerConfig.model_validate_json(config),
        Path(corpus),
        Path(out),
        Reporter("quiet"),
        counts=Path(counts[0]) if counts else None,
    )


if __name__ == "__main__":
    main()
