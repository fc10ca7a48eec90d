"""Lists that somebody made by hand or with a tool: an entry a line.

An empty list is an error: it matches nothing, which is what a wrong path or a failed export looks like.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from eurolm.corpus.sources.streams import BYTE_ORDER_MARK, TOO_LONG, lines
from eurolm.errors import InputError


def entries(path: Path, setting: str) -> Iterator[tuple[str, str]]:
    """Lines of a plain, gzip or zstd file that are neither blank nor comments (`# …`), stripped, each with its place
    (`file:line`). `setting` is where the config names the file.

    Raises InputError for a file that is missing, holds no entry, or is not UTF-8.
    """
    if not path.is_file():
        raise InputError(f"{path}, named under {setting}, does not exist or is not a file.")
    number, found = 0, False
    for number, (_, line) in enumerate(lines(path, 0, path.stat().st_size), start=1):
        place = f"{path}:{number}"
        text = _text(line, place, setting)
        if text and not text.startswith("#"):
            found = True
            yield place, text
    if not found:
        raise InputError(
            f"{path}, named under {setting}, has no entry in its {number:,} lines and would match nothing. "
            "Write the list again, or take the file out of the config."
        )


def stamps(paths: Sequence[Path]) -> tuple[tuple[Path, int, int], ...]:
    """What tells files as they are now from what they were: path, size, time of change. A missing file is all zeros.

    Workers keep a list they have read under this key, because a large one must not travel with every shard.
    """
    found = [(path, path.stat()) if path.is_file() else (path, None) for path in paths]
    return tuple((path, stat.st_size, stat.st_mtime_ns) if stat else (path, 0, 0) for path, stat in found)


def _text(line: bytes | None, place: str, setting: str) -> str:
    if line is None:
        raise InputError(f"{place}, named under {setting}: the line is {TOO_LONG}. It must hold one entry.")
    try:
        return line.removeprefix(BYTE_ORDER_MARK).decode().strip()
    except UnicodeDecodeError as error:
        raise InputError(f"{place}, named under {setting}: not UTF-8 ({error.reason}).") from None
