"""Paragraphs that stand in many documents: counted through the corpus by the hash of their words."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from eurolm.corpus.contamination.ngrams import Runs
from eurolm.corpus.paragraphs import Parts
from eurolm.corpus.text.words import Ints, UInts, Words


def line_hashes(texts: Sequence[str], words: Words, min_words: int) -> tuple[Ints, Ints, UInts]:
    """Columns text, line (int64) and hash of its lower-cased words (uint64) of the lines with `min_words` or more."""
    lines = Parts.of([text.split("\n") for text in texts])
    long = np.flatnonzero(np.diff(lines.words) >= min_words)
    hashes = Runs.of(words.folded).hashes(lines.words[long], lines.words[long + 1])
    text = np.searchsorted(lines.rows, long, side="right") - 1
    return text, long - lines.rows[text], hashes


def paragraph_hashes(texts: Sequence[str], words: Words, min_words: int) -> tuple[UInts, Ints]:
    """Hashes (uint64) of the different paragraphs of each text, sorted, and offsets (int64, one more than texts).
    `words` are those of `texts`."""
    text, _, hashes = line_hashes(texts, words, min_words)
    order = np.lexsort((hashes, text))
    text, hashes = text[order], hashes[order]
    new = np.ones(len(hashes), np.bool_)
    new[1:] = (text[1:] != text[:-1]) | (hashes[1:] != hashes[:-1])
    return hashes[new], np.searchsorted(text[new], np.arange(len(texts) + 1))


def frequent(read: Callable[[], Iterable[UInts]], max_documents: int, partitions: int) -> UInts:
    """Hashes that stand in more than `max_documents` documents, sorted.

    `read()` gives the hashes of all documents, a document's own without repeats, array by array; it is called once
    per partition (a power of two, of the range of hashes), and memory holds one partition at a time.
    """
    shift = np.uint64(65 - partitions.bit_length())
    found = [np.zeros(0, np.uint64)]
    for partition in range(partitions):
        parts = [hashes[_part(hashes, shift) == partition] if partitions > 1 else hashes for hashes in read()]
        values, counts = np.unique(np.concatenate([found[0], *parts]), return_counts=True)
        found.append(values[counts > max_documents])
    return np.concatenate(found)


def _part(hashes: UInts, shift: np.uint64) -> UInts:
    return hashes >> shift
