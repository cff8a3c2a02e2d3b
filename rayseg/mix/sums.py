"""Every term as sums over this worker's pixels, and as a function of the global sums."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from rayseg.collective import differentiable_sum
from rayseg.errors import ShapeError
from rayseg.kernels import scaled, sum_of_products
from rayseg.losses.region import RegionLoss, sums_of
from rayseg.mix.heads import Head, Term, accepted_inputs
from rayseg.mix.pixels import Pixels, weights_of_all

__all__ = ["Finish", "Sums", "contribute", "pixel_loss", "ratio"]


_FORMS = "expected a tensor (N, H, W), or (numerator, denominator), each a tensor without dimensions, or such a tensor alone"


@dataclass
class Sums:
    """Local sums, made global by one collective."""

    local: list[Tensor] = field(default_factory=list)

    def add(self, values: Tensor) -> int:
        """Add local sums; the index under which they are found later."""
        self.local.append(values)
        return len(self.local) - 1

    def globally(self) -> list[Tensor]:
        """All sums over all workers; one collective."""
        flat = differentiable_sum(torch.cat([values.reshape(-1) for values in self.local]))
        pieces = torch.split(flat, [values.numel() for values in self.local])
        return [piece.view(values.shape) for piece, values in zip(pieces, self.local, strict=True)]


Finish = Callable[[Sequence[Tensor]], Tensor]


def contribute(term: Term, head: Head, pixels: Pixels, sums: Sums, given: Tensor | None) -> Finish:
    """Add the local sums of a term; return what turns global sums into its value."""
    if isinstance(term.loss, RegionLoss):
        return _contribute_region(term, term.loss, head, pixels, sums)
    numerator, denominator = _numerator_and_denominator(term, term.loss, head, pixels)
    if term.scope == "rank":
        images = pixels.nll.new_full((), float(len(pixels.target)))
        numerator, denominator = images * ratio(numerator, denominator), images
    index = sums.add(torch.stack([numerator, denominator]))
    if given is not None:
        return lambda totals: ratio(totals[index][0], given.to(totals[index]))
    return lambda totals: ratio(totals[index][0], totals[index][1])


def _contribute_region(term: Term, loss: RegionLoss, head: Head, pixels: Pixels, sums: Sums) -> Finish:
    class_weight = pixels.like(term.class_weight)
    per_image, rebuilt = _image_sums(loss, head, pixels, class_weight)
    images = pixels.nll.new_full((), float(len(pixels.target)))
    if term.scope == "rank" or loss.per_image:
        local = per_image if loss.per_image else [values.sum(0, keepdim=True) for values in per_image]
        values = _of_sums(loss, rebuilt(local), class_weight, (len(local[0]),))
        total = values.sum() if loss.per_image else images * values.sum()
        index = sums.add(torch.stack([total, images]))
        return lambda totals: ratio(totals[index][0], totals[index][1])
    indices = [sums.add(values.sum(0)) for values in per_image]
    return lambda totals: _of_sums(loss, rebuilt([totals[index] for index in indices]), class_weight, ())


def _of_sums(loss: RegionLoss, sums: Any, class_weight: Tensor | None, shape: tuple[int, ...]) -> Tensor:
    """What ``from_sums`` makes of sums ``(*shape, ...)``, which must be one value for each."""
    value = loss.from_sums(sums, class_weight)
    if value.shape != shape:
        got = f"from_sums returned {tuple(value.shape)} for sums with leading {shape}"
        raise ShapeError(f"{got}; expected {shape}: the classes are the last dimension, which the loss takes the mean of")
    return value


def _image_sums(
    loss: RegionLoss, head: Head, pixels: Pixels, class_weight: Tensor | None
) -> tuple[Sequence[Tensor], Callable[[Sequence[Tensor]], Any]]:
    """The sums ``(N, ...)`` of each image, and what makes the tuple that the loss knows of such sums."""
    own = getattr(loss, "sums", None)
    if own is None:
        found: Any = sums_of("softmax", pixels.logits, pixels.target, head.ignore_index, pixels.log_probs, pixels.class_sums)
    else:
        offered: dict[str, Any] = {"log_probs": pixels.log_probs, "class_weight": class_weight}
        offered |= {} if pixels.class_sums is None else {"class_sums": pixels.class_sums}
        found = own(pixels.logits, pixels.target, ignore_index=head.ignore_index, **accepted_inputs(own, offered))
    shapes = [tuple(values.shape) for values in found]
    if not isinstance(found, tuple) or any(shape[:1] != (len(pixels.target),) for shape in shapes):
        message = f"the sums of a loss are a {type(found).__name__} of shapes {shapes}; expected a tuple of (N, ...) with"
        raise ShapeError(f"{message} N = {len(pixels.target)} images, which are added up afterwards")
    return found, getattr(type(found), "_make", tuple)


def pixel_loss(head: Head, pixels: Pixels) -> Tensor | None:
    """``(N, H, W)`` what each pixel adds to the head's loss: the sum of term weight x class weight x loss, without a gradient.

    Of the terms with one value per pixel, before they are divided by anything; None where there is none.
    """
    total: Tensor | None = None
    with torch.no_grad():
        for term in head.terms.values():
            if isinstance(term.loss, RegionLoss):
                continue
            value, passed = _evaluated(term, term.loss, head, replace(pixels, alone=True))
            if isinstance(value, Tensor) and value.shape == pixels.target.shape:
                weighted = term.weight * _class_weighted(value, term, pixels, passed)
                total = weighted if total is None else total + weighted
    return total


def _evaluated(term: Term, loss: Callable[..., Any], head: Head, pixels: Pixels) -> tuple[Any, Collection[str]]:
    """What a loss returns, and the names of the optional inputs that it took."""
    offered = {
        "ignore_index": head.ignore_index,
        "log_probs": pixels.log_probs,
        "nll": pixels.nll,
        "class_weight": pixels.like(term.class_weight),
        **({} if pixels.mean_nll is None else {"mean_nll": pixels.mean_nll}),
        **({} if pixels.images is None else {"images": pixels.images}),
        "extent": "image" if pixels.alone else term.scope,
    }
    passed = accepted_inputs(loss, offered)
    if accepted_inputs(loss, {"pixel_weight": None}):  # a map of the pixels that few losses ask for
        passed["pixel_weight"] = pixels.kept
    logits = pixels.logits if passed.keys() & {"ignore_index", "pixel_weight"} else pixels.open_logits
    target = pixels.target if term.target is None else pixels.soft_target(term.target)
    return loss(logits, target, **passed), passed.keys()


def _class_weighted(value: Tensor, term: Term, pixels: Pixels, passed: Collection[str]) -> Tensor:
    weight = pixels.like(term.class_weight)
    return value if weight is None or "class_weight" in passed else value * weight[pixels.safe_target]


def _numerator_and_denominator(term: Term, loss: Callable[..., Any], head: Head, pixels: Pixels) -> tuple[Tensor, Tensor]:
    if pixels.summed is not None:
        weight = pixels.summed.weight
        return pixels.summed.loss, weight if term.normalize == "weights" else _normaliser(term, head, pixels, None)
    value, passed = _evaluated(term, loss, head, pixels)
    if isinstance(value, tuple):
        return _pair(value)
    if not isinstance(value, Tensor):
        raise ShapeError(f"a loss returned {type(value).__name__}; {_FORMS}")
    if value.ndim == 0:
        if term.scope == "global":
            raise ShapeError(
                "a loss returned a scalar, which cannot be made a function of the global batch: return (N, H, W) or "
                "(numerator, denominator), or say 'scope: rank' to average it over workers"
            )
        return value, torch.ones_like(value)
    if value.shape != pixels.target.shape:
        raise ShapeError(
            f"a loss returned {tuple(value.shape)}; expected {tuple(pixels.target.shape)}, (numerator, denominator) or a scalar"
        )
    class_weight = pixels.like(term.class_weight)
    of_label = None if class_weight is None else class_weight[pixels.safe_target]
    of_pixel = None if "pixel_weight" in passed else pixels.weight_of_values
    numerator = _weighted_sum(value, of_pixel, None if "class_weight" in passed else of_label)
    return numerator, _normaliser(term, head, pixels, of_label)


def _pair(value: tuple[Any, ...]) -> tuple[Tensor, Tensor]:
    if len(value) == 2 and all(isinstance(each, Tensor) and each.ndim == 0 for each in value):
        return value[0], value[1]
    found = ", ".join(str(tuple(each.shape)) if isinstance(each, Tensor) else type(each).__name__ for each in value)
    raise ShapeError(f"a loss returned a tuple of ({found}); {_FORMS}")


class _SumOfProducts(torch.autograd.Function):
    """``(value * weight).sum()`` with one map in between, also for weights that are bool; NaN times 0 stays NaN."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(weight)
        return sum_of_products(value, weight)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, None]:
        (weight,) = ctx.saved_tensors
        return weight * grad_outputs[0] if torch.is_grad_enabled() else scaled(weight, grad_outputs[0]), None


