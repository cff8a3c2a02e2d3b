"""Updater hooks of mmcv: policies of rate and momentum under a warm-up."""

from __future__ import annotations

from typing import Any

from rayseg.compat.mmseg.clocks import floor_of, length, momentum_of
from rayseg.compat.mmseg.sections import Section

__all__ = ["updater"]


def updater(section: Section, by_epoch: bool, *, momentum: bool) -> dict[str, Any]:
    """A schedule in our words, of ``lr_config`` or ``momentum_config``, which counts as read.

    Source: ``lr_updater.py`` and ``momentum_updater.py`` of mmcv 1.7.

    Args:
        section: the dict.
        by_epoch: whether the run counts epochs.
        momentum: it is that of momentum.

    Example:
        >>> from rayseg.compat.mmseg.sections import Report
        >>> updater(Section({"policy": "step", "step": [9, 10]}, "lr_config", Report("0.x")), False, momentum=False)
        {'type': 'step', 'milestones': [9, 10], 'gamma': 0.1, 'floor': 0.0}
    """
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
            found = {"type": "poly", "power": float(take("power", 1.0)), "floor": floor_of(section, momentum=momentum)}
        case "step":
            stairs = take("step")
            at = {"every": length(stairs, by_epoch)} if isinstance(stairs, int) else {
                "milestones": [length(each, by_epoch) for each in stairs or ()]
            }  # fmt: skip
            found = {
                "type": "step",
                **at,
                "gamma": float(take("gamma", 0.5 if momentum else 0.1)),
                "floor": floor_of(section, momentum=momentum),
            }
        case "exp":
            found = {"type": "exp", "gamma": float(take("gamma")), **({"every": length(1, by_epoch)} if by_epoch else {})}
        case "inv":
            own = {"gamma": float(take("gamma")), "power": float(take("power", 1.0))}
            found = {"type": "inv", **own, **({"every": length(1, by_epoch)} if by_epoch else {})}
        case "cosineannealing":
            found = {"type": "cosine", "floor": floor_of(section, momentum=momentum)}
        case "flatcosineannealing":
            found = {
                "type": "cosine",
                "flat": float(take("start_percent", 0.75)),
                "floor": floor_of(section, momentum=momentum),
            }
        case "cosinerestart":
            found = _restarts(section, by_epoch, momentum)
        case _:
            found = _swing(policy, section, momentum)
    if found is None:
        section.lose("policy", f"{policy!r} is not carried; write schedule yourself", "schedule")
    return found or {"type": "constant"}


def _swing(policy: str, section: Section, momentum: bool) -> dict[str, Any] | None:
    """Policies that go somewhere and back, or to another value."""
    take = section.take
    if policy == "LinearAnnealing":
        return {"type": "linear", "end": floor_of(section, momentum=momentum)}
    if policy == "OneCycle":
        return _one_cycle(section, momentum)
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


def _restarts(section: Section, by_epoch: bool, momentum: bool) -> dict[str, Any]:
    periods = [length(each, by_epoch) for each in section.take("periods") or ()]
    weights = [float(each) for each in section.take("restart_weights") or (1,)]
    own: dict[str, Any] = {} if weights == [1.0] * len(periods) else {"weights": weights}
    return {"type": "cosine_restarts", "periods": periods, "floor": floor_of(section, momentum=momentum), **own}


def _one_cycle(section: Section, momentum: bool) -> dict[str, Any]:
    """Rates there are absolute: ``optim.lr`` becomes the largest."""
    take, optim = section.take, section.report.config.get("optim", {})
    if section.take("total_steps") is not None:
        section.lose("total_steps", "is the length of the run here; remove it", "schedule")
    common = {"rise": float(take("pct_start", 0.3)), "curve": take("anneal_strategy", "cos")}
    common |= {"three_phase": True} if take("three_phase", False) else {}
    peak = take("base_momentum", 0.85) if momentum else take("max_lr", optim.get("lr"))
    low = take("max_momentum", 0.95) if momentum else 0.0
    if not all(isinstance(each, int | float) for each in (peak, low)):
        section.lose("max_lr", "of each group is not carried; write one number, and optim.groups.NAME.lr_mult", "schedule")
        return {"type": "constant"}
    if momentum:
        own = momentum_of(section) or low
        return {"type": "one_cycle", "start": low / own, "peak": peak / own, "end": low / own, **common}
    divided = float(take("div_factor", 25))
    optim["lr"] = peak
    if any(rule.get("lr_mult", 1.0) != 1.0 for rule in section.report.config.get("optim.groups", {}).values()):
        section.report.note(f"{section.path}.max_lr", "is the rate of every group there; here an lr_mult stays")
    return {"type": "one_cycle", "start": 1 / divided, "end": 1 / divided / float(take("final_div_factor", 1e4)), **common}
