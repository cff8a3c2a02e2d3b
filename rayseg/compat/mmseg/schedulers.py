"""Schedules of rate and momentum, of either generation; schedulers of MMEngine one after the other, or under a warm-up."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from rayseg.compat.mmseg.clocks import Length, floor_of, length
from rayseg.compat.mmseg.pieces import Piece, piece_of
from rayseg.compat.mmseg.sections import Section
from rayseg.compat.mmseg.updaters import updater

__all__ = ["param_schedule", "schedules"]

_INSTEAD = "schedule"


def schedules(root: Section, total: Length | None, by_epoch: bool) -> None:
    """``schedule``; its sections of the config count as read. Call it when ``optim`` is known.

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
        report.config["schedule"] = updater(root.section("lr_config"), by_epoch, momentum=False)
    elif report.config.get("optim"):
        report.config["schedule"] = {"type": "constant"}
    moved = updater(root.section("momentum_config"), by_epoch, momentum=True) if root.values.get("momentum_config") else None
    if root.values.get("param_scheduler"):
        written = root.take("param_scheduler")
        listed = list(written) if isinstance(written, list | tuple) else [written]
        sections = [Section(each, f"param_scheduler.{index}", report) for index, each in enumerate(listed)]
        momenta = [each for each in sections if str(each.values.get("type")).endswith("Momentum")]
        report.config["schedule"] = param_schedule([each for each in sections if each not in momenta], total)
        moved = param_schedule(momenta, total) if momenta else None
    if moved is not None:
        report.config.setdefault("schedule", {"type": "constant"})["momentum"] = moved
    root.drop("lr_config", "momentum_config", "param_scheduler")


def param_schedule(listed: Sequence[Section], total: Length | None) -> dict[str, Any]:
    """A schedule in our words, of schedulers of one parameter; they count as read.

    Schedulers of MMEngine change the value that is there. One after the other each begins with what the one before has left, so
    they are phases. Side by side they multiply where none has a floor: a warm-up beside one other is a warm-up here. Before,
    between and after them the value stays.

    Source: ``mmengine/optim/scheduler/param_scheduler.py`` of MMEngine 0.10, whose recursions these are solved.

    Args:
        listed: dicts of ``param_scheduler``.
        total: length of the run.

    Example:
        >>> from rayseg.compat.mmseg.sections import Report
        >>> warm = {"type": "LinearLR", "start_factor": 0.1, "begin": 0, "end": 501, "by_epoch": False}
        >>> falls = {"type": "MultiStepLR", "milestones": [8, 11], "begin": 0, "end": 12, "by_epoch": True}
        >>> report = Report("1.x")
        >>> found = param_schedule([Section(each, "", report) for each in (warm, falls)], {"epochs": 12.0})
        >>> found["milestones"], found["warmup"]
        ([{'epochs': 8.0}, {'epochs': 11.0}], {'type': 'linear', 'length': 500, 'ratio': 0.1})
    """
    alone = _one_cycle(listed, total) or _plateau(listed)
    if alone is not None:
        return alone
    pieces = [piece for piece in map(piece_of, listed) if piece is not None]
    warm = next((piece for piece in pieces if len(pieces) > 1 and piece.warms_up and _beside(piece, pieces)), None)
    rest = [piece for piece in pieces if piece is not warm]
    found = _sequence(rest, total)
    if warm is None:
        return found
    for piece in rest:
        if piece.has_floor and not (piece.begin and (piece.by_epoch != warm.by_epoch or piece.begin >= (warm.end or 0))):
            message = "is under a warm-up, where a floor has no formula: let it begin where the warm-up ends, or have no floor"
            piece.section.lose("begin", message, _INSTEAD)
    return {**found, "warmup": warm.warmup()}


def _beside(warm: Piece, pieces: Sequence[Piece]) -> bool:
    """Whether another one moves while it does, or counts in another unit."""
    others = [piece for piece in pieces if piece is not warm]
    return any(piece.by_epoch != warm.by_epoch or piece.begin < (warm.end or math.inf) for piece in others)


