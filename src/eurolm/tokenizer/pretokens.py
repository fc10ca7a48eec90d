"""Pre-tokens: the pieces of text that a vocabulary never merges across, and how to count them.

Counting is ffbpe's (Rust), by the regular expression that `tokenizers` runs or one that cuts the same; a test compares
the two on real text, on any string and on every Unicode character. SentencePiece cuts at spaces and line ends alone,
before the space, so its words come from another expression through the same counter.
"""

from __future__ import annotations

from ffbpe import PreTokenizer, WordCounter

from eurolm.config.tokens import Algorithm

LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""Pre-tokenizer of Llama 3 (meta-llama/llama3, `tokenizer.py`), to the letter: fast encoders recognise exactly it."""

CL100K = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+|"
    r" ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s"
)
"""Expression of tiktoken's cl100k_base, which ffbpe has a hand-written scanner for: three times as fast. Llama 3 took
it over; the two differ in white space at the very end of a text alone."""

WORDS = r" [^ \t\r\n]*|[^ \t\r\n]+"
"""Words as SentencePiece trains on them with `add_dummy_prefix=false`: a space belongs to what follows it. Tabs and
line ends are left to byte fallback."""

PATTERNS = {"llama3": LLAMA3, "words": WORDS}


def pre_tokenizer_of(algorithm: Algorithm) -> str:
    """Name of the pattern whose counts an algorithm is trained on."""
    return "llama3" if algorithm == "bpe" else "words"


class PreTokenCounter:
    """Counts distinct pre-tokens of texts."""

    def __init__(self, pre_tokenizer: str) -> None:
        self._exact = _counter(PATTERNS[pre_tokenizer])
        self._fast = _counter(CL100K) if pre_tokenizer == "llama3" else self._exact

    def add(self, texts: list[str]) -> None:
        """Count more texts, each by itself."""
        self._fast.add_batch([text for text in texts if not text[-1:].isspace()])
        self._exact.add_batch([text for text in texts if text[-1:].isspace()])

    @property
    def distinct(self) -> int:
        """Distinct pre-tokens held, at most those of both expressions."""
        return self._exact.len + self._fast.len

    def drain(self) -> dict[str, int]:
        """The counts since the last call."""
        if self._fast is not self._exact:
            self._exact.merge(self._fast)
            self._fast.clear()
        counts = self._exact.words()
        self._exact.clear()
        return counts


def _counter(pattern: str) -> WordCounter:
    return PreTokenizer([], pat_str=pattern).word_counter()
