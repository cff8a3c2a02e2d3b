"""The number formats that a forward pass may be computed in."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

import torch

__all__ = ["PRECISIONS", "Precision", "autocasting"]

Precision = Literal["fp32", "bf16", "fp16"]

#: What autocast uses where it may; None: no autocast.
PRECISIONS: Mapping[str, torch.dtype | None] = MappingProxyType({"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16})


def autocasting(device: torch.device, dtype: torch.dtype | None) -> torch.autocast:
    """Autocast of a forward pass, or a context that does nothing.

    Args:
        device: where the forward pass runs.
        dtype: for the layers that allow it; None: as weights and inputs are.

    Example:
        >>> with autocasting(torch.device("cpu"), torch.bfloat16):
        ...     print(torch.nn.Linear(2, 2)(torch.ones(1, 2)).dtype)
        torch.bfloat16
    """
    return torch.autocast(device.type, torch.bfloat16 if dtype is None else dtype, enabled=dtype is not None)
