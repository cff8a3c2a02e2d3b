"""One parameter scheduler of MMEngine, its recursion solved: what it multiplies by, from its own beginning on."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from rayseg.compat.mmseg.clocks import Length, floor_of, length
from rayseg.compat.mmseg.sections import Section

__all__ = ["Piece", "piece_of"]

_CURVES = {"cosine", "linear", "poly"}


@dataclass
class Piece:
    """A scheduler on its stretch of the run.

    Args:
        section: where it is written.
        begin: of its stretch, in its unit.
        end: of it; None: none.
        by_epoch: its unit is an epoch.
        converted: it moves with every iteration all the same.
        spec: in our words.
        last: what it has multiplied by when it ends.
    """

    section: Section
    begin: float
    end: float | None
    by_epoch: bool
    converted: bool
    spec: dict[str, Any]
    last: float

    @property
    def has_floor(self) -> bool:
        """Whether it goes to a value that is not zero, so that it is no mere factor."""
        return bool(self.spec.get("floor"))

    @property
    def has_curve(self) -> bool:
        """Whether it moves at every count."""
        return self.spec["type"] in _CURVES

    @property
    def held(self) -> bool:
        """Whether its value is that of an epoch."""
        return self.by_epoch and not self.converted and self.spec["type"] in {*_CURVES, "cosine_restarts"}

    @property
    def warms_up(self) -> bool:
        """Whether it may be a warm-up of another."""
        kind, ends = self.spec["type"], self.end is not None and self.end >= 2
        return (
            self.begin == 0
            and ends
            and kind in {"constant", "linear"}
            and self.last == 1.0
            and not (self.by_epoch and not self.converted)
        )

    def warmup(self) -> dict[str, Any]:
        """It as a warm-up; a line reaches 1 in the last count of its stretch."""
        kind = self.spec["type"]
        counts = (self.end or 0) - (kind == "linear" and not self.by_epoch)
        return {
            "type": kind,
            "length": length(counts, self.by_epoch),
            "ratio": self.spec["start" if kind == "linear" else "value"],
        }

    def fit(self, value: float, total: float | None) -> None:
        """Begin with what others have left of the rate, and end with the run.

        Args:
            value: fraction of the rate that is left.
            total: length of the run in its unit, if that is known.
        """
        kind = self.spec["type"]
        if kind == "linear":
            self.spec |= {"start": value * self.spec["start"], "end": value * self.spec["end"]}
        elif kind == "constant":
            self.spec["value"] *= value
        elif value != 1.0:
            self.section.lose(
                "begin", f"finds {value:g} of the rate, and is carried from the whole of it: {_YOURSELF}", "schedule"
            )
        if total is not None and self.end is not None and self.end > total:
            self._cut(total - self.begin, self.end - self.begin)

    def _cut(self, has: float, wants: float) -> None:
        """A run that ends before it does."""
        kind, share = self.spec["type"], (has - 1) / max(wants - 1, 1)
        if kind == "linear" or (kind == "poly" and self.spec["power"] == 1.0):
            start, end = (self.spec["start"], self.spec["end"]) if kind == "linear" else (1.0, self.spec["floor"])
            self.spec = {"type": "linear", "start": start, "end": start + (end - start) * share, "reach": True}
        elif kind == "cosine":
            self.spec.setdefault("half_period", length(wants, self.by_epoch))
        elif kind == "poly":
            message = (
                f"is {self.end:g}, and the run ends before: its rate would hardly fall; make them equal, such as by "
                f"--cfg-options {self.section.path}.end={self.begin + has:g}, or write schedule"
            )
            self.section.lose("end", message, "schedule")

    def last_of(self, left: float | None) -> float | None:
        """Counts that it lasts; None: the rest of the run.

        Args:
            left: counts of the run from its beginning on, if that is known.
        """
        if self.end is None or (left is not None and self.end - self.begin >= left):
            return None
        return self.end - self.begin


_YOURSELF = "write schedule.phases yourself"


def piece_of(section: Section) -> Piece | None:
    """A scheduler that has a formula; None, and noted as lost, for another. It counts as read.

    Args:
        section: its dict.

    Example:
        >>> from rayseg.compat.mmseg.sections import Report
        >>> piece_of(Section({"type": "LinearLR", "start_factor": 0.1, "end": 100, "by_epoch": False}, "", Report("1.x"))).spec
        {'type': 'linear', 'start': 0.1, 'end': 1.0, 'reach': True}
    """
    kind = str(section.take("type"))
    by_epoch, begin, end = bool(section.take("by_epoch", True)), float(section.take("begin", 0)), section.take("end")
    converted = bool(section.take("convert_to_iter_based", False))
    section.drop("verbose")
    momentum = kind.endswith("Momentum")
    found = _formula(kind.removesuffix("LR").removesuffix("Momentum"), section, begin, end, by_epoch, momentum)
    section.finish(f"{kind} is not carried with it; write schedule yourself", "schedule")
    if found is None:
        section.lose("type", f"{kind!r} in this form is not carried; write schedule yourself", "schedule")
        return None
    spec, last = found
    if kind.startswith("Constant") and end is not None:
        end -= 1  # its last count has the whole rate again
    return Piece(section, begin, None if end is None else float(end), by_epoch, converted, spec, last)


def _formula(
    kind: str, section: Section, begin: float, end: float | None, by_epoch: bool, momentum: bool
) -> tuple[dict[str, Any], float] | None:
    """Our words, and what it has multiplied by at its end."""
    take, wide = section.take, None if end is None else end - begin
    if kind in {"Poly", "PolyLRRatio"} and wide is not None:
        floor = floor_of(section, momentum=momentum)
        return {"type": "poly", "power": float(take("power", 1.0)), "floor": floor, "reach": True}, floor
    if kind == "Linear" and wide is not None:
        start, last = float(take("start_factor", 1 / 3)), float(take("end_factor", 1.0))
        same: dict[str, Any] = {"type": "constant", "value": start}
        return (same if start == last else {"type": "linear", "start": start, "end": last, "reach": True}), last
    if kind == "Constant":
        factor = float(take("factor", 1 / 3))
        return {"type": "constant", "value": factor}, 1.0
    if kind == "CosineAnnealing":
        return _cosine(section, wide, by_epoch, momentum)
    if kind == "CosineRestart":
        return _restarts(section, by_epoch, momentum)
    return _falls(kind, section, wide, by_epoch)


def _cosine(section: Section, wide: float | None, by_epoch: bool, momentum: bool) -> tuple[dict[str, Any], float] | None:
    half, floor = section.take("T_max") or wide, floor_of(section, momentum=momentum)
    if half is None:
        return None
    own = {} if half == wide else {"half_period": length(half, by_epoch)}
    last = 1.0 if wide is None else floor + (1 - floor) * (1 + math.cos(math.pi * (wide - 1) / half)) / 2
    return {"type": "cosine", "floor": floor, **own}, last


def _restarts(section: Section, by_epoch: bool, momentum: bool) -> tuple[dict[str, Any], float]:
    """A cosine there goes from its weight to the floor, and here a share of the way: so the weights are told otherwise."""
    periods, floor = [length(each, by_epoch) for each in section.take("periods") or ()], floor_of(section, momentum=momentum)
    weights = [(float(each) - floor) / (1 - floor) if floor < 1 else 1.0 for each in section.take("restart_weights") or (1,)]
    own: dict[str, Any] = {} if weights == [1.0] * len(periods) else {"weights": weights}
    return {"type": "cosine_restarts", "periods": periods, "floor": floor, **own}, 1.0


def _falls(kind: str, section: Section, wide: float | None, by_epoch: bool) -> tuple[dict[str, Any], float] | None:
    """What falls at some counts."""
    gamma = float(section.take("gamma", 0.1))
    if kind == "Exponential" and not by_epoch:
        return {"type": "exp", "gamma": gamma}, gamma ** ((wide or 1) - 1)
    if kind == "MultiStep" and "milestones" in section:
        at = [each for each in section.take("milestones") if wide is None or each < wide]
        spec: dict[str, Any] = {"type": "step", "milestones": [length(each, by_epoch) for each in at], "gamma": gamma}
        return (spec if at else {"type": "constant", "value": 1.0}), gamma ** len(at)
    every: Length | int | None = section.take("step_size") if kind == "Step" else 1 if kind == "Exponential" else None
    if not isinstance(every, int):
        return None
    return {"type": "step", "every": length(every, by_epoch), "gamma": gamma}, gamma ** (((wide or 1) - 1) // every)
