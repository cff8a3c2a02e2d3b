"""A search space as a file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from inspect import signature
from typing import Any

from rayseg.config import read_config_file
from rayseg.errors import ConfigError, Problem
from rayseg.space import Dimension, Space, choice, int_uniform, log_uniform, uniform

__all__ = ["read_space"]

_DIMENSIONS: Mapping[str, Callable[..., Dimension]] = {
    "choice": lambda *values: choice(values),
    "int_uniform": int_uniform,
    "log_uniform": log_uniform,
    "uniform": uniform,
}


def read_space(path: str) -> Space:
    """A search space from a file: dotted config key to ``{log_uniform: [low, high]}`` and the like.

    Args:
        path: a ``.yaml``, ``.json`` or ``.toml`` file.

    Raises:
        ConfigError: with every key whose dimension is none.

    Example:
        >>> import pathlib, tempfile
        >>> from rayseg.space import describe
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "space.yaml"
        >>> _ = path.write_text("{optim.lr: {log_uniform: [1e-4, 1e-2]}, losses.dice.weight: {choice: [0, 1, 3]}}")
        >>> print(describe(read_space(str(path))))
        optim.lr            0.0001 to 0.01, log
        losses.dice.weight  one of 0, 1, 3
    """
    space: dict[str, Dimension] = {}
    problems: list[Problem] = []
    for key, written in read_config_file(path).items():
        try:
            space[key] = _dimension(written)
        except ConfigError as error:
            problems += [Problem(key, problem.message) for problem in error.problems]
    if problems:
        raise ConfigError(problems, path)
    return space


def _dimension(written: Any) -> Dimension:
    if not isinstance(written, dict) or len(written) != 1 or not written.keys() <= _DIMENSIONS.keys():
        raise _refused(f"got {written!r}; expected one of {', '.join(_DIMENSIONS)}, such as {{log_uniform: [1e-4, 1e-2]}}")
    ((name, values),) = written.items()
    make = _DIMENSIONS[name]
    numeric = name != "choice"
    if not isinstance(values, list) or (numeric and (len(values) != len(signature(make).parameters) or not _numbers(values))):
        raise _refused(f"got {name}: {values!r}; expected {'two numbers, [low, high]' if numeric else 'a list of values'}")
    return make(*values)


def _numbers(values: list[Any]) -> bool:
    return all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)


def _refused(message: str) -> ConfigError:
    return ConfigError([Problem("", message)])
