"""Plain text that fits the screen: labelled entries that wrap under themselves, tables as wide as their content."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterator, Sequence

LEAST, MOST = 60, 120
LABEL = 12


def width() -> int:
    """Columns of the terminal, or of COLUMNS; 100 where there is neither. A line longer than `MOST` is hard to read."""
    return max(LEAST, min(MOST, shutil.get_terminal_size((100, 24)).columns))


def entry(label: str, text: str, *, hang: int = LABEL, first: str = "") -> Iterator[str]:
    """`label` in a column of `hang` signs and `text` beside it, wrapped under itself. `first` opens the line."""
    head = f"{first}{label}"
    if label:
        head = f"{head:<{hang}}" if len(head) < hang else f"{head} "
    elif not first:
        head = " " * hang
    yield from textwrap.wrap(
        text, width(), initial_indent=head, subsequent_indent=" " * hang, break_long_words=False, break_on_hyphens=False
    ) or [head.rstrip()]


def table(
    head: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[bool], indent: str = "  "
) -> list[str]:
    """Columns as wide as their widest cell, two blanks apart; those of `right` are flush right."""
    widths = [max(len(line[column]) for line in (head, *rows)) for column in range(len(head))]
    lines = []
    for line in (head, *rows):
        cells = [
            cell.rjust(size) if flush else cell.ljust(size)
            for cell, size, flush in zip(line, widths, right, strict=True)
        ]
        lines.append((indent + "  ".join(cells)).rstrip())
    return lines
