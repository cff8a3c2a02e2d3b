"""What a model returned, as named logits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from rayseg.errors import ShapeError
from rayseg.types import MAIN_HEAD

__all__ = ["named_logits"]

_TORCHVISION = {"out": MAIN_HEAD, "aux": "auxiliary"}


def named_logits(output: Any) -> dict[str, Tensor]:
    """Logits by head: ``{"main": (N, C, h, w), ...}``.

    Args:
        output: a tensor (the main head), named logits, or torchvision's ``{"out": ..., "aux": ...}``.

    Raises:
        ShapeError: anything else, no main head, or a tensor that is not ``(N, C, h, w)`` floating point.

    Example:
        >>> import torch
        >>> list(named_logits({"out": torch.zeros(1, 2, 4, 4), "aux": torch.zeros(1, 2, 2, 2)}))
        ['main', 'auxiliary']
    """
    expected = "expected a tensor (N, C, h, w), or a dict of such tensors with 'main' (or torchvision's 'out') among its names"
    named = {MAIN_HEAD: output} if isinstance(output, Tensor) else output
    if isinstance(named, Mapping) and MAIN_HEAD not in named:
        named = {_TORCHVISION.get(name, name): logits for name, logits in named.items()}
    if not isinstance(named, Mapping) or MAIN_HEAD not in named:
        got = f"a dict of {sorted(map(str, output))}" if isinstance(output, Mapping) else type(output).__name__
        raise ShapeError(f"model output: got {got}, {expected}; change the model's forward")
    for name, logits in named.items():
        if not isinstance(logits, Tensor) or logits.dim() != 4 or not logits.is_floating_point():
            got = f"{tuple(logits.shape)} {logits.dtype}" if isinstance(logits, Tensor) else type(logits).__name__
            raise ShapeError(f"model output {name!r}: got {got}, {expected}; change the model's forward")
    return dict(named)
