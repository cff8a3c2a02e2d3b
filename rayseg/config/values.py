"""The small values that sections are made of: numbers, lengths, names.

Numbers are strict: true is not 1, "0.1" is not a number, and 8.0 is not a count.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BeforeValidator, Field, Strict, model_validator

from rayseg.config.spec import Section

__all__ = [
    "Bool",
    "BoolOrAuto",
    "Count",
    "Float",
    "Gpu",
    "Int",
    "Interval",
    "Length",
    "LossScale",
    "Moment",
    "Named",
    "NonNegative",
    "NormType",
    "Number",
    "Point",
    "Positive",
    "Priority",
    "PriorityName",
    "Workers",
    "one_length",
]

Bool = Annotated[bool, Strict()]
Int = Annotated[int, Strict()]
Float = Annotated[float, Strict()]
#: A whole number from 1.
Count = Annotated[int, Strict(), Field(ge=1)]
Positive = Annotated[float, Strict(), Field(gt=0)]
NonNegative = Annotated[float, Strict(), Field(ge=0)]


def one_length(steps: int | None, epochs: float | None) -> None:
    """Refuse a length that is given in both units, or in none.

    Raises:
        ValueError: says what to set to null.

    Example:
        >>> one_length(steps=300, epochs=None)
    """
    if (steps is None) == (epochs is None):
        got = ", ".join(
            f"{name}={'null' if value is None else value}" for name, value in (("steps", steps), ("epochs", epochs))
        )
        raise ValueError(f"give exactly one of 'steps' and 'epochs' and set the other to null; got {got}")


class Length(Section):
    """A stretch of training, in optimizer steps or in passes over the training set; exactly one of the two.

    Epochs become steps once, when the size of the training set is known: ``ceil(epochs * images / batch_size)``.

    Example:
        >>> Length(epochs=2.5).steps is None
        True
    """

    steps: Count | None = None
    epochs: Positive | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Length:
        one_length(self.steps, self.epochs)
        return self


class Moment(Section):
    """A point of the run, in optimizer steps or in passes over the training set from its beginning; exactly one of the two.

    Example:
        >>> Moment(steps=0).epochs is None
        True
    """

    steps: Annotated[int, Strict(), Field(ge=0)] | None = None
    epochs: NonNegative | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Moment:
        one_length(self.steps, self.epochs)
        return self


def _length(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool):
        return {"steps": value}
    if isinstance(value, dict | Length | Moment):
        return value
    raise ValueError(f"must be a whole number of steps, {{steps: n}} or {{epochs: x}}; got {value!r}")


#: A Length; a bare whole number means steps.
Interval = Annotated[Length, BeforeValidator(_length, json_schema_input_type=Length | Count)]
#: A Moment; a bare whole number means steps.
Point = Annotated[Moment, BeforeValidator(_length, json_schema_input_type=Moment | Int)]


def _number(value: Any) -> Any:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    raise ValueError(f"must be a number; got {value!r}")


#: A number that stays what it was written as: with a dot, or whole.
Number = Annotated[int | float, BeforeValidator(_number, json_schema_input_type=int | float)]


def _names_have_no_dots(value: dict[str, Any]) -> dict[str, Any]:
    for name in value:
        if not name or "." in name:
            raise ValueError(f"{name!r} cannot be a name: names are parts of dotted keys, so no dots and not empty")
    return value


#: A mapping from names that a person chooses.
Named = AfterValidator(_names_have_no_dots)


def _workers(value: Any) -> Any:
    pair = value if isinstance(value, list | tuple) else (value, value)
    whole = all(isinstance(count, int) and not isinstance(count, bool) for count in pair)
    if isinstance(value, list | tuple):
        if whole and len(pair) == 2 and 1 <= pair[0] <= pair[1]:
            return tuple(value)
    elif whole and value >= 0:
        return value
    raise ValueError(f"must be a whole number from 0, or [min, max] with 1 <= min <= max for an elastic run; got {value!r}")


#: A fixed number of workers, or the (min, max) of an elastic run.
Workers = Annotated[int | tuple[int, int], BeforeValidator(_workers, json_schema_input_type=int | tuple[int, int])]


def _gpu(value: Any) -> Any:
    if isinstance(value, bool) or value == "auto" or (isinstance(value, float) and 0.01 <= value < 1):
        return value
    raise ValueError(f"must be true, false, auto, or a share of one GPU from 0.01 to below 1; got {value!r}")


#: Whether workers get a GPU each, or a share of one; auto: one where there is any.
Gpu = Annotated[bool | float | Literal["auto"], BeforeValidator(_gpu, json_schema_input_type=bool | float | Literal["auto"])]


def _choice(value: Any) -> Any:
    if isinstance(value, bool) or value == "auto":
        return value
    raise ValueError(f"must be true, false or auto; got {value!r}")


#: Yes, no, or to be found out.
BoolOrAuto = Annotated[bool | Literal["auto"], BeforeValidator(_choice, json_schema_input_type=bool | Literal["auto"])]


def _positive_or(word: str, value: Any) -> Any:
    number = isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf
    if number or value == word:
        return value
    raise ValueError(f"must be a number above 0, or {word}; got {value!r}")


#: A fixed factor, or one that moves.
LossScale = Annotated[
    float | Literal["dynamic"],
    BeforeValidator(lambda value: _positive_or("dynamic", value), json_schema_input_type=Positive | Literal["dynamic"]),
]
#: The p of a norm; ``inf`` is a word, because a config holds finite numbers.
NormType = Annotated[
    float | Literal["inf"],
    BeforeValidator(lambda value: _positive_or("inf", value), json_schema_input_type=Positive | Literal["inf"]),
]

PriorityName = Literal["HIGHEST", "VERY_HIGH", "HIGH", "ABOVE_NORMAL", "NORMAL", "BELOW_NORMAL", "LOW", "VERY_LOW", "LOWEST"]


def _priority(value: Any) -> Any:
    if value in get_args(PriorityName) or (isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 100):
        return value
    raise ValueError(f"must be one of {', '.join(get_args(PriorityName))}, or a whole number from 0 to 100; got {value!r}")


#: When a hook is called: low numbers first.
Priority = Annotated[int | PriorityName, BeforeValidator(_priority, json_schema_input_type=int | PriorityName)]
