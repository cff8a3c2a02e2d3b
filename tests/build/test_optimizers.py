"""Every optimizer of torch, and those of a user: found, checked, and it trains; or it is refused and says why."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import Optimizer

from rayseg.build import check
from rayseg.build.optimizers import make_optimizer, try_optimizer
from rayseg.build.parts import Parts, resolve_parts
from rayseg.build.resolve import Problems
from rayseg.config import ExperimentConfig
from rayseg.engine import fit
from rayseg.errors import ConfigError
from rayseg.optim import apply_schedule
from tests.build.small import BASE, PARTS, built, checked

ALL = sorted(
    name
    for name, value in vars(torch.optim).items()
    if inspect.isclass(value) and issubclass(value, Optimizer) and value is not Optimizer
)
#: Name -> what is said; all others train.
REFUSED = {"LBFGS": "computes the loss several times", "SparseAdam": "sparse gradients only", "Muon": "2D parameters"}
WITHOUT_DECAY = {"Rprop"}
NORMS = {"norms": {"kind": "norm", "lr_mult": 2.0}}


class Net(nn.Module):
    """A convolution and a norm."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)


def parts_of(optim: dict[str, Any]) -> tuple[ExperimentConfig, Parts, Problems]:
    config, problems = BASE.with_({"optim": optim}), Problems()
    return config, resolve_parts(config, PARTS, problems), problems


@pytest.mark.parametrize("name", ALL)
def test_every_optimizer_of_torch_takes_two_steps_or_says_why_not(name: str) -> None:
    decay = {"weight_decay": 0.0} if name in WITHOUT_DECAY else {}
    config, parts, problems = parts_of({"type": name.lower(), "groups": NORMS, **decay})
    if parts.optimizer is not None:
        try_optimizer(config, parts, Net(), problems)
    told = "; ".join(map(str, problems.found))
    if name in REFUSED:
        assert REFUSED[name] in told
        return
    assert not told
    model = Net()
    optimizer = make_optimizer(config, parts, model)
    assert [group["name"] for group in optimizer.param_groups] == ["default", "norms"]
    before = [parameter.clone() for parameter in model.parameters()]
    for step in range(2):
        apply_schedule(optimizer, 1 - step / 2)
        for parameter in model.parameters():
            parameter.grad = torch.ones_like(parameter)
        optimizer.step()
    assert [group["lr"] for group in optimizer.param_groups] == [0.0005, 0.001]
    assert all(not torch.equal(old, new) and new.isfinite().all() for old, new in zip(before, model.parameters(), strict=True))


@pytest.mark.parametrize("option", ["fused", "foreach"])
@pytest.mark.parametrize("name", ["sgd", "adam", "adamw"])
def test_options_for_speed_reach_every_group_and_give_the_same_step(name: str, option: str) -> None:
    def weights(**own: Any) -> list[torch.Tensor]:
        config, parts, problems = parts_of({"type": name, "groups": NORMS, **own})
        problems.raise_if_any()
        model = Net()
        optimizer = make_optimizer(config, parts, model)
        assert {group[option] for group in optimizer.param_groups} == {own.get(option)}
        for parameter in model.parameters():
            parameter.grad = torch.ones_like(parameter)
        optimizer.step()
        return [parameter.detach() for parameter in model.parameters()]

    for one, other in zip(weights(**{option: True}), weights(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-7)


def test_an_optimizer_with_arguments_of_its_own_and_no_rate_trains(tmp_path: Path) -> None:
    """The ``MyOptimizer(a, b, c)`` of MMSegmentation's tutorial."""
    own = {"type": "own_steps", "lr": None, "weight_decay": 0.0, "a": 0.1, "b": 2, "c": "sign"}
    experiment = checked({"optim": own, "schedule": {"type": "constant"}}, tmp_path)
    assert experiment.fit.state.optimizer.defaults == {"a": 0.1, "b": 2, "c": "sign"}
    before = {name: value.clone() for name, value in experiment.fit.state.model.named_parameters()}
    metrics = fit(experiment.fit)
    assert metrics["val/loss"] > 0
    assert all(not torch.equal(before[name], value) for name, value in experiment.fit.state.model.named_parameters())


def test_a_function_may_make_the_optimizer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Any ``(groups, **kwargs) -> Optimizer``; it is told the rate."""
    code = "import torch\ndef mine(groups, **own):\n    return torch.optim.SGD(groups, **own)\n"
    (tmp_path / "optim_parts.py").write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path))
    experiment = checked({"optim": {"type": "optim_parts:mine", "lr": 0.2, "weight_decay": 0.1, "momentum": 0.5}}, tmp_path)
    (group,) = experiment.fit.state.optimizer.param_groups
    assert (group["lr"], group["weight_decay"], group["momentum"]) == (0.2, 0.1, 0.5)


def test_settings_of_a_rule_are_in_the_types_of_the_optimizer() -> None:
    groups = {"norms": {"kind": "norm", "settings": {"betas": [0.5, 0.9], "eps": 1e-6}}}
    optimizer = built({"optim.groups": groups}).fit.state.optimizer
    assert [(group["name"], group["betas"], group["eps"]) for group in optimizer.param_groups] == [
        ("default", (0.9, 0.999), 1e-8),
        ("norms", (0.5, 0.9), 1e-6),
    ]


def test_a_constructor_comes_before_the_rules_and_its_groups_are_named() -> None:
    head = {"head": {"match": "classifier.weight", "lr_mult": 10.0}}
    optimizer = built({"optim": {"type": "adamw", "lr": 0.1, "constructor": {"type": "by_depth"}, "groups": head}})
    groups = optimizer.fit.state.optimizer.param_groups
    assert [(group["name"], group["lr"]) for group in groups] == [("backbone", 0.05), ("rest+head", 1.0), ("rest", 0.1)]


def test_a_constructor_of_a_user_is_checked_before_the_run() -> None:
    config = BASE.with_({"optim.constructor": {"type": "half"}})
    assert [problem.path for problem in check(config, PARTS)] == ["optim.constructor"]
    with pytest.raises(ConfigError, match="in no group"):
        built({"optim.constructor": {"type": "half"}})
