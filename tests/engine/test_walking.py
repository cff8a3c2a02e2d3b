"""What a step asks of every module is what torch's own walks say."""

from __future__ import annotations

from typing import Any, Self

import pytest
from torch import nn

from rayseg.engine.walking import is_training, modules_of, which_learn


class HeldNorm(nn.Sequential):
    """As backbones of MMSegmentation with ``norm_eval``."""

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        self[1].eval()
        return self


def with_own_method() -> nn.Module:
    norm: Any = nn.BatchNorm2d(2)
    norm.train = lambda _=True: nn.BatchNorm2d.train(norm, False)
    return nn.Sequential(nn.Conv2d(1, 2, 1), norm)


def test_every_module_and_parameter_is_met() -> None:
    shared = nn.Conv2d(2, 2, 1)
    model = nn.ModuleDict({"a": nn.Sequential(shared, nn.BatchNorm2d(2)), "b": shared, "c": nn.PReLU()})
    model.register_module("absent", None)
    model["c"].requires_grad_(False)
    assert set(modules_of(model)) == set(model.modules())
    assert sorted(which_learn(model)) == [False, *[True] * 6]


@pytest.mark.parametrize("make", [lambda: HeldNorm(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2)), with_own_method])
def test_a_module_that_decides_itself_what_trains_is_always_asked(make: Any) -> None:
    model = make()
    assert all(module.training for module in model.modules())
    assert not is_training(model)
    assert not is_training(model.train())


def test_a_network_is_asked_to_train_where_a_part_of_it_does_not() -> None:
    norm = nn.BatchNorm2d(2)
    model = nn.Sequential(nn.Conv2d(1, 2, 1), nn.Sequential(norm))
    assert is_training(model)
    norm.eval()
    assert not is_training(model)
    assert is_training(model.train())
