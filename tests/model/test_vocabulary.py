"""Continuing a model with another vocabulary: which rows the new embedding and head get, on real tokenizers."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.tokenizer.extension.bases import SPECIAL, english, mistral, own, pre_tokens, sample, texts
from tokenizers import AddedToken, Tokenizer, decoders, models
from transformers import AutoModelForCausalLM

from eurolm.artifacts.atomic import write_json
from eurolm.config.architecture import ModelConfig
from eurolm.errors import InputError
from eurolm.model.build import build_model
from eurolm.model.initial import write_initial
from eurolm.model.load import open_model
from eurolm.model.tokens import read_vocabulary
from eurolm.model.vocabulary import fitted
from eurolm.tokenizer.export import export
from eurolm.tokenizer.extension.base import load_base
from eurolm.tokenizer.extension.extend import Wish, extend
from eurolm.tokenizer.inventory import WeightedWords
from eurolm.tokenizer.load import load
from eurolm.tokenizer.pieces import train

TINY = ModelConfig(hidden_size=32, layers=2, attention_heads=2, key_value_heads=1, intermediate_size=64)
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json")


@pytest.fixture(scope="module")
def latvian(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A byte-level vocabulary of Latvian."""
    return own("lv", 700, tmp_path_factory.mktemp("base") / "lv")


@pytest.fixture(scope="module")
def extended(latvian: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with 300 Estonian tokens."""
    out = tmp_path_factory.mktemp("extended") / "lv-et"
    extend(Wish(latvian, sample("et")[:1], 300, [sample("lv")[0]]), out)
    return out


@pytest.fixture(scope="module")
def pieces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SentencePiece vocabulary of Estonian with byte fallback."""
    out = tmp_path_factory.mktemp("pieces")
    words = WeightedWords(sorted(pre_tokens(texts("et")).items()), 1)
    export(train(words, "bpe", SPECIAL, 900), SPECIAL, out)
    return out


def model_of(tokenizer: Path, place: Path, tie: bool = True, dtype: torch.dtype = torch.float32) -> Path:
    """A model with random weights and that tokenizer, as a Hugging Face directory."""
    loaded = load(tokenizer)
    model = build_model(TINY.model_copy(update={"tie_embeddings": tie}), loaded.vocab_size, loaded.eod_id)
    model.to(dtype).save_pretrained(place)
    for name in TOKENIZER_FILES:
        shutil.copy(tokenizer / name, place / name)
    return place


def continued(use: Path, tokenizer: Path, place: Path, dtype: torch.dtype = torch.float32) -> Any:
    loaded = load(tokenizer)
    write_initial(ModelConfig(use=use), loaded.vocab_size, loaded.eod_id, tokenizer, place, dtype)
    return open_model(place, dtype)


def matrices(model: Any) -> tuple[torch.Tensor, torch.Tensor]:
    return model.get_input_embeddings().weight, model.get_output_embeddings().weight


def logits(model: Any, ids: list[int]) -> torch.Tensor:
    with torch.no_grad():
        return model(input_ids=torch.tensor([ids])).logits[0]


@pytest.mark.parametrize("tie", [True, False])
def test_old_tokens_keep_their_logits_and_new_rows_are_means(
    latvian: Path, extended: Path, tmp_path: Path, tie: bool
) -> None:
    use = model_of(latvian, tmp_path / "old", tie)
    old, new = open_model(use, torch.float32), continued(use, extended, tmp_path / "new")
    before, after = load(latvian), load(extended)
    protected = texts("lv")[:5]
    for text in protected:
        ids = before.encode(text)[:200]
        assert (logits(new, ids)[:, : before.vocab_size] - logits(old, ids)[:, : before.vocab_size]).abs().max() <= 1e-6
    tokenizer = Tokenizer.from_file(str(latvian / "tokenizer.json"))
    added = {token: number for token, number in after.tokenizer.get_vocab().items() if number >= before.vocab_size}
    assert len(added) == 300
    whole = 0
    for number in added.values():
        text = after.tokenizer.decode([number])
        if "\ufffd" in text:
            continue
        whole += 1
        pieces = tokenizer.encode(text, add_special_tokens=False).ids
        for was, now in zip(matrices(old), matrices(new), strict=True):
            assert (now[number] - was[pieces].mean(0)).abs().max() <= 1e-7, text
    assert whole > 290
    record = json.loads((tmp_path / "new" / "initial.json").read_text())["vocabulary"]
    assert (record["copied"], record["averaged"], record["not_found"]) == (700, 300, 0)
    assert (record["rows_before"], record["rows_after"], record["padding_rows"]) == (768, 1024, 24)
    assert (matrices(new)[0] is matrices(new)[1]) == tie


def test_the_directory_reloads_with_the_same_logits(latvian: Path, extended: Path, tmp_path: Path) -> None:
    use = model_of(latvian, tmp_path / "old", tie=False)
    ours = continued(use, extended, tmp_path / "new")
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path / "new", dtype=torch.float32).eval()
    ids = load(extended).encode(texts("et")[0])[:200]
    assert torch.equal(logits(ours, ids), logits(theirs, ids))
    assert theirs.config.vocab_size == 1024
    ours.save_pretrained(tmp_path / "again")
    assert torch.equal(logits(AutoModelForCausalLM.from_pretrained(tmp_path / "again").eval(), ids), logits(ours, ids))


