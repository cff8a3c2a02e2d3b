"""What may change while a trial runs, and how a value is moved within its dimension.

Weights and moments of one recipe serve another only where the two agree in all that has a shape, a length or a memory. So what
may be perturbed is named here, and everything else is refused before a trial starts.
"""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np

from rayseg.space import Choice, Dimension, FlatSpace, IntUniform, LogUniform, Part, Uniform, axes

__all__ = ["from_unit", "perturbed", "to_unit", "why_not_bounded", "why_not_perturbed"]

#: Keys of a config that are functions of the step, or enter a step anew.
_MAY = re.compile(
    r"""(
      optim\.(lr|weight_decay|momentum|betas)
    | optim\.groups\.[^.]+\.(lr_mult|decay_mult)
    | schedule\.(?!type$|phases|momentum).+
    | (losses|sampling)(\..+)?
    | heads\.[^.]+\.(weight|losses(\..+)?|sampling(\..+)?)
    | data\.transforms\..+
    | train\.(clip_norm|clip_value)
    )""",
    re.VERBOSE,
)
#: The same for people.
_MAY_TOLD = (
    "optim.lr, weight_decay, momentum, betas, the multipliers of optim.groups, numbers of the schedule, losses, sampling, "
    "weight, losses and sampling of heads, data.transforms, train.clip_norm and train.clip_value"
)
#: Jaderberg et al. 2017, "Population Based Training of Neural Networks", appendix A: a rate times one of these.
_FACTORS = (0.8, 1.2)
#: The same step where zero is no special place: of the distance between the ends.
_SHIFT = 0.1


def why_not_perturbed(key: str, dimension: Part) -> str | None:
    """Why a dimension cannot change in a running trial, and what to do; None where it can.

    Args:
        key: dotted config key.
        dimension: what is searched there.

    Example:
        >>> from rayseg.space import uniform
        >>> why_not_perturbed("optim.lr", uniform(0, 1)) is None
        True
        >>> why_not_perturbed("model.width", uniform(0, 1))[:45]
        'cannot change in a running trial, whose weigh'
    """
    if not isinstance(dimension, (Choice, IntUniform, LogUniform, Uniform)) or axes({key: dimension}) != {key: dimension}:
        return (
            f"is {dimension}, where no value is beside another; a population needs uniform, log_uniform, int_uniform or choice"
        )
    if _MAY.fullmatch(key) is None:
        return (
            "cannot change in a running trial, whose weights, moments and data come from another recipe; "
            f"what can: {_MAY_TOLD}. Set it in the base, or search it with scheduler 'asha'"
        )
    return None


def why_not_bounded(dimension: Part) -> str | None:
    """Why PB2 cannot model a dimension; None where it can.

    Example:
        >>> from rayseg.space import choice
        >>> why_not_bounded(choice([1, 2]))
        'is one of 1, 2; PB2 models numbers between two ends: use uniform or log_uniform, or scheduler "pbt"'
    """
    if isinstance(dimension, (LogUniform, Uniform)):
        return None
    return f'is {dimension}; PB2 models numbers between two ends: use uniform or log_uniform, or scheduler "pbt"'


def perturbed(dimension: Dimension, value: Any, rng: np.random.Generator, resample: float) -> Any:
    """A value near another one, or with probability ``resample`` a new draw; never outside of the dimension.

    A ``log_uniform`` is multiplied by .8 or 1.2 (Jaderberg et al. 2017), a number between two ends moves by a tenth of their
    distance, a whole number by at least one, a choice to the one before or after it.

    Args:
        dimension: one that :func:`why_not_perturbed` admits.
        value: of it.
        rng: all randomness.
        resample: probability of a new draw.

    Example:
        >>> from rayseg.space import log_uniform
        >>> round(perturbed(log_uniform(0.01, 1.0), 0.1, np.random.default_rng(0), 0.0), 3) in {0.08, 0.12}
        True
    """
    if rng.random() < resample:
        return dimension.sample(rng)
    up = bool(rng.random() < 0.5)
    if isinstance(dimension, Choice):
        return dimension.values[_within(dimension.values.index(value) + (1 if up else -1), 0, len(dimension.values) - 1)]
    if isinstance(dimension, LogUniform):
        return float(_within(value * _FACTORS[up], dimension.low, dimension.high))
    low, high = dimension.ends
    if isinstance(dimension, IntUniform):
        step = max(1, round(_SHIFT * (high - low)))
        return _within(value + (step if up else -step), low, high)
    return float(_within(value + _SHIFT * (high - low) * (1 if up else -1), low, high))


def _within(value: Any, low: Any, high: Any) -> Any:
    return min(max(value, low), high)


def to_unit(space: FlatSpace, point: dict[str, Any]) -> list[float]:
    """Numbers 0-1, one per dimension, each on the scale on which it is drawn.

    Args:
        space: of bounded dimensions.
        point: a value for each.

    Example:
        >>> from rayseg.space import log_uniform
        >>> to_unit({"optim.lr": log_uniform(1e-4, 1.0)}, {"optim.lr": 1e-2})
        [0.5]
    """
    return [_scaled(dimension, point[key]) for key, dimension in space.items()]


def _scaled(dimension: Dimension, value: float) -> float:
    low, high = dimension.ends
    if isinstance(dimension, LogUniform):
        return math.log(value / low) / math.log(high / low)
    return float((value - low) / (high - low))


def from_unit(space: FlatSpace, place: Any) -> dict[str, float]:
    """The point that lies at numbers 0-1: undoes :func:`to_unit`.

    Args:
        space: of bounded dimensions.
        place: a number per dimension.

    Example:
        >>> from rayseg.space import uniform
        >>> from_unit({"sampling.thresh": uniform(0.5, 0.9)}, [0.5])
        {'sampling.thresh': 0.7}
    """
    return {key: _unscaled(dimension, float(x)) for (key, dimension), x in zip(space.items(), place, strict=True)}


def _unscaled(dimension: Dimension, x: float) -> float:
    low, high = dimension.ends
    value = low * (high / low) ** x if isinstance(dimension, LogUniform) else low + x * (high - low)
    return float(_within(value, low, high))
