"""Parts that are not rayseg's, on two workers: those of the page by import path, others by value."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from torch import Tensor, nn

import rayseg
from rayseg.config import ExperimentConfig
from rayseg.errors import ConfigError
from rayseg.launch import TrainResult
from rayseg.types import Sample
from tests.examples.test_docs import ROOT, write_files

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_cluster")]
Tiny = Callable[..., ExperimentConfig]


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The files of ``docs/extending.md``, importable here and in workers."""
    write_files(ROOT / "docs" / "extending.md", tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    for name in ("my_parts", "balance", "found", "rates"):
        sys.modules.pop(name, None)


def run(tree: dict[str, Any], storage: Path, workers: int, **components: Any) -> TrainResult:
    tracking = {"storage": str(storage), "name": f"outside-{tree['train']['steps']}-{workers}", "mlflow": None}
    config = ExperimentConfig.from_dict({**tree, "tracking": tracking, "scaling": {"workers": workers}})
    return rayseg.train(config, components=components)


def test_every_part_of_the_page_works_on_two_workers_as_in_one_process(page: Path, storage: Path) -> None:
    tree = yaml.safe_load((page / "mine.yaml").read_text())
    tree["losses"].pop("small")  # a scalar is that of each worker's images
    alone, two = (run(tree, storage, workers) for workers in (0, 2))
    assert [step for step, _ in two.history] == [3, 6]
    assert {"val/loss/hinge", "val/loss/entropy", "val/largest_weight"} <= two.metrics.keys() == alone.metrics.keys()
    for name, value in alone.metrics.items():
        assert two.metrics[name] == pytest.approx(value, rel=1e-3, abs=1e-5), name
    assert two.last_checkpoint is not None
    state = torch.load(two.last_checkpoint / "train.pt", weights_only=True)
    assert state["hooks"]["thermometer"] == {"seen": 2}
    assert {group["name"].split("+")[0] for group in state["optimizer"]["param_groups"]} >= {"body", "end"}


def for_the_loss() -> dict[str, Callable[..., Any]]:
    """Parts that no worker could import."""

    def gap(logits: Tensor, target: Tensor, *, ignore_index: int, log_probs: Tensor, power: float = 1.0) -> Tensor:
        valid = target != ignore_index
        return (1 - log_probs.gather(1, target.where(valid, 0)[:, None])[:, 0].exp()) ** power * valid

    def even(logits: Tensor, target: Tensor, *, ignore_index: int) -> Tensor:
        return (target % 2 == 0).double() * (target != ignore_index)

    def inverse(counts_pixels: Tensor, counts_image_pixels: Tensor) -> Tensor:
        return 1 / (1 + counts_pixels / counts_pixels.sum())

    def one_layer(num_classes: int) -> nn.Module:
        return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Conv2d(4, num_classes, 1))

    return {"gap": gap, "even": even, "inverse": inverse, "one_layer": one_layer}


