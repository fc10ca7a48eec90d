"""fastText models for language identification, such as GlotLID or OpenLID, from a file that the user brings.

The library is the extra `lid`; any package whose module is `fasttext` will do, because only its prediction is called.
Labels (`__label__lav_Latn`) become BCP-47 codes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eurolm.errors import ConfigError, MachineError

LABEL = re.compile(r"__label__([a-z]{2,3})(?:[-_][A-Za-z0-9_-]+)?")
MAIN_MEMBER = {
    "als": "sq", "arb": "ar", "azj": "az", "cmn": "zh", "ekk": "et", "khk": "mn", "lvs": "lv", "npi": "ne", "ory": "or",
    "pes": "fa", "plt": "mg", "swh": "sw", "uzn": "uz", "ydd": "yi", "zsm": "ms",
}  # fmt: skip
"""Standard varieties that ISO 639-3 keeps apart from their macrolanguage. BCP-47 tools would fold Latgalian into
Latvian and Võro into Estonian by the same relation, so it is not asked of them."""


@dataclass(frozen=True)
class FastText:
    """A loaded model. `codes`: BCP-47 code by label."""

    model: Any
    codes: dict[str, str]

    @property
    def labels(self) -> frozenset[str]:
        """What `classify` can answer."""
        return frozenset(self.codes.values())

    def classify(self, texts: Sequence[str]) -> tuple[list[str], NDArray[np.float64]]:
        """Most probable language of each text and its probability."""
        answers = [_answers(self.model, text, 1) for text in texts]
        scores = np.array([answer[0][0] if answer else 0.0 for answer in answers], np.float64)
        # Float32 sums of fastText reach 1.00006.
        return [self.codes[answer[0][1]] if answer else "und" for answer in answers], scores.clip(0, 1)


def load(path: Path) -> FastText:
    """Raises ConfigError for a file that is not there or is no such model, MachineError where a library is missing."""
    try:
        fasttext, langcodes = import_module("fasttext"), import_module("langcodes")
    except ImportError as error:
        raise MachineError(
            f"corpus.detection.model = {path} needs {error.name}, which is not installed: pip install 'eurolm[lid]'."
        ) from None
    if not path.is_file():
        raise ConfigError(
            f"corpus.detection.model = {path} is not a file. Fetch the model on a machine with network (GlotLID: "
            "huggingface-cli download cis-lmu/glotlid model.bin) and give its path."
        )
    try:
        model = fasttext.load_model(str(path))
        labels = [label for _, label in _answers(model, "a", -1)]
    except (ValueError, RuntimeError, MemoryError) as error:
        raise ConfigError(f"corpus.detection.model = {path} is not a fastText classifier: {error}") from None
    codes = {label: LABEL.fullmatch(label) for label in labels}
    if strange := [label for label, found in codes.items() if not found]:
        raise ConfigError(
            f"corpus.detection.model = {path} does not tell languages: it has the label {strange[0]}, expected labels "
            "such as __label__lav_Latn or __label__lv."
        )
    return FastText(model, {label: _bcp47(found[1], langcodes) for label, found in codes.items() if found})


def _bcp47(code: str, langcodes: Any) -> str:
    """`lav` and `lvs` → `lv`, `ltg` → `ltg`."""
    return MAIN_MEMBER.get(code) or str(langcodes.standardize_tag(code)).split("-")[0]


def _answers(model: Any, text: str, count: int) -> list[tuple[float, str]]:
    """The `count` most probable labels (-1: all) with their probabilities. fastText reads one line, in valid UTF-8.
    A threshold of 0 would leave out labels below 1e-5 in models with hierarchical softmax (log(threshold + 1e-5)).
    The method below the Python wrapper, because wrappers fail with numpy 2 (fasttext 0.9.3) or for lists
    (fasttext-predict 0.9.2.4)."""
    line = " ".join(text.split()).encode(errors="replace").decode()
    answers: list[tuple[float, str]] = model.f.predict(line + "\n", count, -1.0, "strict")
    return answers
