"""Same weights, same items: eurolm's scorer and lm-evaluation-harness agree on every item, and on what cannot be read.

The harness runs in two processes, one per model: trained a little on real text with eurolm's tokenizer, and random with
sharp opinions behind a tokenizer as Llama and Mistral have it.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from tests.scoring.foreign import llama_tokenizer
from tests.tokens.small_corpus import corpus_texts, tokenizer_dir, write_corpus

from eurolm.config.architecture import ModelConfig
from eurolm.errors import InputError, MachineError
from eurolm.evaluate.answers import Answer, Question
from eurolm.evaluate.lm_eval import HarnessJob, run_harness
from eurolm.evaluate.lm_eval_answers import harness_answers
from eurolm.evaluate.subject import Device, Subject, trained, untrained
from eurolm.scoring.bits_per_byte import score_documents
from eurolm.scoring.choices import Continuation, ContinuationScore, score_continuations
from eurolm.scoring.encoding import Opening
from eurolm.scoring.generate import generate_until
from eurolm.tasks.items import items
from eurolm.tasks.load import load_task
from eurolm.tasks.prompts import Prompt, prompts
from eurolm.tokenizer.load import load

pytest.importorskip("lm_eval")

__all__ = ["tokenizer_dir"]

CPU = Device(torch.device("cpu"), torch.float32, "cpu", 1)
CHOICES = (("scala-lv", "", 60), ("inflection-swap-et", "", 40), ("mmlu-lv", "burti", 40), ("mmlu-lv", "teksts", 40),
           ("xcopa-et", "", 30))  # fmt: skip
CONTEXT = 256


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """What is this small only waits for its threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("parity") / "corpus", 200_000)


def learn(model: Any, ids: np.ndarray, steps: int) -> None:
    """A few seconds of plain training: enough for opinions about words."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    draw = np.random.default_rng(1)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = 3e-3 * (1 - step / steps)
        rows = torch.from_numpy(np.stack([ids[start : start + 64] for start in draw.integers(0, len(ids) - 64, 12)]))
        optimizer.zero_grad()
        model(input_ids=rows, labels=rows).loss.backward()
        optimizer.step()


@pytest.fixture(scope="module", params=["trained", "random"])
def subject(
    request: pytest.FixtureRequest, corpus: Path, tokenizer_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> Subject:
    """A model without a pad token, in a directory of its own."""
    place, source = tmp_path_factory.mktemp(request.param), tokenizer_dir
    if request.param == "random":
        source = llama_tokenizer(tmp_path_factory.mktemp("llama"), corpus_texts(corpus).values())
    tokenizer = load(source)
    config = transformers.LlamaConfig(
        vocab_size=tokenizer.vocab_size, hidden_size=64, intermediate_size=128, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=CONTEXT, bos_token_id=0, eos_token_id=0,
        pad_token_id=None,
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model = transformers.LlamaForCausalLM(config)
        if request.param == "trained":
            documents = tokenizer.encode_batch(list(corpus_texts(corpus).values()))
            learn(model, np.array([token for ids in documents for token in (tokenizer.eod_id, *ids)]), 200)
        else:
            for parameter in model.parameters():
                parameter.data.mul_(8 if parameter.dim() == 2 else 1)
    model.save_pretrained(place)
    for path in source.glob("tokenizer*"):
        shutil.copy(path, place / path.name)
    return trained(place, tokenizer, CPU)


@pytest.fixture(scope="module")
def questions() -> list[Question]:
    """Minimal pairs, letters, cloze with and without its question, sentences, translations."""
    found = []
    for name, template, count in (*CHOICES, ("flores-lv", "", 20), ("tatoeba-en-lv", "", 6)):
        task = load_task(name)
        some = items(task)
        found.append(
            Question(task, template, prompts(task, some[:: max(1, len(some) // count)][:count], template, 0, 1))
        )
    return found


@pytest.fixture(scope="module")
def theirs(subject: Subject, questions: list[Question]) -> list[list[Answer]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        return harness_answers(subject, questions)


def own_scores(
    subject: Subject, question: Question, context: Callable[[Prompt], str | None]
) -> dict[str, list[ContinuationScore]]:
    """By item, eurolm's score of each choice after `context`."""
    asked = [
        (prompt.item, Continuation(before, choice))
        for prompt in question.prompts
        if (before := context(prompt)) is not None
        for choice in prompt.choices
    ]
    scores = score_continuations(
        subject.model, subject.tokenizer, [request for _, request in asked], opens=subject.opening
    )
    found: dict[str, list[ContinuationScore]] = {}
    for (item, _), score in zip(asked, scores, strict=True):
        assert isinstance(score, ContinuationScore)
        found.setdefault(item, []).append(score)
    return found


