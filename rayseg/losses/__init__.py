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
from rayseg.losses.dice import DiceFlat, DiceMmseg0x, DiceMmseg1x
from rayseg.losses.overlap import Dice, FocalTversky, Jaccard, Tversky
from rayseg.losses.pixelwise import cross_entropy
from rayseg.losses.region import RegionLoss, RegionSums, probabilities, region_sums

__all__ = [
    "CLASS_WEIGHT_RULES",
    "LOSSES",
    "Dice",
    "DiceFlat",
    "DiceMmseg0x",
    "DiceMmseg1x",
    "FocalTversky",
    "Jaccard",
    "RegionLoss",
    "RegionSums",
    "Tversky",
    "cross_entropy",
    "effective_number",
    "enet",
    "inverse_frequency",
    "median_frequency",
    "probabilities",
    "region_sums",
]

#: Losses by the name that a config uses.
LOSSES: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {
        "cross_entropy": cross_entropy,
        "dice": Dice,
        "dice_flat": DiceFlat,
        "dice_mmseg_0x": DiceMmseg0x,
        "dice_mmseg_1x": DiceMmseg1x,
        "focal_tversky": FocalTversky,
        "jaccard": Jaccard,
        "tversky": Tversky,
    }
)
