"""The optimizer over its parameter groups, and every complaint about it."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from rayseg.build.parts import Parts
from rayseg.build.resolve import Problems, Resolved, bind_some, call_hidden, caught, nearest, takes
from rayseg.build.speed import check_fused, fused_arguments
from rayseg.config import ExperimentConfig, GroupRule
from rayseg.errors import ConfigError, Problem
from rayseg.imports import importing
from rayseg.models.torch_files import what_is_refused
from rayseg.optim import Rule, apply_schedule, parameter_groups

__all__ = ["check_optimizer", "idle_optimizer", "make_groups", "make_optimizer", "try_optimizer"]

#: Keys of a group that are for people and schedules, not for the optimizer.
_LABELS = ("params", "param_names", "name", "rules", "initial_lr")
#: What a rule changes by its multipliers, and never by its settings.
_MULTIPLIED = {"lr": "lr_mult", "weight_decay": "decay_mult"}


def make_optimizer(config: ExperimentConfig, parts: Parts, model: nn.Module) -> Optimizer:
    """The optimizer over the config's parameter groups.

    Raises:
        ConfigError: a rule matches nothing, an option cannot apply, or the optimizer refuses the parameters.
    """
    assert parts.optimizer is not None
    return _over(config, parts.optimizer, make_groups(config, parts, model))


def make_groups(config: ExperimentConfig, parts: Parts, model: nn.Module) -> list[dict[str, Any]]:
    """Parameter groups: first the constructor, if there is one, then the rules.

    Raises:
        ConfigError: a rule matches nothing, a setting cannot be, or the constructor's groups are not what they must be.
    """
    assert parts.optimizer is not None
    lr, decay = config.optim.lr, config.optim.weight_decay
    base = None if parts.constructor is None else parts.constructor(model, lr=lr, weight_decay=decay)
    has_decay = takes(parts.optimizer.target, "weight_decay") or call_hidden(parts.optimizer.target)
    rules = _bound_rules(config.optim.groups, parts.optimizer)
    return parameter_groups(model, rules, lr=lr, weight_decay=decay if has_decay else None, base=base)


def idle_optimizer(config: ExperimentConfig, parts: Parts) -> Optimizer:
    """An optimizer with the run's settings over one parameter that nothing trains, for what wants to move one.

    Raises:
        ConfigError: the optimizer refuses its arguments.
    """
    assert parts.optimizer is not None
    return _over(config.with_({"optim.groups": {}}), parts.optimizer, [_stand_ins([nn.Parameter(torch.ones(2, 2))])])


def _bound_rules(rules: Mapping[str, GroupRule], optimizer: Resolved) -> dict[str, Rule]:
    """Rules whose settings are in the types that the optimizer asks for."""
    problems = Problems()
    bound: dict[str, Rule] = {}
    for name, rule in rules.items():
        path = f"optim.groups.{name}.settings"
        for key in _MULTIPLIED.keys() & rule.settings.keys():
            problems.add(f"{path}.{key}", f"is a multiple of optim.{key}; remove it here and set {_MULTIPLIED[key]}")
        own = {key: value for key, value in rule.settings.items() if key not in _MULTIPLIED}
        settings = bind_some(optimizer.target, own, path, problems)
        bound[name] = Rule(rule.match, rule.kind, rule.lr_mult, rule.decay_mult, settings, rule.final)
    problems.raise_if_any()
    return bound


def _over(config: ExperimentConfig, optimizer: Resolved, groups: Sequence[Mapping[str, Any]]) -> Optimizer:
    """The optimizer over groups, each of whose settings it must know."""
    given = {"lr": config.optim.lr, "weight_decay": config.optim.weight_decay}
    base = {key: value for key, value in given.items() if takes(optimizer.target, key)} | fused_arguments(config, optimizer)
    if "lr" not in base and call_hidden(optimizer.target) and config.optim.lr is not None:
        base["lr"] = config.optim.lr
    with importing():
        import_module("torch._dynamo")  # by every optimizer of torch, and by its first step
    try:
        made = optimizer([dict(group) for group in groups], **base)
    except (TypeError, ValueError, RuntimeError) as error:
        message = f"{optimizer.name!r} refuses these parameters or arguments ({type(error).__name__}: {error})"
        raise ConfigError([Problem("optim", f"{message}; correct them, or choose another optimizer")]) from error
    if not all(hasattr(made, name) for name in ("param_groups", "step", "zero_grad", "state_dict", "load_state_dict")):
        message = f"{optimizer.name!r} made a {type(made).__name__}; expected a torch.optim.Optimizer, or its like"
        raise ConfigError([Problem("optim.type", message)])
    _check_settings(made, config, optimizer.name)
    result: Optimizer = made
    return result


def _check_settings(made: Optimizer, config: ExperimentConfig, name: str) -> None:
    """A setting that the optimizer does not have per group would change nothing."""
    problems = Problems()
    known = [key for key in made.defaults if key not in _MULTIPLIED]
    written = {key for group in made.param_groups for key, value in group.items() if value or key != "weight_decay"}
    unknown = written - {*made.defaults, *_LABELS}
    for rule, own in config.optim.groups.items():
        for key in sorted(unknown & own.settings.keys()):
            message = f"{name!r} does not have it per group; it has {', '.join(known) or 'none'}.{nearest(key, known)}"
            problems.add(f"optim.groups.{rule}.settings.{key}", message)
            unknown.discard(key)
    for key in sorted(unknown):
        message = f"its groups have {key!r}, of which {name!r} knows nothing; it has {', '.join(made.defaults)}"
        problems.add("optim.constructor", message)
    problems.raise_if_any()


def check_optimizer(config: ExperimentConfig, parts: Parts, problems: Problems) -> None:
    """Settings that the optimizer has no use for."""
    if parts.optimizer is None:
        return
    check_fused(config, parts.optimizer, problems)
    if call_hidden(parts.optimizer.target):
        return
    name, target = config.optim.type, parts.optimizer.target
    _check_rate(config, target, problems)
    if not takes(target, "weight_decay"):
        if config.optim.weight_decay > 0:
            problems.add("optim.weight_decay", f"got {config.optim.weight_decay:g}, but {name!r} takes none; set it to 0")
        for rule in (rule for rule, settings in config.optim.groups.items() if settings.decay_mult is not None):
            problems.add(f"optim.groups.{rule}.decay_mult", f"set, but {name!r} takes no weight decay; remove it")
    if config.schedule.momentum is not None and not (takes(target, "momentum") or takes(target, "betas")):
        problems.add("schedule.momentum", f"set, but {name!r} has neither momentum nor betas; remove it")


def _check_rate(config: ExperimentConfig, target: Any, problems: Problems) -> None:
    """A rate, and what changes it, only where the optimizer takes one."""
    name, lr = config.optim.type, config.optim.lr
    if takes(target, "lr"):
        if lr is None:
            problems.add("optim.lr", f"null, but {name!r} takes a learning rate; give one, such as 0.001")
        return
    if lr is not None:
        problems.add("optim.lr", f"got {lr:g}, but {name!r} takes no 'lr'; set it to null")
    for rule in (rule for rule, settings in config.optim.groups.items() if settings.lr_mult is not None):
        problems.add(f"optim.groups.{rule}.lr_mult", f"set, but {name!r} takes no learning rate; remove it")
    if config.schedule.type != "constant" or config.schedule.warmup is not None:
        message = f"set, but {name!r} has no learning rate to change; write schedule: {{type: constant}}, without warmup"
        problems.add("schedule", message)


def try_optimizer(config: ExperimentConfig, parts: Parts, model: nn.Module, problems: Problems) -> Optimizer | None:
    """Make it over the model, take two steps of one like it over small stand-ins, and schedule its momentum."""
    assert parts.optimizer is not None
    if problems.has("optim.lr"):
        return None
    made: Optimizer | None = caught("optim", problems, lambda: make_optimizer(config, parts, model))
    if made is None or problems.has("optim"):
        return made
    caught("optim", problems, lambda: _step_stand_ins(config, parts, model))
    if parts.momentum is not None and not problems.has("schedule.momentum"):
        caught("schedule.momentum", problems, lambda: apply_schedule(made, 1.0, 1.0))
    return made


def _step_stand_ins(config: ExperimentConfig, parts: Parts, model: nn.Module) -> None:
    """Two steps over small parameters: one of each group and number of dimensions.

    Raises:
        ConfigError: a step fails, such as one that wants a closure or sparse gradients, or a setting of a rule is refused.
    """
    call = parts.optimizer
    assert call is not None
    _try_settings(config, call)
    groups = [group | _stand_ins(group["params"]) for group in make_groups(config, parts, model)]
    optimizer = _over(config, call, groups)
    for _ in range(2):
        for parameter in (each for group in optimizer.param_groups for each in group["params"]):
            parameter.grad = torch.ones_like(parameter)
        try:
            optimizer.step()
        except Exception as error:
            message = f"{call.name!r} cannot take a plain step ({type(error).__name__}: {error}); choose another optimizer"
            raise ConfigError([Problem("optim.type", message)]) from error
    _require_readable(optimizer, call.name)


def _require_readable(optimizer: Optimizer, name: str) -> None:
    """A state that can be written and not be read again would lose the run when it is needed.

    Raises:
        ConfigError: there is something in it that ``torch.load(weights_only=True)`` refuses.
    """
    file = io.BytesIO()
    try:
        torch.save(optimizer.state_dict(), file)
        file.seek(0)
        torch.load(file, weights_only=True)
    except Exception as error:
        message = (
            f"{name!r} or its groups hold what a checkpoint cannot give back ({what_is_refused(error)}); "
            "keep tensors and plain values there: float(...), list(...), torch.as_tensor(...)"
        )
        raise ConfigError([Problem("optim", message)]) from error


def _stand_ins(parameters: Sequence[nn.Parameter]) -> dict[str, Any]:
    kinds = dict.fromkeys((parameter.ndim, parameter.dtype, parameter.device) for parameter in parameters)
    made = [nn.Parameter(torch.ones((2,) * ndim, dtype=dtype, device=device)) for ndim, dtype, device in kinds]
    return {"params": made, "param_names": [f"stand_in_{number}" for number in range(len(made))]}


def _try_settings(config: ExperimentConfig, call: Resolved) -> None:
    """An optimizer checks the range of its arguments, but not of a group's settings: each rule's are tried as arguments."""
    problems = Problems()
    for name, rule in _bound_rules(config.optim.groups, call).items():
        if rule.settings:
            trial = replace(call, kwargs={**call.kwargs, **rule.settings})
            try:
                _over(config.with_({"optim.groups": {}}), trial, [_stand_ins([nn.Parameter(torch.ones(2))])])
            except ConfigError as error:
                problems.add(f"optim.groups.{name}.settings", error.problems[0].message)
    problems.raise_if_any()
