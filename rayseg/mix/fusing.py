"""Which heads can be computed without logits at full size.

A head can if each of its terms is a function of the statistics in ``rayseg.kernels.statistics``, and its sampler too:

    cross_entropy, with or without label smoothing, focal      of labels, not of soft targets
    dice, jaccard, tversky, focal_tversky, dice_mmseg_1x       with the softmax
    dice_mmseg_0x                                              with exponent 1 or 2
    a region loss of a user without ``sums`` of its own
    ohem, ohem_mmseg, top_k

Any other looks at the logits themselves, and then the whole head shares logits at full size, as those terms must have them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from rayseg.errors import ConfigError, Problem
from rayseg.kernels import Backend, Wanted
from rayseg.losses import Dice, DiceMmseg0x, DiceMmseg1x, FocalTversky, Jaccard, RegionLoss, Tversky, cross_entropy, focal
from rayseg.mix.heads import Fused, Head, Term
from rayseg.sampling import ohem, ohem_mmseg, top_k

__all__ = ["fused", "smoothing_alone", "why_not_fused"]

_SAMPLERS = (ohem, ohem_mmseg, top_k)


def why_not_fused(head: Head) -> str | None:
    """What of a head needs logits at full size; None where nothing does.

    Example:
        >>> from rayseg.losses import Lovasz
        >>> why_not_fused(Head({"ce": Term(cross_entropy), "lovasz": Term(Lovasz())}))
        "the loss 'lovasz' needs logits at full size"
        >>> why_not_fused(Head({"ce": Term(cross_entropy), "dice": Term(Dice())}, sampler=ohem))
    """
    for name, term in head.terms.items():
        if _wanted(term) is None:
            return f"the loss {name!r} needs logits at full size"
    if head.sampler is not None and _unwrapped(head.sampler)[0] not in _SAMPLERS:
        return "its sampler needs logits at full size"
    return None


def fused(head: Head, backend: Backend) -> Head:
    """The head, computed by ``backend`` without logits at full size.

    Args:
        head: of losses that are functions of the statistics.
        backend: such as ``rayseg.kernels.Strips()``.

    Raises:
        ConfigError: something in the head needs logits at full size.

    Example:
        >>> import torch
        >>> from rayseg.kernels import Strips
        >>> from rayseg.mix import Mix
        >>> mix = Mix({"main": fused(Head({"ce": Term(cross_entropy)}), Strips())})
        >>> total, _ = mix({"main": torch.zeros(1, 2, 2, 2)}, torch.zeros(1, 8, 8, dtype=torch.long), step=0)
        >>> round(total.item(), 4)
        0.6931
    """
    if message := why_not_fused(head):
        raise ConfigError([Problem("head", f"{message}; leave it out of what is fused")], "fused")
    wanted = Wanted()
    for term in head.terms.values():
        wanted |= _wanted(term) or Wanted()
    return replace(head, fused=Fused(backend, wanted))


def smoothing_alone(head: Head) -> float | None:
    """Label smoothing of a head's only loss, if that is cross-entropy of labels; None for every other head.

    Unless a sampler chooses, its pixels have the weight of their label then, before their losses are known.

    Example:
        >>> smoothing_alone(Head({"ce": Term(cross_entropy)}))
        0.0
        >>> smoothing_alone(Head({"ce": Term(cross_entropy), "dice": Term(Dice())}))
    """
    term = next(iter(head.terms.values()))
    if len(head.terms) > 1 or term.target is not None or isinstance(term.loss, RegionLoss):
        return None
    function, arguments = _unwrapped(term.loss)
    smoothing = arguments.pop("label_smoothing", 0.0)
    return smoothing if function is cross_entropy and not arguments and 0 <= smoothing <= 1 else None


def _unwrapped(function: Callable[..., Any]) -> tuple[Callable[..., Any], dict[str, Any]]:
    """A function and the arguments that it was given."""
    return (function.func, dict(function.keywords)) if isinstance(function, partial) else (function, {})


def _wanted(term: Term) -> Wanted | None:
    """The statistics that a term is a function of; None where it is not one of them."""
    if term.target is not None:
        return None
    if isinstance(term.loss, RegionLoss):
        return _wanted_by_region(term.loss)
    function, arguments = _unwrapped(term.loss)
    if function is cross_entropy:
        return Wanted(mean_nll=arguments.get("label_smoothing", 0) != 0)
    return Wanted() if function is focal else None


def _wanted_by_region(loss: RegionLoss) -> Wanted | None:
    if getattr(loss, "sums", None) is None:
        return Wanted(sums=True)
    kind = type(loss)
    if kind in {Dice, Jaccard, Tversky, FocalTversky, DiceMmseg1x} and getattr(loss, "activation", None) == "softmax":
        return Wanted(sums=True, void=kind is DiceMmseg1x)
    if kind is DiceMmseg0x and getattr(loss, "exponent", None) in {1, 2}:
        return Wanted(sums=True, void=True)
    return None
