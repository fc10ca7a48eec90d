"""Bytes on one device while training, in closed form: no torch, fit for a login node.

Weights, gradients and optimizer states are those DeepSpeed allocates, to the byte; activations are those autograd saves
in the models of `transformers`. Tests hold both against the real allocations. Widths: bf16 2, fp32 4 bytes.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal

from eurolm.model.size import Shape

ALIGNMENT = 2
"""DeepSpeed 0.18-0.19, ZeRO 1 and 2: each parameter group is padded to a multiple of this × ranks."""
PERSISTENT_BELOW = 100_000
"""ZeRO-3 keeps smaller tensors whole on every rank (`param_persistence_threshold`)."""
LIVE_PARAMETERS = 10**9
"""ZeRO-3 gathers at most so many parameters ahead (`max_live_parameters`)."""
CHUNK_LOGITS = 2**27
"""Logits that the chunked loss holds at once on an accelerator; a test holds it equal to the loss's own constant."""

Checkpointing = Literal["none", "selective", "full"]


@dataclass(frozen=True)
class States:
    """Bytes that live from step to step on the rank that holds most."""

    weights: int
    gradients: int
    masters: int
    """fp32 copies of the weights."""
    moments: int
    secondary: int
    """hpZ's second copy of the weights."""

    @property
    def total(self) -> int:
        """All of them."""
        return self.weights + self.gradients + self.masters + self.moments + self.secondary


@dataclass(frozen=True)
class Activations:
    """Bytes between the forward and the backward pass of one micro-batch."""

    layers: int
    """Saved by the layers, document masks excluded."""
    masks: int
    """Dense document masks of SDPA in bf16: one per layer."""
    shared_masks: int
    """The same masks as truth values, once for all layers; autograd does not count them."""
    ends: int
    """Saved by the embedding, the rotary angles, the final norm and the loss."""
    recomputed: int
    """One layer's activations again, while it is recomputed."""
    logits: int
    """While the loss is computed: a chunk of logits in fp32 and bf16, then the head's gradient in fp32 and bf16."""

    @property
    def saved(self) -> int:
        """What autograd holds at the end of the forward pass."""
        return self.layers + self.masks + self.ends

    @property
    def peak(self) -> int:
        """Greatest at once: the logits are gone before a layer is recomputed."""
        return self.saved + self.shared_masks + max(self.recomputed, self.logits)


def parameter_groups(shape: Shape) -> tuple[list[int], list[int]]:
    """Elements of every tensor in the order of the model: hidden matrices, and the rest (optimizer groups)."""
    width, query, key_value, inner = shape.hidden, shape.query, shape.key_value, shape.intermediate
    matrices = [width * query, width * key_value, width * key_value, width * query] + 3 * [width * inner]
    vectors = [query, key_value, key_value] * shape.query_key_value_bias + [width] * shape.output_bias
    vectors += {"none": [], "head": 2 * [shape.head], "full": [query, key_value]}[shape.query_key_norm]
    vectors += [inner, inner, width] * shape.feed_forward_bias + shape.norms_per_layer * [width]
    embedding = shape.embedding_rows * width
    rest = [embedding, *(shape.layers * vectors), width] + ([] if shape.tied else [embedding])
    return shape.layers * matrices, rest


