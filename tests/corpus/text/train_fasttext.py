"""How `udhr.ftz` was made: a small fastText model in GlotLID's label format, trained on the Universal Declaration of
Human Rights (public domain). Not run by the tests, because the library that trains and the one that only predicts share
a module name:

    pip install --target /tmp/trainer --no-deps fasttext-community==0.11.9
    PYTHONPATH=/tmp/trainer python tests/corpus/text/train_fasttext.py ../shared/data/text
"""

from __future__ import annotations

import io
import json
import sys
import tempfile
from pathlib import Path

import fasttext
import zstandard

LABELS = {"lv": "lav_Latn", "et": "ekk_Latn", "lt": "lit_Latn", "fi": "fin_Latn", "en": "eng_Latn", "ru": "rus_Cyrl"}


def lines(path: Path) -> list[str]:
    with path.open("rb") as raw:
        text = io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(raw), encoding="utf-8")
        return [line for record in text for line in json.loads(record)["text"].split("\n") if line.strip()]


def main(texts: Path) -> None:
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as training:
        for language, label in LABELS.items():
            found = lines(texts / language / "udhr.jsonl.zst")
            training.writelines(f"__label__{label} {line}\n" for line in found)
        training.flush()
        model = fasttext.train_supervised(
            training.name, dim=8, epoch=50, lr=0.5, minn=2, maxn=4, bucket=4000, thread=1, seed=1, verbose=0
        )
        model.quantize(training.name, retrain=False)
    model.save_model(str(Path(__file__).with_name("udhr.ftz")))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
