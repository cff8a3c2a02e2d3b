"""Losses on plain tensors: per pixel, per region, and the weights of classes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from rayseg.losses.boundary import Boundary
from rayseg.losses.class_weights import (
    CLASS_WEIGHT_RULES,
    effective_number,
    enet,
    inverse_frequency,
    median_frequency,
)
from rayseg.losses.dice import DiceFlat, DiceMmseg0x, DiceMmseg1x
from rayseg.losses.focal import focal
from rayseg.losses.hausdorff import distance_to_border, hausdorff
from rayseg.losses.lovasz import Lovasz, LovaszHinge
from rayseg.losses.overlap import Dice, FocalTversky, Jaccard, Tversky
from rayseg.losses.pixelwise import cross_entropy, kl_divergence
from rayseg.losses.region import RegionLoss, RegionSums, probabilities, region_sums
from rayseg.losses.sigmoid import binary_cross_entropy, sigmoid_focal
from rayseg.losses.soft_targets import SOFT_TARGETS, one_hot, smooth_borders
from rayseg.losses.targets import TARGETS, boundaries, stdc_detail
from rayseg.losses.weight_files import WEIGHT_FILES, read_class_weights

__all__ = [
    "CLASS_WEIGHT_RULES",
    "LOSSES",
    "PIXEL_LOSSES",
    "SOFT_TARGETS",
    "TAKE_SOFT_TARGETS",
    "TARGETS",
    "WEIGHT_FILES",
    "Boundary",
    "Dice",
    "DiceFlat",
    "DiceMmseg0x",
    "DiceMmseg1x",
    "FocalTversky",
    "Jaccard",
    "Lovasz",
    "LovaszHinge",
    "RegionLoss",
    "RegionSums",
    "Tversky",
    "binary_cross_entropy",
    "boundaries",
    "cross_entropy",
    "distance_to_border",
    "effective_number",
    "enet",
    "focal",
    "hausdorff",
    "inverse_frequency",
    "kl_divergence",
    "median_frequency",
    "one_hot",
    "probabilities",
    "read_class_weights",
    "region_sums",
    "sigmoid_focal",
    "smooth_borders",
    "stdc_detail",
]

#: Those that give one value per pixel, by the name that a config uses.
PIXEL_LOSSES: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {
        "binary_cross_entropy": binary_cross_entropy,
        "cross_entropy": cross_entropy,
        "focal": focal,
        "hausdorff": hausdorff,
        "sigmoid_focal": sigmoid_focal,
    }
)
#: Those that are functions of sums, or of the order of all pixels.
_REGION_LOSSES: Mapping[str, Callable[..., Any]] = {
    "boundary": Boundary,
    "dice": Dice,
    "dice_flat": DiceFlat,
    "dice_mmseg_0x": DiceMmseg0x,
    "dice_mmseg_1x": DiceMmseg1x,
    "focal_tversky": FocalTversky,
    "jaccard": Jaccard,
    "lovasz": Lovasz,
    "lovasz_hinge": LovaszHinge,
    "tversky": Tversky,
}
#: Losses by the name that a config uses.
LOSSES: Mapping[str, Callable[..., Any]] = MappingProxyType(dict(sorted({**PIXEL_LOSSES, **_REGION_LOSSES}.items())))
#: Names of those that take the shares of classes instead of labels.
TAKE_SOFT_TARGETS = frozenset({"binary_cross_entropy", "cross_entropy", "focal", "sigmoid_focal"})
