"""Heads x terms x sampler x normalisers -> (total, parts).

The mix owns the upsampling, so that all terms of a head share one full-size log-softmax. Every term is reduced to sums over
this worker's pixels; one collective makes them sums over the global batch; each term is then a function of global sums:

    pixelwise   sum(w * loss) / D,  D by ``normalize``: weights (sum of class_weight * kept) | kept | valid | all |
                all_weights (sum of class_weight over all pixels, ignored or not, whose label is a class)
    ratio       sum(numerator) / sum(denominator)
    region      f(class sums), such as Dice
    scalar      mean over workers, weighted by their images (``scope: rank`` only)

The value of ``total`` is that of the whole batch on every worker. Its gradient is this worker's share: shares add up to the
gradient of the whole batch (see ``rayseg.collective``).

Letters: N images, C classes, H x W pixels of the mask, h x w pixels of the logits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from rayseg.errors import ShapeError
from rayseg.losses.region import RegionLoss
from rayseg.mix.heads import Head, Term, accepted_inputs
from rayseg.mix.pixels import head_target, shared_pixels, weights_of_all
from rayseg.mix.sampled import sampled
from rayseg.mix.sums import Finish, Sums, contribute, ratio
from rayseg.types import MAIN_HEAD, SegOutput

__all__ = ["Mix", "MixResult"]


class MixResult(NamedTuple):
    """``total``, differentiable, and ``parts``: detached values over the global batch, by name."""

    total: Tensor
    parts: dict[str, Tensor]


class Mix:
    """Named heads to one loss.

    Example:
        >>> from rayseg.losses import cross_entropy
        >>> mix = Mix({"main": Head({"ce": Term(cross_entropy)})})
        >>> logits = torch.zeros(1, 2, 3, 3, requires_grad=True)
        >>> total, parts = mix({"main": logits}, torch.zeros(1, 3, 3, dtype=torch.long), step=0)
        >>> sorted(parts), round(total.item(), 4)
        (['loss', 'loss/ce'], 0.6931)
    """

    def __init__(self, heads: Mapping[str, Head]) -> None:
        self.heads = dict(heads)
        terms = [term for head in self.heads.values() for term in head.terms.values()]
        #: Whether a loss asks for the images.
        self.takes_images = any(
            bool(accepted_inputs(term.loss, {"images": None})) for term in terms if not isinstance(term.loss, RegionLoss)
        )

    def __call__(
        self,
        output: SegOutput,
        masks: Tensor,
        *,
        step: int,
        images: Tensor | None = None,
        normalisers: Mapping[str, Tensor] | None = None,
    ) -> MixResult:
        """Loss of one batch; a collective.

        Args:
            output: named logits ``(N, C, h, w)``.
            masks: ``(N, H, W)`` int64.
            step: optimizer step, for samplers that start later.
            images: ``(N, 3, H, W)`` that the output was made of, for losses that ask for them.
            normalisers: denominators of the whole step from :meth:`label_normalisers`, when this is one micro-batch of it.
        """
        self._check_heads(output)
        sums = Sums()
        finishes: dict[str, tuple[float, Finish]] = {}
        kept: dict[str, int] = {}
        scheduled: dict[str, Tensor] = {}
        for head_name, head in self.heads.items():
            pixels = shared_pixels(head, output[head_name], masks, images, choosing=head.samples_at(step))
            if head.samples_at(step):
                pixels = sampled(head, pixels, step)
                scheduled |= {
                    _prefixed(head_name, f"ohem/{name}"): pixels.nll.new_full((), float(value))
                    for name, value in head.sampler_arguments(step).items()
                }
                kept[_prefixed(head_name, "ohem/kept")] = sums.add(torch.stack([pixels.num_kept, pixels.num_valid]))
            for term_name, term in head.terms.items():
                name = _prefixed(head_name, f"loss/{term_name}")
                given = None if normalisers is None else normalisers[name]
                finishes[name] = (head.weight * term.weight, contribute(term, head, pixels, sums, given))
        totals = sums.globally()
        values = {name: finish(totals) for name, (_, finish) in finishes.items()}
        total = torch.stack([weight * values[name] for name, (weight, _) in finishes.items()]).sum()
        shares = {name: ratio(*totals[index]) for name, index in kept.items()}
        parts = {"loss": total, **values, **shares, **scheduled}
        return MixResult(total, {name: value.detach() for name, value in parts.items()})

    def label_only(self, step: int) -> bool:
        """Whether every normaliser is known from the labels, so that micro-batches may be summed one by one.

        Only losses that are known to return one value per pixel, without an active sampler, are.
        """
        return all(
            not head.samples_at(step) and all(term.returns_map and term.scope == "global" for term in head.terms.values())
            for head in self.heads.values()
        )

    def label_normalisers(self, masks: Sequence[Tensor]) -> dict[str, Tensor]:
        """Denominators over all micro-batches of a step on all workers; a collective. See :meth:`label_only`.

        Args:
            masks: ``(N, H, W)`` of each micro-batch of this worker.
        """
        sums = Sums()
        names: list[str] = []
        for head_name, head in self.heads.items():
            labels = [(mask, head_target(head, mask)) for mask in masks]
            for term_name, term in head.terms.items():
                names.append(_prefixed(head_name, f"loss/{term_name}"))
                each = [_label_normaliser(term, head, mask, target) for mask, target in labels]
                sums.add(torch.stack(each).sum())
        return dict(zip(names, sums.globally(), strict=True))

    def _check_heads(self, output: SegOutput) -> None:
        if set(output) != set(self.heads):
            raise ShapeError(
                f"the model returned heads {sorted(output)}, the mix has {sorted(self.heads)}: "
                "describe every head under 'heads' (the main one under 'losses'), or switch it off in the model"
            )


def _prefixed(head: str, name: str) -> str:
    if head == MAIN_HEAD:
        return name
    group, _, rest = name.rpartition("/")
    return f"{group}/{head}.{rest}"


def _label_normaliser(term: Term, head: Head, masks: Tensor, target: Tensor) -> Tensor:
    valid = target != head.ignore_index
    weight = term.class_weight
    if term.normalize == "all_weights" and weight is not None:
        return weights_of_all(weight.to(target.device, torch.float64), head, masks)
    if term.normalize in {"all", "all_weights"}:
        return torch.full((), float(target.numel()), device=target.device, dtype=torch.float64)
    if term.normalize == "weights" and weight is not None:
        per_class = weight.to(target.device, torch.float64)[target.where(valid, torch.zeros_like(target))]
        return (per_class * valid).sum()
    return valid.sum().double()
