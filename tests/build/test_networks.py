"""Networks of other packages are told the number of classes by the name that they have for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from torch import nn

from rayseg.build import assemble, check
from rayseg.build.networks import call_network, resolve_network
from rayseg.build.resolve import Problems
from rayseg.cli.groups import groups_table
from rayseg.config import ExperimentConfig, Spec
from rayseg.engine import LocalReporter


def first(classes: int, width: int = 4) -> nn.Module:
    return nn.Conv2d(3, classes, 3, groups=1)


def by_keyword(*, num_classes: int = 21, weights: str | None = None) -> nn.Module:
    return nn.Conv2d(3, num_classes, 1)


def as_smp(encoder: str = "resnet34", in_channels: int = 3, classes: int = 1, **more: Any) -> nn.Module:
    return nn.Conv2d(in_channels, classes, 1)


class Net(nn.Conv2d):
    def __init__(self, depth: int, num_classes: int) -> None:
        super().__init__(3, num_classes, depth)


def positional_only(count: int, /) -> nn.Module:
    return nn.Conv2d(3, count, 1)


def resolved(target: Callable[..., Any], problems: Problems, **own: Any) -> Any:
    return resolve_network(Spec(type="mine", **own), {"mine": target}, "model", problems)


@pytest.mark.parametrize(
    ("target", "own"),
    [(first, {}), (by_keyword, {}), (as_smp, {"encoder": "a"}), (Net, {"depth": 3}), (positional_only, {})],
)
def test_the_number_of_classes_arrives(target: Callable[..., Any], own: dict[str, Any]) -> None:
    problems = Problems()
    model = call_network(resolved(target, problems, **own), 5)
    assert problems.found == []
    assert model.out_channels == 5


@pytest.mark.parametrize(("target", "name"), [(by_keyword, "num_classes"), (as_smp, "classes")])
def test_it_is_the_data_s_and_a_user_may_not_write_it(target: Callable[..., Any], name: str) -> None:
    problems = Problems()
    assert resolved(target, problems, **{name: 5}) is None
    assert [problem.path for problem in problems.found] == [f"model.{name}"]
    assert "rayseg passes" in problems.found[0].message


def test_an_experiment_trains_such_a_network(tmp_path: Any) -> None:
    config = ExperimentConfig.from_dict(
        {
            "data": {"dataset": {"type": "synthetic", "size": [32, 48], "length": 4}},
            "model": {"type": "mine", "encoder": "resnet18"},
            "train": {"batch_size": 2, "steps": 1},
            "tracking": {"storage": str(tmp_path), "mlflow": None},
        }
    )
    assert check(config, components={"mine": as_smp}) == []
    model = assemble(config, LocalReporter(tmp_path), components={"mine": as_smp}).fit.state.model
    assert model.out_channels == 9


def test_a_network_of_mmsegmentation_is_checked_with_its_own_classes_where_the_data_are_not_here(tmp_path: Path) -> None:
    model = {
        "type": "mmseg",
        "backbone": {"type": "MobileNetV2", "widen_factor": 0.25},
        "decode_head": {"type": "FCNHead", "channels": 4, "num_classes": 19},
    }
    gone = {"type": "folders", "layout": "cityscapes", "root": str(tmp_path / "gone")}
    config = ExperimentConfig.from_dict({"data": {"dataset": gone}, "model": model})
    assert [problem.path for problem in check(config)] == ["data.dataset"]
    assert "heads for 19 classes" in groups_table(config)
