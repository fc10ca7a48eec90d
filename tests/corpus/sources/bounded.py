"""Run by test_bounded.py in a process of its own: reads sources in little more memory than it has at the start.

Arguments: directory, list of sources as JSON, bytes of address space allowed beyond what the imports took. Prints JSON.
"""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path

from tests.corpus.sources.reading import total

from eurolm.config.corpus import CorpusConfig
from eurolm.corpus.sources.html import main_text
from eurolm.corpus.sources.records import Tally, unit_documents
from eurolm.corpus.sources.units import PART_BYTES, plan_units
from eurolm.errors import InputError


def main(base: Path, sources: list[dict[str, object]], allowed: int) -> None:
    """Print, for each source read alone, documents, longest text, skipped and invalid counts, or the error."""
    main_text(b"<p>tere</p>", None)
    held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (held + allowed, held + allowed))
    print(json.dumps([outcome(base, source) for source in sources]))


def outcome(base: Path, source: dict[str, object]) -> dict[str, object]:
    """What reading one source gives."""
    section = CorpusConfig.model_validate({"sources": [source | {"name": "a"}], "max_invalid_share": 1})
    documents, longest, tallies = 0, 0, []
    try:
        for unit in plan_units(section, base, PART_BYTES):
            tallies.append(Tally())
            for frame in unit_documents(unit, section, tallies[-1]):
                documents += len(frame)
                longest = max([longest, *frame["text"].str.len_bytes()])
    except InputError as error:
        return {"error": str(error)}
    counts = {name: total(tallies, name) for name in ("skipped", "invalid")}
    return {"documents": documents, "longest": longest, **counts}


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(sys.argv[2]), int(sys.argv[3]))
