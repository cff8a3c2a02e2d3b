"""From MMSegmentation's nested dicts of arguments to modules, every fault with its path."""

from __future__ import annotations

import importlib
import inspect
import typing
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from functools import partial
from types import MappingProxyType
from typing import Any

from torch import nn

from rayseg.config import typed
from rayseg.errors import ConfigError, Problem
from rayseg.models.mmseg.norms import NUMBERS, made_with_norms

__all__ = ["ELSEWHERE", "bound", "made"]

#: What MMSegmentation writes into a part of the model and rayseg elsewhere, and where.
ELSEWHERE: Mapping[str, str] = MappingProxyType(
    {
        "act_cfg": "the activation is ReLU; remove it",
        "bn_eval": "write freeze.<name>: {match: ..., statistics: true}",
        "bn_frozen": "write freeze.<name>: {match: ..., statistics: true}",
        "boundary_threshold": "write heads.<name>.target: {type: stdc_detail, threshold: ...}",
        "frozen_stages": "write freeze.<name>: {match: ..., statistics: true}",
        "ignore_index": "write data.ignore_index, or heads.<name>.ignore_index",
        "init_cfg": "write init.checkpoint",
        "loss_decode": "write losses, and heads.<name>.losses for an auxiliary head",
        "norm_cfg": "write model.norm: sync, batch or group; auto is sync with more than one worker. "
        "Only eps and momentum may stand here",
        "norm_eval": "write freeze.<name>: {match: ..., statistics: true}",
        "pretrained": "write init.checkpoint",
        "sampler": "write sampling, and heads.<name>.sampling for an auxiliary head",
        "with_cp": "what is computed twice would move a norm's statistics twice; for less memory write train.precision: bf16",
    }
)

#: What may be written because it is so anyway.
_SO_ANYWAY: Mapping[str, tuple[Any, ...]] = MappingProxyType(
    {
        "act_cfg": (None, {"type": "ReLU"}, {"type": "ReLU", "inplace": True}),
        "align_corners": (None,),
        "bn_eval": (False,),
        "bn_frozen": (False,),
        "conv_cfg": (None, {"type": "Conv2d"}),
        "dcn": (None,),
        "frozen_stages": (-1,),
        "in_channels": (3,),
        "init_cfg": (None,),
        "norm_eval": (False,),
        "plugins": (None,),
        "pretrained": (None,),
        "sampler": (None,),
        "with_cp": (False,),
    }
)

_ANY = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def bound(
    table: Mapping[str, Callable[..., nn.Module]],
    written: Mapping[str, Any],
    path: str,
    problems: list[Problem],
    *,
    num_given: int = 0,
    imports: bool = False,
) -> partial[nn.Module] | None:
    """What makes the module that a dict of ``type`` and arguments describes; names and types of the arguments are looked at.

    What MMSegmentation's files say though it is so anyway, such as ``with_cp: false``, may be said.

    Args:
        table: callables by type.
        written: ``type``, and arguments by their names.
        path: where it stands, for errors.
        problems: every fault is added here.
        num_given: positional arguments that come before the user's.
        imports: whether ``type`` may be an import path, ``package.module:name``; what a ``**kwargs`` takes is not looked at.

    Returns:
        None where a fault was found.

    Example:
        >>> faults = []
        >>> bound({"Linear": nn.Linear}, {"type": "Linear", "out_featurs": 2}, "head", faults, num_given=1)
        >>> for fault in faults:
        ...     print(fault)
        head.out_featurs: Linear has no parameter 'out_featurs'; it takes out_features, bias, device, dtype. Did you mean \
'out_features'?
        head.out_features: is missing; Linear needs it
    """
    kind, before = str(written.get("type")), len(problems)
    target = _target(table, written, path, problems, imports=imports)
    if target is None:
        return None
    wanted, open_ended = _parameters(target, num_given)
    numbers = _norm_numbers(written.get("norm_cfg"))
    own = {
        key: value
        for key, value in written.items()
        if key != "type"
        and not (key == "norm_cfg" and numbers)
        and (key in wanted or open_ended or value not in _SO_ANYWAY.get(key, ()))
    }
    unknown = [] if open_ended else [key for key in own if key not in wanted]
    problems += [Problem(f"{path}.{key}", _unknown(kind, key, list(wanted))) for key in unknown]
    needed = [name for name, each in wanted.items() if each.default is inspect.Parameter.empty and name not in own]
    problems += [Problem(f"{path}.{name}", f"is missing; {kind} needs it") for name in needed]
    values = _typed(target, {key: own[key] for key in own if key not in unknown}, path, problems)
    if len(problems) > before:
        return None
    return partial(made_with_norms, target, numbers, **values) if numbers else partial(target, **values)


