"""eurolm's tokenizer stage as a program: `train_tokenizer CORPUS OUT CONFIG`, CONFIG being the section as JSON."""

from __future__ import annotations

import sys
from pathlib import Path

from eurolm.config.tokens import TokenizerConfig
from eurolm.console import Reporter
from eurolm.tokenizer.stage import build_tokenizer


def main() -> None:
    """Run the stage."""
    corpus, out, config = sys.argv[1:]
    Path(out).mkdir(parents=True)
    build_tokenizer(TokenizerConfig.model_validate_json(config), Path(corpus), Path(out), Reporter("quiet"))


if __name__ == "__main__":
    main()
