"""Optimizers are found by name."""

from __future__ import annotations

import pytest
import torch

from rayseg.optim import OPTIMIZERS, resolve_optimizer


@pytest.mark.parametrize(
    ("name", "expected"),
    [("sgd", torch.optim.SGD), ("AdamW", torch.optim.AdamW), ("nadam", torch.optim.NAdam), ("RMSprop", torch.optim.RMSprop)],
)
def test_any_optimizer_of_torch_is_found_in_any_case(name: str, expected: type) -> None:
    assert resolve_optimizer(name) is expected


@pytest.mark.parametrize("name", ["lion", "optimizer", "LBFGS", "lr_scheduler", ""])
def test_what_cannot_drive_the_loop_is_not_found(name: str) -> None:
    assert resolve_optimizer(name) is None


def test_the_table_has_the_three_that_are_documented() -> None:
    assert sorted(OPTIMIZERS) == ["adam", "adamw", "sgd"]
