"""Proof that what was sampled is what was built: values read back from the objects of a run, not from its config."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from rayseg.build.experiment import Experiment
from rayseg.build.readers import UnreadableError, read
from rayseg.config import Length, flatten_tree, plain, to_line
from rayseg.data import steps_of
from rayseg.errors import ConfigError, Problem

__all__ = ["applied_values", "check_applied"]

#: Of a quotient of two floats.
_ROUNDING = 1e-14


def applied_values(experiment: Experiment, keys: Iterable[str]) -> dict[str, Any]:
    """The values that are in force, read back from the optimizer, the mix, the schedule, the stream and the model.

    A length is read in steps. An argument of a callable is read from the object that it made where that is a dataclass or a
    partial function, else from the call that made it. A multiplier of a parameter group is the group's value over the base.

    Args:
        experiment: assembled, before its first step.
        keys: dotted config keys.

    Raises:
        ConfigError: naming every key that cannot be read back.

    Example:
        >>> from pathlib import Path
        >>> from rayseg.build import assemble
        >>> from rayseg.config import ExperimentConfig
        >>> from rayseg.engine import LocalReporter
        >>> config = ExperimentConfig().with_({"data.dataset.length": 4, "model.width": 4, "optim.lr": 0.02})
        >>> applied_values(assemble(config, LocalReporter(Path("runs/small"))), ["optim.lr", "model.width"])
        {'optim.lr': 0.02, 'model.width': 4}
    """
    values: dict[str, Any] = {}
    problems: list[Problem] = []
    for key in keys:
        try:
            values[key] = plain(read(experiment, key))[0]
        except UnreadableError as error:
            problems.append(_unreadable(key, error))
    if problems:
        raise ConfigError(problems, "applied values")
    return values


def check_applied(experiment: Experiment, sampled: Mapping[str, Any]) -> None:
    """Compare what was sampled with what was built.

    Numbers are compared exactly, as plain data; class weights in float32, multipliers of groups up to the rounding of one
    division. A sampled section is compared leaf by leaf; null for a term, a head, the sampling or the like means: not there.

    Args:
        experiment: assembled, before its first step.
        sampled: dotted config key to value.

    Raises:
        ConfigError: with every value that did not arrive, and every key that cannot be read back.

    Example:
        >>> from pathlib import Path
        >>> from rayseg.build import assemble
        >>> from rayseg.config import ExperimentConfig
        >>> from rayseg.engine import LocalReporter
        >>> config = ExperimentConfig().with_({"data.dataset.length": 4, "model.width": 4})
        >>> check_applied(assemble(config, LocalReporter(Path("runs/small"))), {"optim.lr": 0.02})
        Traceback (most recent call last):
        rayseg.errors.ConfigError: 1 problem in applied values
          optim.lr: 0.02 was sampled, but 0.001 was built; ...
    """
    problems: list[Problem] = []
    for key, wanted in _leaves(sampled).items():
        try:
            found = read(experiment, key)
        except UnreadableError as error:
            problems.append(_unreadable(key, error))
            continue
        if not _same(key, _in_steps(experiment, key, wanted), found):
            message = f"{to_line(wanted)} was sampled, but {to_line(plain(found)[0])} was built; nothing may be lost on the way"
            problems.append(Problem(key, message))
    if problems:
        raise ConfigError(problems, "applied values")


def _unreadable(key: str, error: UnreadableError) -> Problem:
    return Problem(key, f"cannot be read back from what was built: {error}; take it out of the search space")


def _leaves(sampled: Mapping[str, Any]) -> dict[str, Any]:
    """Plain data; mappings become their leaves, but a length stays whole."""
    leaves: dict[str, Any] = {}
    for key, value in plain(dict(sampled))[0].items():
        leaves |= flatten_tree({key: value}) if isinstance(value, Mapping) and not _is_length(value) else {key: value}
    return leaves


def _is_length(value: Mapping[str, Any]) -> bool:
    return bool(value) and set(value) <= set(Length.model_fields)


def _in_steps(experiment: Experiment, key: str, wanted: Any) -> Any:
    """A length, or a list of some, as the number of steps that it is here; anything else as it was."""
    if isinstance(wanted, list):
        return [_in_steps(experiment, key, each) for each in wanted]
    if key.endswith(".epochs"):
        wanted = {"epochs": wanted}
    if not isinstance(wanted, Mapping) or not _is_length(wanted):
        return wanted
    stream = experiment.stream
    return steps_of(wanted.get("steps"), wanted.get("epochs"), len(stream.data.train), stream.batch_size)


def _same(key: str, wanted: Any, found: Any) -> bool:
    if isinstance(found, Tensor):
        return wanted is not None and torch.equal(torch.tensor(wanted, dtype=found.dtype), found)
    found = plain(found)[0]
    if key.endswith((".lr_mult", ".decay_mult")) and isinstance(wanted, int | float) and isinstance(found, float):
        return math.isclose(wanted, found, rel_tol=_ROUNDING)
    if key == "model.norm" and wanted == "auto":
        return bool(found == "sync")
    if key.endswith(".normalize") and wanted is None:
        return found in {None, "weights"}
    return bool(wanted == found and isinstance(wanted, bool) == isinstance(found, bool))
