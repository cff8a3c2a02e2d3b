"""What is in force under a key of ``optim``, asked of the optimizer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rayseg.build.experiment import Experiment
from rayseg.build.group_readers import group_multiplier, group_setting, in_all_groups, in_other_groups
from rayseg.build.optimizers import make_groups
from rayseg.build.reading import UnreadableError, agreed, argument

__all__ = ["read_optim"]

#: What of a rule says which parameters obey it.
_SELECTION = ("match", "kind", "final")


def read_optim(experiment: Experiment, names: Sequence[str]) -> Any:
    """The value of a key below ``optim``; a multiplier of a rule is the group's value over the base.

    Raises:
        UnreadableError: no group tells it.
    """
    optimizer, call, rules = experiment.fit.state.optimizer, experiment.parts.optimizer, experiment.config.optim.groups
    if names[:1] == ["groups"]:
        return _rule(experiment, names[1:])
    if names[:1] == ["constructor"]:
        return _constructor(experiment, names[1:])
    if names[:1] in (["lr"], ["weight_decay"]):
        if names[0] not in optimizer.defaults:
            return None
        return agreed(in_all_groups(optimizer, rules, names[0], _made_anew(experiment)))
    if len(names) == 1 and names[0] in optimizer.defaults:
        return agreed([optimizer.defaults[names[0]], *in_other_groups(optimizer, rules, names[0])])
    return argument(call, optimizer, names)


def _rule(experiment: Experiment, names: Sequence[str]) -> Any:
    """A multiplier or a setting of a rule, where it has the last word; what it selects, by the members of groups."""
    optimizer, rules = experiment.fit.state.optimizer, experiment.config.optim.groups
    if not names:
        return {} if not rules else None
    rule, *rest = names
    if not rest and rule not in rules:
        return None
    if len(rest) == 1 and rest[0] in _SELECTION:
        _require_members(experiment)
        return getattr(rules[rule], rest[0])
    if rest[:1] == ["settings"] and len(rest) == 2:
        found = group_setting(optimizer, rules, rule, rest[1])
        value = agreed(found) if found else None
    else:
        value = group_multiplier(optimizer, rules, rule, rest[0]) if rest else None
    if value is None:
        raise UnreadableError(f"no group has it from {rule!r} alone: later rules override it, or its base is 0")
    return value


def _require_members(experiment: Experiment) -> None:
    """The rules of the config, applied once more, must give every group the parameters that it has.

    Raises:
        UnreadableError: they do not.
    """
    made = make_groups(experiment.config, experiment.parts, experiment.fit.state.model)
    members = [group["param_names"] for group in experiment.fit.state.optimizer.param_groups]
    if members != [group["param_names"] for group in made]:
        raise UnreadableError("the groups in the optimizer do not have the parameters that the rules select")


def _made_anew(experiment: Experiment) -> list[dict[str, Any]] | None:
    """The groups of a constructor, made once more from the optimizer's base values; None without a constructor."""
    if experiment.parts.constructor is None:
        return None
    base = {key: experiment.fit.state.optimizer.defaults[key] for key in ("lr", "weight_decay")}
    config = experiment.config.with_({f"optim.{key}": value for key, value in base.items()})
    made = make_groups(config, experiment.parts, experiment.fit.state.model)
    if len(made) != len(experiment.fit.state.optimizer.param_groups):
        raise UnreadableError(f"the constructor makes {len(made)} groups, and the optimizer has another number of them")
    return made


def _constructor(experiment: Experiment, names: Sequence[str]) -> Any:
    """An argument of it, if the groups are those that it makes."""
    made, call = _made_anew(experiment), experiment.parts.constructor
    if made is None:
        if names:
            raise UnreadableError("there is no constructor")
        return None
    for group, wanted in zip(experiment.fit.state.optimizer.param_groups, made, strict=True):
        if any(group[key] != wanted[key] for key in ("initial_lr", "weight_decay", "param_names")):
            raise UnreadableError("the groups in the optimizer are not those that the constructor makes")
    return argument(call, None, names)
