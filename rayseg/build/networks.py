"""A network by name, and how it is told the number of classes."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from inspect import Parameter
from typing import Any

from torch import nn

from rayseg.build.resolve import Problems, Resolved, bind, find
from rayseg.config import ExperimentConfig, Spec
from rayseg.errors import ConfigError, Problem
from rayseg.models import MODELS, mmseg

__all__ = ["call_network", "classes_name", "classes_without_data", "named_classes", "require_momentum", "resolve_network"]

#: torchvision's, timm's and our name, and that of segmentation_models_pytorch.
_NAMES = ("num_classes", "classes")
#: Where nothing says how many.
_SOME_CLASSES = 2


def classes_without_data(config: ExperimentConfig) -> int:
    """How many classes there are, where the data that say it are not here: as many as the config names, or its head has.

    Example:
        >>> head = {"type": "FCNHead", "channels": 8, "num_classes": 19}
        >>> classes_without_data(ExperimentConfig().with_({"model": {"type": "mmseg", "decode_head": head}}))
        19
    """
    return named_classes(config) or _SOME_CLASSES


def named_classes(config: ExperimentConfig) -> int | None:
    """How many classes the config names, or its head has; None where it says neither.

    Example:
        >>> named_classes(ExperimentConfig().with_({"data.class_names": ["road", "sky"]})), named_classes(ExperimentConfig())
        (2, None)
    """
    head = config.model.kwargs.get("decode_head")
    own = head.get("num_classes") if isinstance(head, Mapping) else None
    return len(config.data.class_names or ()) or (own if isinstance(own, int) and own > 0 else None)


def classes_name(target: Callable[..., Any]) -> str | None:
    """By which argument a network is told the number of classes; None: by the first.

    Example:
        >>> classes_name(lambda encoder="resnet18", classes=1: None), classes_name(lambda classes, width=8: None)
        ('classes', None)
    """
    try:
        parameters = list(inspect.signature(target).parameters.values())
    except (TypeError, ValueError):
        return None
    first = parameters[0] if parameters and parameters[0].kind is not Parameter.KEYWORD_ONLY else None
    others = {each.name for each in parameters if each is not first and each.kind is not Parameter.POSITIONAL_ONLY}
    if first is not None and first.name in _NAMES:
        return None
    return next((name for name in _NAMES if name in others), None)


def resolve_network(spec: Spec, components: Mapping[str, Callable[..., Any]], path: str, problems: Problems) -> Resolved | None:
    """The network that a spec names, its arguments checked against the signature.

    Args:
        spec: ``type`` is one of ``MODELS``, of the components, or an import path.
        components: by name.
        path: where it stands.
        problems: every fault is added here.

    Returns:
        None when a fault was found.
    """
    target = find(spec.type, path, problems, {**MODELS, **components})
    if target is None:
        return None
    name = classes_name(target)
    given, num_positional = ((), 1) if name is None else ((name,), 0)
    return bind(target, spec, path, problems, given=given, num_positional=num_positional)


def call_network(call: Resolved, num_classes: int) -> nn.Module:
    """The network of C classes.

    Example:
        >>> call_network(Resolved(lambda encoder, classes: nn.Linear(1, classes), {"encoder": "a"}, "mine"), 5)
        Linear(in_features=1, out_features=5, bias=True)
    """
    name = classes_name(call.target)
    model: nn.Module = call(num_classes) if name is None else call(**{name: num_classes})
    return model


def require_momentum(call: Resolved, norm: str) -> None:
    """A ``norm_cfg`` of MMSegmentation's networks with a momentum is for norms that have one.

    Raises:
        ConfigError: group norms take the place of its batch norms.

    Example:
        >>> require_momentum(Resolved(mmseg, {"backbone": {"norm_cfg": {"momentum": 0.01}}}, "mmseg"), "group")
        Traceback (most recent call last):
        rayseg.errors.ConfigError: 1 problem in experiment config
          backbone.norm_cfg.momentum: group norms have no running statistics; remove it, or write model.norm: auto
    """
    if call.target is mmseg and norm == "group":
        message = "group norms have no running statistics; remove it, or write model.norm: auto"
        if problems := [Problem(path, message) for path in _momenta(call.kwargs, "")]:
            raise ConfigError(problems)


def _momenta(written: Any, path: str) -> Iterator[str]:
    """Where a ``norm_cfg`` has a momentum."""
    items = written.items() if isinstance(written, Mapping) else enumerate(written) if isinstance(written, list | tuple) else ()
    for key, value in items:
        if key == "norm_cfg" and isinstance(value, Mapping) and "momentum" in value:
            yield f"{path}norm_cfg.momentum"
        else:
            yield from _momenta(value, f"{path}{key}.")


def imported_parts(value: Any, path: str = "model") -> Iterator[tuple[str, Callable[..., Any]]]:
    """Parts inside a network that an import path names, such as a backbone, each with its place.

    Args:
        value: arguments of a network; what cannot be imported is left out.
        path: where they stand.

    Example:
        >>> list(imported_parts({"backbone": {"type": "math:sqrt"}, "depth": 3}))
        [('model.backbone', <built-in function sqrt>)]
    """
    inner = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list | tuple) else ()
    for key, each in inner:
        here = f"{path}.{key}"
        kind = each.get("type") if isinstance(each, Mapping) else None
        if isinstance(kind, str) and ":" in kind and (target := find(kind, here, Problems(), {})) is not None:
            yield here, target
        yield from imported_parts(each, here)
