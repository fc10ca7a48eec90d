"""Makes the tuning text of the parity search from a directory with `parallel/`:
`python -m eurolm.tokenizer.parallel.make DATA`.

Latvian and Estonian paragraphs of LibreOffice's help are joined through their English original, each original once.
"""

from __future__ import annotations

import sys
from pathlib import Path

import orjson
import zstandard

from eurolm.artifacts.atomic import write_bytes, write_text
from eurolm.config.shipped import package_file
from eurolm.tokenizer.tuning import CARRIED

COMPRESSION_LEVEL = 19
LANGUAGES = ("lv", "et")

ORIGIN = """# Origin of `lv-et.jsonl.zst`

{rows:,} paragraphs of LibreOffice help, one JSON object per line: `lv`, `et`. The two translations of the same English
paragraph were joined; the English text is not carried. Source: Debian source package libreoffice 7.4.7-1+deb12u14,
`translations` (The Document Foundation and the LibreOffice translation teams, https://www.libreoffice.org).

Licence: Mozilla Public License 2.0 (https://mozilla.org/MPL/2.0/), also for this extract. Nothing was changed but white
space at both ends. No evaluation suite scores this text. Made by `make.py` beside it.
"""


def make(data: Path, out: Path) -> int:
    """Write the joined text and its `ORIGIN.md` into the directory `out`; returns the number of rows."""
    first, second = (
        _translations(data / "parallel" / f"en-{name}" / "libreoffice_help.jsonl.zst", name) for name in LANGUAGES
    )
    rows = [
        dict(zip(LANGUAGES, (first[english], second[english]), strict=True)) for english in first if english in second
    ]
    lines = b"".join(orjson.dumps(row) + b"\n" for row in rows)
    write_bytes(out / Path(CARRIED).name, zstandard.ZstdCompressor(level=COMPRESSION_LEVEL).compress(lines))
    write_text(out / "ORIGIN.md", ORIGIN.format(rows=len(rows)))
    return len(rows)


def _translations(path: Path, language: str) -> dict[str, str]:
    """The first translation of each English paragraph, in file order."""
    text = zstandard.ZstdDecompressor().stream_reader(path.read_bytes()).read()
    found: dict[str, str] = {}
    for line in text.splitlines():
        row = orjson.loads(line)
        found.setdefault(row["en"].strip(), row[language].strip())
    return found


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    print(f"{make(Path(sys.argv[1]), package_file(CARRIED).parent):,} rows")
