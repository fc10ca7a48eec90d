"""Closed forms of memory against real allocations: autograd's saved tensors, and DeepSpeed's at ZeRO 0 to 3."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.train.driver import preloaded_context, run_group
from torch.utils import checkpoint
from torch.utils._python_dispatch import TorchDispatchMode

from eurolm.config.architecture import ModelConfig
from eurolm.config.train import TrainConfig
from eurolm.model import memory
from eurolm.model.build import build_model
from eurolm.model.size import count, shape_of
from eurolm.train import attention as kernels
from eurolm.train.loss import CHUNK_LOGITS, CausalLoss

SIZES = {"hidden_size": 64, "layers": 6, "attention_heads": 4, "key_value_heads": 2, "intermediate_size": 176}
FAMILIES = ["llama", "mistral", "qwen2", "qwen3", "gemma3_text", "olmo2"]
VOCABULARY = 1000
ROWS, ROW_TOKENS = 2, 64


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Tiny models: more threads would only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def saved_bytes(config: ModelConfig, documents: int, mode: str, attention: str, monkeypatch: Any) -> int:
    """Bytes that autograd and selective checkpointing hold at the end of a forward pass, parameters excluded."""
    contexts: list[Any] = []
    make = checkpoint.create_selective_checkpoint_contexts

    def remembered(policy: Any) -> Any:
        contexts.append(made := make(policy))
        return made

    monkeypatch.setattr(kernels, "create_selective_checkpoint_contexts", remembered)
    model = build_model(config, VOCABULARY, 0).to(torch.bfloat16)
    model.set_attn_implementation(attention)
    kernels.checkpoint_activations(model, mode)
    own = {value.untyped_storage().data_ptr() for value in [*model.parameters(), *model.buffers()]}
    ids = torch.randint(0, VOCABULARY, (ROWS, ROW_TOKENS))
    positions = (torch.arange(ROW_TOKENS) % (ROW_TOKENS // documents)).expand(ROWS, ROW_TOKENS).contiguous()
    held: dict[int, torch.Tensor] = {}

    def note(value: torch.Tensor) -> torch.Tensor:
        if value.untyped_storage().data_ptr() not in own:
            held[value.untyped_storage().data_ptr()] = value
        return value

    with torch.autograd.graph.saved_tensors_hooks(note, lambda value: value):
        loss = CausalLoss(model)(ids, positions, ids)
    for forward, _ in contexts:
        for value in tensors_in(forward.storage):
            note(value)
    assert loss.isfinite()
    return sum(value.untyped_storage().nbytes() for value in held.values())


def tensors_in(value: Any) -> list[torch.Tensor]:
    """Tensors in torch's cache of selective checkpointing, whose nesting differs between versions."""
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, dict):
        return tensors_in(list(value.values()))
    if isinstance(value, (list, tuple)):
        return [tensor for item in value for tensor in tensors_in(item)]
    return tensors_in(value.val) if hasattr(value, "val") else []


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    ("mode", "documents", "attention"),
    [("none", 1, "sdpa"), ("none", 4, "sdpa"), ("none", 4, "eager"), ("full", 4, "sdpa"), ("selective", 4, "sdpa")],
)
def test_activations_are_those_autograd_saves(
    family: str, mode: Any, documents: int, attention: Any, monkeypatch: Any
) -> None:
    config = ModelConfig(family=family, **SIZES, tie_embeddings=False)
    measured = saved_bytes(config, documents, mode, attention, monkeypatch)
    predicted = memory.activations(
        shape_of(config, VOCABULARY),
        rows=ROWS,
        row_tokens=ROW_TOKENS,
        checkpointing=mode,
        attention=attention,
        packed=documents > 1,
    )
    assert predicted.saved == pytest.approx(measured, rel=0.002 if mode == "none" else 0.1)
    assert predicted.masks == (
        6 * 2 * ROWS * ROW_TOKENS**2 if (mode, documents, attention) == ("none", 4, "sdpa") else 0
    )