def _weighted_sum(value: Tensor, *weights: Tensor | None) -> Tensor:
    factors = [weight for weight in weights if weight is not None]
    for weight in factors[:-1]:
        value = value * weight
    if not factors:
        return value.sum()
    summed: Tensor = _SumOfProducts.apply(value, factors[-1])
    return summed


def _normaliser(term: Term, head: Head, pixels: Pixels, of_label: Tensor | None) -> Tensor:
    if term.normalize == "weights":
        return pixels.num_kept if of_label is None else (pixels.kept * of_label).sum()
    if term.normalize == "all_weights" and (class_weight := pixels.like(term.class_weight)) is not None:
        return weights_of_all(class_weight, head, pixels.masks)
    if term.normalize == "kept":
        return pixels.num_kept
    if term.normalize == "valid":
        return pixels.num_valid
    return pixels.nll.new_full((), float(pixels.target.numel()))


def ratio(numerator: Tensor, denominator: Tensor) -> Tensor:
    """``numerator / denominator``, and 0 where the denominator is 0: a batch of only void has no loss. NaN stays NaN.

    (OHEM keeps no pixel of logits that are NaN, so an empty sum may be the only trace of a model that broke.)
    """
    empty = denominator == 0
    return numerator / denominator.masked_fill(empty, 1.0) * ~empty