@pytest.mark.parametrize("tie", [True, False])
def test_built_in_memory_it_is_the_same_model(latvian: Path, extended: Path, tmp_path: Path, tie: bool) -> None:
    use, tokenizer = model_of(latvian, tmp_path / "old", tie), load(extended)
    written = continued(use, extended, tmp_path / "new")
    built = build_model(ModelConfig(use=use), tokenizer.vocab_size, tokenizer.eod_id, tokenizer)
    assert built.training
    values = dict(built.named_parameters())
    assert values.keys() == dict(written.named_parameters()).keys()
    assert all(torch.equal(values[name], value) for name, value in written.named_parameters())
    assert built.config.vocab_size == 1024


def test_bf16_rows_are_rounded_once(latvian: Path, extended: Path, tmp_path: Path) -> None:
    use = model_of(latvian, tmp_path / "old", dtype=torch.bfloat16)
    exact = matrices(continued(use, extended, tmp_path / "exact", torch.float32))[0]
    rounded = matrices(continued(use, extended, tmp_path / "rounded", torch.bfloat16))[0]
    assert torch.equal(rounded, exact.bfloat16())
    assert not torch.equal(rounded.float(), exact)


def test_the_same_tokenizer_changes_nothing(latvian: Path, tmp_path: Path) -> None:
    use = model_of(latvian, tmp_path / "old")
    old, new = open_model(use, torch.float32), continued(use, latvian, tmp_path / "new")
    assert all(torch.equal(old.get_parameter(name), value) for name, value in new.named_parameters())
    assert fitted(use, load(latvian), 768).record.said() == (
        "the tokenizer is the model's own; its embedding stays as it is"
    )


def test_tokens_are_the_same_by_their_bytes_whatever_their_spelling(
    latvian: Path, pieces: Path, tmp_path: Path
) -> None:
    """From byte-level to SentencePiece: `Ġun` is `▁un`, the letter Ã is no byte, `<0xC3>` is one."""
    use = model_of(latvian, tmp_path / "old", tie=False)
    old, new = open_model(use, torch.float32), continued(use, pieces, tmp_path / "new")
    was, now = read_vocabulary(load(latvian), latvian), read_vocabulary(load(pieces), pieces)
    shared = 0
    for number, (name, data) in enumerate(zip(now.names, now.spelled, strict=True)):
        twins = [place for place, spelled in enumerate(was.spelled) if data and spelled == data]
        if twins:
            shared += 1
            for before, after in zip(matrices(old), matrices(new), strict=True):
                assert torch.equal(after[number], before[twins[0]]), name
    assert shared > 400
    lead = was.by_bytes[b"\xc3"]
    assert was.names[lead] == "Ã"
    assert torch.equal(matrices(new)[0][now.by_name["<0xC3>"]], matrices(old)[0][lead])
    assert torch.equal(matrices(new)[0][now.eod_id], matrices(old)[0][was.eod_id])


def test_from_sentencepiece_to_byte_level(pieces: Path, latvian: Path, tmp_path: Path) -> None:
    """Bytes inside characters are the fallback's; other special tokens are cut as text."""
    use = model_of(pieces, tmp_path / "old")
    new, old = continued(use, latvian, tmp_path / "new"), open_model(use, torch.float32)
    was, now = read_vocabulary(load(pieces), pieces), read_vocabulary(load(latvian), latvian)
    embedding, before = matrices(new)[0], matrices(old)[0]
    assert torch.equal(embedding[now.by_name["Ä"]], before[was.by_name["<0xC4>"]])
    letter = now.by_bytes["ļ".encode()]
    assert was.pieces("ļ".encode()) == (was.by_name["<0xC4>"], was.by_name["<0xBC>"])
    expected = (before[was.by_name["<0xC4>"]] + before[was.by_name["<0xBC>"]]) / 2
    assert (embedding[letter] - expected).abs().max() <= 1e-7
    assert b"".join(was.spelled[number] or b"" for number in was.pieces(b" un")) == b" un"


