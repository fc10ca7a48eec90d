"""Nine files of unequal size in every format, as a corpus section; run as a program it builds that corpus."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.corpus.building import build, config, sample, write_source

from eurolm.config.corpus import CorpusConfig


def mixed_sources(base: Path) -> CorpusConfig:
    """Write the files below `base` (once) and describe them."""
    help_pages, bills, paragraphs = (
        sample("lv_gnome_mate_help"),
        sample("et_riigikogu_bill_summaries"),
        sample("lv_lvtb"),
    )
    files = {
        "lv/a.jsonl": help_pages[:40],
        "lv/b.jsonl.zst": help_pages[40:200],
        "lv/c.jsonl.gz": help_pages[180:],
        "lv/d.parquet": paragraphs[:700],
        "lv/e.txt": paragraphs[700:1000],
        "et/a.jsonl": bills[:25],
        "et/b.jsonl.zst": bills[25:300],
        "et/c.parquet": bills[290:],
        "et/noise.jsonl.zst": sample("noise"),
    }
    for name, records in files.items():
        if not (base / name).exists():
            write_source(base / name, records)
    return config(
        [
            {"name": "lv_help", "language": "lv", "paths": ["lv/*.jsonl", "lv/*.jsonl.*"]},
            {"name": "lv_treebank", "language": "lv", "paths": ["lv/d.parquet"], "verbatim": True},
            {
                "name": "lv_text",
                "language": "lv",
                "paths": ["lv/e.txt"],
                "text_unit": "paragraph",
                "license": "CC0-1.0",
            },
            {"name": "et_bills", "language": "et", "paths": ["et/[abc].*"]},
            {"name": "noise", "paths": ["et/noise.jsonl.zst"]},
        ],
        heldout={"share": 0.1},
    )


def main(base: Path, workers: int) -> None:
    """Build the corpus of the files that are already there."""
    section = mixed_sources(base).model_copy(update={"workers": workers})
    build(base, section, "killed", part_bytes=200_000)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
