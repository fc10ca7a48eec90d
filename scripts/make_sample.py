"""Makes the embedded sample again: `python scripts/make_sample.py DATA`, where DATA has `text/` and `eval/`."""

from __future__ import annotations

import sys
from pathlib import Path

from eurolm.corpus.sample.make import make_sample
from eurolm.machine.host import package_file


def main() -> None:
    """Write into the package and print the size of each file."""
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sizes = make_sample(Path(sys.argv[1]), package_file("corpus/sample"))
    for name, size in sizes.items():
        print(f"{size:>10,}  {name}")
    print(f"{sum(sizes.values()):>10,}  in all")


if __name__ == "__main__":
    main()
