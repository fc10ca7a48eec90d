"""SentencePiece: ids of its own processor, text returned, nothing dropped, the same bytes every time."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
import sentencepiece
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.tokens.small_corpus import ODD_TEXTS, QUIET, corpus_texts, files_of, write_shard

from eurolm.config.tokens import TokenizerConfig
from eurolm.errors import ConfigError, InputError, MachineError
from eurolm.tokenizer import pieces
from eurolm.tokenizer.inventory import WeightedWords
from eurolm.tokenizer.load import LoadedTokenizer, load
from eurolm.tokenizer.pretokens import PreTokenCounter
from eurolm.tokenizer.special import special_tokens
from eurolm.tokenizer.stage import build_tokenizer

SPECIAL = special_tokens(4)
KINDS: list[pieces.Kind] = ["bpe", "unigram"]


def fields(kind: str, **others: object) -> TokenizerConfig:
    return TokenizerConfig.model_validate(
        {"algorithm": f"sentencepiece_{kind}", "vocab_size": 1200, "spare_tokens": 4, "workers": 1, **others}
    )


def counted(texts: list[str]) -> WeightedWords:
    counter = PreTokenCounter("words")
    counter.add(texts)
    return WeightedWords(sorted(counter.drain().items()), 1)


class Both:
    """A tokenizer directory and the SentencePiece processor it was converted from."""

    def __init__(self, kind: pieces.Kind, corpus: Path, out: Path) -> None:
        models = []
        train = sentencepiece.SentencePieceProcessor
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(
                sentencepiece,
                "SentencePieceProcessor",
                lambda model_proto: models.append(model_proto) or train(model_proto=model_proto),
            )
            build_tokenizer(fields(kind), corpus, out, QUIET)
        self.kind, self.directory = kind, out
        self.loaded: LoadedTokenizer = load(out)
        self.processor = train(model_proto=models[0])


@pytest.fixture(scope="module", params=KINDS)
def both(request: pytest.FixtureRequest, corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Both:
    return Both(request.param, corpus, tmp_path_factory.mktemp("pieces"))


def test_ids_are_those_of_sentencepiece_on_real_text(both: Both, corpus: Path) -> None:
    texts = [*corpus_texts(corpus).values(), *ODD_TEXTS]
    lines = [line for text in texts for line in text.split("\n")]
    assert both.loaded.encode_batch(lines) == both.processor.encode(lines)
    assert [both.loaded.decode(ids) for ids in both.loaded.encode_batch(texts)] == texts


@settings(max_examples=200, deadline=None)
@given(
    text=st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="▁"), max_size=40)
    | st.text(alphabet=" \t\n\r'aāä1.🙂\u0301<|>0x")
)
def test_ids_are_those_of_sentencepiece_and_every_text_returns(both: Both, text: str) -> None:
    ids = both.loaded.encode(text)
    assert ids == both.processor.encode(text)
    assert both.loaded.decode(ids) == text


def test_the_vocabulary_has_specials_first_then_unknown_then_bytes(both: Both) -> None:
    tokens = [both.loaded.tokenizer.id_to_token(number) for number in range(1200)]
    assert tokens[: len(SPECIAL) + 2] == [*SPECIAL, "<unk>", "<0x00>"]
    assert both.loaded.vocab_size == len(set(tokens)) == 1200
    assert both.loaded.eod_id == 0
    assert both.loaded.tokenizer.token_to_id("<unk>") not in both.loaded.encode("\u1234 日本 🙂")


def test_special_strings_in_text_are_ordinary_text(both: Both) -> None:
    ids = both.loaded.encode("beigas <|endoftext|> <|im_start|>system <unk>")
    assert min(ids) > len(SPECIAL)


def test_transformers_loads_it_and_agrees(both: Both, corpus: Path) -> None:
    from transformers import AutoTokenizer

    reference = AutoTokenizer.from_pretrained(str(both.directory))
    texts = [text for text in corpus_texts(corpus).values() if "<|" not in text][:200]
    ids = reference(texts, add_special_tokens=False)["input_ids"]
    assert ids == both.loaded.encode_batch(texts)
    assert reference(texts)["input_ids"] == [[0, *own] for own in ids]
    assert reference.batch_decode(ids) == texts
    assert (reference.eos_token_id, reference.pad_token_id, len(reference)) == (0, 1, 1200)


def test_the_record_says_what_decides_the_pieces(both: Both) -> None:
    record = json.loads((both.directory / "training.json").read_text())
    assert record["algorithm"] == f"sentencepiece_{both.kind}"
    assert record["pre_tokenizer"] == "words"
    assert record["settings"]["num_threads"] == 4


def test_another_training_gives_the_same_bytes(tmp_path: Path, both: Both, corpus: Path) -> None:
    build_tokenizer(fields(both.kind), corpus, tmp_path, QUIET)
    assert files_of(tmp_path) == files_of(both.directory)


def test_bpe_from_counts_is_what_sentencepiece_learns_from_the_text(corpus: Path) -> None:
    texts = list(corpus_texts(corpus).values())
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=(line for text in texts for line in text.replace("\t", "\n").replace("\r", "\n").split("\n")),
        model_writer=model,
        model_type="bpe",
        vocab_size=1200,
        required_chars=pieces.ASCII,
        control_symbols=SPECIAL[2:],
        eos_id=0,
        eos_piece=SPECIAL[0],
        pad_id=1,
        pad_piece=SPECIAL[1],
        unk_id=len(SPECIAL),
        bos_id=-1,
        minloglevel=2,
        **pieces.SETTINGS,
    )
    reference = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    own = pieces.train(counted(texts), "bpe", SPECIAL, 1200)
    assert [own.id_to_token(number) for number in range(1200)] == reference.id_to_piece(list(range(1200)))


@pytest.mark.parametrize("kind", KINDS)
def test_a_long_line_is_not_dropped(corpus: Path, kind: pieces.Kind) -> None:
    # SentencePiece itself drops lines over 4,192 bytes with a warning (google/sentencepiece issue 463).
    texts = [*list(corpus_texts(corpus).values())[:40], "ȣ" * 5000]
    tokenizer = pieces.train(counted(texts), kind, SPECIAL, 500)
    assert tokenizer.token_to_id("ȣ") is not None


def test_words_that_sentencepiece_reserves_are_told(
    tmp_path: Path, corpus: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = [*corpus_texts(corpus).values(), "grafiks ▅▅ un ▅ vēl"]
    write_shard(tmp_path / "corpus/documents/a/00000.parquet", texts, "lv", "a")
    (tmp_path / "out").mkdir()
    build_tokenizer(fields("bpe"), tmp_path / "corpus", tmp_path / "out", QUIET)
    assert "2 words with U+2585" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize("kind", KINDS)
def test_impossible_sizes_are_explained(kind: pieces.Kind) -> None:
    words = WeightedWords([("daudz", 3), (" teksta", 2), *((chr(number), 1) for number in range(0x4E00, 0x4F00))], 1)
    with pytest.raises(ConfigError, match=r"vocab_size = 520 leaves no room for pieces.*take \d+"):
        pieces.train(words, kind, SPECIAL, 520)
    with pytest.raises(InputError, match=r"vocab_size = 5,000, but the text yields only \d+ entries"):
        pieces.train(words, kind, SPECIAL, 5000)


def test_a_conversion_that_differs_is_refused(both: Both) -> None:
    other = pieces.train(counted(["pavisam cits teksts ar citiem vārdiem"]), "bpe", SPECIAL, 390)
    with pytest.raises(MachineError, match=r"SentencePiece says"):
        pieces.check(other, both.processor, ["Šķērsām pāri ceļam"])
