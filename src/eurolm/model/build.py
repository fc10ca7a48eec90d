"""Models of `transformers`: built from the sizes of a config, or loaded from a local directory.

Initial weights depend on `model.seed`, the parameter's name and its shape, and on nothing else: every rank, every
machine and every later evaluation of "the untrained model" gets the same bits, whatever the global generators hold.
"""

from __future__ import annotations

import hashlib
import math
from pathlib import Path

import torch
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM, PreTrainedModel
from transformers.utils import logging

from eurolm.config.architecture import ModelConfig
from eurolm.errors import ConfigError, InputError
from eurolm.model.size import check_shape, padded_vocabulary

INITIAL_DEVIATION = 0.02
"""Standard deviation of initial matrices (GPT-2, Radford et al. 2019)."""

RESIDUAL_OUTPUTS = ("self_attn.o_proj.weight", "mlp.down_proj.weight")
"""Projections that write into the residual stream, two per layer."""


def build_model(config: ModelConfig, vocab_size: int, eod_id: int) -> PreTrainedModel:
    """The model training starts from: fp32 parameters on the CPU, in training mode.

    `vocab_size` and `eod_id` are the tokenizer's; embedding rows are padded to a multiple of 128. With `config.use`
    the weights come from that directory, else they are seeded. Raises ConfigError for impossible sizes and for a
    tokenizer that does not fit the model to continue.
    """
    if not 0 <= eod_id < vocab_size:
        raise ConfigError(f"end-of-document id {eod_id} is outside the tokenizer's vocabulary of {vocab_size} entries.")
    if config.use is not None:
        model = load_model(config.use)
        _check_vocabulary(model, vocab_size, config.use)
    else:
        check_shape(config)
        # The constructors draw from the global generator; it is given back as it was.
        with torch.random.fork_rng(devices=[]):
            model = LlamaForCausalLM(_llama_config(config, vocab_size, eod_id))
        initialise(model, config.seed, config.layers)
    model.generation_config.bos_token_id = eod_id
    model.generation_config.eos_token_id = eod_id
    model.generation_config.pad_token_id = eod_id
    return model.float().train()


def load_model(path: Path, dtype: torch.dtype = torch.float32) -> PreTrainedModel:
    """A causal language model from a local directory: safetensors only, no code from the directory, no network.

    Returned on the CPU in evaluation mode. Raises InputError where the directory holds no such model.
    """
    if not (path / "config.json").is_file():
        raise InputError(f"{path} holds no config.json. Give the directory of a Hugging Face model.")
    if not any(path.glob("*.safetensors")):
        raise InputError(
            f"{path} holds no *.safetensors file. Weights in other formats can run code when they are read; convert "
            "the model with `save_pretrained` first."
        )
    # eurolm has its own progress bars; this one would print for every model of a few megabytes.
    logging.disable_progress_bar()
    try:
        model = AutoModelForCausalLM.from_pretrained(
            path,
            dtype=dtype,
            attn_implementation="sdpa",
            use_safetensors=True,
            trust_remote_code=False,
            local_files_only=True,
        )
    except (ValueError, OSError, KeyError, RuntimeError, SafetensorError) as error:
        first_line = str(error).strip().partition("\n")[0]
        raise InputError(f"{path} cannot be loaded as a causal language model of transformers: {first_line}") from error
    return model.eval()


@torch.no_grad()
def initialise(model: torch.nn.Module, seed: int, layers: int) -> None:
    """Seeded weights in place: vectors (norms) are one, matrices normal with deviation 0.02.

    Projections into the residual stream are scaled by 1/sqrt(2 × layers), so that its variance does not grow with
    depth (GPT-2, Radford et al. 2019, section 2.3).
    """
    for name, parameter in model.named_parameters():
        if parameter.dim() < 2:
            parameter.fill_(1.0)
            continue
        deviation = INITIAL_DEVIATION
        if name.endswith(RESIDUAL_OUTPUTS):
            deviation /= math.sqrt(2 * layers)
        parameter.normal_(0.0, deviation, generator=_generator(seed, name))


def _generator(seed: int, name: str) -> torch.Generator:
    digest = hashlib.sha256(f"{seed}:{name}".encode()).digest()
    return torch.Generator(device="cpu").manual_seed(int.from_bytes(digest[:8], "big") >> 1)


def _llama_config(config: ModelConfig, vocab_size: int, eod_id: int) -> LlamaConfig:
    return LlamaConfig(
        vocab_size=padded_vocabulary(vocab_size),
        hidden_size=config.hidden_size,
        intermediate_size=config.intermediate_size,
        num_hidden_layers=config.layers,
        num_attention_heads=config.attention_heads,
        num_key_value_heads=config.key_value_heads,
        max_position_embeddings=config.max_position_tokens,
        rope_theta=config.rope_theta,
        rms_norm_eps=1e-5,
        tie_word_embeddings=config.tie_embeddings,
        initializer_range=INITIAL_DEVIATION,
        bos_token_id=eod_id,
        eos_token_id=eod_id,
        # Named only in the generation config: a pad id here becomes the embedding's `padding_idx`, which zeroes that
        # row and blocks its gradient, and EOD, which every document starts with, would never be learnt.
        pad_token_id=None,
        attn_implementation="sdpa",
        use_cache=True,
    )


def _check_vocabulary(model: PreTrainedModel, vocab_size: int, path: Path) -> None:
    rows = model.get_input_embeddings().weight.shape[0]
    if vocab_size > rows:
        raise ConfigError(
            f"the tokenizer has {vocab_size:,} entries, the model in {path} has {rows:,} embedding rows. "
            "Use the model's own tokenizer (tokenizer.use), or one that is not larger than its embedding."
        )