def test_choices_agree_on_every_item(subject: Subject, questions: list[Question], theirs: list[list[Answer]]) -> None:
    """Argmax, and with it accuracy; sums by token and without the question; prompts cut on the left alike."""
    cut = 0
    for question, answers in zip(questions[: len(CHOICES)], theirs, strict=False):
        asked = own_scores(subject, question, lambda prompt: prompt.context)
        alone = own_scores(subject, question, lambda prompt: prompt.unconditional)
        for prompt, answer in zip(question.prompts, answers, strict=True):
            own = asked[prompt.item]
            for scores, bits in ((own, answer.bits), (alone.get(prompt.item, []), answer.unconditional)):
                sums = [score.log2_probability for score in scores]
                assert sums == pytest.approx(bits, rel=1e-5, abs=1e-4)
                assert not sums or int(np.argmax(sums)) == int(np.argmax(bits)), (question.name, prompt.item)
            assert answer.tokens == tuple(score.tokens for score in own)
            assert answer.truncated == max(score.truncated_tokens for score in own)
            cut += answer.truncated > 0
    assert cut > 0  # the comparison covers prompts longer than the context


def test_bits_per_byte_agree_where_a_text_fits_the_window(
    subject: Subject, questions: list[Question], theirs: list[list[Answer]]
) -> None:
    ((question, answers),) = [pair for pair in zip(questions, theirs, strict=True) if pair[0].name == "flores-lv"]
    texts = [prompt.choices[0] for prompt in question.prompts]
    first = subject.opening.before_nothing
    scores = score_documents(subject.model, subject.tokenizer, texts, CONTEXT, CONTEXT, 2048, first=first)
    fitting = [index for index, score in enumerate(scores) if score.tokens <= CONTEXT]
    assert len(fitting) >= 15
    for index in fitting:
        assert scores[index].bits / scores[index].bytes == pytest.approx(
            -answers[index].bits[0] / scores[index].bytes, abs=1e-6
        )


def test_the_same_text_is_written(subject: Subject, questions: list[Question], theirs: list[list[Answer]]) -> None:
    question, answers = questions[-1], theirs[-1]
    stops = [prompt.stop for prompt in question.prompts]
    found = generate_until(
        subject.model, subject.tokenizer, [prompt.context for prompt in question.prompts], stops,
        question.prompts[0].max_new_tokens, opens=subject.opening,
    )  # fmt: skip
    # eurolm leaves out a character whose last bytes did not come; the harness shows what stands for it.
    assert [entry.text for entry in found] == [
        str(answer.text).rstrip("\N{REPLACEMENT CHARACTER}") for answer in answers
    ]
    assert any(answer.text for answer in answers)


def test_a_failing_harness_says_why(tokenizer_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "none.yaml").write_text("task: none\ndataset_path: json\noutput_type: unknown\n")
    job = HarnessJob(str(tmp_path), str(tmp_path), ("none",), "float32", "cpu", 1)
    with pytest.raises(MachineError, match=r"lm-evaluation-harness ended with 1: (.|\n)*config.json"):
        run_harness(job)
    monkeypatch.setattr("eurolm.evaluate.lm_eval.find_spec", lambda _: None)
    with pytest.raises(MachineError, match=r"pip install 'eurolm\[lm-eval\]'"):
        run_harness(job)
    tokenizer = load(tokenizer_dir)
    seeded = untrained(ModelConfig(), tokenizer, CPU, Opening((), tokenizer.eod_id))
    with pytest.raises(InputError, match="scores model directories"):
        harness_answers(seeded, [])
