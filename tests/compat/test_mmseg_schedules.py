"""Schedules of MMSegmentation's configs have, step by step, the rates that mmcv and MMEngine would have set."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from rayseg.build.parts import resolve_parts
from rayseg.build.resolve import Problems
from rayseg.build.schedules import make_schedules
from rayseg.compat import Translation, translate
from rayseg.config import ExperimentConfig

RATE, TOTAL = 0.01, 60
#: Iterations of an epoch.
EPOCH = 10


def new(listed: list[dict[str, Any]], *, epochs: bool = False, **optimizer: Any) -> Translation:
    loop = {"by_epoch": True, "max_epochs": TOTAL // EPOCH} if epochs else {"type": "IterBasedTrainLoop", "max_iters": TOTAL}
    wrapper = {"optimizer": {"type": "SGD", "lr": RATE, "momentum": 0.9, **optimizer}}
    return translate({"default_scope": "mmseg", "optim_wrapper": wrapper, "train_cfg": loop, "param_scheduler": listed})


def rates(found: Translation, *, of: str = "rate") -> list[float]:
    """Multipliers of a run of 60 steps of 4 images, with 40 images in the data set."""
    tree = {"schedule": found.tree["schedule"], "optim": found.tree["optim"], "train": {"steps": TOTAL, "batch_size": 4}}
    config, problems = ExperimentConfig.from_dict(tree), Problems()
    made = make_schedules(config, resolve_parts(config, {}, problems), 4 * EPOCH, problems, strict=True)
    problems.raise_if_any()
    schedule = made.rate if of == "rate" else made.momentum
    assert schedule is not None
    return [schedule(step, TOTAL) for step in range(TOTAL)]


def carried(listed: list[dict[str, Any]], **more: Any) -> list[float]:
    found = new(listed, **more)
    assert [str(problem) for problem, _ in found.lost] == []
    return rates(found)


def recursion(listed: list[dict[str, Any]], total: int = TOTAL) -> list[float]:
    """Multipliers as MMEngine goes from one to the next: every scheduler changes the value that is there, in its turn."""
    value, values = 1.0, []
    for step in range(total):
        for each in listed:
            begin, end = each.get("begin", 0), each.get("end", math.inf)
            if begin <= step < end:
                value = _FORMULAS[each["type"]](value, step - begin, end - begin, each)
        values.append(value)
    return values


def _poly(value: float, t: int, width: float, own: dict[str, Any]) -> float:
    floor = own.get("eta_min", 0.0) / RATE
    return value if t == 0 else (value - floor) * (1 - 1 / (width - t)) ** own.get("power", 1.0) + floor


def _linear(value: float, t: int, width: float, own: dict[str, Any]) -> float:
    start, end = float(own.get("start_factor", 1 / 3)), float(own.get("end_factor", 1.0))
    return value * start if t == 0 else value * (1 + (end - start) / ((width - 1) * start + (t - 1) * (end - start)))


def _constant(value: float, t: int, width: float, own: dict[str, Any]) -> float:
    factor = float(own.get("factor", 1 / 3))
    return value * factor if t == 0 else value / factor if t == width - 1 else value


def _cosine(value: float, t: int, width: float, own: dict[str, Any]) -> float:
    half, floor = float(own.get("T_max") or width), float(own.get("eta_min", 0.0)) / RATE
    if t == 0:
        return value
    if (t - 1 - half) % (2 * half) == 0:
        return value + (1 - floor) * (1 - math.cos(math.pi / half)) / 2
    return (1 + math.cos(math.pi * t / half)) / (1 + math.cos(math.pi * (t - 1) / half)) * (value - floor) + floor


def _restarts(value: float, t: int, width: float, own: dict[str, Any]) -> float:
    floor = own.get("eta_min", 0.0) / RATE
    first, second = own["periods"]
    period, begin, weight = (first, 0, own["restart_weights"][0]) if t < first else (second, first, own["restart_weights"][1])
    now, before = (math.cos(math.pi * (each - begin) / period) for each in (t, t - 1))
    return float(weight) if t == begin else (1 + now) / (1 + before) * (value - floor) + floor


_FORMULAS: dict[str, Callable[[float, int, float, dict[str, Any]], float]] = {
    "PolyLR": _poly,
    "LinearLR": _linear,
    "ConstantLR": _constant,
    "CosineAnnealingLR": _cosine,
    "CosineRestartLR": _restarts,
    "MultiStepLR": lambda value, t, _, own: value * own.get("gamma", 0.1) ** own["milestones"].count(t),
    "StepLR": lambda value, t, _, own: value * (own.get("gamma", 0.1) if t and t % own["step_size"] == 0 else 1.0),
    "ExponentialLR": lambda value, t, _, own: value * (own["gamma"] if t else 1.0),
}

WARM = {"type": "LinearLR", "start_factor": 0.1, "begin": 0, "end": 12}
SEQUENCES: list[list[dict[str, Any]]] = [
    [{"type": "PolyLR", "eta_min": 1e-4, "power": 0.9, "begin": 0, "end": 60}],
    [{"type": "PolyLR", "eta_min": 1e-4, "power": 0.9, "begin": 10, "end": 50}],
    [WARM, {"type": "PolyLR", "eta_min": 1e-4, "power": 0.9, "begin": 12, "end": 60}],
    [WARM, {"type": "PolyLR", "power": 0.9, "begin": 0, "end": 60}],
    [WARM, {"type": "CosineAnnealingLR", "begin": 0, "end": 60}],
    [WARM, {"type": "CosineAnnealingLR", "eta_min": 1e-3, "begin": 30, "T_max": 30, "end": 60}],
    [{"type": "PolyLR", "begin": 0, "end": 60}, {"type": "ConstantLR", "factor": 0.5, "begin": 0, "end": 7}],
    [{"type": "ConstantLR", "factor": 0.5, "begin": 0, "end": 7}, {"type": "PolyLR", "begin": 7, "end": 40}],
    [WARM, {"type": "MultiStepLR", "milestones": [20, 40], "gamma": 0.5}],
    [WARM, {"type": "MultiStepLR", "milestones": [8, 20], "gamma": 0.5, "begin": 12, "end": 60}],
    [{"type": "StepLR", "step_size": 7, "gamma": 0.9}],
    [{"type": "ExponentialLR", "gamma": 0.98}],
    [{"type": "LinearLR", "start_factor": 1.0, "end_factor": 0.5, "begin": 0, "end": 100}],
    [{"type": "LinearLR", "start_factor": 1.0, "end_factor": 0.5, "begin": 0, "end": 20},
     {"type": "LinearLR", "start_factor": 1.0, "end_factor": 0.2, "begin": 30, "end": 60}],
    [{"type": "PolyLR", "eta_min": 1e-4, "power": 1.0, "begin": 0, "end": 90}],
    [{"type": "CosineAnnealingLR", "eta_min": 1e-3, "T_max": 20}],
    [{"type": "CosineRestartLR", "periods": [20, 40], "restart_weights": [1.0, 0.5], "eta_min": 1e-3}],
]  # fmt: skip


@pytest.mark.parametrize("listed", SEQUENCES)
def test_schedulers_are_solved(listed: list[dict[str, Any]]) -> None:
    listed = [{"by_epoch": False, **each} for each in listed]
    assert carried(listed) == pytest.approx(recursion(listed), abs=1e-12)


def _theirs(listed: list[dict[str, Any]]) -> list[float]:
    scheduler = pytest.importorskip("mmengine.optim.scheduler", reason="no mmengine; it is compared with")
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=RATE)
    made = [getattr(scheduler, each["type"])(optimizer, **{k: v for k, v in each.items() if k != "type"}) for each in listed]
    values = []
    for _ in range(TOTAL):
        values.append(optimizer.param_groups[0]["lr"] / RATE)
        optimizer.step()
        for each in made:
            each.step()
    return values


@pytest.mark.parametrize("listed", SEQUENCES)
def test_the_recursion_is_that_of_mmengine(listed: list[dict[str, Any]]) -> None:
    listed = [{"by_epoch": False, **each} for each in listed]
    assert recursion(listed) == pytest.approx(_theirs(listed), abs=1e-12)


kinds = st.sampled_from(["PolyLR", "LinearLR", "ConstantLR", "CosineAnnealingLR", "MultiStepLR", "StepLR", "ExponentialLR"])
pieces = st.builds(
    lambda kind, begin, width, floor, share, at: {
        "type": kind, "begin": begin, "end": begin + width, "by_epoch": False,
        **({"eta_min": floor} if kind in {"PolyLR", "CosineAnnealingLR"} else {}),
        **({"start_factor": share} if kind == "LinearLR" else {}), **({"factor": share} if kind == "ConstantLR" else {}),
        **({"milestones": sorted({at, 2 * at})} if kind == "MultiStepLR" else {}),
        **({"step_size": at} if kind == "StepLR" else {}), **({"gamma": share} if kind == "ExponentialLR" else {}),
    },
    kinds, st.integers(0, 40), st.integers(8, 40), st.sampled_from([0.0, 1e-3]), st.sampled_from([0.1, 0.5]), st.integers(2, 5),
)  # fmt: skip


@settings(max_examples=15)
@given(st.lists(pieces, min_size=1, max_size=3))
def test_what_is_not_refused_is_solved(listed: list[dict[str, Any]]) -> None:
    found = new(listed)
    assume(not found.lost)
    tree = {"schedule": found.tree["schedule"], "optim": found.tree["optim"], "train": {"steps": TOTAL, "batch_size": 4}}
    config, problems = ExperimentConfig.from_dict(tree), Problems()
    schedule = make_schedules(config, resolve_parts(config, {}, problems), 4 * EPOCH, problems).rate
    assert schedule is not None
    assert [schedule(step, TOTAL) for step in range(TOTAL)] == pytest.approx(recursion(listed), abs=1e-9)


@pytest.mark.parametrize(
    "own",
    [
        {"type": "PolyLR", "eta_min": 1e-4, "power": 0.9, "begin": 0, "end": 6},
        {"type": "LinearLR", "start_factor": 1.0, "end_factor": 0.1, "begin": 0, "end": 6},
        {"type": "CosineAnnealingLR", "eta_min": 1e-3, "begin": 0, "end": 6},
        {"type": "MultiStepLR", "milestones": [2, 5], "begin": 0, "end": 6},
        {"type": "StepLR", "step_size": 2},
        {"type": "ExponentialLR", "gamma": 0.9},
    ],
)
def test_epochs_hold_their_rate_unless_they_are_converted(own: dict[str, Any]) -> None:
    held = recursion([own], TOTAL // EPOCH)
    assert carried([own], epochs=True) == pytest.approx([held[step // EPOCH] for step in range(TOTAL)], abs=1e-12)
    lengths = {key: EPOCH * value for key, value in own.items() if key in {"end", "step_size"}}
    moving = {**own, **lengths, **({"milestones": [20, 50]} if "milestones" in own else {})}
    if own["type"] in {"PolyLR", "LinearLR", "CosineAnnealingLR"}:
        converted = carried([{**own, "convert_to_iter_based": True}], epochs=True)
        assert converted == pytest.approx(recursion([moving]), abs=1e-12)


def test_a_warm_up_in_iterations_is_put_over_a_schedule_in_epochs() -> None:
    warm = {"type": "LinearLR", "start_factor": 0.001, "by_epoch": False, "begin": 0, "end": 15}
    falls = {"type": "MultiStepLR", "by_epoch": True, "begin": 0, "end": 6, "milestones": [3, 5], "gamma": 0.1}
    wanted = recursion([warm, {**falls, "end": 60, "milestones": [30, 50]}])
    assert carried([warm, falls], epochs=True) == pytest.approx(wanted)
    late = {"type": "CosineAnnealingLR", "eta_min": 5e-4, "begin": 3, "end": 6, "T_max": 3, "convert_to_iter_based": True}
    wanted = recursion([warm, {**late, "begin": 30, "end": 60, "T_max": 30}])
    assert carried([warm, late], epochs=True) == pytest.approx(wanted)


def test_momentum_has_schedulers_of_its_own() -> None:
    warm = {"type": "LinearMomentum", "start_factor": 0.5, "by_epoch": False, "begin": 0, "end": 20}
    falls = {"type": "CosineAnnealingMomentum", "eta_min": 0.45, "by_epoch": False, "begin": 20, "end": 60}
    found = new([{"type": "PolyLR", "by_epoch": False, "begin": 0, "end": 60}, warm, falls])
    assert found.lost == ()
    renamed = [{**each, "type": str(each["type"]).replace("Momentum", "LR")} for each in (warm, falls)]
    wanted = recursion([renamed[0], {**renamed[1], "eta_min": 0.5 * RATE}])
    assert rates(found, of="momentum") == pytest.approx(wanted)


@pytest.mark.parametrize(("kind", "three"), [("cos", False), ("linear", True)])
def test_one_cycle_has_the_rates_of_torch(kind: Literal["cos", "linear"], three: bool) -> None:
    own = {"type": "OneCycleLR", "eta_max": 0.1, "anneal_strategy": kind, "three_phase": three, "by_epoch": False, "end": TOTAL}
    old = {"policy": "OneCycle", "max_lr": 0.1, "anneal_strategy": kind, "three_phase": three}
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=RATE)
    theirs = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, 0.1, TOTAL, cycle_momentum=False, anneal_strategy=kind, three_phase=three
    )
    wanted = []
    for _ in range(TOTAL):
        wanted.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        theirs.step()
    runner = {"type": "IterBasedRunner", "max_iters": TOTAL}
    of_0x = translate({"optimizer": {"type": "SGD", "lr": RATE}, "lr_config": old, "runner": runner})
    for found in (new([own]), of_0x):
        assert found.lost == ()
        assert [found.tree["optim"]["lr"] * each for each in rates(found)] == pytest.approx(wanted)


def test_policies_of_mmcv_that_go_up_again_are_solved() -> None:
    """``CosineRestart``, and ``OneCycle`` of momentum, by the formulas of mmcv 1.7."""
    runner = {"type": "IterBasedRunner", "max_iters": TOTAL}
    optimizer = {"type": "SGD", "lr": RATE, "momentum": 0.9}
    own = {"policy": "CosineRestart", "periods": [20, 40], "restart_weights": [1, 0.5], "min_lr": 1e-3}
    moved = {"policy": "OneCycle", "base_momentum": 0.85, "max_momentum": 0.95}
    found = translate({"optimizer": optimizer, "lr_config": own, "momentum_config": moved, "runner": runner})
    assert found.lost == ()
    curve = [0.1 + 0.5 * 0.9 * w * (1 + math.cos(math.pi * t / p)) for w, p in ((1, 20), (0.5, 40)) for t in range(p)]
    assert rates(found) == pytest.approx(curve)
    momenta = [0.9 * each for each in rates(found, of="momentum")]
    assert (momenta[0], momenta[17], momenta[-1]) == pytest.approx((0.95, 0.85, 0.95))


@pytest.mark.parametrize(("policy", "own"), [("exp", {"gamma": 0.9}), ("inv", {"gamma": 0.5, "power": 2.0})])
def test_policies_that_count_epochs_hold_them(policy: str, own: dict[str, Any]) -> None:
    config = {"optimizer": {"type": "SGD", "lr": RATE}, "lr_config": {"policy": policy, **own}, "total_epochs": 6}
    found = translate({**config, "runner": {"type": "EpochBasedRunner", "max_epochs": 6}})
    assert found.lost == ()
    wanted = [0.9**e if policy == "exp" else (1 + 0.5 * e) ** -2 for e in range(6) for _ in range(EPOCH)]
    assert rates(found) == pytest.approx(wanted)


def test_a_plateau_is_told_scores() -> None:
    own = {"type": "ReduceOnPlateauLR", "monitor": "mIoU", "rule": "greater", "patience": 3, "factor": 0.5, "min_value": 1e-4}
    assert new([own]).tree["schedule"] == {
        "type": "plateau", "monitor": "val/mIoU", "mode": "max", "factor": 0.5, "patience": 3, "threshold": 1e-4, "cooldown": 0,
        "threshold_mode": "rel", "floor": 0.01,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("listed", "message"),
    [
        ([{"type": "PolyLR", "end": 60}, {"type": "CosineAnnealingLR", "end": 60}], "one after the other, and a warm-up"),
        ([WARM, {"type": "PolyLR", "eta_min": 1e-4, "end": 60}], "is under a warm-up, where a floor has no formula"),
        (
            [{"type": "PolyLR", "power": 0.9, "end": 90}],
            "--cfg-options param_scheduler.0.end=60, or write",
        ),
        ([{"type": "QuadraticWarmupLR", "end": 9}], "'QuadraticWarmupLR' in this form is not carried"),
        ([{"type": "PolyLR", "power": 0.9}], "'PolyLR' in this form is not carried"),
        ([{"type": "OneCycleLR", "eta_max": 0.1, "end": 30}], "is carried alone, in iterations, over the whole run"),
        ([{"type": "ReduceOnPlateauLR"}, WARM], "is carried alone, over the whole run"),
        (
            [{"type": "LinearLR", "end_factor": 0.5, "end": 9}, {"type": "PolyLR", "begin": 9, "end": 60}],
            "finds 0.5 of the rate",
        ),
        ([{"type": "PolyLR", "begin": 2, "end": 60, "by_epoch": True}, WARM], "is held through each epoch there"),
    ],
)
def test_schedulers_without_a_formula_are_refused(listed: list[dict[str, Any]], message: str) -> None:
    found = new([{"by_epoch": False, **each} for each in listed])
    assert message in "\n".join(str(problem) for problem, _ in found.lost)


def test_a_schedule_that_ends_before_the_run_is_a_known_trap() -> None:
    found = new([{"type": "PolyLR", "by_epoch": False, "begin": 0, "end": 30}])
    assert found.lost == ()
    assert "from there on 0 of the rate is left" in found.notes[-1]


def test_where_no_length_is_said_the_last_one_has_the_rest() -> None:
    listed = [{"type": "PolyLR", "by_epoch": False, "begin": 0, "end": 40000}]
    assert translate({"default_scope": "mmseg", "param_scheduler": listed}).tree["schedule"]["type"] == "poly"