def test_mistrals_vocabulary_extended(tmp_path: Path) -> None:
    """A real SentencePiece vocabulary of 32,000: a space is put before texts, but not before tokens."""
    base = tmp_path / "mistral"
    base.mkdir()
    read = load_base(mistral())
    write_json(base / "tokenizer.json", read.state)
    write_json(base / "tokenizer_config.json", read.config)
    extend(Wish(base, sample("et")[:1], 200, [f"en={english(tmp_path / 'en.txt')}"]), tmp_path / "extended")
    use = model_of(base, tmp_path / "old", tie=False, dtype=torch.bfloat16)
    new, old = continued(use, tmp_path / "extended", tmp_path / "new"), open_model(use, torch.bfloat16)
    record = json.loads((tmp_path / "extended" / "extension.json").read_text())
    assert len(record["new_tokens"]) == 200
    for was, now in zip(matrices(old), matrices(new), strict=True):
        assert torch.equal(now[:32_000], was[:32_000].float())
        for token in record["new_tokens"]:
            assert (now[token["id"]] - was[token["pieces"]].float().mean(0)).abs().max() <= 1e-7, token
    report = json.loads((tmp_path / "new" / "initial.json").read_text())["vocabulary"]
    assert (report["copied"], report["averaged"], report["rows_after"]) == (32_000, 200, 32_256)


def test_another_end_of_document_takes_the_old_ones_row(pieces: Path, latvian: Path, tmp_path: Path) -> None:
    changed = tmp_path / "tokenizer"
    shutil.copytree(pieces, changed)
    for name in TOKENIZER_FILES:
        path = changed / name
        path.write_text(path.read_text().replace("<|endoftext|>", "</s>"))
    plan = fitted(model_of(changed, tmp_path / "old"), load(latvian), 1024)
    assert plan.sources[load(latvian).eod_id] == (load(changed).eod_id,)
    assert plan.record.end_of_document == "</s>"
    assert "end of document takes the row of </s>" in plan.record.said()


def test_tokens_without_pieces_are_counted_and_said(latvian: Path, tmp_path: Path) -> None:
    """A vocabulary of a few letters without byte fallback has nothing for the rest."""
    letters = {name: number for number, name in enumerate(["<unk>", "</s>", "▁", *"abdeiklmnoprstuv"])}
    small = Tokenizer(models.BPE(vocab=letters, merges=[], unk_token="<unk>"))  # noqa: S106
    small.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.Fuse()])
    small.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in ("<unk>", "</s>")])
    place = tmp_path / "small"
    place.mkdir()
    small.save(str(place / "tokenizer.json"))
    write_json(place / "tokenizer_config.json", {"eos_token": "</s>"})
    build_model(TINY, len(letters), 1).save_pretrained(place)
    tokenizer = load(latvian)
    plan = fitted(place, tokenizer, 128)
    embedding = build_model(TINY, len(letters), 1).get_input_embeddings().weight
    rows, mean = plan.rows_of(embedding, torch.float32), embedding[: len(letters)].mean(0)
    lost = [number for number, source in enumerate(plan.sources) if not source]
    assert 0 < plan.record.not_found == len(lost) < 700
    assert f"{len(lost):,} have no old pieces and take the mean of all rows ('" in plan.record.said()
    assert (rows[[*lost, *range(700, 768)]] - mean).abs().max() <= 1e-7
    divas = read_vocabulary(tokenizer, latvian).by_bytes[b"un"]
    assert plan.sources[divas] == (letters["u"], letters["n"])


def test_models_that_cannot_be_continued_are_refused(latvian: Path, tmp_path: Path) -> None:
    use = model_of(latvian, tmp_path / "old")

    def refuse(said: str, **changes: object) -> None:
        place = tmp_path / "changed"
        shutil.copytree(use, place)
        config = json.loads((place / "config.json").read_text())
        (place / "config.json").write_text(json.dumps({**config, **changes}))
        if not changes:
            (place / "tokenizer.json").unlink()
        with pytest.raises(InputError, match=said):
            continued(place, latvian, tmp_path / "new")
        shutil.rmtree(place)
        assert not (tmp_path / "new").exists()

    refuse(r"neither tokenizer\.json nor tokenizer\.model.* nobody knows which row belongs to which token")
    refuse("is a granite model; eurolm counts, plans and trains llama, mistral", model_type="granite")
    refuse(r"sets logit_scale = 0\.5: its logits are not", logit_scale=0.5)
    with pytest.raises(InputError, match="its tokenizer has 700 entries, its model 640 embedding rows"):
        fitted(use, load(latvian), 640)
