"""Hooks: averages of the weights, early stopping, a user's own."""

from __future__ import annotations

from typing import Any

from rayseg.compat.mmseg.sections import Section

__all__ = ["hook"]

_MOVING, _ANNEALED = "ExponentialMovingAverage", "MomentumAnnealingEMA"


def hook(section: Section, name: str, modules: list[str]) -> None:
    """``hooks``, or ``train.ema``, from the dict of a hook, which counts as read.

    Source: ``EMAHook`` of mmcv 1.7 and MMEngine 0.10, ``EarlyStoppingHook`` of MMEngine.

    Args:
        section: the dict.
        name: in ``default_hooks``; empty for one of ``custom_hooks``.
        modules: of ``custom_imports``.

    Example:
        >>> from rayseg.compat.mmseg.sections import Report
        >>> report = Report("0.x")
        >>> hook(Section({"type": "EMAHook", "momentum": 0.001, "interval": 2}, "custom_hooks.0", report), "", [])
        >>> report.config["train.ema"]
        {'decay': 0.999999, 'warmup': 0.0, 'every': 2}
    """
    kind = str(section.take("type"))
    match kind:
        case "EMAHook" if section.report.generation == "0.x":
            _old_average(section)
        case "EMAHook" if section.values.get("ema_type", _MOVING) in {_MOVING, _ANNEALED}:
            _average(section)
        case "EMAHook" if section.values["ema_type"] == "StochasticWeightAverage":
            message = (
                "here the equal average begins with the end of the run, and its batch norms are made anew; write train.swa"
            )
            section.lose("ema_type", message, "train.swa")
            section.values.clear()
        case "EarlyStoppingHook":
            section.report.config["hooks.early_stopping"] = {"type": "early_stopping", **_stopping(section)}
        case _ if ":" in kind or (len(modules) == 1 and not name):
            own = kind if ":" in kind else f"{modules[0]}:{kind}"
            section.report.config[f"hooks.{own.rpartition(':')[2]}"] = {"type": own, **section.values}
            section.values.clear()
        case _:
            section.lose("type", f"{kind!r} is not carried; write hooks.NAME: {{type: 'module:{kind}'}}", "hooks")
            section.values.clear()
    section.finish(instead="train.ema" if kind == "EMAHook" else "hooks")


def _old_average(section: Section) -> None:
    """``share = min(momentum^interval, (1 + t) / (warm_up + t))`` of the new weights, constant where the first is less."""
    every, warm_up = section.take("interval", 1), section.take("warm_up", 100)
    share = float(section.take("momentum", 0.0002)) ** every
    if share * warm_up > 1:
        message = (
            f"the new weights have a share of (1 + t) / ({warm_up} + t) at first, up to {share:g}; here young averages take "
            f"more of them, not less. Nearest: train.ema: {{decay: {1 - share:g}, warmup: 0, every: {every}}}"
        )
        section.lose("warm_up", message, "train.ema")
    if section.take("resume_from") is not None:
        section.lose("resume_from", "an average goes on with its run: write tracking.name", "tracking.name")
    section.drop("priority")
    section.report.config["train.ema"] = {"decay": 1 - share, "warmup": 0.0, "every": every}


def _average(section: Section) -> None:
    """The average is a copy up to its first step there, which is one more than begins it here."""
    annealed = section.take("ema_type", _MOVING) == _ANNEALED
    every, begin = section.take("interval", 1), max(section.take("begin_iter", 0) - 1, 0)
    own: dict[str, Any] = {"decay": 1 - section.take("momentum", 0.0002), "warmup": 0.0, "every": every}
    own["buffers"] = "average" if section.take("update_buffers", False) else "copy"
    own["start"] = begin or None if annealed else begin + 1
    if annealed:
        own["gamma"] = float(section.take("gamma", 100))
    if begin % every:
        section.report.note(f"{section.path}.begin_iter", f"updates are at multiples of {every} here, there counted from it")
    section.drop("priority", "strict_load")
    section.report.config["train.ema"] = own


def _stopping(section: Section) -> dict[str, Any]:
    own = {"min_delta": section.take("min_delta", 0.1), "patience": section.take("patience", 5)}
    own |= {"monitor": f"val/{section.take('monitor')}", "check_finite": section.take("check_finite", True)}
    rule, threshold = section.take("rule"), section.take("stopping_threshold")
    own |= {"mode": {"less": "min", "greater": "max"}[rule]} if rule else {}
    section.drop("priority")
    return own | ({"threshold": threshold} if threshold is not None else {})
