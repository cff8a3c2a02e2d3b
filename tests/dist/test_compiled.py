"""A compiled network takes the steps of the plain one, alone and with another worker; traced only, no code is generated."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import Tensor

from rayseg.engine import backward, wrap
from rayseg.engine.step import unwrap
from rayseg.models import prepare
from rayseg.testing import run_distributed
from tests.dist.step_cases import CASES, TwoHeads, make_mix, share

pytestmark = pytest.mark.dist


def gradients(compiled: bool) -> list[Tensor]:
    """Of two steps in two micro-batches each, added up, and the statistics after them."""
    compile_once = torch.compile
    torch.compile = partial(compile_once, backend="aot_eager")
    try:
        torch.manual_seed(0)
        model = prepare(TwoHeads(), norm="sync").double()
        batches = share(0, 2, torch.float64)
        wrapped = wrap(model, batches[0], seed=0, compiled=compiled)
        assert unwrap(wrapped) is model
        assert hasattr(wrapped, "_orig_mod") is compiled
        for step in range(2):
            backward(wrapped, make_mix(CASES["ohem, dice, class weights"]), batches, step=step, seed=0)
        return [each.grad.clone() for each in model.parameters() if each.grad is not None] + list(model.buffers())
    finally:
        torch.compile = compile_once


def both() -> tuple[list[Tensor], list[Tensor]]:
    return gradients(False), gradients(True)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_compiled_network_takes_the_same_steps_with_the_same_dropout_masks(workers: int) -> None:
    for plain, compiled in run_distributed(both, workers):
        assert len(plain) == len(compiled)
        for ours, theirs in zip(plain, compiled, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-12)
