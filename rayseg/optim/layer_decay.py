"""Learning rates that fall with the distance from the output, for fine-tuning (Clark et al. 2020, "ELECTRA"; BEiT, MAE).

The layers of a model: 0 is what comes before its blocks (embeddings, stem), then the blocks in order, then all the rest.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from torch import nn

from rayseg.errors import ConfigError, Problem

__all__ = ["STEM", "layer_decay"]

#: What usually comes before the blocks.
STEM = r"(^|\.)(stem|patch_embed|pos_embed|cls_token|mask_token|conv1|bn1)(\.|$)"

_NEVER_DECAYED = ("bias", "pos_embed", "cls_token")


def layer_decay(
    model: nn.Module,
    *,
    lr: float,
    weight_decay: float,
    rate: float,
    blocks: str | list[str],
    stem: str | None = STEM,
    by: Literal["layer", "stage"] = "layer",
) -> list[dict[str, Any]]:
    r"""Groups whose learning rate is ``lr * rate^(L + 1 - l)`` in layer ``l`` of 0 to ``L + 1``, with L blocks.

    This is the scale ``decay_rate^(num_layers - layer_id - 1)`` of MMSegmentation's ``LearningRateDecayOptimizerConstructor``,
    whose ``num_layers`` is L + 2: a head learns with ``lr``. Parameters with one dimension, biases, ``pos_embed`` and
    ``cls_token`` are not decayed.

    Args:
        model: the parameters come from here.
        lr: learning rate of what comes after the blocks.
        weight_decay: of what is decayed.
        rate: factor from a layer to the one before it, above 0, up to 1.
        blocks: regular expression with one group or more that finds the block's number in a parameter's dotted name, such as
            ``backbone\.layers\.(\d+)\.``, or ``backbone\.layer(\d+)\.(\d+)\.`` for stages of blocks; or a list of
            expressions without numbers, one for each layer, in order.
        stem: regular expression of what comes before the blocks; None: nothing does.
        by: ``layer``: each block is a layer; ``stage``: blocks with the same first number are one.

    Returns:
        Dicts with ``params``, ``name`` (``layer_2``, ``layer_2_no_decay``), ``lr`` and ``weight_decay``.

    Raises:
        ConfigError: the rate is out of range, or an expression finds nothing, or finds no number.

    Example:
        >>> model = nn.ModuleDict(
        ...     {"stem": nn.Linear(2, 2), "blocks": nn.ModuleList([nn.Linear(2, 2)]), "head": nn.Linear(2, 2)}
        ... )
        >>> groups = layer_decay(model, lr=0.4, weight_decay=0.1, rate=0.5, blocks=r"blocks\.(\d+)")
        >>> [(group["name"], group["lr"], group["weight_decay"]) for group in groups][:3]
        [('layer_0', 0.1, 0.1), ('layer_0_no_decay', 0.1, 0.0), ('layer_1', 0.2, 0.1)]
    """
    if not 0 < rate <= 1:
        raise _wrong("rate", f"must be above 0, up to 1, got {rate!r}")
    named = dict(model.named_parameters())
    layers, num_blocks = _layers(list(named), blocks, stem, by)
    groups: dict[str, dict[str, Any]] = {}
    for name, parameter in named.items():
        decays = parameter.ndim != 1 and name.rpartition(".")[2] not in _NEVER_DECAYED
        label = f"layer_{layers[name]}{'' if decays else '_no_decay'}"
        scale = rate ** (num_blocks + 1 - layers[name])
        settings = {"name": label, "lr": lr * scale, "weight_decay": weight_decay if decays else 0.0}
        groups.setdefault(label, {"params": [], **settings})["params"].append(parameter)
    return list(groups.values())


def _layers(names: Sequence[str], blocks: str | list[str], stem: str | None, by: str) -> tuple[dict[str, int], int]:
    """The layer of each parameter, and the number of blocks."""
    places = _listed(names, blocks) if isinstance(blocks, list) else _numbered(names, blocks, 1 if by == "stage" else None)
    if isinstance(blocks, list) and by == "stage":
        raise _wrong("by", "a list of blocks has no stages; leave this out")
    order = {place: layer for layer, place in enumerate(sorted(set(places.values())), start=1)}
    before = set() if stem is None else {name for name in _found(names, stem, "stem") if name not in places}
    if stem is not None and not before:
        raise _wrong("stem", f"pattern {stem!r} found nothing before the blocks; {_first(names)}, or write null")
    rest = len(order) + 1
    return {name: order[places[name]] if name in places else (0 if name in before else rest) for name in names}, len(order)


def _numbered(names: Sequence[str], pattern: str, depth: int | None) -> Mapping[str, tuple[int, ...]]:
    """The numbers that a pattern finds in names, the first ``depth`` of them."""
    places: dict[str, tuple[int, ...]] = {}
    for name, found in _found(names, pattern, "blocks").items():
        numbers = [text for text in found.groups() if text is not None]
        if not numbers or not all(text.isdigit() for text in numbers):
            raise _wrong("blocks", f"pattern {pattern!r} finds no number in {name!r}; put brackets around it: (\\d+)")
        places[name] = tuple(map(int, numbers[:depth]))
    if not places:
        raise _wrong("blocks", f"pattern {pattern!r} matched none of the {len(names)} parameters; {_first(names)}")
    return places


def _listed(names: Sequence[str], patterns: Iterable[str]) -> Mapping[str, tuple[int, ...]]:
    """The number of the first pattern that is found in each name."""
    places: dict[str, tuple[int, ...]] = {}
    for number, pattern in enumerate(patterns):
        new = {name: (number,) for name in _found(names, pattern, "blocks") if name not in places}
        if not new:
            raise _wrong("blocks", f"pattern {pattern!r} matched nothing that an earlier one did not; {_first(names)}")
        places |= new
    return places


def _found(names: Sequence[str], pattern: str, option: str) -> dict[str, re.Match[str]]:
    try:
        return {name: found for name in names if (found := re.search(pattern, name))}
    except re.error as error:
        raise _wrong(option, f"pattern {pattern!r} is no regular expression: {error}") from error


def _first(names: Sequence[str]) -> str:
    return f"first names: {', '.join(names[:3])}, ..."


def _wrong(option: str, message: str) -> ConfigError:
    return ConfigError([Problem(f"optim.constructor.{option}", message)])
