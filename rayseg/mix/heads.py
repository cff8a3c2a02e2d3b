"""What a user wrote about losses, as plain objects."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from inspect import Parameter, signature
from types import FunctionType, MethodType
from typing import Any, Literal

import torch
from torch import Tensor, nn

from rayseg.kernels import Backend, Wanted
from rayseg.losses.region import RegionLoss

__all__ = ["Fused", "Head", "Normalize", "Term", "accepted_inputs"]

Normalize = Literal["weights", "kept", "valid", "all", "all_weights"]
Scope = Literal["global", "rank"]


def accepted_inputs(function: Callable[..., Any], offered: Mapping[str, Any]) -> dict[str, Any]:
    """Those of ``offered`` that the signature of ``function``, or of a module's ``forward``, names.

    Example:
        >>> accepted_inputs(lambda logits, target, *, nll: 0, {"nll": 1, "class_weight": 2})
        {'nll': 1}
    """
    by_identity = isinstance(function, FunctionType | MethodType | functools.partial)
    named = (_named if by_identity else _named.__wrapped__)(function)
    return {name: value for name, value in offered.items() if name in named}


@functools.lru_cache(maxsize=64)
def _named(function: Callable[..., Any]) -> frozenset[str]:
    """Arguments that may be given by name; remembered, because every step asks."""
    parameters = signature(function.forward if isinstance(function, nn.Module) else function).parameters.values()
    return frozenset(p.name for p in parameters if p.kind in (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY))


@dataclass(frozen=True)
class Term:
    """One loss in the mix.

    Args:
        loss: ``(logits, target, ...) -> (N, H, W)``, ``(numerator, denominator)`` or a scalar; or a RegionLoss.
        weight: factor in the total.
        normalize: what a per-pixel loss is divided by.
        scope: ``rank`` normalises over this worker's images only.
        class_weight: ``(C,)`` or None.
        returns_map: whether ``loss`` is known to return one value per pixel before it is called.
        target: ``(masks, *, ignore_index, num_classes) -> (N, C, H, W)``: what the loss gets instead of the labels.
    """

    loss: Callable[..., Any] | RegionLoss
    weight: float = 1.0
    normalize: Normalize = "weights"
    scope: Scope = "global"
    class_weight: Tensor | None = None
    returns_map: bool = False
    target: Callable[..., Tensor] | None = None


@dataclass(frozen=True)
class Fused:
    """How a head is computed without logits at full size; made by :func:`rayseg.mix.fused`.

    Args:
        backend: what computes the statistics of its logits.
        wanted: the statistics that its terms are functions of.
    """

    backend: Backend
    wanted: Wanted

    def takes(self, logits: Tensor) -> bool:
        """Whether these logits are computed so."""
        return logits.dtype != torch.float64 and self.backend.device in {None, logits.device.type}


@dataclass(frozen=True)
class Head:
    """The terms that one head of the model is trained with.

    Args:
        terms: name -> term.
        sampler: ``(logits, target, *, ignore_index) -> (N, H, W)`` pixel weights, or None.
        sampler_start: first step at which the sampler is used.
        ignore_index: label that means: not labelled.
        voids: further labels in the masks that are ignored: what means void there, where that is another label, and classes
            that no loss shall look at.
        weight: factor of the whole head in the total.
        target: ``(masks, *, ignore_index) -> masks`` for heads with a target of their own.
        sampler_schedule: argument of the sampler -> its value as a function of the step.
        fused: how it is computed without logits at full size; None: with them. So are logits in float64, and those on another
            device than the backend's.
    """

    terms: Mapping[str, Term]
    sampler: Callable[..., Tensor] | None = None
    sampler_start: int = 0
    ignore_index: int = 255
    voids: tuple[int, ...] = ()
    weight: float = 1.0
    target: Callable[..., Tensor] | None = None
    sampler_schedule: Mapping[str, Callable[[int], float]] = field(default_factory=dict)
    fused: Fused | None = None

    def samples_at(self, step: int) -> bool:
        """Whether the sampler decides which pixels count at this step."""
        return self.sampler is not None and step >= self.sampler_start

    def sampler_arguments(self, step: int) -> dict[str, float]:
        """Those arguments of the sampler that change over the run, at this step."""
        return {name: value(step) for name, value in self.sampler_schedule.items()}
