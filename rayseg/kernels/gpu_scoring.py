"""The confusion matrix of logits on a GPU: what is handed to the kernel of ``scores.py``."""

from __future__ import annotations

import functools
import logging
from dataclasses import dataclass

import torch

from rayseg.kernels.gpu import kernels, launch, tiling_of, why_no_triton
from rayseg.kernels.scoring import Scored, StripScoring, confusion_of_logits
from rayseg.kernels.statistics import Inputs

__all__ = ["TritonScoring", "triton_scoring"]

_log = logging.getLogger(__name__)

#: Matrices that programs add to in turn, so that few wait for each other; they are summed up at the end.
_REPLICAS = 64


@dataclass(frozen=True)
class TritonScoring:
    """In Triton, for NVIDIA's GPUs; made by :func:`triton_scoring`. Nothing waits for the GPU.

    A label that is no class is an assertion of the device, as for ``confusion_counts`` there.

    Args:
        device: type of the only device on which it is used; None: any, for Triton's interpreter.
        name: what a config calls it.

    Example:
        >>> TritonScoring().name
        'triton'
    """

    device: str | None = "cuda"
    name: str = "triton"

    def __call__(self, inputs: Inputs, *, prediction: bool) -> Scored | None:
        """Counts, and classes if they are wanted; None for logits at full size, of which there is nothing to save."""
        logits, target = inputs.logits, inputs.target
        if logits.shape[-2:] == target.shape[-2:]:
            return None
        images, classes = logits.shape[:2]
        is_class = (target >= 0) & (target < classes) | (target == inputs.ignore_index)
        torch._assert_async(is_class.all(), f"a label is no class: expected labels below {classes}, or {inputs.ignore_index}")  # noqa: SLF001
        tiling = tiling_of(inputs)
        tiles_down, tiles_across = tiling.tiles
        counts = torch.zeros(_REPLICAS, classes, classes, dtype=torch.int32, device=logits.device)
        labels = torch.empty_like(target) if prediction else None
        launch(
            kernels().confusion,
            (tiling.blocks * tiles_across, tiling.lines.cells * tiles_down, images),
            (logits, target, labels, counts, inputs.ignore_index, classes),
            (tuple(tiling.lines), tuple(tiling.columns), tiles_down, tiles_across, _REPLICAS),
            tiling,
        )
        return Scored(counts.sum(0, dtype=torch.int64), labels)


@functools.cache
def triton_scoring(device: torch.device) -> TritonScoring | None:
    """The one in Triton; None where it cannot be used, which is tried out once and logged.

    Args:
        device: where logits would be.

    Example:
        >>> triton_scoring(torch.device("meta"))
    """
    reason = why_no_triton(device) or _failure(device)
    if reason is not None:
        _log.warning("scores are counted plainly, with logits at full size: %s", reason)
    return TritonScoring(device.type) if reason is None else None


def _failure(device: torch.device) -> str | None:
    """What is wrong with it on a small batch, against strips on a CPU."""
    logits = torch.randn(1, 3, 2, 3, generator=torch.Generator().manual_seed(0))
    target = torch.tensor([[[0, 1, 2, 255, 0, 1]] * 4])
    expected = confusion_of_logits(logits, target, ignore_index=255, scoring=StripScoring())
    try:
        scoring = TritonScoring(device.type)
        found = confusion_of_logits(logits.to(device), target.to(device), ignore_index=255, scoring=scoring)
    except Exception as error:  # noqa: BLE001  whatever a compiler or a driver raises
        return f"Triton fails here: {type(error).__name__}: {(str(error).splitlines() or [''])[0][:200]}"
    assert expected is not None
    assert found is not None
    return None if torch.equal(expected.counts, found.counts.cpu()) else "its kernel counts wrongly here"
