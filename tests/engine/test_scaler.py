"""fp16: the scale of the loss, steps that overflow, and clipping."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from rayseg.engine import Fit, LossScaler, clip_gradients, fit
from rayseg.errors import NonFiniteLossError
from tests.dist.step_cases import CASES, three_steps
from tests.engine.runs import Log, compare, finish, full, into, start, stop

FP16: dict[str, Any] = {
    "train.precision": "fp16",
    "train.steps": 6,
    "eval.every": 6,
    "checkpoint.every": 2,
    "train.log_every": 1,
}


@settings(max_examples=30, deadline=None)
@given(st.lists(st.booleans(), min_size=1, max_size=25), st.integers(1, 4), st.sampled_from([2.0, 4.0]))
def test_the_scale_moves_as_in_torch(overflows: list[bool], interval: int, growth: float) -> None:
    ours = LossScaler(scale=1024.0, growth=growth, interval=interval)
    theirs = torch.amp.GradScaler("cpu", init_scale=1024.0, growth_factor=growth, growth_interval=interval)
    first, second = nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(3))
    optimizer = torch.optim.SGD([second], lr=0.1)
    for overflow in overflows:
        factor = torch.tensor([1.0, math.inf if overflow else 0.5, 3.0])
        ours.scaled((first * factor).sum()).backward()  # type: ignore[no-untyped-call]
        theirs.scale((second * factor).sum()).backward()  # type: ignore[no-untyped-call]
        theirs.unscale_(optimizer)
        taken = ours.unscale([first])
        assert taken is not overflow
        assert first.grad is not None
        assert second.grad is not None
        assert not taken or torch.equal(first.grad, second.grad)
        theirs.step(optimizer)
        theirs.update()
        first.grad = second.grad = None
        assert ours.scale == theirs.get_scale()
    assert ours.skipped == sum(overflows)


def test_a_fixed_scale_stays_and_overflows_without_end_are_an_error() -> None:
    for scaler, says in (
        (LossScaler(scale=512.0, dynamic=False), "loss scale of 512 is too large; lower train.loss_scale"),
        (LossScaler(), r"came down to .*; lower optim.lr, or use train.precision bf16"),
    ):
        weight = nn.Parameter(torch.ones(1))
        weight.grad = torch.tensor([math.nan])
        assert not any(scaler.unscale([weight]) for _ in range(29))
        with pytest.raises(NonFiniteLossError, match=f"30 steps in a row.*{says}"):
            scaler.unscale([weight])


def test_a_scale_does_not_change_the_steps_that_do_not_overflow() -> None:
    scaled = three_steps(CASES["a loss scale that overflows twice"], torch.float64)
    assert [name for name in scaled if name.endswith("grad_norm")] == ["2 grad_norm"]
    for name in ("backbone.0.weight", "decode_head.3.bias"):
        assert torch.equal(scaled[f"0 state {name}"], scaled[f"1 state {name}"])
        assert not torch.equal(scaled[f"1 state {name}"], scaled[f"2 state {name}"])


class Overflowing:
    """A hook: the scale is so large before some steps that they overflow."""

    def __init__(self, *steps: int) -> None:
        self.steps = steps
        self.seen: list[tuple[Tensor, Tensor]] = []

    def before_step(self, run: Fit) -> None:
        assert run.state.scaler is not None
        if run.state.step in self.steps:
            run.state.scaler.scale = 2.0**120

    def after_step(self, run: Fit, parts: dict[str, Tensor]) -> None:
        assert run.state.scaler is not None
        assert run.state.ema is not None
        assert ("grad_norm" in parts) is (run.state.step - 1 not in self.steps)
        run.state.scaler.scale = 1024.0
        first = (next(iter(module.parameters())).detach().clone() for module in (run.state.model, run.state.ema.module))
        self.seen.append((next(first), next(first)))


def test_a_step_that_overflows_moves_neither_weights_nor_average_and_is_counted(tmp_path: Path) -> None:
    logged: Log = {}
    hook = Overflowing(1, 4)
    fit(start(full(**FP16), tmp_path, into(logged), {"overflowing": hook}))
    moved = [not torch.equal(hook.seen[step - 1][0], hook.seen[step][0]) for step in range(1, 6)]
    averaged = [not torch.equal(hook.seen[step - 1][1], hook.seen[step][1]) for step in range(1, 6)]
    assert moved == averaged == [False, True, True, False, True]
    assert [logged[step]["train/skipped_steps"] for step in range(1, 7)] == [0, 1, 1, 1, 2, 2]
    assert logged[1]["train/loss_scale"] == 1024.0
    assert math.isfinite(logged[2]["train/loss"])


def test_a_loss_that_is_not_finite_is_an_error_whatever_the_scale(tmp_path: Path) -> None:
    class Poison:
        def before_step(self, run: Fit) -> None:
            if run.state.step == 1:
                with torch.no_grad():
                    next(run.state.model.parameters()).fill_(math.nan)

    with pytest.raises(NonFiniteLossError, match=r"step 1: the loss is not finite"):
        fit(start(full(**FP16), tmp_path, hooks={"poison": Poison()}))


def test_the_forward_pass_is_in_fp16_and_learns_what_fp32_learns(tmp_path: Path) -> None:
    seen: set[torch.dtype] = set()

    class Look:
        def on_start(self, run: Fit) -> None:
            run.state.model.register_forward_hook(lambda _model, _inputs, output: seen.update({output["main"].dtype}))

    half, whole = (full(**{**FP16, "train.precision": precision, "optim.type": "sgd"}) for precision in ("fp16", "fp32"))
    ours = fit(start(half, tmp_path / "half", hooks={"look": Look()}))
    theirs = fit(start(whole, tmp_path / "whole"))
    assert seen == {torch.float16}
    assert ours["val/loss"] == pytest.approx(theirs["val/loss"], rel=1e-2)


@pytest.mark.parametrize("more", [{}, {"train.micro_batch": 2}, {"train.loss_scale": 128.0}])
def test_a_run_in_fp16_resumes_to_the_bit(tmp_path: Path, more: dict[str, Any]) -> None:
    config = full(**FP16, **more)
    whole = finish(config, tmp_path / "whole")
    logged: Log = {}
    stop(config, tmp_path / "stopped", 3, logged)
    assert compare(finish(config, tmp_path / "stopped", logged), whole) == []
    assert whole.state["scaler"]["good_in_a_row"] == 6


def with_gradients() -> nn.Module:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    model(torch.randn(5, 3)).square().sum().backward()
    return model


def gradients(model: nn.Module) -> list[Tensor]:
    return [parameter.grad for parameter in model.parameters() if parameter.grad is not None]


@pytest.mark.parametrize("norm_type", [1.0, 2.0, 3.5, math.inf])
def test_gradients_are_clipped_by_any_norm_and_the_norm_before_is_told(norm_type: float) -> None:
    ours, flat = with_gradients(), torch.cat([each.flatten() for each in gradients(with_gradients())])
    norm = torch.linalg.vector_norm(flat, norm_type)
    measured = clip_gradients(ours.parameters(), max_norm=0.5, norm_type=norm_type)
    torch.testing.assert_close(measured["grad_norm"], norm)
    torch.testing.assert_close(torch.cat([each.flatten() for each in gradients(ours)]), flat * 0.5 / (norm + 1e-6))


def test_gradients_are_clipped_by_value_and_small_ones_by_nothing() -> None:
    ours, before = with_gradients(), gradients(with_gradients())
    assert clip_gradients(ours.parameters(), max_value=0.3) == {}
    assert all(torch.equal(mine, theirs.clamp(-0.3, 0.3)) for mine, theirs in zip(gradients(ours), before, strict=True))
    ours = with_gradients()
    clip_gradients(ours.parameters(), max_norm=1e6)
    assert all(torch.equal(mine, theirs) for mine, theirs in zip(gradients(ours), before, strict=True))
