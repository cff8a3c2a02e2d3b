"""Moving and equal averages of weights, against mmcv, mmengine and torch."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_swa_multi_avg_fn, update_bn

from rayseg.engine import Ema, Fit, fit, read_checkpoint, renew_statistics
from rayseg.errors import CheckpointError
from rayseg.models import sample_keys
from rayseg.types import Batch
from tests.engine.runs import Log, compare, finish, full, start, stop

WEIGHTS = torch.tensor([0.0, 1.0, 3.0, 2.0, 5.0, 4.0, 8.0], dtype=torch.float64)


def averages(**settings: Any) -> list[float]:
    """The average after each of six steps; the first weight is the initialisation."""
    model = nn.Linear(1, 1, bias=False, dtype=torch.float64)
    nn.init.constant_(model.weight, float(WEIGHTS[0]))
    ema, found = Ema(model, **settings), []
    for step, weight in enumerate(WEIGHTS[1:]):
        nn.init.constant_(model.weight, float(weight))
        ema.update(model, step)
        found.append(float(next(ema.module.parameters())))
    return found


def by_hand(share: Callable[[int], float], *, every: int = 1, first: bool = False) -> list[float]:
    """mmcv's ``e <- (1 - m) e + m x`` with a momentum m for each step; ``first``: the first step copies (mmengine)."""
    average, found = float(WEIGHTS[0]), []
    for step, weight in enumerate(WEIGHTS[1:].tolist()):
        momentum = 1.0 if first and step == 0 else (share(step) if step % every == 0 else 0.0)
        average = (1 - momentum) * average + momentum * weight
        found.append(average)
    return found


@pytest.mark.parametrize("every", [1, 2])
def test_mmcv_moves_by_its_momentum_to_the_power_of_the_interval(every: int) -> None:
    """Its warm-up ``min(m, (1 + t) / (100 + t))`` never binds for a momentum up to 0.01."""
    momentum = 0.005**every
    theirs = by_hand(lambda step: min(momentum, (1 + step) / (100 + step)), every=every)
    assert averages(decay=1 - momentum, warmup=0.0, every=every) == pytest.approx(theirs, rel=1e-12)


@pytest.mark.parametrize("every", [1, 3])
def test_mmengine_copies_first_and_then_moves(every: int) -> None:
    theirs = by_hand(lambda _: 0.2, every=every, first=True)
    assert averages(decay=0.8, warmup=0.0, every=every, start_step=1) == pytest.approx(theirs, rel=1e-12)


def test_mmengine_anneals_the_momentum() -> None:
    theirs = by_hand(lambda step: max(0.3, 3 / (3 + step)), first=True)
    assert averages(decay=0.7, warmup=0.0, gamma=3.0) == pytest.approx(theirs, rel=1e-12)
    assert theirs[:3] == [1.0, 0.25 * 1.0 + 0.75 * 3.0, pytest.approx(0.4 * 2.5 + 0.6 * 2.0)]


def test_tensorflow_warms_up_and_the_average_starts_late() -> None:
    late = averages(decay=0.9, warmup=10.0, start_step=2)
    assert late[:2] == [1.0, 3.0]
    assert late[2] == pytest.approx(0.1 * 3.0 + 0.9 * 2.0)
    assert late[3] == pytest.approx(2 / 11 * late[2] + 9 / 11 * 5.0)


