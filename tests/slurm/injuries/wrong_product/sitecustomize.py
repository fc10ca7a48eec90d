"""Put on PYTHONPATH of a job: one device of one node computes wrongly, as a sick one would."""

import os

if (os.environ.get("SLURMD_NODENAME"), os.environ.get("LOCAL_RANK")) == (os.environ.get("SICK_NODE"), "1"):
    import torch

    multiply = torch.mm

    def flipped(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        product = multiply(left, right)
        product.view(torch.int32)[0, 0] ^= 1
        return product

    torch.mm = flipped