def states(
    groups: Sequence[Sequence[int]],
    *,
    stage: int,
    ranks: int,
    optimizer: Literal["adamw", "muon"] = "adamw",
    accumulation_bytes: int = 2,
    hpz_ranks: int | None = None,
) -> States:
    """What DeepSpeed holds for tensors of these sizes: `groups` as `parameter_groups` gives them (matrices first).

    Gradients are those of a step's last micro-batch after reduction (ZeRO 1 to 3), or the whole gradient (ZeRO 0, and
    ZeRO 1 before it, see `accumulating`).
    """
    total = sum(map(sum, groups))
    if stage == 0:
        return States(2 * total, 2 * total, 4 * total, 8 * total, 0)
    if stage == 3:
        share = sum(-(-size // ranks) for group in groups for size in group)
        whole = sum(-(-size // ranks) * ranks for group in groups for size in group if size < PERSISTENT_BELOW)
        second = share * ranks // hpz_ranks if hpz_ranks else 0
        return States(2 * share + 2 * whole, 2 * share, 4 * share, 8 * share, 2 * second)
    parts = [-(-sum(group) // (ALIGNMENT * ranks)) * ALIGNMENT for group in groups]
    owned = [_owned(group, part, ranks) for group, part in zip(groups, parts, strict=True)]
    gradients = accumulation_bytes * sum(parts) if accumulation_bytes == 4 else 2 * _most(owned)
    moments = 8 * sum(parts)
    if optimizer == "muon":
        # One momentum in bf16 for whole matrices, and a copy of it that a skipped step leaves behind unused.
        moments = 8 * sum(parts[1:]) + 4 * max(count for count, _ in owned[0])
    return States(2 * ranks * sum(parts), gradients, 4 * sum(parts), moments, 0)


def _owned(group: Sequence[int], part: int, ranks: int) -> list[tuple[int, int]]:
    """Per rank: elements of the tensors that lie, wholly or partly, in its partition; and its padding."""
    ends = list(accumulate(group))
    found = []
    for rank in range(ranks):
        start, end = rank * part, min((rank + 1) * part, ends[-1])
        if start >= end:
            found.append((0, part))
            continue
        first, last = bisect_right(ends, start), bisect_right(ends, end - 1)
        found.append((ends[last] - (ends[first - 1] if first else 0), (rank + 1) * part - end))
    return found


def _most(owned: Sequence[Sequence[tuple[int, int]]]) -> int:
    """Elements of gradients on the rank that holds most."""
    return max(sum(count + padding for count, padding in rank) for rank in zip(*owned, strict=True))


def accumulating(groups: Sequence[Sequence[int]], held: States, *, stage: int, accumulation_bytes: int) -> int:
    """Bytes of gradients while micro-batches are added up, in addition to what is held at the end of the step."""
    if stage == 1:
        return 2 * sum(map(sum, groups))
    # ZeRO-2 in bf16 puts the next micro-batch's gradients into a buffer of their own before it adds them.
    return held.gradients if stage == 2 and accumulation_bytes == 2 else 0


def updating(groups: Sequence[Sequence[int]], *, stage: int, ranks: int) -> int:
    """Bytes of fp32 gradients that exist only during the update."""
    if stage == 0:
        return 4 * sum(map(sum, groups))
    parts = [-(-sum(group) // ranks) for group in groups]
    return 4 * (max(parts) if stage < 3 else min(sum(parts), LIVE_PARAMETERS))


def buckets(groups: Sequence[Sequence[int]], *, stage: int, reduce_bucket: int, communication_bytes: int) -> int:
    """Bytes of communication buffers; at ZeRO-3 the weights gathered for the layers at work, too."""
    total = sum(map(sum, groups))
    bucket = min(total, reduce_bucket)
    if stage == 0:
        return communication_bytes * bucket
    if stage < 3:
        return (2 + (communication_bytes if communication_bytes > 2 else 0)) * bucket
    largest = max(max(group) for group in groups)
    return communication_bytes * bucket + 2 * min(total, LIVE_PARAMETERS + largest) + 2 * largest


def activations(
    shape: Shape,
    *,
    rows: int,
    row_tokens: int,
    checkpointing: Checkpointing,
    attention: Literal["eager", "sdpa", "flash_attention_2"] = "sdpa",
    packed: bool = True,
    chunk_logits: int = CHUNK_LOGITS,
) -> Activations:
    """Bytes of a micro-batch of `rows` × `row_tokens`. `packed` rows hold several documents, whose mask is dense with
    SDPA and eager attention."""
    tokens = rows * row_tokens
    dense = packed and attention != "flash_attention_2"
    mask = 2 * row_tokens * tokens if dense and attention == "sdpa" else 0
    whole = tokens * _layer_bytes(shape, attention, dense, row_tokens)
    kept = {
        "none": whole,
        "selective": tokens * _selective_bytes(shape, attention, row_tokens),
        "full": tokens * 2 * shape.hidden,
    }[checkpointing]
    return Activations(
        layers=shape.layers * kept,
        masks=shape.layers * mask if checkpointing == "none" else 0,
        shared_masks=row_tokens * tokens * (2 if 0 < shape.local_layers < shape.layers else 1) if dense else 0,
        ends=_end_bytes(shape, tokens),
        recomputed=0 if checkpointing == "none" else whole - kept + mask,
        logits=_logits_bytes(shape, tokens, chunk_logits),
    )


def _logits_bytes(shape: Shape, tokens: int, chunk_logits: int) -> int:
    """A chunk twice in bf16 and once in fp32, or once in bf16 beside a product of the head's size; in the backward
    pass the head's gradient in bf16 beside the fp32 one. With them the last hidden states."""
    chunk = min(tokens, max(1, chunk_logits // shape.embedding_rows)) * shape.embedding_rows
    head = shape.embedding_rows * shape.hidden
    return max(6 * chunk, 2 * chunk + 2 * head, 6 * head) + 2 * tokens * shape.hidden


def _norm_bytes(shape: Shape, width: int) -> int:
    """Per token: fp32 input and factor, and the normalised values (bf16, or fp32 where the weight is applied in it)."""
    return (8 if shape.family in ("gemma3_text", "olmo2") else 6) * width + 4


def _query_key_norm_bytes(shape: Shape) -> int:
    if shape.query_key_norm == "none":
        return 0
    factors = {"head": shape.heads + shape.key_value_heads, "full": 2}[shape.query_key_norm]
    return _norm_bytes(shape, shape.query + shape.key_value) + 4 * (factors - 1)


def _layer_bytes(shape: Shape, attention: str, dense: bool, row_tokens: int) -> int:
    """Per token, masks excluded: norms, inputs of matrices, attention, gated feed-forward."""
    width, query = shape.hidden, shape.query
    # A dense mask and eager attention repeat keys and values for every query head.
    keys = query if dense or attention == "eager" else shape.key_value
    norms = shape.norms_per_layer * _norm_bytes(shape, width) + _query_key_norm_bytes(shape)
    scores = 6 * row_tokens * shape.heads if attention == "eager" else 4 * shape.heads
    return norms + 4 * width + 2 * query + 4 * keys + 2 * query + scores + 8 * shape.intermediate


def _selective_bytes(shape: Shape, attention: str, row_tokens: int) -> int:
    """Per token: the layer's input and the results of matrix products and attention."""
    scores = 2 * row_tokens * shape.heads if attention == "eager" else 4 * shape.heads
    attended = 2 * (shape.query + 2 * shape.key_value) + 2 * shape.query + scores
    return 3 * 2 * shape.hidden + attended + 4 * shape.intermediate


def _end_bytes(shape: Shape, tokens: int) -> int:
    angles = {"gemma3_text": 8, "olmo2": 8}.get(shape.family, 4) * shape.head
    states_gradient, head_gradient = 2 * shape.hidden, 4 * shape.embedding_rows * shape.hidden
    return tokens * (8 + angles + _norm_bytes(shape, shape.hidden) + states_gradient) + head_gradient
