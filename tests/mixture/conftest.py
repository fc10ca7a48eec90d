"""Fixtures of the small corpus, packed at two row lengths in both modes."""

from pathlib import Path

import pytest
from tests.tokens.small_corpus import QUIET, corpus, tokenizer_dir, tokens_dir

from eurolm.config.tokens import MixtureConfig, PhaseConfig
from eurolm.tokens.packing import build_packs

__all__ = ["corpus", "packs_dir", "tokenizer_dir", "tokens_dir"]

ROW_LENGTHS = (64, 256)


@pytest.fixture(scope="session")
def packs_dir(tokens_dir: Path, tokenizer_dir: Path) -> Path:
    """Directory with `bestfit/` and `concat/`, each a finished pack index."""
    out = tokens_dir.parent / "packs"
    phases = [PhaseConfig(tokens=1, row_tokens=length, batch_rows=1) for length in ROW_LENGTHS]
    for mode in ("bestfit", "concat"):
        (out / mode).mkdir(parents=True)
        config = MixtureConfig.model_validate({"packing": mode, "phases": phases})
        build_packs(config, tokens_dir, tokenizer_dir, out / mode, QUIET)
    return out
