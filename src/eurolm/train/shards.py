"""Where a rank's part of every tensor lies in DeepSpeed's memory: the one view that saving, loading and proving share.

DeepSpeed keeps fp32 masters and optimizer states in flat partitions. A `Segment` names a stretch of one of them by
parameter and by its place in that parameter, which no longer depends on ZeRO stage or world size. So a checkpoint made
of segments loads at any other, without conversion, and needs no pickle.

    parameter "layers.0.mlp.up_proj.weight"  ├──────── rank 0 ────────┤├──── rank 1 ────┤
    flat partition of rank 1                 …├ end of it ┤├ next parameter ┤├ padding ┤
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
import torch.distributed as dist

from eurolm.train.engine import Engine, master_partitions

MASTER = "master"
STEP = "step"


@dataclass(frozen=True)
class Segment:
    """A stretch of one tensor in this rank's memory."""

    parameter: str
    state: str
    """`master`, or the optimizer's name of the state: `exp_avg`, `exp_avg_sq`, `momentum_buffer`."""
    start: int
    """First element, counted in the flattened parameter."""
    values: torch.Tensor
    """[elements] view into DeepSpeed's memory; writing to it changes the engine."""
    owned: bool
    """True on exactly one rank for each element: who saves and sums it."""


@dataclass(frozen=True)
class _Piece:
    """Elements `start` … of a parameter lie at `offset` … of a flat partition; the first `owned` … are this rank's."""

    parameter: str
    start: int
    offset: int
    elements: int
    owned: bool = True


def segments(engine: Engine) -> list[Segment]:
    """Every stretch this rank holds, masters first, in the engine's order."""
    found: list[Segment] = []
    states = engine.deepspeed.optimizer.optimizer.state
    for number, (flat, pieces) in enumerate(_partitions(engine)):
        line = flat.detach().view(-1)
        found += [_segment(piece, MASTER, line) for piece in pieces]
        for name, value in states.get(flat, {}).items():
            if name == STEP or not torch.is_tensor(value):
                continue
            places = _muon_pieces(engine, number) if value.shape != flat.shape else pieces
            found += [_segment(piece, name, value.view(-1)) for piece in places]
    return found


def _segment(piece: _Piece, state: str, line: torch.Tensor) -> Segment:
    return Segment(piece.parameter, state, piece.start, line.narrow(0, piece.offset, piece.elements), piece.owned)


def optimizer_steps(engine: Engine) -> dict[str, int]:
    """Update counter of each parameter this rank holds a part of (Adam's bias correction depends on it)."""
    states = engine.deepspeed.optimizer.optimizer.state
    steps: dict[str, int] = {}
    for flat, pieces in _partitions(engine):
        if STEP in (state := states.get(flat, {})):
            steps |= {piece.parameter: int(state[STEP]) for piece in pieces}
    return steps


def prepare_states(engine: Engine, states: dict[str, list[str]], steps: dict[str, int]) -> None:
    """Create empty optimizer states, as the first step would: `states` parameter → names, `steps` parameter → counter.

    Muon's momentum is kept for whole matrices by every rank that holds a part of one, in bf16 like the gradients.
    """
    held = engine.deepspeed.optimizer.optimizer.state
    for number, (flat, pieces) in enumerate(_partitions(engine)):
        names = {name for piece in pieces for name in states.get(piece.parameter, ())}
        # A rank whose partition is padding alone must still hold what its peers hold.
        names = names or {name for name in ("exp_avg", "exp_avg_sq") if any(name in known for known in states.values())}
        held[flat] = {}
        for name in sorted(names):
            if name == "momentum_buffer":
                size = sum(piece.elements for piece in _muon_pieces(engine, number))
                held[flat][name] = torch.zeros(size, dtype=torch.bfloat16, device=flat.device)
            else:
                held[flat][name] = torch.zeros_like(flat)
        count = next((steps[piece.parameter] for piece in pieces if piece.parameter in steps), None)
        if count is None and "exp_avg" in names:
            count = max(steps.values(), default=0)
        if count is not None:
            # A tensor on the parameter's device: torch's fused AdamW takes nothing else.
            held[flat][STEP] = torch.tensor(float(count), dtype=torch.float32, device=flat.device)


