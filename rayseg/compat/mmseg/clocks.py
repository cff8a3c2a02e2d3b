"""Schedules of rate and momentum, with the clock of their generation."""

from __future__ import annotations

from typing import Any

from rayseg.compat.mmseg.sections import Section

__all__ = ["Length", "length", "schedules"]

#: A number of steps, or ``{"epochs": n}``.
Length = int | dict[str, float]


def length(value: float, by_epoch: bool) -> Length:
    """A length in our words.

    Example:
        >>> length(4000, False), length(2, True)
        (4000, {'epochs': 2.0})
    """
    return {"epochs": float(value)} if by_epoch else int(value)


def schedules(root: Section, total: Length | None, by_epoch: bool) -> None:
    """``schedule``; its sections of the config count as read. Call it when ``optim`` is known.

    Source: the updater hooks of mmcv 1.7, the parameter schedulers of MMEngine 0.10.

    Args:
        root: the config.
        total: length of the run.
        by_epoch: whether the run counts epochs.

    Example:
        >>> from rayseg.compat.mmseg.sections import Report
        >>> report = Report("0.x", {"optim": {"lr": 0.01}})
        >>> written = {"lr_config": {"policy": "poly", "power": 0.9, "min_lr": 1e-4, "by_epoch": False}}
        >>> schedules(Section(written, "", report), 40000, False)
        >>> report.config["schedule"]
        {'type': 'poly', 'power': 0.9, 'floor': 0.01}
    """
    report = root.report
    if root.values.get("lr_config"):
        report.config["schedule"] = _updater(root.section("lr_config"), by_epoch, momentum=False)
    if root.values.get("momentum_config"):
        moved = _updater(root.section("momentum_config"), by_epoch, momentum=True)
        report.config.setdefault("schedule", {"type": "constant"})["momentum"] = moved
    if root.values.get("param_scheduler"):
        written = root.take("param_scheduler")
        listed = list(written) if isinstance(written, list | tuple) else [written]
        report.config["schedule"] = _phases([Section(x, f"param_scheduler.{i}", report) for i, x in enumerate(listed)], total)
    elif "schedule" not in report.config and report.config.get("optim"):
        report.config["schedule"] = {"type": "constant"}
    root.drop("lr_config", "momentum_config", "param_scheduler")


def _updater(section: Section, by_epoch: bool, *, momentum: bool) -> dict[str, Any]:
    """An updater hook of 0.x: a policy under a warm-up."""
    policy = str(section.take("policy", "fixed"))
    by_epoch = section.take("by_epoch", by_epoch)
    found = _policy(policy, section, by_epoch, momentum)
    kind, warm, ratio = section.take("warmup"), section.take("warmup_iters", 0), section.take("warmup_ratio")
    warm_epochs = section.take("warmup_by_epoch", False)
    if kind is not None:
        ratio = (0.9 if momentum else 0.1) if ratio is None else ratio
        found["warmup"] = {"type": kind, "length": length(warm, warm_epochs), "ratio": float(ratio)}
    if by_epoch and policy not in {"fixed", "step"}:
        found["by_epoch"] = True
    section.finish(f"policy {policy!r} is not carried with it; write schedule yourself", "schedule")
    return found


def _policy(policy: str, section: Section, by_epoch: bool, momentum: bool) -> dict[str, Any]:
    take = section.take
    found: dict[str, Any] | None = None
    match policy.lower().replace("_", ""):
        case "fixed":
            found = {"type": "constant"}
        case "poly":
            found = {"type": "poly", "power": float(take("power", 1.0)), "floor": _floor(section)}
        case "step":
            stairs = take("step")
            at = {"every": length(stairs, by_epoch)} if isinstance(stairs, int) else {
                "milestones": [length(each, by_epoch) for each in stairs or ()]
            }  # fmt: skip
            found = {"type": "step", **at, "gamma": float(take("gamma", 0.5 if momentum else 0.1)), "floor": _floor(section)}
        case "exp" if not by_epoch:
            found = {"type": "exp", "gamma": float(take("gamma"))}
        case "inv" if not by_epoch:
            found = {"type": "inv", "gamma": float(take("gamma")), "power": float(take("power", 1.0))}
        case "cosineannealing":
            found = {"type": "cosine", "floor": _floor(section)}
        case "flatcosineannealing":
            found = {"type": "cosine", "flat": float(take("start_percent", 0.75)), "floor": _floor(section)}
        case _:
            found = _swing(policy, section, momentum)
    if found is None:
        section.lose("policy", f"{policy!r} is not carried; write schedule yourself", "schedule")
    return found or {"type": "constant"}


