"""Losses on plain tensors: per pixel, per region, and the weights of classes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from rayseg.losses.class_weights import (
    CLASS_WEIGHT_RULES,
    effective_number,
    enet,
    inverse_frequency,
    median_frequency,
)
from rayseg.losses.pixelwise import cross_entropy
from rayseg.losses.region import Dice, Jaccard, RegionLoss, RegionSums, Tversky, region_sums

__all__ = [
    "CLASS_WEIGHT_RULES",
    "LOSSES",
    "Dice",
    "Jaccard",
    "RegionLoss",
    "RegionSums",
    "Tversky",
    "cross_entropy",
    "effective_number",
    "enet",
    "inverse_frequency",
    "median_frequency",
    "region_sums",
]

#: Losses by the name that a config uses.
LOSSES: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {"cross_entropy": cross_entropy, "dice": Dice, "jaccard": Jaccard, "tversky": Tversky}
)
