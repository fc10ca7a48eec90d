"""One scorer that waits for files of requests: `python -m benchmarks.scorers eurolm|lm-eval MODEL`.

Each line of standard input names a JSON file, a list of [context, continuation]; each line of output answers one.
CPU-seconds are those of scoring alone, from strings to log-likelihoods: imports, model loading and a first small batch
(which warms kernels up) are left out on both sides.
"""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

WARM_UP = 8
BATCH = 32
"""Requests per batch of lm-evaluation-harness, as in its examples for small models."""

Score = Callable[[list[tuple[str, str]]], list[float]]


def eurolm_scorer(model: Path) -> Score:
    """Natural log-likelihoods by eurolm."""
    from eurolm.model.load import load_model
    from eurolm.scoring.choices import Continuation, ContinuationScore, score_continuations
    from eurolm.scoring.encoding import opening
    from eurolm.tokenizer.load import load

    loaded, tokenizer = load_model(model), load(model)
    opens = opening(model, tokenizer)

    def score(requests: list[tuple[str, str]]) -> list[float]:
        found = score_continuations(loaded, tokenizer, [Continuation(*request) for request in requests], opens=opens)
        return [one.log2_probability * math.log(2) for one in found if isinstance(one, ContinuationScore)]

    return score


def harness_scorer(model: Path) -> Score:
    """Natural log-likelihoods by lm-evaluation-harness: its `hf` model, called as its evaluator does."""
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    loaded = HFLM(pretrained=str(model), dtype="float32", device="cpu", batch_size=BATCH)

    def score(requests: list[tuple[str, str]]) -> list[float]:
        instances = [Instance("loglikelihood", {}, request, index) for index, request in enumerate(requests)]
        return [answer[0] for answer in loaded.loglikelihood(instances, disable_tqdm=True)]

    return score


def main() -> None:
    """Answer each file with `cpu_s`, `peak_bytes` of this process so far and `log_likelihoods`."""
    scorer, model = sys.argv[1], Path(sys.argv[2])
    torch.set_num_threads(1)
    score = eurolm_scorer(model) if scorer == "eurolm" else harness_scorer(model)
    for line in sys.stdin:
        requests = [(context, text) for context, text in json.loads(Path(line.strip()).read_text())]
        score(requests[:WARM_UP])
        started = time.process_time()
        found = score(requests)
        spent = time.process_time() - started
        print(json.dumps({"cpu_s": spent, "peak_bytes": _peak_bytes(), "log_likelihoods": found}), flush=True)


def _peak_bytes() -> int:
    """Of this program alone: `ru_maxrss` begins with what the process that started it had."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    main()
