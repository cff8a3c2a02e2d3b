"""``rayseg show --groups``: every parameter group, from the config alone."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from rayseg.build.data import open_data
from rayseg.build.networks import classes_without_data
from rayseg.build.optimizers import make_optimizer
from rayseg.build.parts import Parts, resolve_parts
from rayseg.build.resolve import Problems, caught
from rayseg.build.start import bare_model
from rayseg.config import ExperimentConfig
from rayseg.errors import ConfigError

__all__ = ["groups_table"]

_COLUMNS = 80
#: Sections whose faults leave nothing to show.
_NEEDED = ("optim", "model", "freeze")
#: Keys of a group that have a column of their own, or that are not settings.
_SHOWN = ("params", "param_names", "name", "rules", "lr", "weight_decay", "initial_lr")


def groups_table(config: ExperimentConfig) -> str:
    """Parameter groups in 80 columns: what each learns with, and the names of its parameters; what is frozen, apart.

    Neither the data nor weights to start from need to be there.

    Args:
        config: the experiment.

    Raises:
        ConfigError: the model or the optimizer cannot be made, or a rule selects nothing.

    Example:
        >>> from rayseg.config import ExperimentConfig
        >>> config = ExperimentConfig().with_({"optim.groups.norms": {"kind": "norm", "decay_mult": 0}, "model.depth": 1})
        >>> print(groups_table(config))
           lr  decay  tensors  parameters  group
        0.001   0.01        3         585  default
        0.001      0        2          32  norms
        <BLANKLINE>
        default: no rule
            backbone.stem.0.weight, decode_head.classifier.weight,
            decode_head.classifier.bias
        norms
            backbone.stem.1.weight, backbone.stem.1.bias
    """
    problems = Problems()
    parts = resolve_parts(config, {}, problems)
    names = _class_names(config, parts)
    if needed := [problem for problem in problems.found if problem.path.startswith(_NEEDED)]:
        raise ConfigError(needed)
    num_classes = len(names) or classes_without_data(config)
    model = caught("model", problems, lambda: bare_model(config, parts, num_classes))
    if model is None:
        raise ConfigError([problem for problem in problems.found if problem.path.startswith(_NEEDED)])
    optimizer = make_optimizer(config, parts, model)
    groups = [_with_settings(group, optimizer.defaults) for group in optimizer.param_groups]
    note = [] if names else ["", f"The data are not here: heads for {num_classes} classes."]
    return "\n".join([*_table(groups), "", *_members(groups), *_frozen(config, model), *note])


def _class_names(config: ExperimentConfig, parts: Parts) -> Sequence[str]:
    data = open_data(config, parts, Problems())
    return config.data.class_names or () if data is None else data.class_names


def _with_settings(group: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """A group, with what it has unlike the others in ``settings``."""
    own = {key: value for key, value in group.items() if key not in _SHOWN and value != defaults.get(key)}
    return {**group, "settings": ", ".join(f"{key} {value}" for key, value in own.items())}


def _table(groups: Sequence[Mapping[str, Any]]) -> list[str]:
    """Numbers to the right, text to the left; the settings have a column where a group has any."""
    rows = [["lr", "decay", "tensors", "parameters", "settings", "group"], *map(_row, groups)]
    empty = not any(group["settings"] for group in groups)
    rows = [row[:4] + row[5:] for row in rows] if empty else rows
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    return [line for row in rows for line in _line(row, widths)]


def _row(group: Mapping[str, Any]) -> list[str]:
    numbers = [f"{group[key]:.6g}" if key in group else "-" for key in ("lr", "weight_decay")]
    parameters = sum(parameter.numel() for parameter in group["params"])
    return [*numbers, str(len(group["params"])), f"{parameters:,}", group["settings"], group["name"]]


def _line(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    numbers = [f"{cell:>{width}}" for cell, width in zip(row[:4], widths[:4], strict=True)]
    texts = [f"{cell:<{width}}" for cell, width in zip(row[4:-1], widths[4:], strict=True)]
    head = "  ".join([*numbers, *texts, ""])
    hanging = " " * max(4, min(len(head), _COLUMNS - max(map(len, row[-1].split()))))
    return textwrap.wrap(head + row[-1], _COLUMNS, subsequent_indent=hanging, break_long_words=False, break_on_hyphens=False)


def _members(groups: Sequence[Mapping[str, Any]]) -> list[str]:
    """The rules that led to each group, and the names in it."""
    lines: list[str] = []
    for group in groups:
        rules = "; ".join("+".join(path) or "no rule" for path in group["rules"])
        lines += _wrapped(group["name"] if rules == group["name"] else f"{group['name']}: {rules}", group["param_names"])
    return lines


def _frozen(config: ExperimentConfig, model: nn.Module) -> list[str]:
    """What is not trained at the first step, by what holds it."""
    held: dict[str, list[str]] = {}
    for name, parameter in model.named_parameters():
        rules = [rule for rule, own in config.freeze.items() if re.search(own.match, name)]
        if parameter.requires_grad and rules:
            held.setdefault(", ".join(map(_until(config), rules)), []).append(name)
        elif not parameter.requires_grad:
            held.setdefault("always, by the model itself (in no group)", []).append(name)
    return [line for why, names in held.items() for line in ["", *_wrapped(f"frozen {why}", names)]]


def _until(config: ExperimentConfig) -> Any:
    def told(rule: str) -> str:
        until = config.freeze[rule].until
        if until is None:
            return f"always, by freeze.{rule}"
        length = f"step {until.steps}" if until.steps is not None else f"epoch {until.epochs:g}"
        return f"until {length}, by freeze.{rule}"

    return told


def _wrapped(title: str, names: Sequence[str]) -> list[str]:
    """A title, and names below it."""
    told = textwrap.wrap(", ".join(names), _COLUMNS - 4, break_long_words=False, break_on_hyphens=False)
    return [*textwrap.wrap(title, _COLUMNS, subsequent_indent="    "), *(f"    {line}" for line in told)]
