"""What a config says about class weights to one number per class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from rayseg.build.parts import HeadParts
from rayseg.build.resolve import Problems, Resolved, caught, nearest
from rayseg.config import ExperimentConfig, Spec
from rayseg.data import LabelCounts
from rayseg.errors import ConfigError, Problem
from rayseg.losses import TARGETS, read_class_weights

__all__ = ["apply_rule", "make_class_weight", "read_weight_files", "with_weight_files"]


def make_class_weight(
    head: HeadParts, name: str, class_names: Sequence[str], counts: LabelCounts | None, path: str, problems: Problems
) -> Tensor | None:
    """Class weights ``(C,)`` of a term; None where there are none, or a fault was found.

    Args:
        head: that has the term.
        name: of the term.
        class_names: C names.
        counts: of the training set, for a rule.
        path: of the class weights in the config.
        problems: every fault is added here.
    """
    given: Any = head.terms[name][0].class_weight
    if isinstance(given, Spec | Mapping) and head.target is not None and head.target.target in TARGETS.values():
        message = f"speaks of the classes of the data, and {head.target.name!r} makes two of its own"
        problems.add(path, f"{message}; give the head losses of its own with two numbers, for 0 and for 1")
        return None
    if isinstance(given, Spec) and head.ignore_index < len(class_names):
        ignored = class_names[head.ignore_index]
        problems.add(path, f"a rule counts {ignored!r} too, which this head ignores; give numbers, or use ignore_classes")
        return None
    if isinstance(given, Spec):
        if counts is None or name not in head.rules:
            return None
        weights: Tensor | None = caught(path, problems, lambda: apply_rule(head.rules[name], counts))
        return weights
    if isinstance(given, str):
        given = caught(path, problems, lambda: read_class_weights(given))
    if given is None:
        return None
    if isinstance(given, Mapping):
        given = _weights_by_name(given, class_names, path, problems)
    if len(given) != len(class_names) and head.target is None:
        problems.add(path, f"{len(given)} weights for {len(class_names)} classes ({', '.join(class_names)}); give one for each")
        return None
    if not any(given):
        problems.add(path, "every weight is 0, so the term would be 0 always; give a class some weight, or remove the term")
    return torch.tensor(given)


def apply_rule(rule: Resolved, counts: LabelCounts) -> Tensor:
    """Class weights ``(C,)`` that a rule makes of label counts.

    Raises:
        ConfigError: it makes something else.
    """
    weights: Any = rule(torch.tensor(counts.pixels), torch.tensor(counts.image_pixels))
    expected = f"expected a tensor ({len(counts.pixels)},) of finite numbers, 0 or more"
    if not isinstance(weights, Tensor):
        raise ConfigError([Problem("", f"{rule.name!r} gives {type(weights).__name__}; {expected}")])
    if weights.shape != (len(counts.pixels),) or not weights.isfinite().all() or (weights < 0).any():
        raise ConfigError([Problem("", f"{rule.name!r} gives {tuple(weights.shape)} {weights.tolist()}; {expected}")])
    return weights


def _weights_by_name(given: Mapping[str, float], class_names: Sequence[str], path: str, problems: Problems) -> list[float]:
    for name in given:
        if name not in class_names:
            problems.add(f"{path}.{name}", f"no such class; classes: {', '.join(class_names)}.{nearest(name, class_names)}")
    return [float(given.get(name, 1.0)) for name in class_names]


def with_weight_files(config: ExperimentConfig) -> ExperimentConfig:
    """The config with the numbers of its files of class weights, so that it can go where the files are not.

    A file that cannot be read stays a name: ``check`` says what is wrong with it.

    Example:
        >>> with_weight_files(ExperimentConfig()) == ExperimentConfig()
        True
    """
    tree = config.to_dict()
    found = read_weight_files(tree)
    return config if found == tree else ExperimentConfig.from_dict(found)


def read_weight_files(values: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted keys and their values, with numbers in place of the files of class weights that can be read.

    Example:
        >>> read_weight_files({"losses.ce.class_weight": "nowhere.json", "optim.lr": 0.1})
        {'losses.ce.class_weight': 'nowhere.json', 'optim.lr': 0.1}
    """
    return {key: _read(key, value) if key.partition(".")[0] in {"losses", "heads"} else value for key, value in values.items()}


def _read(key: str, value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _read(name, item) for name, item in value.items()}
    if isinstance(value, str) and key.rpartition(".")[2] == "class_weight":
        try:
            return read_class_weights(value)
        except ConfigError:
            return value
    return value