def _sequence(pieces: Sequence[Piece], total: Length | None) -> dict[str, Any]:
    """One after the other, with what stays between them; one alone over the whole run is no phase."""
    in_epochs = isinstance(total, dict)
    steps = total["epochs"] if isinstance(total, dict) else total
    clock, value = 0.0, 1.0
    phases: list[dict[str, Any]] = []
    pieces = sorted(pieces, key=lambda each: each.begin)
    for piece in pieces:
        if piece.begin < clock or any(each.by_epoch != piece.by_epoch for each in pieces):
            piece.section.lose(
                "begin", f"is {piece.begin:g}, and another one moves then, or counts otherwise: {_ONE}", _INSTEAD
            )
            continue
        if piece.begin > clock:
            phases.append({"type": "constant", "value": value, "length": length(piece.begin - clock, piece.by_epoch)})
        known = steps if piece.by_epoch == in_epochs else None
        piece.fit(value, known)
        left = None if known is None else known - piece.begin
        lasts = None if total is None and piece is pieces[-1] else piece.last_of(left)
        phases.append(piece.spec if lasts is None else {**piece.spec, "length": length(lasts, piece.by_epoch)})
        value = value * piece.last if lasts is not None else value
        clock = math.inf if lasts is None else piece.begin + lasts
    if clock < math.inf and phases:
        phases.append({"type": "constant", "value": value})
        if pieces[-1].has_curve and value != 1.0:
            place = f"{pieces[-1].section.path}.end"
            pieces[-1].section.report.note(
                place, f"comes before the end of the run: from there on {value:g} of the rate is left"
            )
    return _phased(phases, pieces)


def _phased(phases: list[dict[str, Any]], pieces: Sequence[Piece]) -> dict[str, Any]:
    held = [piece for piece in pieces if piece.held]
    if len(phases) == 1:
        return {**phases[0], **({"by_epoch": True} if held else {})}
    for piece in held:
        message = "is held through each epoch there, which is carried for one scheduler alone; set convert_to_iter_based=True"
        piece.section.lose("by_epoch", message, _INSTEAD)
    named = {f"{phase['type']}_{index}": phase for index, phase in enumerate(phases)}
    return {"phases": named} if named else {"type": "constant"}


_ONE = "one after the other, and a warm-up beside another, are carried; write schedule.phases yourself"


def _one_cycle(listed: Sequence[Section], total: Length | None) -> dict[str, Any] | None:
    """``OneCycleLR``: ``optim.lr`` becomes its largest rate."""
    section = next((each for each in listed if each.values.get("type") == "OneCycleLR"), None)
    if section is None:
        return None
    take, steps = section.take, total["epochs"] if isinstance(total, dict) else total
    peak, divided = float(take("eta_max", 0)), float(take("div_factor", 25))
    begin, whole = take("begin", 0), take("total_steps", take("end"))
    held = take("by_epoch", True) and not take("convert_to_iter_based", False)
    section.drop("type", "end", "convert_to_iter_based", "verbose")
    if len(listed) > 1 or begin or held or whole not in {None, steps}:
        message = "is carried alone, in iterations, over the whole run; write schedule: {type: one_cycle, ...} yourself"
        section.lose("type", message, _INSTEAD)
    optim = section.report.config.get("optim", {})
    optim["lr"] = peak or optim.get("lr")
    found = {"type": "one_cycle", "start": 1 / divided, "end": 1 / divided / float(take("final_div_factor", 1e4))}
    found |= {"rise": float(take("pct_start", 0.3)), "curve": take("anneal_strategy", "cos")}
    found |= {"three_phase": True} if take("three_phase", False) else {}
    if any(rule.get("lr_mult", 1.0) != 1.0 for rule in section.report.config.get("optim.groups", {}).values()):
        section.report.note(f"{section.path}.eta_max", "is the rate of every group there; here an lr_mult stays")
    section.finish("OneCycleLR is not carried with it; write schedule yourself", _INSTEAD)
    return found


def _plateau(listed: Sequence[Section]) -> dict[str, Any] | None:
    """``ReduceOnPlateauLR`` alone."""
    section = next((each for each in listed if each.values.get("type") == "ReduceOnPlateauLR"), None)
    if section is None:
        return None
    take = section.take
    if len(listed) > 1 or take("begin", 0) or take("end") is not None:
        section.lose("type", "is carried alone, over the whole run; write schedule: {type: plateau, ...} yourself", _INSTEAD)
    mode = {"less": "min", "greater": "max"}[take("rule", "less")]
    found = {"type": "plateau", "monitor": f"val/{take('monitor', 'loss')}", "mode": mode, "factor": float(take("factor", 0.1))}
    found |= {"patience": take("patience", 10), "threshold": float(take("threshold", 1e-4)), "cooldown": take("cooldown", 0)}
    found |= {"threshold_mode": take("threshold_rule", "rel"), "floor": floor_of(section)}
    section.drop("type", "by_epoch", "eps", "verbose", "convert_to_iter_based")
    section.finish("ReduceOnPlateauLR is not carried with it; write schedule yourself", _INSTEAD)
    return found
