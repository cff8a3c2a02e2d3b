"""Rates that fall with the depth of a layer, as rules of groups."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from rayseg.compat.mmseg.sections import Section

__all__ = ["LAYER_CONSTRUCTORS", "layer_groups"]

#: Optimizer constructors that are rules here.
LAYER_CONSTRUCTORS = frozenset({"LayerDecayOptimizerConstructor", "LearningRateDecayOptimizerConstructor"})

_TOKENS = "cls_token$|mask_token$|pos_embed$"


def layer_groups(paramwise: Section, constructor: str, backbone: str) -> dict[str, dict[str, Any]]:
    """Rules whose rates are those of ``LearningRateDecayOptimizerConstructor``; ``paramwise_cfg`` counts as read.

    The layer l of n has the rate ``decay_rate^(n + 1 - l)``, with n = ``num_layers``; what has one dimension, and biases, are
    not decayed. ``custom_keys`` are not read there.

    Source: ``layer_decay_optimizer_constructor.py`` of MMSegmentation 0.30 and 1.2, which knows three backbones.

    Args:
        paramwise: ``paramwise_cfg``.
        constructor: its name.
        backbone: type of ``model.backbone``.

    Example:
        >>> from rayseg.compat.mmseg.sections import Report
        >>> section = Section({"num_layers": 2, "decay_rate": 0.5}, "optim_wrapper.paramwise_cfg", Report("1.x"))
        >>> rules = layer_groups(section, "LearningRateDecayOptimizerConstructor", "BEiT")
        >>> {name: rule.get("lr_mult") for name, rule in rules.items()}
        {'layer_0': 0.125, 'layer_1': 0.25, 'layer_2': 0.5, 'flat': None, 'biases': None}
    """
    old = constructor == "LayerDecayOptimizerConstructor"
    kind = "layer_wise_vit" if old else str(paramwise.take("decay_type", "layer_wise"))
    rate, count = paramwise.take("layer_decay_rate" if old else "decay_rate"), paramwise.take("num_layers")
    family = next((name for name in ("ConvNeXt", "BEiT", "MAE") if name in backbone), backbone)
    layers = _LAYERS.get((family, "stage" if kind == "stage_wise" else "layer"))
    if layers is None or rate is None or count is None:
        message = f"{constructor}, {kind}, knows no layers of {backbone!r}; write optim.constructor: {{type: layer_decay, ...}}"
        paramwise.lose("decay_type", message, "optim")
        return {}
    paramwise.finish(f"{constructor} does not read it; remove it", "optim.groups")
    return {
        f"layer_{layer}": {"match": pattern, "lr_mult": float(rate) ** (count + 1 - layer)}
        for layer, pattern in layers(int(count)).items()
    } | {"flat": {"kind": "flat", "decay_mult": 0.0}, "biases": {"match": r"\.bias$", "decay_mult": 0.0}}


def _blocks(count: int) -> dict[int, str]:
    """Embeddings, then a layer for each block."""
    return {0: rf"^backbone\.({_TOKENS}|patch_embed)"} | {each + 1: rf"^backbone\.layers\.{each}\." for each in range(count)}


def _stages(_count: int) -> dict[int, str]:
    """What makes images smaller, then the four stages."""
    return {0: r"^backbone\.downsample_layers\."} | {each + 1: rf"^backbone\.stages\.{each}\." for each in range(4)}


def _blocks_of_stages(count: int) -> dict[int, str]:
    """Blocks of the third stage by threes; a stage and what makes it smaller are one layer elsewhere."""
    third = {
        3 + each: rf"^backbone\.stages\.2\.({'|'.join(str(3 * each + block) for block in range(3))})\."
        for each in range(count - 3)
    }
    third[3] = r"^backbone\.(downsample_layers\.2|stages\.2\.[0-2])\."
    return {
        0: r"^backbone\.downsample_layers\.0\.",
        1: r"^backbone\.stages\.0\.",
        2: r"^backbone\.(downsample_layers|stages)\.1\.",
        **third,
        count: r"^backbone\.(downsample_layers|stages)\.3\.",
    }


_LAYERS: Mapping[tuple[str, str], Callable[[int], dict[int, str]]] = MappingProxyType(
    {
        ("BEiT", "layer"): _blocks,
        ("MAE", "layer"): _blocks,
        ("ConvNeXt", "layer"): _blocks_of_stages,
        ("ConvNeXt", "stage"): _stages,
    }
)