def refresh_weights(engine: Engine) -> None:
    """Make the bf16 weights anew from the masters, on all ranks together."""
    optimizer = engine.deepspeed.optimizer
    if engine.stage == 0:
        for weights, masters in zip(optimizer.fp16_groups, optimizer.fp32_groups, strict=True):
            for weight, master in zip(weights, masters, strict=True):
                weight.data.copy_(master.data)
    elif engine.stage < 3:
        optimizer.update_lp_params()
    else:
        # Small tensors stay gathered between steps; partitioned first and gathered again, they follow their masters.
        optimizer._partition_all_parameters()
        for number, flat in enumerate(optimizer.fp32_partitioned_groups_flat):
            optimizer.fp16_partitioned_groups_flat[number].data.copy_(flat.data)
            optimizer._unflatten_partitioned_parameters(number)
        optimizer.checkpoint_event_epilogue()


def weight_shards(engine: Engine) -> Iterator[tuple[str, int, torch.Tensor, bool]]:
    """(parameter, first element, bf16 elements on this rank, replicated?) of every weight."""
    for name, parameter in engine.model.named_parameters():
        if engine.stage == 3:
            start, elements = _stage_3_share(parameter)
            yield name, start, parameter.ds_tensor.data.view(-1).narrow(0, 0, elements), False
        else:
            yield name, 0, parameter.data.view(-1), True


def _partitions(engine: Engine) -> Iterator[tuple[torch.Tensor, list[_Piece]]]:
    """(flat partition, its pieces without padding), the same number on every rank."""
    optimizer, names = engine.deepspeed.optimizer, {p: name for name, p in engine.model.named_parameters()}
    if engine.stage == 0:
        rank, world = dist.get_rank(), dist.get_world_size()
        parameters = [parameter for group in optimizer.fp16_groups for parameter in group]
        for master, parameter in zip(master_partitions(optimizer, 0), parameters, strict=True):
            edges = [master.numel() * place // world for place in (0, rank, rank + 1, world)]
            spans = [(start, end) for start, end in pairwise(edges) if end > start]
            mine = (edges[1], edges[2])
            yield master, [_Piece(names[parameter], s, s, e - s, (s, e) == mine) for s, e in spans]
        return
    groups = optimizer.bit16_groups if engine.stage < 3 else optimizer.fp16_groups
    for flat, group in zip(master_partitions(optimizer, engine.stage), groups, strict=True):
        place = _stage_3_piece if engine.stage == 3 else _stage_1_2_piece
        found = (place(optimizer, parameter, names[parameter]) for parameter in group)
        yield flat, [piece for piece in found if piece is not None]


def _stage_1_2_piece(_optimizer: Any, parameter: Any, name: str) -> _Piece | None:
    mapping = parameter._hp_mapping
    if mapping is None:
        return None
    inside = mapping.lp_fragment_address
    return _Piece(name, inside.start, mapping.hp_fragment_address.start, inside.numel)


def _stage_3_piece(optimizer: Any, parameter: Any, name: str) -> _Piece | None:
    _, offset, _ = optimizer.grad_position[optimizer.get_param_id(parameter)]
    start, elements = _stage_3_share(parameter)
    return _Piece(name, start, offset, elements) if elements else None


def _stage_3_share(parameter: Any) -> tuple[int, int]:
    """First element and number of elements of this rank, the padding at the tensor's end (not even zeroed) left out."""
    size = parameter.partition_numel()
    start = dist.get_rank() * size
    return start, max(0, min(size, parameter.ds_numel - start))


def _muon_pieces(engine: Engine, group: int) -> list[_Piece]:
    """Whole matrices one after the other; the rank that holds a matrix's first element owns it."""
    optimizer, names = engine.deepspeed.optimizer, {p: name for name, p in engine.model.named_parameters()}
    pieces, offset = [], 0
    for parameter in optimizer.params_in_partition[group]:
        owned = parameter._hp_mapping is not None and parameter._hp_mapping.lp_fragment_address.start == 0
        pieces.append(_Piece(names[parameter], 0, offset, parameter.numel(), owned))
        offset += parameter.numel()
    return pieces