def _swing(policy: str, section: Section, momentum: bool) -> dict[str, Any] | None:
    """Policies that go somewhere and back, or to another value."""
    take = section.take
    if policy == "LinearAnnealing":
        return {"type": "linear", "end": _floor(section)}
    if policy.lower() != "cyclic":
        return None
    peak, end = take("target_ratio", (0.85 / 0.95, 1) if momentum else (10, 1e-4))
    cycles, rise = take("cyclic_times", 1), float(take("step_ratio_up", 0.4))
    curve, gamma = take("anneal_strategy", "cos"), float(take("gamma", 1))
    return {
        "type": "cyclic",
        "peak": float(peak),
        "end": float(end),
        "cycles": cycles,
        "rise": rise,
        "curve": curve,
        "gamma": gamma,
    }


def _floor(section: Section) -> float:
    """The floor as a ratio of the rate: ``min_lr``, ``eta_min`` and their like over ``optim.lr``."""
    ratio = next((section.take(key) for key in ("min_lr_ratio", "min_momentum_ratio", "eta_min_ratio") if key in section), None)
    if ratio is not None:
        return float(ratio)
    name = next((key for key in ("min_lr", "eta_min", "min_momentum") if key in section), None)
    least = 0.0 if name is None else float(section.take(name) or 0.0)
    optim = section.report.config.get("optim", {})
    base = optim.get("momentum") if name == "min_momentum" else optim.get("lr")
    if least == 0.0 or name is None:
        return 0.0
    if not base:
        section.lose(name, "is an absolute value, and the optimizer says no rate; write schedule.floor", "schedule")
        return 0.0
    groups = section.report.config.get("optim.groups", {})
    if moved := [group for group, rule in groups.items() if rule.get("lr_mult", 1.0) != 1.0]:
        trap = (
            f"is absolute there, so that groups with an lr_mult ({', '.join(moved)}) end at the same {least:g}; here the "
            f"floor is {least / base:g} of each group's own rate, and their proportions last"
        )
        section.report.note(f"{section.path}.{name}", trap)
    return least / float(base)


def _phases(listed: list[Section], total: Length | None) -> dict[str, Any]:
    """Schedulers of 1.x that follow one another."""
    phases: dict[str, dict[str, Any]] = {}
    clock = 0.0
    steps = total["epochs"] if isinstance(total, dict) else total
    for index, section in enumerate(listed):
        by_epoch = section.take("by_epoch", True)
        begin, end = section.take("begin", 0), section.take("end")
        section.drop("convert_to_iter_based", "verbose")
        if begin != clock or by_epoch != isinstance(total, dict):
            section.lose(
                "begin", f"is {begin}, and what comes before it ends at {clock:g} (same unit as the run): {_ONE}", "schedule"
            )
        end = steps if end is None else end
        kind, found = _scheduler(section)
        section.finish(f"{kind} is not carried with it; write schedule yourself", "schedule")
        last = index == len(listed) - 1
        clock = float(end or 0)
        phases[f"{found['type']}_{index}" if found["type"] in phases else found["type"]] = (
            found if last else {**found, "length": length(end or 0, by_epoch)}
        )
        if last and steps is not None and end is not None and end < steps:
            section.lose("end", f"is {end}, and the run goes on to {steps}: what follows is not carried", "schedule")
        if last and steps is not None and end is not None and end > steps:
            section.lose(
                "end", f"is {end}, and the run ends at {steps}: the curve would be another; make them equal", "schedule"
            )
    return next(iter(phases.values())) if len(phases) == 1 else {"phases": phases}


_ONE = "one after the other are carried, side by side are not; write schedule.phases yourself"


def _scheduler(section: Section) -> tuple[str, dict[str, Any]]:
    kind, take = str(section.take("type")), section.take
    match kind:
        case "PolyLR":
            return kind, {"type": "poly", "power": float(take("power", 1.0)), "floor": _floor(section), "reach": True}
        case "LinearLR":
            start, end = float(take("start_factor", 1 / 3)), float(take("end_factor", 1.0))
            return kind, {"type": "linear", "start": start, "end": end, "reach": True}
        case "CosineAnnealingLR" if "T_max" not in section:
            return kind, {"type": "cosine", "floor": _floor(section)}
        case "MultiStepLR" if "milestones" in section:
            return kind, {"type": "step", "milestones": list(take("milestones")), "gamma": float(take("gamma", 0.1))}
        case "StepLR" if "step_size" in section:
            return kind, {"type": "step", "every": take("step_size"), "gamma": float(take("gamma", 0.1))}
    section.lose("type", f"{kind!r} in this form is not carried; write schedule yourself", "schedule")
    return kind, {"type": "constant"}
