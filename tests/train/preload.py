"""Imported once by the process that all drivers and ranks of these tests are forked from."""

import tests.train.driver  # noqa: F401
import transformers.generation
import transformers.models.llama.modeling_llama  # noqa: F401

import eurolm.train.worker  # noqa: F401
from eurolm.train.backend import load_deepspeed

load_deepspeed()
