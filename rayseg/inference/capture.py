"""A module as a graph: ``torch.export`` with as much freedom in the sizes as the network permits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from torch.export import Dim, ExportedProgram

from rayseg.errors import RaysegError
from rayseg.inference.sizes import Sizes

__all__ = ["capture"]

#: The smallest side of images in programs that take many sizes, px; below it networks have branches of their own.
_LEAST = 64
#: What sides have to be multiples of, tried in turn: nothing, then the usual strides of networks.
_MULTIPLES = (1, 8, 16, 32)
#: Letters of torch's reason: sizes are long formulas there.
_MOST_TOLD = 300


def capture(module: nn.Module, *, fixed: tuple[int, int] | None = None) -> tuple[ExportedProgram, Sizes]:
    """The graph of a module for batches of any size, and of any height and width where the network permits.

    Sides are tried as anything, then as multiples of 8, 16 and 32 px, from 64 px on. A network that looks at the size of the
    image in another way needs ``fixed``.

    Args:
        module: images ``(N, 3, H, W)`` float32 to one tensor; in evaluation mode, on the device where it shall run.
        fixed: height and width of all images, px; None: as many sizes as can be.

    Returns:
        The program, and the images that it takes.

    Raises:
        RaysegError: torch cannot make a graph of it, with the reason that it has for the last attempt.

    Example:
        >>> program, sizes = capture(nn.Conv2d(3, 2, 2, stride=2).eval())  # doctest: +SKIP
        >>> program.module()(torch.zeros(3, 3, 70, 81)).shape, str(sizes)  # doctest: +SKIP
        (torch.Size([3, 2, 35, 40]), 'N x 3 x H x W, H and W any from 64 px')
    """
    reason: Exception | None = None
    for sizes in _attempts(fixed):
        try:
            return _captured(module, sizes), sizes
        except Exception as error:  # noqa: BLE001  (a guard of torch, or whatever the network's own code makes of a symbol)
            reason = error
    size = "give one size (--size HEIGHT WIDTH)" if fixed is None else "give another size"
    remedy = f"{size}, or change the model's forward: len(x) and int() make one number of what may differ, x.shape does not"
    raise RaysegError(f"export: torch.export makes no graph of the model: {_told(reason)}; {remedy}") from reason


def _told(reason: Exception | None) -> str:
    """The first thing that torch has against it, from a page of text."""
    lines = [line.strip() for line in str(reason).splitlines() if line.strip()]
    listed = [line.removeprefix("- ") for line in lines if line.startswith("- ")]
    return (listed or lines or [type(reason).__name__])[0][:_MOST_TOLD]


def _attempts(fixed: tuple[int, int] | None) -> Iterator[Sizes]:
    if fixed is not None:
        yield Sizes(fixed)
        return
    yield from (Sizes(None, multiple, _LEAST) for multiple in _MULTIPLES)


def _captured(module: nn.Module, sizes: Sizes) -> ExportedProgram:
    """For two images, because torch takes a batch of one for a constant; height and width differ for the same reason."""
    height, width = sizes.fixed or (2 * _LEAST, 3 * _LEAST)
    example = next(module.parameters()).new_zeros(2, 3, height, width)
    with torch.no_grad():
        program = torch.export.export(module, (example,), dynamic_shapes=({0: Dim("batch", min=1), **_sides(sizes)},))
        # What torch knows of multiples is not complete: it takes 8 px for a network that refuses all but 16.
        program.module()(example.new_zeros(1, 3, *(sizes.fixed or (_LEAST + sizes.multiple, _LEAST + 3 * sizes.multiple))))
    return program


def _sides(sizes: Sizes) -> dict[int, Any]:
    if sizes.fixed is not None:
        return {}
    if sizes.multiple == 1:
        return {2: Dim("height", min=sizes.least), 3: Dim("width", min=sizes.least)}
    least = sizes.least // sizes.multiple
    return {2: sizes.multiple * Dim("rows", min=least), 3: sizes.multiple * Dim("columns", min=least)}