def for_the_optimizer() -> dict[str, Callable[..., Any]]:
    """The same."""

    def momentum(groups: Any, lr: float, weight_decay: float = 0.0) -> torch.optim.Optimizer:
        return torch.optim.SGD(groups, lr=lr, weight_decay=weight_decay, momentum=0.5)

    def each(model: nn.Module, *, lr: float, weight_decay: float) -> list[dict[str, Any]]:
        rates = [lr / (1 + number) for number, _ in enumerate(model.children())]
        return [{"params": list(p.parameters()), "lr": r} for r, p in zip(rates, model.children(), strict=True)]

    def adjust_learning_rate(optimizer: torch.optim.Optimizer, epoch: int, lr: float = 0.1) -> None:
        for param_group in optimizer.param_groups:
            param_group["lr"] = lr * 0.5 ** (epoch // 2)

    return {"momentum": momentum, "each": each, "adjust": adjust_learning_rate}


def for_the_data(seen: str) -> dict[str, Callable[..., Any]]:
    """The same; the hook writes a line into ``seen``."""

    class Note:
        def on_end(self, run: Any) -> None:
            with Path(seen).open("a") as file:
                file.write(f"{run.state.step} ")

    class Stripes:
        class_names, palette = ("dark", "light"), None

        def __init__(self, split: str) -> None:
            self.split = split

        def __len__(self) -> int:
            return 5

        def __getitem__(self, index: int) -> Sample:
            mask = np.tile((np.arange(24) // 4 + index) % 2, (16, 1)).astype(np.uint8)
            return Sample(np.repeat(mask[..., None] * np.uint8(150), 3, 2), mask, f"{self.split}/{index}")

        def digest(self) -> str:
            return "stripes"

    def noise(amount: int = 9) -> Callable[[Sample, np.random.Generator], Sample]:
        def apply(sample: Sample, rng: np.random.Generator) -> Sample:
            more = rng.integers(0, amount, sample.image.shape, np.uint8)
            return Sample(sample.image + more, sample.mask, sample.name)

        return apply

    return {"note": Note, "stripes": Stripes, "noise": noise}


BY_VALUE: dict[str, Any] = {
    "data": {"dataset": {"type": "stripes"}, "transforms": {"noise": {"type": "noise", "amount": 30}}},
    "model": {"type": "one_layer"},
    "losses": {"gap": {"type": "gap", "power": 2.0, "class_weight": {"type": "inverse"}}},
    "sampling": {"type": "even"},
    "optim": {"type": "momentum", "lr": 0.1, "constructor": {"type": "each"}},
    "schedule": {"type": "adjust", "lr": 0.1, "by_epoch": True},
    "hooks": {"note": {"type": "note"}},
    "train": {"batch_size": 5, "steps": 4},
    "eval": {"every": 2},
}


def test_every_kind_of_part_may_be_given_by_value(storage: Path, tmp_path: Path) -> None:
    parts = {**for_the_loss(), **for_the_optimizer(), **for_the_data(str(tmp_path / "seen"))}
    alone, two = (run(BY_VALUE, storage, workers, **parts) for workers in (0, 2))
    assert (tmp_path / "seen").read_text() == "4 4 4 "  # one process, then two workers
    for name, value in alone.metrics.items():
        assert two.metrics[name] == pytest.approx(value, rel=1e-3, abs=1e-5), name
    with pytest.raises(ConfigError) as caught:
        run(BY_VALUE, storage, 2)
    assert len(caught.value.problems) == len(parts)


def test_weights_of_a_relative_path_and_losses_as_they_are_found_on_two_workers(
    page: Path, tiny: Tiny, capsys: pytest.CaptureFixture[str]
) -> None:
    source = rayseg.train(tiny("weights", **{"train.steps": 1}))
    assert source.last_checkpoint is not None
    where = os.path.relpath(source.last_checkpoint)
    frozen = {"freeze.body": {"match": "^backbone", "until": 2}, "init": {"checkpoint": where}, "tracking.text": True}
    found = {"target": "one_hot", "scope": "rank", "weight": 0.01}
    losses = {"losses.mse": {"type": "found:my_loss", **found}, "losses.dice": {"type": "found:DiceLoss", **found}}
    config = {"train.steps": 3, **frozen, **losses}
    alone, two = (rayseg.train(tiny(f"tuned-{workers}", **config, **{"scaling.workers": workers})) for workers in (0, 2))
    assert capsys.readouterr().out.count(f"init: {where}: ") == 2
    assert (two.directory / "init.json").read_text() == (alone.directory / "init.json").read_text()
    assert alone.metrics.keys() == two.metrics.keys() >= {"val/loss/mse", "val/loss/dice"}
    assert two.metrics["val/loss/ce"] == pytest.approx(
        alone.metrics["val/loss/ce"], rel=1e-2
    )  # a scalar is of a worker's share
