"""The bytes of the stages, pinned: whoever changes them must raise RECIPE, or finished stages would pass for new ones.

A failing hash means: raise RECIPE of that stage and pin the hash under the new number. Hashes of what libraries
decide (vocabularies) hold for the versions of constraints.txt.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.tokens.small_corpus import ODD_TEXTS, QUIET, write_shard

from eurolm.artifacts.hashing import content_hash, sha256_file, sha256_json
from eurolm.config.tokens import MixtureConfig, TokenizerConfig, TokensConfig
from eurolm.mixture.mixture import Mixture
from eurolm.tokenizer import stage as tokenizer_stage
from eurolm.tokens import packing
from eurolm.tokens import stage as tokens_stage

TOKENIZER = {3: "0f83777c3b730d80a3d20e74534dc3fdc4477d902d6f0c6c2ce72f0ddd8e0b7d"}
TOKENS = {1: "719326686b823ea3e035a342a8b7eed2080f3f7e48748cafce34934649efdb8c"}
"""With the hash of the tokenizer, which the description of shards records."""
PACKS = {2: "c5c1eeb14a8e33cbedc7e6762e2ce7a1f76b3ce9a8a127c69472f1dd25ca3b30"}
ORDER = "e0370008a7554bfc9252df542aa468414aa6fd62c276ea1f4d71a8d4c0c0ec8d"
"""No recipe: a started training may never see another order. Of concatenated rows, which no better packing changes."""

SENTENCES = [
    "Rīgas pilsētas dome piektdien lēma par jauno autobusu maršrutu tīklu.",
    "Tallinna linnavolikogu otsustas neljapäeval uue bussiliinide võrgu üle.",
    "Likums stājas spēkā nākamajā dienā pēc tā izsludināšanas.",
    "Seadus jõustub järgmisel päeval pärast selle avaldamist Riigi Teatajas.",
    "Vakarā kļuva vēss, un saimniece aizvēra logus, lai siltums nepazustu no istabas.",
    "Õhtul läks jahedaks ning perenaine sulges aknad, et soojus toast ära ei kaoks.",
    "Skolēni brauca ekskursijā uz Siguldu apskatīt pilsdrupas un Gaujas senleju.",
    "Õpilased sõitsid ekskursioonile Viljandisse vaatama lossivaremeid ja ürgorgu.",
]
PHASES = [{"tokens": 9_000 * 16, "row_tokens": 16, "batch_rows": 4, "max_epochs": 1e9}]


def hash_of(directory: Path, *patterns: str) -> str:
    files = [path for pattern in patterns for path in directory.rglob(pattern)]
    assert files
    return content_hash({str(path.relative_to(directory)): sha256_file(path) for path in files})


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("recipes")
    for name in ("tokenizer", "tokens", "packs"):
        (place / name).mkdir()
    texts = [" ".join(SENTENCES[n % 8 :] * (1 + n % 5)) for n in range(40)]
    write_shard(place / "corpus/documents/a/00000.parquet", texts + ODD_TEXTS, "lv", "a")
    write_shard(place / "corpus/documents/b/00000.parquet", texts[::-1], "et", "b")
    tokenizer_stage.build_tokenizer(
        TokenizerConfig(vocab_size=512, spare_tokens=2), place / "corpus", place / "tokenizer", QUIET
    )
    tokens_stage.build_tokens(TokensConfig(), place / "corpus", place / "tokenizer", place / "tokens", QUIET)
    for mode in ("bestfit", "concat"):
        out = place / "packs" / mode
        packing.build_packs(mixture(mode), place / "tokens", place / "tokenizer", out, QUIET)
    return place


def mixture(mode: str) -> MixtureConfig:
    return MixtureConfig.model_validate({"phases": PHASES, "packing": mode})


def test_tokenizer_bytes(built: Path) -> None:
    assert TOKENIZER[tokenizer_stage.RECIPE] == hash_of(built / "tokenizer", "*.json")


def test_token_bytes(built: Path) -> None:
    assert TOKENS[tokens_stage.RECIPE] == hash_of(built / "tokens", "*.bin", "*.idx", "*.json")


def test_pack_bytes(built: Path) -> None:
    assert PACKS[packing.RECIPE] == hash_of(built / "packs" / "bestfit", "*.npy", "*.json")


def test_order_of_samples(built: Path) -> None:
    order = Mixture.open(mixture("concat"), built / "tokens", built / "packs" / "concat")
    places = [order.sample(number) for number in range(0, order.total_samples, 9)]
    assert sha256_json([[ref.source, ref.shard, ref.row] for ref in places]) == ORDER
