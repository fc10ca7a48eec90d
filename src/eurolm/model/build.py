"""Models in memory: built from the sizes of a config, or continued from a local directory.

Initial weights depend on `model.seed`, the parameter's name and its shape, and on nothing else: every rank, every
machine and every later evaluation of "the untrained model" gets the same bits, whatever the global generators hold.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from typing import Any

import torch
from transformers import AutoModelForCausalLM, PreTrainedModel

from eurolm.config.architecture import ModelConfig
from eurolm.errors import ConfigError
from eurolm.model.families import FAMILIES, INITIAL_DEVIATION, check_continuable, transformers_config
from eurolm.model.load import load_model
from eurolm.model.vocabulary import fit_vocabulary
from eurolm.tokenizer.load import LoadedTokenizer

RESIDUAL_OUTPUTS = ("self_attn.o_proj.weight", "mlp.down_proj.weight")
"""Projections that write into the residual stream, two per layer."""


def build_model(
    config: ModelConfig,
    vocab_size: int,
    eod_id: int,
    tokenizer: LoadedTokenizer | None = None,
    dtype: torch.dtype = torch.float32,
) -> PreTrainedModel:
    """The model training starts from: parameters in `dtype` on the CPU, in training mode.

    `vocab_size` and `eod_id` are the tokenizer's; embedding rows are padded to a multiple of 128. With `config.use`
    the weights come from that directory, their vocabulary fitted to `tokenizer`, which must be given then; else they
    are seeded. Raises ConfigError for impossible sizes, InputError for a directory that cannot be continued.
    """
    check_eod(vocab_size, eod_id)
    if config.use is not None:
        if tokenizer is None:
            raise ValueError("a model that is continued needs the run's tokenizer to find its rows")
        model = load_model(config.use, dtype)
        check_continuable(model.config, config.use)
        fit_vocabulary(model, config.use, tokenizer)
    else:
        # The constructors draw from the global generator; it is given back as it was.
        with torch.random.fork_rng(devices=[]):
            model = AutoModelForCausalLM.from_config(transformers_config(config, vocab_size, eod_id), dtype=dtype)
        initialise(model, config)
    name_special_ids(model, eod_id)
    return model.train()


def check_eod(vocab_size: int, eod_id: int) -> None:
    """Raise ConfigError for an end-of-document id that the vocabulary does not have."""
    if not 0 <= eod_id < vocab_size:
        raise ConfigError(f"end-of-document id {eod_id} is outside the tokenizer's vocabulary of {vocab_size} entries.")


def name_special_ids(model: Any, eod_id: int) -> None:
    """End of document begins and ends text; padding is named for generation alone (see `transformers_config`)."""
    for config in (model.config, model.generation_config):
        config.bos_token_id = eod_id
        config.eos_token_id = eod_id
    model.config.pad_token_id = None
    model.generation_config.pad_token_id = eod_id


@torch.no_grad()
def initialise(model: torch.nn.Module, config: ModelConfig) -> None:
    """Seeded weights in place."""
    for name, parameter in model.named_parameters():
        parameter.copy_(initial_tensor(config, name, parameter.shape))


def initial_tensor(config: ModelConfig, name: str, shape: Sequence[int]) -> torch.Tensor:
    """The initial value of one parameter, fp32.

    Norms start as the identity, biases at zero, matrices normal with deviation 0.02. Projections into the residual
    stream are scaled by 1/sqrt(2 × layers), so that its variance does not grow with depth (GPT-2, Radford et al. 2019,
    section 2.3); Gemma and OLMo 2 norm what they write there, and for them the scale only shrinks early updates' share.
    """
    if len(shape) < 2:
        return torch.full(tuple(shape), 0.0 if name.endswith(".bias") else FAMILIES[config.family].norm_start)
    deviation = INITIAL_DEVIATION
    if name.endswith(RESIDUAL_OUTPUTS):
        deviation /= math.sqrt(2 * config.layers)
    return torch.empty(tuple(shape)).normal_(0.0, deviation, generator=_generator(config.seed, name))


def _generator(seed: int, name: str) -> torch.Generator:
    digest = hashlib.sha256(f"{seed}:{name}".encode()).digest()
    return torch.Generator(device="cpu").manual_seed(int.from_bytes(digest[:8], "big") >> 1)