@pytest.mark.parametrize("average_buffers", [False, True])
def test_the_average_follows_its_formula(average_buffers: bool) -> None:
    linear, norm = nn.Linear(2, 2, dtype=torch.float64), nn.BatchNorm1d(2, dtype=torch.float64)
    model = nn.Sequential(linear, norm)
    ema = Ema(model, decay=0.9, warmup=10.0, average_buffers=average_buffers)
    weight, mean = linear.weight.detach().clone(), norm.get_buffer("running_mean").clone()
    for step in range(200):
        with torch.no_grad():
            linear.weight.normal_()
            norm.get_buffer("running_mean").normal_()
            norm.get_buffer("num_batches_tracked").add_(1)
        decay = min(0.9, (1 + step) / (10 + step))
        weight = decay * weight + (1 - decay) * linear.weight.detach()
        mean = decay * mean + (1 - decay) * norm.get_buffer("running_mean")
        ema.update(model, step)
    state = ema.state_dict()
    torch.testing.assert_close(state["0.weight"], weight, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(state["1.running_mean"], mean if average_buffers else norm.get_buffer("running_mean"))
    assert int(state["1.num_batches_tracked"]) == 200
    assert not any(parameter.requires_grad for parameter in ema.module.parameters())


SWA: dict[str, Any] = {
    "train.ema": None,
    "train.swa": {"start": 3, "every": {"steps": 2}, "batches": 3},
    "train.steps": 8,
    "eval.every": 2,
    "checkpoint.every": 1,
}


class Torch:
    """A hook that averages as torch does."""

    def __init__(self) -> None:
        self.average: nn.Module | None = None

    def after_step(self, run: Fit, _: dict[str, Tensor]) -> None:
        if self.average is None:
            self.average = AveragedModel(run.state.model, multi_avg_fn=get_swa_multi_avg_fn())  # type: ignore[no-untyped-call]
        if run.state.step >= 3 and (run.state.step - 3) % 2 == 0:
            self.average.update_parameters(run.state.model)  # type: ignore[operator]

    def on_end(self, run: Fit) -> None:
        assert self.average is not None
        batches = [batch for batches in run.batches(0, 3) for batch in batches]

        class Keyed(nn.Module):
            """update_bn gives images only; our dropout wants the samples' numbers."""

            def __init__(self, model: nn.Module) -> None:
                super().__init__()
                self.model, self.left = model, iter(batches)

            def forward(self, images: Tensor) -> None:
                with sample_keys(0, next(self.left).keys):
                    self.model(images)

        update_bn([batch.images for batch in batches], Keyed(self.average))


def test_an_equal_average_is_that_of_torch_with_its_statistics(tmp_path: Path) -> None:
    theirs = Torch()
    run = start(full(**SWA), tmp_path, hooks={"torch": theirs})
    fit(run)
    assert run.state.swa is not None
    assert theirs.average is not None
    assert run.state.swa.count == 3
    expected = theirs.average.get_submodule("module").state_dict()
    ours = run.state.published.state_dict()
    for name, value in ours.items():
        torch.testing.assert_close(value, expected[name], rtol=1e-6, atol=1e-7, msg=name)
    assert not torch.equal(ours["backbone.stem.1.running_mean"], run.state.model.state_dict()["backbone.stem.1.running_mean"])


def test_before_its_start_the_plain_weights_are_published_and_the_average_from_then_on(tmp_path: Path) -> None:
    counts: list[int] = []

    class Look:
        def on_checkpoint(self, run: Fit, directory: Path) -> None:
            weights, saved = read_checkpoint(directory, "model.pt"), read_checkpoint(directory)
            counts.append(saved["swa"]["count"])
            source = saved["swa"]["module"] if counts[-1] > 0 else saved["model"]
            assert all(torch.equal(value, source[name]) for name, value in weights.items()), run.state.step

    fit(start(full(**SWA), tmp_path, hooks={"look": Look()}))
    assert counts == [0, 0, 1, 1, 2, 2, 3, 3]


@pytest.mark.parametrize("at", [2, 6])
def test_a_run_with_an_equal_average_resumes_to_the_bit(tmp_path: Path, at: int) -> None:
    whole = finish(full(**SWA), tmp_path / "whole")
    logged: Log = {}
    stop(full(**SWA), tmp_path / "stopped", at, logged)
    assert compare(finish(full(**SWA), tmp_path / "stopped", logged), whole) == []


def test_a_checkpoint_with_another_average_is_refused(tmp_path: Path) -> None:
    finish(full(**SWA), tmp_path)
    with pytest.raises(CheckpointError, match=r"has an average, the config wants none: leave train\.swa"):
        fit(start(full(**{**SWA, "train.swa": None}), tmp_path))


def test_statistics_are_renewed_only_where_they_are_not_held() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.BatchNorm2d(3), nn.BatchNorm2d(3, momentum=0.3), nn.GroupNorm(1, 3)).eval()
    batches = [Batch(torch.randn(2, 3, 4, 4), torch.zeros(2, 4, 4), torch.arange(2)) for _ in range(3)]
    before = copy.deepcopy(model.state_dict())

    def hold(module: nn.Module) -> None:
        module.get_submodule("0").eval()

    renew_statistics(model, batches, seed=0, prepare=hold)
    after = model.state_dict()
    assert torch.equal(after["0.running_mean"], before["0.running_mean"])
    means = torch.stack([batch.images.mean((0, 2, 3)) for batch in batches]).mean(0)
    torch.testing.assert_close(after["1.running_mean"], means, rtol=1e-4, atol=1e-5)
    assert model.get_submodule("1").momentum == 0.3
    assert not any(module.training for module in model.modules())
