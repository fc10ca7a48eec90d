"""`--prove` really kills and resumes, says so, and would notice a loss that differs."""

from __future__ import annotations

import pytest
from tests.conftest import Workspace

from eurolm.train.prove import ProofError, verdict


def test_prove_kills_a_copy_and_resumes_it(copy_of_finished: Workspace) -> None:
    run = copy_of_finished.path / "runs" / "longer"
    # Long enough that the copy saves well before its end on any machine.
    longer = ("name=longer", "mixture.phases.0.tokens=204800", "mixture.phases.0.max_epochs=100")
    copy_of_finished.run("run", "small.yaml", *longer, "--until", "train")
    before = (run / "metrics.jsonl").read_bytes()
    output = " ".join(copy_of_finished.run("run", "small.yaml", *longer, "--until", "train", "--prove").split())
    assert "killed training at step" in output and "losses identical bit for bit" in output
    assert (run / "metrics.jsonl").read_bytes() == before
    assert not list(run.glob(".prove-*"))


def test_a_loss_that_differs_is_a_failure_with_code_11() -> None:
    real = {1: "0x1.8p+2", 2: "0x1.4p+2"}
    assert verdict(real, {1: "0x1.8p+2"}, 1).endswith("1 of 1 losses identical bit for bit")
    with pytest.raises(ProofError, match="1 of 2 losses differ") as caught:
        verdict(real, {1: "0x1.8p+2", 2: "0x1.4000000000001p+2"}, 1)
    assert caught.value.exit_code == 11
