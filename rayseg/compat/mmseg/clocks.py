"""Lengths and floors of schedules, in our words."""

from __future__ import annotations

from rayseg.compat.mmseg.sections import Section

__all__ = ["Length", "floor_of", "length", "momentum_of"]

#: A number of steps, or ``{"epochs": n}``.
Length = int | dict[str, float]

_RATIOS = ("min_lr_ratio", "min_momentum_ratio", "eta_min_ratio")
_VALUES = ("min_lr", "eta_min", "min_momentum", "min_value")


def length(value: float, by_epoch: bool) -> Length:
    """A length in our words.

    Example:
        >>> length(4000, False), length(2, True)
        (4000, {'epochs': 2.0})
    """
    return {"epochs": float(value)} if by_epoch else int(value)


def momentum_of(section: Section) -> float | None:
    """Momentum of the optimizer, or the first beta of Adam.

    Args:
        section: of a config whose ``optim`` is known.

    Example:
        >>> from rayseg.compat.mmseg.sections import Report
        >>> momentum_of(Section({}, "", Report("1.x", {"optim": {"betas": [0.9, 0.999]}})))
        0.9
    """
    optim = section.report.config.get("optim", {})
    found = (optim.get("betas") or [optim.get("momentum")])[0]
    return None if found is None else float(found)


def floor_of(section: Section, *, momentum: bool = False) -> float:
    """The floor as a ratio: ``min_lr``, ``eta_min`` and their like over ``optim.lr``, or over momentum; they count as read.

    Args:
        section: of a schedule, in a config whose ``optim`` is known.
        momentum: it is one of momentum.

    Example:
        >>> from rayseg.compat.mmseg.sections import Report
        >>> floor_of(Section({"eta_min": 1e-4}, "param_scheduler", Report("1.x", {"optim": {"lr": 0.01}})))
        0.01
    """
    ratio = next((section.take(key) for key in _RATIOS if section.values.get(key) is not None), None)
    section.drop(*_RATIOS)
    if ratio is not None:
        section.drop(*_VALUES)
        return float(ratio)
    name = next((key for key in _VALUES if key in section), None)
    least = 0.0 if name is None else float(section.take(name) or 0.0)
    base = momentum_of(section) if momentum else section.report.config.get("optim", {}).get("lr")
    if least == 0.0 or name is None:
        return 0.0
    if not base:
        section.lose(name, "is an absolute value, and the optimizer says no rate; write schedule.floor", "schedule")
        return 0.0
    groups = section.report.config.get("optim.groups", {})
    moved = [group for group, rule in groups.items() if rule.get("lr_mult", 1.0) != 1.0]
    if moved and not momentum:
        trap = (
            f"is absolute there, so that groups with an lr_mult ({', '.join(moved)}) end at the same {least:g}; here the "
            f"floor is {least / base:g} of each group's own rate, and their proportions last"
        )
        section.report.note(f"{section.path}.{name}", trap)
    return least / float(base)
