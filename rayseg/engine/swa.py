"""Stochastic weight averaging: the equal average of the weights along the end of a run."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from rayseg.engine.copying import copy_all
from rayseg.models import autocasting, sample_keys
from rayseg.types import Batch

__all__ = ["Swa", "renew_statistics"]


class Swa:
    """Equal average of the weights after ``start_step`` steps and every ``every`` steps from then on (Izmailov et al. 2018).

    The running statistics of batch norm belong to no average: they are taken anew, on training batches, before the average is
    evaluated or saved (:func:`renew_statistics`). Before the first point there is no average.

    Args:
        model: what is averaged.
        start_step: optimizer steps before the first point.
        every: steps between points.
        num_batches: batches, of one step each, from which statistics are taken.

    Example:
        >>> model = nn.Linear(1, 1, bias=False)
        >>> swa = Swa(model, start_step=2, every=2)
        >>> for step, weight in enumerate([1.0, 2.0, 3.0, 6.0]):
        ...     _ = torch.nn.init.constant_(model.weight, weight)
        ...     swa.update(model, step)
        >>> swa.count, float(swa.module.weight.detach())
        (2, 4.0)
    """

    def __init__(self, model: nn.Module, *, start_step: int, every: int = 1, num_batches: int = 50) -> None:
        self.module = copy.deepcopy(model).requires_grad_(False)
        self.start_step, self.every, self.num_batches = start_step, every, num_batches
        self.count = 0
        self.stale = False

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Add the weights after optimizer step ``step`` (from 0), if they are a point of the average."""
        since = step + 1 - self.start_step
        if since < 0 or since % self.every != 0:
            return
        averages: list[Tensor] = list(self.module.parameters())
        torch._foreach_lerp_(averages, [parameter.detach() for parameter in model.parameters()], 1 / (self.count + 1))
        copy_all(zip(self.module.buffers(), model.buffers(), strict=True))
        self.count += 1
        self.stale = True

    def state_dict(self) -> dict[str, Any]:
        """Weights of the average, and of how many points it is."""
        return {"module": self.module.state_dict(), "count": self.count}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore :meth:`state_dict`; its statistics were taken before it was saved."""
        self.module.load_state_dict(state["module"])
        self.count, self.stale = state["count"], False


@torch.no_grad()
def renew_statistics(
    model: nn.Module,
    batches: Iterable[Batch],
    *,
    seed: int,
    autocast: torch.dtype | None = None,
    prepare: Callable[[nn.Module], None] | None = None,
) -> None:
    """Running statistics of batch norm as the plain mean of those of some batches; a collective if the norms are synchronised.

    As ``torch.optim.swa_utils.update_bn``: in training mode, dropout included.

    Args:
        model: changed in place; its mode is left as it was.
        batches: of this worker; every worker has the same number of them.
        seed: of the dropout masks.
        autocast: dtype of the forward pass where autocast allows it.
        prepare: called with the model in training mode; norms that it puts into evaluation mode keep their statistics.
    """
    was_training, device = model.training, next(model.parameters()).device
    model.train()
    if prepare is not None:
        prepare(model)
    norms = [module for module in model.modules() if _tracks(module) and module.training]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()  # type: ignore[operator]
        norm.momentum = None  # type: ignore[assignment]
    for batch in batches if norms else ():
        with sample_keys(seed, batch.keys.to(device)), autocasting(device, autocast):
            model(batch.images.to(device))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    model.train(was_training)


def _tracks(module: nn.Module) -> bool:
    return isinstance(module, nn.modules.batchnorm._NormBase) and module.running_mean is not None  # noqa: SLF001
