"""The exception tree.

::

    RaysegError (ValueError)
    ├── ConfigError          what the user wrote cannot be run; lists every problem at once
    ├── DataError            a file, an image or a mask is not what the config says
    ├── ShapeError           tensors do not fit together
    ├── NonFiniteLossError   the loss became NaN or infinite
    ├── CheckpointError      a checkpoint is missing, torn, or belongs to another model
    └── TrackingError        the run could not be recorded
    Interrupted (KeyboardInterrupt)   Ctrl-C: what is kept, and how to go on

Every message says where, what was got, what was expected, and what to do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

__all__ = [
    "CheckpointError",
    "ConfigError",
    "DataError",
    "Interrupted",
    "NonFiniteLossError",
    "Problem",
    "RaysegError",
    "ShapeError",
    "TrackingError",
]


class RaysegError(ValueError):
    """Base of every error that rayseg raises on purpose."""


class Interrupted(KeyboardInterrupt):
    """Somebody pressed Ctrl-C; everything is closed, and the message says what is kept and how to go on.

    It is no ``RaysegError``, so that what catches errors does not swallow it.

    Example:
        >>> issubclass(Interrupted, KeyboardInterrupt), issubclass(Interrupted, Exception)
        (True, False)
    """


@dataclass(frozen=True)
class Problem:
    """One fault in what the user wrote.

    Args:
        path: dotted path of the node at fault, such as ``losses.dice.smooth``; ``""`` for the whole config.
        message: what was got, what was expected, and what to do, in one sentence or two.
    """

    path: str
    message: str

    def __str__(self) -> str:
        """``path: message``."""
        return f"{self.path}: {self.message}" if self.path else self.message


class ConfigError(RaysegError):
    """What the user wrote cannot be run. Holds every problem, not only the first.

    Example:
        >>> print(ConfigError([Problem("optim.lr", "must be positive, got -1")]))
        1 problem in experiment config
          optim.lr: must be positive, got -1
    """

    def __init__(self, problems: Sequence[Problem], where: str = "experiment config") -> None:
        self.problems = tuple(problems)
        self.where = where
        count = f"{len(self.problems)} problem{'s' if len(self.problems) != 1 else ''}"
        super().__init__("\n".join([f"{count} in {where}", *(f"  {problem}" for problem in self.problems)]))

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by arguments: errors travel from workers to the driver."""
        return type(self), (self.problems, self.where)


class DataError(RaysegError):
    """A file, an image or a mask is not what the config says it is."""


class ShapeError(RaysegError):
    """Tensors do not fit together."""


class NonFiniteLossError(RaysegError):
    """The loss became NaN or infinite."""


class CheckpointError(RaysegError):
    """A checkpoint is missing, torn, or belongs to another model; or it, or the scores beside it, cannot be written."""


class TrackingError(RaysegError):
    """The run could not be recorded."""
