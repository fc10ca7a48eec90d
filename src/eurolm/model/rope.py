"""The rotary embedding's frequencies: always fp32, and of another base where a phase asks for one.

`module.bfloat16()`, which DeepSpeed calls, rounds these buffers too: a model would be trained with frequencies that are
0.04 % off, and evaluated, reloaded, with the right ones.
"""

from __future__ import annotations

from typing import Any

from torch import nn

GLOBAL_ATTENTION = "full_attention"


def rotary_modules(model: nn.Module) -> list[Any]:
    """The modules of `model` (a `transformers` decoder) that hold rotary frequencies."""
    return [module for module in model.modules() if type(module).__name__.endswith("RotaryEmbedding")]


def restore_frequencies(model: nn.Module) -> None:
    """Compute the frequencies anew from the model's config, in fp32."""
    for module in rotary_modules(model):
        fresh = dict(type(module)(module.config).named_buffers())
        for name, buffer in module.named_buffers():
            setattr(module, name, fresh[name].to(buffer.device))


def rope_theta(config: Any) -> float:
    """Base of the rotary embedding in a model's config (of its global layers where they differ)."""
    parameters = _parameters(config)
    return float(config.rope_theta if parameters is None else parameters["rope_theta"])


def set_rope_theta(model: nn.Module, theta: float) -> None:
    """Change the base, in the model's config too, so that the exported model carries it."""
    config: Any = model.config
    parameters = _parameters(config)
    if parameters is None:
        config.rope_theta = theta
    else:
        parameters["rope_theta"] = theta
    restore_frequencies(model)


def _parameters(config: Any) -> dict[str, Any] | None:
    """`rope_parameters` of transformers 5, of the global layers; None for transformers 4, which has `rope_theta`."""
    parameters = getattr(config, "rope_parameters", None)
    if not isinstance(parameters, dict):
        return None
    chosen: dict[str, Any] = parameters.get(GLOBAL_ATTENTION, parameters)
    return chosen
