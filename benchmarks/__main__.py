"""`scripts/bench SUBJECT [--quick] [--json FILE]`: prints a table, writes the figures as JSON."""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path

from benchmarks.figures import Figure, as_json, table
from eurolm.artifacts.atomic import write_json

SUBJECTS = ("corpus", "tokenizer", "tokens", "evaluate")


def main() -> None:
    """Run one subject's benchmark."""
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("subject", choices=SUBJECTS)
    parser.add_argument("--quick", action="store_true", help="less text; answers within three minutes")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to FILE as well")
    given = parser.parse_args()
    figures: dict[str, Figure] = importlib.import_module(f"benchmarks.{given.subject}").run(quick=given.quick)
    print(table(figures))
    if given.json:
        write_json(given.json, as_json(figures))


if __name__ == "__main__":
    main()
