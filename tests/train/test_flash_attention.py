"""What runs on GPUs alone, as far as a machine without one can tell: above all what FlashAttention is told of rows.

Its kernels need a GPU. What stands in their place here computes what its documentation says, one document after the
other, and insists on the types its C++ side insists on; everything above it is the real code.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, get_args

import numpy as np
import pytest
import torch
from tests.model.test_families import tiny
from torch.nn.functional import scaled_dot_product_attention
from transformers import modeling_flash_attention_utils as flash

from eurolm.config.architecture import Family
from eurolm.model.build import build_model
from eurolm.train.attention import FLASH, checkpoint_activations, document_spans
from eurolm.train.before import as_trained
from eurolm.train.compilation import compile_layers
from eurolm.train.loss import CausalLoss

CPU = torch.device("cpu")
LENGTHS = [[21, 10, 1], [20, 12]]


def attend(query: Any, key: Any, value: Any, scale: float, window: int) -> torch.Tensor:
    """Causal attention of one document, [tokens, heads, width] each; a token looks back `window` tokens, -1 is all."""
    place = torch.arange(len(query))
    back = place[:, None] - place[None]
    seen = (back >= 0) & ((back <= window) if window >= 0 else True)
    heads = (each.transpose(0, 1)[None] for each in (query, key, value))
    return scaled_dot_product_attention(*heads, attn_mask=seen, scale=scale, enable_gqa=True)[0].transpose(0, 1)


def flash_attn_varlen_func(
    q: Any, k: Any, v: Any, cu_seqlens_q: Any, cu_seqlens_k: Any, max_seqlen_q: int, max_seqlen_k: int,
    dropout_p: float = 0.0, softmax_scale: float | None = None, causal: bool = False,
    window_size: tuple[int, int] = (-1, -1), deterministic: bool = False,
) -> torch.Tensor:  # fmt: skip
    assert cu_seqlens_q.dtype == cu_seqlens_k.dtype == torch.int32
    assert type(max_seqlen_q) is type(max_seqlen_k) is int
    assert causal
    bounds = cu_seqlens_q.tolist()
    assert bounds[0] == 0
    assert bounds[-1] == len(q)
    assert max_seqlen_q == max(end - start for start, end in pairwise(bounds))
    found = [attend(q[s:e], k[s:e], v[s:e], softmax_scale or 0.0, window_size[0]) for s, e in pairwise(bounds)]
    return torch.cat(found)


def flash_attn_func(
    q: Any, k: Any, v: Any, dropout_p: float = 0.0, softmax_scale: float | None = None, causal: bool = False,
    window_size: tuple[int, int] = (-1, -1), deterministic: bool = False,
) -> torch.Tensor:  # fmt: skip
    rows = zip(q, k, v, strict=True)
    return torch.stack([attend(*row, softmax_scale or 0.0, window_size[0]) for row in rows])


@pytest.fixture(autouse=True)
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    functions = (flash_attn_func, flash_attn_varlen_func, None, None, None)
    kwargs_of = flash._lazy_define_process_function(flash_attn_varlen_func)
    monkeypatch.setattr(flash, "lazy_import_flash_attention", lambda *_, **__: (functions, (kwargs_of, dict)))


def small(family: Family) -> Any:
    return build_model(tiny(family, layers=7 if family == "gemma3_text" else 2), 300, 0)


def flash_model(family: Family) -> Any:
    model = small(family)
    model.config._attn_implementation_internal = FLASH
    return model


def batch() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    ids, targets = torch.randint(0, 300, (2, len(LENGTHS), 32), generator=generator)
    positions = torch.stack([torch.cat([torch.arange(length) for length in row]) for row in LENGTHS])
    return ids, positions, targets


def loss_of_documents_alone(model: Any) -> torch.Tensor:
    """Under eager attention, one forward pass per document."""
    ids, positions, targets = batch()
    model.set_attn_implementation("eager")
    whole = CausalLoss(model)
    total = torch.zeros(())
    for row, lengths in enumerate(LENGTHS):
        for start, end in pairwise(np.cumsum([0, *lengths]).tolist()):
            total = total + whole(*(each[row : row + 1, start:end] for each in (ids, positions, targets)))
    return total


@pytest.mark.parametrize("family", get_args(Family))
def test_documents_in_a_batch_of_rows_do_not_see_each_other(family: Family) -> None:
    ids, positions, targets = batch()
    model = flash_model(family)
    with torch.no_grad():
        together = CausalLoss(model)(ids, positions, targets, **document_spans(model, positions.numpy(), CPU))
        untold = CausalLoss(model)(ids, positions, targets)
        alone = loss_of_documents_alone(small(family))
    assert together.item() == pytest.approx(alone.item(), rel=1e-6)
    assert abs(untold.item() - alone.item()) > 1e-3, "transformers has learnt to find documents in a batch of rows"


@pytest.mark.parametrize("mode", ["none", "selective", "full"])
def test_gradients_are_those_of_documents_alone(mode: str) -> None:
    ids, positions, targets = batch()
    model, other = flash_model("llama"), small("llama")
    checkpoint_activations(model, mode)
    CausalLoss(model)(ids, positions, targets, **document_spans(model, positions.numpy(), CPU)).backward()
    loss_of_documents_alone(other).backward()
    for (name, mine), alone in zip(model.named_parameters(), other.parameters(), strict=True):
        assert torch.allclose(mine.grad, alone.grad, rtol=1e-4, atol=1e-5), name


@pytest.mark.parametrize(("kernel", "dynamic"), [(FLASH, None), ("sdpa", False)])
def test_compiled_layers_serve_any_number_of_documents(
    kernel: str, dynamic: bool | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compiled for one shape, layers that are told bounds are compiled eight times and then given up."""
    asked: list[bool | None] = []
    monkeypatch.setattr(torch.nn.Module, "compile", lambda _, dynamic: asked.append(dynamic))
    model = small("llama")
    model.config._attn_implementation_internal = kernel
    compile_layers(model)
    assert asked == [dynamic] * 2


def test_the_original_is_scored_with_the_frequencies_it_has() -> None:
    """On a device it is converted to bf16, which would round them."""
    wanted = small("llama").model.rotary_emb.inv_freq
    model = as_trained(small("llama"), CPU)
    assert model.dtype == torch.bfloat16
    assert torch.equal(model.model.rotary_emb.inv_freq, wanted)


def test_other_kernels_are_told_nothing() -> None:
    _, positions, _ = batch()
    model = small("llama")
    for kernel in ("eager", "sdpa"):
        model.set_attn_implementation(kernel)
        assert document_spans(model, positions.numpy(), CPU) == {}
