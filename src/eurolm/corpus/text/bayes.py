"""py3langid's model, evaluated for many texts at once.

The model is a finite automaton over UTF-8 bytes that names features (byte n-grams) and a naive Bayes table over them.
py3langid walks the automaton byte by byte in Python. Here a block of texts is one stream of bytes, cut into lanes that
advance together; the automaton's state depends on a few bytes before it, so a lane that starts a few bytes early is in
the right state, and this is checked: a lane must begin where the one before it ended. Labels are py3langid's own,
probabilities differ by the order of float32 sums (tests hold both).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from py3langid.langid import MODEL_FILE, LanguageIdentifier
from scipy.sparse import csc_array, csr_array

from eurolm.errors import MachineError

LANES = 4096
WARM_UP_BYTES = 8
BLOCK_BYTES = 1 << 19
"""Half a megabyte: what a block touches stays in a core's cache."""
ROW = (1 << 32) - 1
BETWEEN = b"\0"
"""Takes the automaton back to its start from every state, so that texts do not touch."""


@dataclass(frozen=True)
class Bayes:
    """`moves` [256 × rows] (int64): for row start + byte, the start of the next row in the low half and the feature
    met there in the high half (0: none). `table` [1 + features, classes] (float32) has zeros for no feature."""

    moves: NDArray[np.int64]
    table: NDArray[np.float32]
    prior: NDArray[np.float32]
    start: int
    """The row that texts begin in."""
    classes: tuple[str, ...]
    twins: tuple[tuple[int, int], ...]
    """Classes that share a label: the second one's probability belongs to the first."""

    @property
    def labels(self) -> frozenset[str]:
        """What `classify` can answer."""
        return frozenset(self.classes)

    def classify(self, texts: Sequence[str]) -> tuple[list[str], NDArray[np.float64]]:
        """Most probable label of each text, and its normalised probability."""
        labels: list[str] = []
        scores = [np.zeros(0)]
        for block in _blocks(texts):
            shares = self._shares(block)
            best = shares.argmax(axis=1)
            labels += [self.classes[place] for place in best]
            scores.append(shares[np.arange(len(block)), best].astype(np.float64))
        return labels, np.concatenate(scores)

    def _shares(self, block: Sequence[bytes]) -> NDArray[np.float32]:
        """Probabilities [texts, classes] (float32): softmax at temperature √bytes, as py3langid takes it."""
        counts = self._counts(block)
        scores = counts @ self.table
        known = np.bincount(counts.indices[counts.indptr[1] :], minlength=len(block)) > 0
        scores = np.where(known[:, None], scores + self.prior, np.float32(0))
        scores *= np.array([1 / max(len(text), 1) ** 0.5 for text in block], np.float32)[:, None]
        shares = np.exp(scores - scores.max(axis=1, keepdims=True))
        shares /= shares.sum(axis=1, keepdims=True)
        for first, second in self.twins:
            shares[:, first] += shares[:, second]
            shares[:, second] = 0
        return shares

    def _counts(self, block: Sequence[bytes]) -> csc_array:
        """log(1 + occurrences) [texts, 1 + features] (float32)."""
        features = self._features(np.frombuffer(BETWEEN.join(block) + BETWEEN, np.uint8))
        ends = np.cumsum([0, *(len(text) + 1 for text in block)]).astype(np.int32)
        shape = (len(block), len(self.table))
        met = csr_array((np.ones(len(features), np.int8), features, ends), shape=shape).tocsc()
        # By feature, then by text: a counting sort, so repeats lie side by side.
        new = np.ones(len(features), bool)
        np.not_equal(met.indices[1:], met.indices[:-1], out=new[1:])
        new[met.indptr[:-1][np.diff(met.indptr) > 0]] = True
        starts = np.flatnonzero(new)
        occurrences = np.diff(starts, append=len(features))
        columns = np.concatenate([[0], np.cumsum(new)])[met.indptr]
        weights = np.log1p(np.arange(occurrences.max() + 1, dtype=np.float32))[occurrences]
        return csc_array((weights, met.indices[starts], columns), shape=shape)

    def _features(self, stream: NDArray[np.uint8]) -> NDArray[np.int32]:
        """The feature met at each byte of the stream; 0 for none."""
        steps = -(-len(stream) // LANES)
        lanes = -(-len(stream) // steps)
        padded = np.zeros(WARM_UP_BYTES + lanes * steps, np.uint8)
        padded[WARM_UP_BYTES : WARM_UP_BYTES + len(stream)] = stream
        windows = np.lib.stride_tricks.sliding_window_view(padded, WARM_UP_BYTES + steps)[::steps]
        columns = np.ascontiguousarray(windows.T).astype(np.int64)
        _, entry = self._walk(columns[:WARM_UP_BYTES], np.full(lanes, self.start))
        while True:
            found, leave = self._walk(columns[WARM_UP_BYTES:], entry)
            right = np.concatenate([[self.start], leave[:-1]])
            if np.array_equal(entry, right):
                return found.T.ravel()[: len(stream)]
            entry = right

    def _walk(self, columns: NDArray[np.int64], rows: NDArray[np.int64]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """Features met [steps, lanes], and the rows reached."""
        found = np.empty(columns.shape, np.int32)
        place, move, row = np.empty_like(rows), np.empty_like(rows), rows.copy()
        for step, column in enumerate(columns):
            np.add(row, column, out=place)
            np.take(self.moves, place, out=move, mode="clip")
            np.bitwise_and(move, ROW, out=row)
            np.right_shift(move, 32, out=found[step], casting="unsafe")
        return found, row


def load() -> Bayes:
    """The model in py3langid's wheel; takes a second and 140 MB. Raises MachineError where it is of another make."""
    try:
        model = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
        starts = np.asarray(model.tk_row, np.int64) << 8
        features = np.asarray(model.tk_output, np.int64) + 1
        moves = (features << 32 | starts)[np.asarray(model.tk_nextmove)]
        table = np.concatenate([np.zeros((1, len(model.nb_pc))), model.nb_ptc]).astype(np.float32)
        classes = tuple(model.nb_classes)
        twins = tuple((classes.index(name), at) for at, name in enumerate(classes) if classes.index(name) < at)
    except (AttributeError, TypeError, ValueError, IndexError) as error:
        raise MachineError(
            f"the py3langid that is installed holds a model that eurolm cannot read ({type(error).__name__}). "
            "Install the version in constraints.txt: pip install -c constraints.txt py3langid."
        ) from error
    if np.any(moves[ord(BETWEEN) :: 256] != starts[0]):
        raise MachineError(
            "the automaton of the py3langid that is installed does not restart at NUL bytes, which eurolm relies on. "
            "Install the version in constraints.txt: pip install -c constraints.txt py3langid."
        )
    prior = np.asarray(model.nb_pc, np.float32)
    return Bayes(moves, table, prior, int(starts[0]), classes, twins)


def _blocks(texts: Sequence[str]) -> Iterator[list[bytes]]:
    """Encoded texts, together at most `BLOCK_BYTES` long unless a single one is longer."""
    block: list[bytes] = []
    size = 0
    for text in texts:
        encoded = _encoded(text)
        if block and size + len(encoded) >= BLOCK_BYTES:
            yield block
            block, size = [], 0
        block.append(encoded)
        size += len(encoded) + 1
    if block:
        yield block


def _encoded(text: str) -> bytes:
    """Text in the form that the model was trained on."""
    text = text.lower() if text.isupper() else text
    return unicodedata.normalize("NFC", text).encode(errors="surrogatepass")
