"""Class weights in a file of their own."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from rayseg.config import from_yaml
from rayseg.errors import ConfigError, Problem

__all__ = ["WEIGHT_FILES", "read_class_weights"]


def _text(path: Path) -> list[float]:
    """Numbers with white space or commas between them; what follows a ``#`` is a remark."""
    lines = (line.partition("#")[0] for line in path.read_text(encoding="utf-8").splitlines())
    return [float(word) for line in lines for word in line.replace(",", " ").split()]


#: Suffix of a file to what reads it; nothing in it is run.
WEIGHT_FILES: Mapping[str, Callable[[Path], Any]] = MappingProxyType(
    {
        ".json": lambda path: json.loads(path.read_text(encoding="utf-8")),
        ".npy": lambda path: np.load(path, allow_pickle=False).tolist(),
        ".txt": _text,
        ".yaml": lambda path: from_yaml(path.read_text(encoding="utf-8")),
        ".yml": lambda path: from_yaml(path.read_text(encoding="utf-8")),
    }
)


def read_class_weights(path: str | Path) -> list[float] | dict[str, float]:
    """One number per class in their order, or name -> number.

    A ``.json`` or ``.yaml`` file holds a list or a mapping, a ``.npy`` file (read without pickle) an array ``(C,)``, a ``.txt``
    file numbers with white space or commas between them.

    Raises:
        ConfigError: there is no such file, or it holds anything else; also for a weight that is negative or no number.

    Example:
        >>> import pathlib, tempfile
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "weights.json"
        >>> _ = path.write_text('{"sky": 1, "car": 2.5}')
        >>> read_class_weights(path)
        {'sky': 1.0, 'car': 2.5}
    """
    file = Path(path).expanduser()
    read = WEIGHT_FILES.get(file.suffix)
    if read is None:
        raise _error(f"{path}: a file of class weights ends in {', '.join(WEIGHT_FILES)}; save it as one of them")
    if not file.is_file():
        raise _error(f"{path}: no such file; the path is relative to the config file, or to the working directory {Path.cwd()}")
    try:
        weights = read(file)
    except Exception as error:
        raise _error(f"{path}: cannot be read as {file.suffix} ({error}); write it anew") from error
    if isinstance(weights, Mapping):
        return {str(name): _weight(path, repr(name), value) for name, value in weights.items()}
    if not isinstance(weights, list):
        raise _error(f"{path}: holds {type(weights).__name__}; expected a list, or a mapping from class names, of numbers")
    return [_weight(path, f"number {index}", value) for index, value in enumerate(weights)]


def _weight(path: str | Path, which: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise _error(f"{path}: weight {which} is {value!r}; expected a finite number, 0 or more")
    return float(value)


def _error(message: str) -> ConfigError:
    return ConfigError([Problem("", message)], "class weights")
