"""The statistics of an equal average are those of the global batches."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from rayseg.engine import renew_statistics
from rayseg.models import prepare
from rayseg.testing import run_distributed
from tests.dist.step_cases import TwoHeads, share

pytestmark = pytest.mark.dist


def renewed() -> dict[str, Tensor]:
    torch.manual_seed(0)
    model = prepare(TwoHeads(), norm="sync").double()
    renew_statistics(model, (batch for step in range(3) for batch in share(step, 1, torch.float64)), seed=0)
    return {name: value.clone() for name, value in model.named_buffers()}


@pytest.mark.parametrize("world_size", [2, 3])
def test_statistics_do_not_depend_on_the_number_of_workers(world_size: int) -> None:
    alone = renewed()
    for found in run_distributed(renewed, world_size):
        for name, value in alone.items():
            torch.testing.assert_close(found[name], value, rtol=1e-10, atol=1e-12, msg=name)
