"""Every loss tried once on a small batch, so that what fails at the first step fails before any worker starts.

Letters: N images, C classes, H x W pixels.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from rayseg.build.parts import HeadParts, is_built_in, not_sampled
from rayseg.build.resolve import Problems, caught
from rayseg.config import LossTerm
from rayseg.losses import RegionLoss
from rayseg.mix import Head, Mix, Term, accepted_inputs, batch_dependence
from rayseg.mix.pixels import shared_pixels
from rayseg.types import MAIN_HEAD

__all__ = ["ProbeBatch", "probe_batch", "probe_terms"]

_SMALL = (8, 8)


class ProbeBatch(NamedTuple):
    """Two images with one ignored pixel: ``(N, K, H, W)``, K 1 or C, ``(N, H, W)`` and ``(N, 3, H, W)``."""

    logits: Tensor
    masks: Tensor
    images: Tensor


def probe_batch(head: Head, num_classes: int, num_channels: int, size: tuple[int, int] | None) -> ProbeBatch:
    """A small one, or of the ``size`` of training where a loss asks for the images, which another network may have to take."""
    asks = any(_has_input(term, "images") for term in head.terms.values())
    height, width = size if asks and size is not None else _SMALL
    masks = (torch.arange(2 * height * width) % num_classes).view(2, height, width)
    masks[0, 0, 0] = head.ignore_index
    logits = torch.linspace(-1, 1, 2 * num_channels * height * width).view(2, num_channels, height, width)
    return ProbeBatch(logits, masks, torch.zeros(2, 3, height, width))


def probe_terms(name: str, part: HeadParts, head: Head, batch: ProbeBatch, problems: Problems) -> bool:
    """Call every loss of a head once, alone, and look at what it returns.

    Args:
        name: of the head.
        part: what it was made from.
        head: of the experiment.
        batch: what the losses are called with.
        problems: every fault is added here.

    Returns:
        Whether a term tells what each pixel adds to the loss; true also where that is unknown because of a fault.
    """
    own_sampling = part.sampling_path == ("sampling" if name == MAIN_HEAD else f"heads.{name}.sampling")
    unsampled: list[str] = []
    ranks = False
    for term_name, term in head.terms.items():
        path = f"{part.losses_path}.{term_name}"
        fits = (
            _probe_target(head, term, batch, path, problems)
            and _weights_fit(name, term, batch, path, problems)
            and _own_void_fits(part.terms[term_name][0], head, path, problems)
        )
        kind = _probe_term(head, term, batch, path, problems) if fits else None
        if kind is not None and not is_built_in(part.terms[term_name][1].target):
            _check_batches(head, term, batch, path, problems)
        ranks |= kind in {"map", None}
        if kind == "sums":
            _check_options(part.terms[term_name][0], term, path, problems)
            _check_void(part.terms[term_name][0], term, path, problems)
        if kind == "region" or (kind == "sums" and not _has_input(term, "pixel_weight")):
            unsampled.append(term_name)
    told = problems.has(part.sampling_path)
    if head.sampler is not None and own_sampling and not told and unsampled and set(unsampled) == set(part.terms):
        problems.add(part.sampling_path, not_sampled(unsampled))
    return ranks or problems.has(part.sampling_path)


def _probe_target(head: Head, term: Term, batch: ProbeBatch, path: str, problems: Problems) -> bool:
    """Whether the loss can have the target that it is to get."""
    make = term.target
    if make is None:
        return True
    pixels = caught(path, problems, lambda: shared_pixels(head, batch.logits, batch.masks))
    return pixels is not None and caught(f"{path}.target", problems, lambda: pixels.soft_target(make)) is not None


def _weights_fit(head: str, term: Term, batch: ProbeBatch, path: str, problems: Problems) -> bool:
    """Whether there is a class weight for each class of the head; with a target of its own these are not those of the data."""
    num_classes = max(2, batch.logits.shape[1])
    num_weights = num_classes if term.class_weight is None else len(term.class_weight)
    if num_weights != num_classes:
        message = f"{num_weights} weights, and head {head!r} has {num_classes} classes"
        problems.add(f"{path}.class_weight", f"{message}; give heads.{head} losses of its own with {num_classes} weights")
    return num_weights == num_classes


def _probe_term(
    head: Head, term: Term, batch: ProbeBatch, path: str, problems: Problems
) -> Literal["map", "sums", "region"] | None:
    """One loss alone, on a small batch with one ignored pixel; what kind of value it returns, None where it has a fault."""
    returned: list[Any] = []
    watched = term if isinstance(term.loss, RegionLoss) else replace(term, loss=_watched(term.loss, returned))
    alone = Mix({MAIN_HEAD: replace(head, terms={"loss": watched}, sampler=None)})
    leaf = {MAIN_HEAD: batch.logits.clone().requires_grad_()}
    value = caught(path, problems, lambda: alone(leaf, batch.masks, step=0, images=batch.images))
    if value is None:
        return None
    if not torch.isfinite(value.total):
        message = f"gives {float(value.total)} on a small batch with one ignored pixel; expected a finite number"
        problems.add(path, message)
        return None
    if not value.total.requires_grad:
        problems.add(path, "has no gradient; compute it from the logits with torch operations, without detach")
        return None
    if not returned:
        return "region"
    return "sums" if isinstance(returned[0], tuple) or returned[0].ndim == 0 else "map"


def _check_batches(head: Head, term: Term, batch: ProbeBatch, path: str, problems: Problems) -> None:
    """A loss must be a function of the global batch, or say that it is not."""
    alone = replace(head, terms={"loss": term}, sampler=None)
    with torch.no_grad():
        message = caught(path, problems, lambda: batch_dependence(alone, *batch, rel_tol=1e-3))
    if message is not None:
        problems.add(path, message)


def _watched(loss: Callable[..., Any], returned: list[Any]) -> Callable[..., Any]:
    """The loss with its own signature; what it returns is kept."""

    @functools.wraps(loss.forward if isinstance(loss, nn.Module) else loss)
    def call(*args: Any, **kwargs: Any) -> Any:
        returned.append(loss(*args, **kwargs))
        return returned[-1]

    return call


def _has_input(term: Term, name: str) -> bool:
    return not isinstance(term.loss, RegionLoss) and bool(accepted_inputs(term.loss, {name: None}))


def _check_options(written: LossTerm, term: Term, path: str, problems: Problems) -> None:
    """What the mix cannot do for a loss that returns (numerator, denominator) or a scalar."""
    if written.class_weight is not None and not _has_input(term, "class_weight"):
        problems.add(
            f"{path}.class_weight",
            f"cannot reach {written.type!r}: it does not return one value per pixel and has no argument 'class_weight'; "
            "add the argument, return (N, H, W), or remove this",
        )
    if written.normalize is not None:
        message = f"{written.type!r} does not return one value per pixel, so it is not divided by pixels; remove this"
        problems.add(f"{path}.normalize", message)


def _own_void_fits(written: LossTerm, head: Head, path: str, problems: Problems) -> bool:
    """Whether the label that a loss was told to ignore, if it was told one, is that of void."""
    own = written.kwargs.get("ignore_index", head.ignore_index)
    if own != head.ignore_index:
        problems.add(f"{path}.ignore_index", f"got {own!r}, but the label of void is {head.ignore_index} here; set it to that")
    return bool(own == head.ignore_index)


def _check_void(written: LossTerm, term: Term, path: str, problems: Problems) -> None:
    """A loss that returns sums or a scalar and gets labels must know which of them mean void."""
    knows = "ignore_index" in written.kwargs or any(_has_input(term, name) for name in ("ignore_index", "pixel_weight"))
    if term.target is None and not knows:
        problems.add(
            path,
            f"{written.type!r} has no argument 'ignore_index', so the label of void would reach it as if it were a class; "
            "add the argument, or write target: one_hot, which is 0 there",
        )
