"""torchvision's MobileNets by MMSegmentation's names of parameters; its ResNets and VGGs have the same names already."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

__all__ = ["mobilenet_names"]

#: Blocks in each layer of MobileNetV2.
_V2_BLOCKS = (1, 2, 3, 4, 3, 3, 1)
_STEM = re.compile(r"features\.(\d+)\.([01])\.(\w+)")
_V2_BLOCK = re.compile(r"features\.(\d+)\.conv\.(\d)\.(?:([01])\.)?(\w+)")
_V3_BLOCK = re.compile(r"features\.(\d+)\.block\.(\d)\.(0|1|fc1|fc2)\.(\w+)")
_KINDS = ("conv", "bn")


def mobilenet_names(names: Collection[str]) -> dict[str, str]:
    """MMSegmentation's name of every tensor of a torchvision MobileNetV2 or MobileNetV3, a classifier's left as they are.

    Args:
        names: of the tensors of a state dict.

    Returns:
        Old name -> new name; empty where it is neither.

    Example:
        >>> mobilenet_names(["features.0.1.bias", "features.1.conv.1.weight", "classifier.1.bias"])
        {'features.0.1.bias': 'conv1.bn.bias', 'features.1.conv.1.weight': 'layer1.0.conv.1.conv.weight', \
'classifier.1.bias': 'classifier.1.bias'}
        >>> mobilenet_names(["layer1.0.conv1.weight"])
        {}
    """
    if any(_V2_BLOCK.fullmatch(name) for name in names):
        return {name: _v2_name(name) for name in names}
    if any(_V3_BLOCK.fullmatch(name) for name in names):
        roles = dict(_roles(names))
        return {name: _v3_name(name, roles) for name in names}
    return {}


def _v2_name(name: str) -> str:
    if stem := _STEM.fullmatch(name):
        return f"conv{1 if stem[1] == '0' else 2}.{_KINDS[int(stem[2])]}.{stem[3]}"
    found = _V2_BLOCK.fullmatch(name)
    if found is None:
        return name
    places = [f"layer{layer}.{block}" for layer, count in enumerate(_V2_BLOCKS, start=1) for block in range(count)]
    block, inner = int(found[1]), int(found[2])
    last = 1 if block == 1 else 2  # the last convolution and its norm are not in a sequence of their own
    kind = int(found[3]) if found[3] else inner - last
    return f"{places[block - 1]}.conv.{min(inner, last)}.{_KINDS[kind]}.{found[4]}"


def _roles(names: Collection[str]) -> Iterator[tuple[tuple[str, str], str]]:
    """What each part of each block of MobileNetV3 is."""
    parts = [found.groups() for name in names if (found := _V3_BLOCK.fullmatch(name))]
    for block in {block for block, *_ in parts}:
        gates = {part for own, part, inner, _ in parts if own == block and inner.startswith("fc")}
        convs = sorted({part for own, part, *_ in parts if own == block} - gates)
        roles = ("expand_conv", "depthwise_conv", "linear_conv")[-len(convs) :]
        yield from (((block, part), role) for part, role in zip(convs, roles, strict=True))
        yield from (((block, part), "se") for part in gates)


def _v3_name(name: str, roles: dict[tuple[str, str], str]) -> str:
    if stem := _STEM.fullmatch(name):
        return f"layer{stem[1]}.{_KINDS[int(stem[2])]}.{stem[3]}"
    found = _V3_BLOCK.fullmatch(name)
    if found is None:
        return name
    block, part, inner, tensor = found.groups()
    kind = f"{inner.replace('fc', 'conv')}.conv" if inner.startswith("fc") else _KINDS[int(inner)]
    return f"layer{block}.{roles[block, part]}.{kind}.{tensor}"