class Live(TorchDispatchMode):
    """Bytes of storages made under it that are alive, and the most there ever were."""

    def __init__(self, others: list[torch.Tensor]) -> None:
        super().__init__()
        self.others = {value.untyped_storage()._cdata for value in others}
        self.sizes: dict[int, int] = {}
        self.now = self.peak = 0

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        results = operation(*args, **(kwargs or {}))
        for value in torch.utils._pytree.tree_leaves(results):
            if isinstance(value, torch.Tensor):
                self.note(value.untyped_storage())
        return results

    def note(self, storage: torch.UntypedStorage) -> None:
        key = storage._cdata
        if key not in self.others and key not in self.sizes:
            self.sizes[key] = storage.nbytes()
            self.now += self.sizes[key]
            self.peak = max(self.peak, self.now)
            weakref.finalize(storage, self.drop, key)

    def drop(self, key: int) -> None:
        self.now -= self.sizes.pop(key, 0)


@pytest.mark.parametrize("mode", ["none", "selective", "full"])
@pytest.mark.parametrize(("width", "row_tokens", "vocabulary"), [(128, 256, 1000), (64, 64, 20_000)])
def test_the_peak_of_a_micro_batch_is_that_of_all_live_tensors(
    mode: Any, width: int, row_tokens: int, vocabulary: int
) -> None:
    """Forward and backward pass with dense masks and chunked logits, everything counted, saved or not."""
    sizes = {**SIZES, "hidden_size": width, "intermediate_size": 11 * width // 4}
    config = ModelConfig(**sizes, tie_embeddings=False)
    model = build_model(config, vocabulary, 0).to(torch.bfloat16)
    model.set_attn_implementation("sdpa")
    kernels.checkpoint_activations(model, mode)
    wrapped = CausalLoss(model)
    for value in wrapped.parameters():
        value.grad = torch.zeros_like(value)
    own = [value for parameter in wrapped.parameters() for value in (parameter.detach(), parameter.grad)]
    ids = torch.randint(0, vocabulary, (ROWS, row_tokens))
    positions = (torch.arange(row_tokens) % (row_tokens // 2)).expand(ROWS, row_tokens).contiguous()
    with Live([value for value in own if value is not None] + list(wrapped.buffers())) as live:
        loss = wrapped(ids, positions, ids)
        after_forward = live.now
        loss.backward()
    predicted = memory.activations(
        shape_of(config, vocabulary), rows=ROWS, row_tokens=row_tokens, checkpointing=mode,
        chunk_logits=CHUNK_LOGITS["cpu"],
    )  # fmt: skip
    assert predicted.saved + predicted.shared_masks == pytest.approx(after_forward, rel=0.02)
    assert predicted.peak == pytest.approx(live.peak, rel=0.1)


def test_logits_term_is_the_chunk_of_the_loss() -> None:
    assert CHUNK_LOGITS["other"] == memory.CHUNK_LOGITS


@pytest.mark.parametrize("family", FAMILIES)
def test_parameter_groups_are_those_of_the_optimizer(family: str) -> None:
    from eurolm.train.optimizer import build_optimizer

    config = ModelConfig(family=family, **SIZES, tie_embeddings=family == "qwen3", head_size=20)
    shape = shape_of(config, VOCABULARY)
    groups = memory.parameter_groups(shape)
    assert sum(map(sum, groups)) == count(shape).total
    model = build_model(config, VOCABULARY, 0)
    optimizer = build_optimizer(model, TrainConfig().optimizer, frozenset())
    assert [[p.numel() for p in group["params"]] for group in optimizer.param_groups] == [list(g) for g in groups]


def held_by_deepspeed(rank: int, settings: dict[str, Any], config: dict[str, Any]) -> dict[str, int]:
    """Bytes of weights, gradients, masters and moments on this rank, by walking DeepSpeed's own tensors."""
    import torch.distributed as dist

    from eurolm.train.engine import master_partitions, start_engine
    from eurolm.train.settings import engine_settings

    train = TrainConfig(**settings)
    model = build_model(ModelConfig(**config), VOCABULARY, 0).to(torch.bfloat16)
    elements = sum(value.numel() for value in model.parameters())
    dictionary = engine_settings(train, elements, ROWS)
    if train.hpz_ranks:
        # Else a tiny model stays gathered from one micro-batch to the next and needs no second copy.
        names = ("stage3_max_reuse_distance", "stage3_max_live_parameters", "stage3_prefetch_bucket_size")
        dictionary["zero_optimization"] |= dict.fromkeys(names, 0)
    engine = start_engine(model, train, dictionary, dist.get_world_size())
    ids = torch.randint(0, VOCABULARY, (ROWS, 32))
    positions = torch.arange(32).expand(ROWS, 32).contiguous()
    zero = engine.deepspeed.optimizer
    for number in range(3):
        engine.deepspeed.set_gradient_accumulation_boundary(number == 2)
        engine.deepspeed.backward(engine.deepspeed(ids, positions, ids))
        if number == 1:
            whole = storage_bytes([value.grad for value in engine.model.parameters()])
    gradients = gradient_tensors(engine.model, zero, train)
    # The update makes the second copy stale, and the next forward pass makes it anew.
    second = storage_bytes([value.ds_secondary_tensor for value in engine.model.parameters() if train.hpz_ranks])
    found = {"gradients": storage_bytes(gradients), "accumulating": whole}
    assert engine.step()
    weights = list(engine.model.parameters())
    if train.zero_stage == 3:
        weights += [value.ds_tensor for value in weights]
    moments = [value for state in zero.optimizer.state.values() for value in state.values() if torch.is_tensor(value)]
    staged = [entry[0] for entry in getattr(zero, "_muon_pending_momentum", {}).values()]
    return found | {
        "weights": storage_bytes(weights),
        "secondary": second,
        "masters": storage_bytes(master_partitions(zero, train.zero_stage)),
        "moments": storage_bytes([value for value in moments if value.dim()] + staged),
    }


def gradient_tensors(model: Any, zero: Any, train: TrainConfig) -> list[Any]:
    if train.zero_stage == 3:
        return [zero.grad_partitions_flat_buffer]
    if train.zero_stage == 0:
        return [value.grad for value in model.parameters()]
    found: list[Any] = [zero.grads_in_partition] if train.accumulation_dtype == "bf16" else []
    for group in zero.averaged_gradients.values():
        # Muon's group holds updates beside the gradients they were made of; these are transient.
        found += [value for value in group if not (train.optimizer.name == "muon" and value.dim() == 2)]
    return found


def storage_bytes(tensors: list[Any]) -> int:
    """Bytes of distinct storages."""
    held = {
        value.untyped_storage().data_ptr(): value.untyped_storage().nbytes() for value in tensors if value is not None
    }
    return sum(held.values())


@pytest.fixture(scope="module")
def context() -> Any:
    return preloaded_context()


CASES = [
    (0, 2, {}),
    (1, 3, {}),
    (1, 2, {"optimizer": {"name": "muon"}}),
    (2, 3, {}),
    (2, 2, {"accumulation_dtype": "fp32"}),
    (3, 3, {}),
    (3, 4, {"hpz_ranks": 2}),
]


@pytest.mark.parametrize(("stage", "ranks", "options"), CASES, ids=lambda value: str(value)[:36])
def test_states_are_those_deepspeed_holds(
    context: Any, tmp_path: Path, stage: int, ranks: int, options: dict[str, Any]
) -> None:
    config = {**SIZES, "hidden_size": 66, "attention_heads": 3, "key_value_heads": 1, "tie_embeddings": False}
    if "hpz_ranks" in options:
        config["intermediate_size"] = 1600  # larger than what ZeRO-3 keeps whole on every rank
    settings = {"zero_stage": stage, "ranks": ranks, **options}
    measured = run_group(context, tmp_path / "group", ranks, held_by_deepspeed, settings, config)
    shape = shape_of(ModelConfig(**config), VOCABULARY)
    groups = memory.parameter_groups(shape)
    width = 4 if options.get("accumulation_dtype") == "fp32" else 2
    optimizer = options.get("optimizer", {"name": "adamw"})["name"]
    predicted = memory.states(
        groups, stage=stage, ranks=ranks, optimizer=optimizer, accumulation_bytes=width,
        hpz_ranks=options.get("hpz_ranks"),
    )  # fmt: skip
    for name in ("weights", "masters", "moments", "gradients", "secondary"):
        assert getattr(predicted, name) == max(rank[name] for rank in measured), name
    if stage < 2:
        whole = 2 * count(shape).total
        assert max(rank["accumulating"] for rank in measured) == whole
        extra = memory.accumulating(groups, predicted, stage=stage, accumulation_bytes=width)
        assert extra == (whole if stage == 1 else 0)
