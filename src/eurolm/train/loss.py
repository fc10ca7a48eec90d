"""Summed cross-entropy of a causal model, without ever holding the logits of the whole batch.

Logits are made, turned into their gradient and dropped chunk by chunk inside the forward pass, so memory is one chunk
in fp32 instead of three times rows × vocabulary, and the head's matrix products are done once: no recomputation in the
backward pass. The sum is not divided here; only the caller knows the number of valid targets of the global batch.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

CHUNK_LOGITS = {"cpu": 2**21, "other": 2**27}
"""Logits held at once (fp32): 8 MB stays in a CPU's cache; accelerators want larger matrices."""


class LossHead(nn.Linear):
    """The output head, which also turns states into their loss.

    A module of its own, because ZeRO-3 holds a weight only while the module that owns it runs: so the head is gathered
    once per micro-batch, not once per chunk, and a tied one is found like any other.
    """

    @classmethod
    def around(cls, head: nn.Linear) -> LossHead:
        """A head on the same weight. Raises ValueError for one with a bias, which the chunked loss leaves out."""
        if head.bias is not None:
            raise ValueError("the output head has a bias")
        with torch.device("meta"):
            wrapped = cls(head.in_features, head.out_features, bias=False)
        wrapped.weight = head.weight
        return wrapped

    def forward(self, states: Tensor, targets: Tensor | None = None) -> Tensor:
        """Logits [..., vocabulary] of `states` [..., hidden]; or with int64 `targets` [...] their summed loss."""
        if targets is None:
            return nn.functional.linear(states, self.weight)
        loss: Tensor = _ChunkedCrossEntropy.apply(states.flatten(0, -2), self.weight, targets.flatten())
        return loss


class CausalLoss(nn.Module):
    """Wraps a `transformers` causal model; `forward` returns the summed loss of a micro-batch (fp32 scalar)."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        model.set_output_embeddings(LossHead.around(model.get_output_embeddings()))
        self.model = model

    def forward(self, input_ids: Tensor, position_ids: Tensor, targets: Tensor, **spans: Any) -> Tensor:
        """All tensors int64 [rows, row_tokens]; targets are already shifted, negative where they do not count.

        `attention_mask` is None on purpose: positions that restart make transformers mask across documents, and where
        they do not, `spans` (`attention.document_spans`) say where documents lie.
        """
        states = self.model.base_model(
            input_ids=input_ids, position_ids=position_ids, attention_mask=None, use_cache=False, **spans
        ).last_hidden_state
        loss: Tensor = self.model.get_output_embeddings()(states, targets)
        return loss


class _ChunkedCrossEntropy(torch.autograd.Function):
    """Summed cross-entropy of `states @ head.T` against `targets`, gradients computed alongside the loss."""

    @staticmethod
    def forward(ctx: Any, states: Tensor, head: Tensor, targets: Tensor) -> Tensor:
        # states [tokens, hidden] and head [vocabulary, hidden] in the model's dtype, targets [tokens] int64.
        budget = CHUNK_LOGITS["cpu" if states.device.type == "cpu" else "other"]
        rows = max(1, budget // head.shape[0])
        if not (ctx.needs_input_grad[0] or ctx.needs_input_grad[1]):
            parts = (slice(start, start + rows) for start in range(0, states.shape[0], rows))
            losses = [_loss((states[part] @ head.T).float(), targets[part])[0] for part in parts]
            return torch.stack(losses).sum()
        states_grad = torch.empty_like(states)
        # fp32 across chunks: bf16 would round once per chunk.
        head_grad = torch.zeros_like(head, dtype=torch.float32)
        total = torch.zeros((), dtype=torch.float32, device=states.device)
        for start in range(0, states.shape[0], rows):
            part = slice(start, start + rows)
            loss, gradient = _loss_and_gradient((states[part] @ head.T).float(), targets[part])
            total += loss
            gradient = gradient.to(states.dtype)
            torch.mm(gradient, head, out=states_grad[part])
            head_grad += gradient.T @ states[part]
        ctx.save_for_backward(states_grad, head_grad)
        return total

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor, Tensor, None]:
        states_grad, head_grad = ctx.saved_tensors
        (scale,) = upstream
        return states_grad * scale.to(states_grad.dtype), (head_grad * scale).to(states_grad.dtype), None


def _loss(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Summed loss (fp32 scalar) of fp32 logits [tokens, vocabulary], whose memory becomes exponentials; which targets
    count [tokens], their index [tokens, 1], and the normaliser [tokens]."""
    counted = targets >= 0
    index = targets.clamp(min=0)[:, None]
    logits.sub_(logits.amax(dim=-1, keepdim=True))
    wanted = logits.gather(1, index)[:, 0]
    normaliser = logits.exp_().sum(dim=-1)
    return torch.where(counted, normaliser.log() - wanted, 0.0).sum(), counted, index, normaliser


def _loss_and_gradient(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """The loss, and its gradient in the logits' own memory."""
    loss, counted, index, normaliser = _loss(logits, targets)
    logits.mul_((counted / normaliser)[:, None])
    logits.scatter_add_(1, index, -counted.to(logits.dtype)[:, None])
    return loss, logits
