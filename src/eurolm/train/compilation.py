"""`train.compile`: torch.compile, one decoder layer at a time.

All layers share their code, so one compilation serves every layer; compiling the whole model would trace it once per
layer and break at the data-dependent attention mask.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from eurolm.errors import MachineError
from eurolm.train.attention import FLASH


def compile_layers(model: Any) -> None:
    """Compile the decoder layers of `model` in place. Raises MachineError where a CPU host has no C++ compiler."""
    if not torch.accelerator.is_available():
        compiler = os.environ.get("CXX", "g++")
        if shutil.which(compiler) is None:
            raise MachineError(f"train.compile = true needs a C++ compiler; {compiler} is not there. Set it to false.")
    # FlashAttention is given as many bounds as there are documents in the batch: compiled for one number alone, the
    # layers would be compiled anew for every other one, and given up by torch after eight.
    dynamic = None if model.config._attn_implementation == FLASH else False
    for layer in model.base_model.layers:
        layer.compile(dynamic=dynamic)


@contextmanager
def uncompiled() -> Iterator[None]:
    """Run without compiled code: validation and generation have many shapes, each of which would be compiled."""
    with torch.compiler.set_stance("force_eager"):
        yield
