"""A rank of the preflight that is hurt before it starts: `injured_rank.py KIND:RANK[,KIND:RANK] SPEC FD`."""

import json
import os
import signal
import sys
import time
from typing import Any

import torch
from torch import distributed

from eurolm.cluster.preflight_rank import main
from eurolm.cluster.preflight_record import Spec

multiply, new_group, all_reduce = torch.mm, distributed.new_group, distributed.all_reduce


def slow() -> None:
    """Work beside the product, as a device that is throttled."""

    def late(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        until = time.perf_counter() + 0.06
        while time.perf_counter() < until:
            pass
        return multiply(left, right)

    torch.mm = late


def wrong() -> None:
    """One bit of one element."""

    def flipped(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        product = multiply(left, right)
        product.view(torch.int32)[0, 0] ^= 1
        return product

    torch.mm = flipped


def stopped() -> None:
    """The process stops where the second group is made."""

    def stop(*_: Any, **__: Any) -> None:
        os.kill(os.getpid(), signal.SIGSTOP)

    distributed.new_group = stop


def blocked() -> None:
    """The first collective on a second group never returns."""

    def block(tensor: torch.Tensor, group: Any = None) -> None:
        if group is not None:
            time.sleep(1000)
        all_reduce(tensor)

    distributed.all_reduce = block


def killed() -> None:
    """The kernel ends the process during the product."""

    def kill(*_: Any) -> torch.Tensor:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError

    torch.mm = kill


for injury in sys.argv[1].split(","):
    kind, _, rank = injury.partition(":")
    if kind and rank in ("*", os.environ["RANK"]):
        {"slow": slow, "wrong": wrong, "stopped": stopped, "blocked": blocked, "killed": killed}[kind]()
main(Spec(**json.loads(sys.argv[2])), int(sys.argv[3]))
