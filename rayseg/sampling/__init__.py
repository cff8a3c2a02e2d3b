"""Which pixels count: hard example mining in three forms, and how its arguments change over a run.

A sampler is ``(logits, target, *, ignore_index, **own) -> (N, H, W)`` weights. Those here take the global batch, so that they
choose the same pixels for any number of workers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from torch import Tensor

from rayseg.sampling.mmseg import ohem_mmseg
from rayseg.sampling.ohem import ohem
from rayseg.sampling.ramp import SHAPES, Ramp
from rayseg.sampling.top_k import top_k
from rayseg.sampling.uniform import all_pixels

__all__ = ["SAMPLERS", "SHAPES", "Ramp", "all_pixels", "ohem", "ohem_mmseg", "top_k"]

#: Samplers by the name that a config uses: ``(logits, target, *, ignore_index, **own) -> (N, H, W)``.
SAMPLERS: Mapping[str, Callable[..., Tensor]] = MappingProxyType(
    {"all_pixels": all_pixels, "ohem": ohem, "ohem_mmseg": ohem_mmseg, "top_k": top_k}
)
