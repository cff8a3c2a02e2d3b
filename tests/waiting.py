"""What makes the host wait for a GPU, seen where there is none."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

__all__ = ["waits_for"]

#: Reading a number back, or a result whose size depends on values.
_WAITING = ("_local_scalar_dense", "nonzero", "masked_select", "is_nonzero", "equal")
#: Numbers of the host, copied to the GPU at once.
_MADE_OF_NUMBERS = {torch.tensor, torch.as_tensor, torch.asarray, Tensor.new_tensor}


@contextmanager
def waits_for(device: str) -> Iterator[list[str]]:
    """The operations inside that would make the host wait for a GPU, as they come.

    Args:
        device: what stands for the GPU. Values of tensors elsewhere may be read; copies to and fro may not be made, but those
            that say ``non_blocking``, whose memory on the host is for the caller to pin.
    """
    seen: list[str] = []
    with _Operations(device, seen), _Numbers(device, seen):
        yield seen


class _Operations(TorchDispatchMode):  # type: ignore[no-untyped-call]
    def __init__(self, device: str, seen: list[str]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.device, self.seen = device, seen

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        name, given = func.overloadpacket.__name__, kwargs or {}
        if self._waits(name, args, given):
            self.seen.append(f"{name} of {[tuple(each.shape) for each in args if isinstance(each, Tensor)]}")
        return func(*args, **given)

    def _waits(self, name: str, args: tuple[Any, ...], given: dict[str, Any]) -> bool:
        if name in {"_to_copy", "copy_"}:
            source, target = (args[0].device, given.get("device")) if name == "_to_copy" else (args[1].device, args[0].device)
            if given.get("non_blocking"):
                return False
            return target is not None and (source.type == self.device) != (torch.device(target).type == self.device)
        if not any(isinstance(each, Tensor) and each.device.type == self.device for each in args):
            return False
        return name in _WAITING or name.startswith("_unique") or (name.startswith("index") and _by_mask(args))


class _Numbers(TorchFunctionMode):
    def __init__(self, device: str, seen: list[str]) -> None:
        super().__init__()
        self.device, self.seen = device, seen

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        found = func(*args, **(kwargs or {}))
        if func in _MADE_OF_NUMBERS and found.device.type == self.device:
            self.seen.append(f"{func.__name__} of {tuple(found.shape)} numbers")
        return found


def _by_mask(args: tuple[Any, ...]) -> bool:
    return any(
        isinstance(each, Tensor) and each.dtype == torch.bool
        for index in args
        if isinstance(index, list | tuple)
        for each in index
    )
