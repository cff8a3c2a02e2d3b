"""Words for what is often searched: hard examples, class weights by rule, the strength of an augmentation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rayseg.space.dimensions import Choice, Uniform, log_uniform, uniform
from rayseg.space.parts import Draw, Part, required

__all__ = ["Strength", "class_weight_each", "class_weight_rule", "ohem", "strength"]

#: Arguments of the rules of ``rayseg.losses``, of those that are searched.
_RULES: Mapping[str, tuple[str, ...]] = {
    "median_frequency": ("power", "clip"),
    "inverse_frequency": ("power", "clip"),
    "effective_number": ("beta", "clip"),
}
_POWER = Uniform(0.0, 1.0)


def ohem(thresh: Part | float | None = None, min_kept: Part | float | None = None, *, off: bool = True) -> Choice:
    """Online hard example mining, or none; stands under ``sampling``.

    Args:
        thresh: a pixel whose true class has less than this probability is hard; None: 0.5 to 0.95.
        min_kept: of an image's pixels at least, as a fraction; None: 0.02 to 0.5, equally likely in every decade.
        off: whether no mining is searched too.

    Example:
        >>> print(ohem(min_kept=0.1))
        one of None, {type: ohem, thresh: 0.5 to 0.95, min_kept: 0.1}
    """
    own = {"thresh": uniform(0.5, 0.95) if thresh is None else thresh}
    on = {"type": "ohem", **own, "min_kept": log_uniform(0.02, 0.5) if min_kept is None else min_kept}
    return Choice((None, on) if off else (on,))


def class_weight_rule(
    rules: Sequence[str] = ("median_frequency",),
    *,
    power: Part | float = _POWER,
    clip: Part | float | None = None,
    beta: Part | float = 0.999999,
    off: bool = True,
) -> Choice:
    """Class weights by a rule, or none; stands under ``losses.NAME.class_weight``.

    One to three numbers say all weights, however many classes there are.

    Args:
        rules: one or several of ``median_frequency``, ``inverse_frequency``, ``effective_number``.
        power: how strongly rare classes weigh: 0 not at all, 1 as the rule says.
        clip: largest weight; None: there is none.
        beta: of ``effective_number``, which has no power.
        off: whether no weights are searched too.

    Raises:
        ConfigError: a rule is none of these.

    Example:
        >>> print(class_weight_rule(clip=log_uniform(2, 50)))
        one of None, {type: median_frequency, power: 0 to 1, clip: 2 to 50, log}
    """
    required(
        len(rules) > 0 and set(rules) <= _RULES.keys(), f"class_weight_rule: got {list(rules)}; it knows {', '.join(_RULES)}"
    )
    given = {"power": power, "beta": beta, **({} if clip is None else {"clip": clip})}
    options = [{"type": rule, **{name: given[name] for name in _RULES[rule] if name in given}} for rule in rules]
    return Choice((None, *options) if off else tuple(options))


def class_weight_each(names: Sequence[str], low: float, high: float) -> Choice:
    """A weight for every class by itself; stands under ``losses.NAME.class_weight``.

    So many numbers want many trials: a rule (:func:`class_weight_rule`) has one to three.

    Args:
        names: of all classes.
        low: least weight.
        high: largest weight.

    Raises:
        ConfigError: no names, or bounds that are not positive and in order.

    Example:
        >>> print(class_weight_each(["road", "pole"], 0.5, 4))
        one of {road: 0.5 to 4, log, pole: 0.5 to 4, log}
    """
    required(len(names) > 0, "class_weight_each: got no class; name them all")
    return Choice(({name: log_uniform(low, high) for name in names},))


@dataclass(frozen=True)
class Strength:
    """One number that scales several arguments together; the key is that of the part that has them."""

    of: Mapping[str, Any]
    by: Uniform

    def point(self, key: str, draw: Draw) -> dict[str, Any]:
        """Every argument, scaled."""
        factor = draw(f"{key} strength", self.by)
        return {f"{key}.{name}": _scaled(full, factor) for name, full in self.of.items()}

    def __str__(self) -> str:
        return f"strength {self.by} of {', '.join(f'{name} {full}' for name, full in self.of.items())}"


def strength(of: Mapping[str, Any], low: float = 0.0, high: float = 1.5) -> Strength:
    """How strong an augmentation is: one number for all its arguments; stands under ``data.transforms.NAME``.

    Args:
        of: argument -> its value at strength 1. A whole number stays one; of a range around 1, such as ``[0.5, 1.5]``, the
            distance of both ends from 1 is scaled, and the lower is never below 0.
        low: least strength.
        high: largest strength.

    Raises:
        ConfigError: no arguments, one that is neither a number nor a range around 1, or bounds that are not in order.

    Example:
        >>> colour = strength({"brightness_delta": 32.0, "contrast_range": [0.5, 1.5], "hue_delta": 18})
        >>> colour.point("data.transforms.colour", lambda name, dimension: 0.5)
        {'data.transforms.colour.brightness_delta': 16.0, 'data.transforms.colour.contrast_range': [0.75, 1.25],
         'data.transforms.colour.hue_delta': 9}
    """
    required(len(of) > 0, "strength: got no argument; name those that it scales, with their values at strength 1")
    for name, full in of.items():
        expected = "expected a number, or a range around 1 such as [0.5, 1.5]"
        required(_is_number(full) or _is_range(full), f"strength: {name} is {full!r}; {expected}")
    required(0 <= low < high, f"strength: got low {low:g} and high {high:g}; expected 0 <= low < high")
    return Strength(dict(of), uniform(low, high))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_range(value: Any) -> bool:
    return isinstance(value, list | tuple) and len(value) == 2 and all(map(_is_number, value)) and value[0] <= 1 <= value[1]


def _scaled(full: Any, factor: float) -> Any:
    if _is_range(full):
        low, high = full
        return [max(0.0, 1 - factor * (1 - low)), 1 + factor * (high - 1)]
    return round(full * factor) if isinstance(full, int) else full * factor