def made(call: Callable[..., nn.Module] | None, path: str, problems: list[Problem], *given: Any) -> Any:
    """The module, or None with its faults noted below ``path``.

    Example:
        >>> made(None, "head", []), made(nn.ReLU, "head", [])
        (None, ReLU())
    """
    try:
        return None if call is None else call(*given)
    except ConfigError as error:
        problems += [Problem(f"{path}.{each.path}", each.message) for each in error.problems]
        return None


def _target(
    table: Mapping[str, Callable[..., nn.Module]],
    written: Mapping[str, Any],
    path: str,
    problems: list[Problem],
    *,
    imports: bool,
) -> Callable[..., nn.Module] | None:
    kind = str(written.get("type"))
    if kind in table:
        return table[kind]
    if imports and ":" in kind:
        module, _, name = kind.partition(":")
        try:
            found: Callable[..., nn.Module] = getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError) as error:
            problems.append(Problem(f"{path}.type", f"cannot import {kind!r} ({error}); every worker must be able to"))
            return None
        return found
    told = f"unknown name {kind!r}" if "type" in written else "is missing"
    own = ". For your own give an import path 'package.module:name'" if imports else ""
    problems.append(Problem(f"{path}.type", f"{told}; known: {', '.join(table)}{own}.{_nearest(kind, table)}"))
    return None


def _parameters(target: Callable[..., Any], num_given: int) -> tuple[dict[str, inspect.Parameter], bool]:
    """Those that are the user's: not what comes before, and not what the type itself fixes; and whether it takes any name."""
    fixed = target.keywords if isinstance(target, partial) else {}
    parameters = list(inspect.signature(target).parameters.values())[num_given:]
    named = {each.name: each for each in parameters if each.kind not in _ANY and each.name not in fixed}
    return named, any(each.kind is inspect.Parameter.VAR_KEYWORD for each in parameters)


def _norm_numbers(norm_cfg: Any) -> Mapping[str, Any]:
    """Those of a ``norm_cfg`` that says nothing else."""
    return norm_cfg if isinstance(norm_cfg, Mapping) and set(norm_cfg) <= set(NUMBERS) else {}


def _typed(target: Callable[..., Any], values: Mapping[str, Any], path: str, problems: list[Problem]) -> dict[str, Any]:
    function = target.func if isinstance(target, partial) else target
    try:
        hints = typing.get_type_hints(function.__init__ if inspect.isclass(function) else function)
    except (NameError, TypeError, AttributeError):  # of other people's functions
        hints = {}
    converted = {}
    for key, value in values.items():
        converted[key], fault = typed(value, hints.get(key))
        if fault is not None:
            problems.append(Problem(f"{path}.{key}", fault))
    return converted


def _unknown(kind: str, key: str, names: Sequence[str]) -> str:
    if key in ELSEWHERE:
        return f"does not belong to the network here: {ELSEWHERE[key]}"
    return f"{kind} has no parameter {key!r}; it takes {', '.join(names)}.{_nearest(key, names)}"


def _nearest(name: str, names: typing.Iterable[str]) -> str:
    close = get_close_matches(name, list(names), n=1)
    return f" Did you mean {close[0]!r}?" if close else ""
