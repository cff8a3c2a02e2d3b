"""The statistics of upsampled logits on a GPU: what is handed to the kernels of ``cells.py``."""

from __future__ import annotations

import functools
import importlib.util
import math
import os
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from rayseg.kernels.statistics import Backend, Gradients, Inputs, Raw, Wanted, pixel_statistics
from rayseg.kernels.strips import Strips

__all__ = ["Axis", "Tiling", "Triton", "digit_counts", "kernels", "launch", "tiling_of", "why_no_triton"]

#: Pixels of a cell that a lane takes at once, at most; pixels and lanes of a program, at most.
_PIXELS, _PIXELS_OF_PROGRAM, _LANES = 16, 512, 256
_WARP = 32
#: Values that a program counts at once, and how often; bits of a digit.
_COUNTED, _PIECES, _DIGIT_BITS = 1024, 8, 11


class Axis(NamedTuple):
    """Where pixels lie between logits along an axis: pixel x is ``(step x + shift) / whole`` logits from the first."""

    logits: int
    pixels: int
    first_cell: int
    step: int
    shift: int
    whole: int

    @classmethod
    def between(cls, logits: int, pixels: int, align_corners: bool) -> Axis:
        """As torch's ``interpolate`` has it.

        Example:
            >>> Axis.between(128, 512, align_corners=False)
            Axis(logits=128, pixels=512, first_cell=-1, step=2, shift=-3, whole=8)
            >>> Axis.between(129, 513, align_corners=True)
            Axis(logits=129, pixels=513, first_cell=0, step=1, shift=0, whole=4)
        """
        if align_corners:
            at_one = logits == 1 or pixels == 1
            step, shift, whole = (1, 0, pixels) if at_one else (logits - 1, 0, pixels - 1)
        else:
            step, shift, whole = 2 * logits, logits - pixels, 2 * pixels
        divisor = math.gcd(step, shift, whole)
        return cls(logits, pixels, 0 if align_corners else -1, step // divisor, shift // divisor, whole // divisor)

    @property
    def cells(self) -> int:
        """How many cells there are."""
        return self.logits - self.first_cell

    @property
    def extent(self) -> int:
        """Pixels of a cell, at most."""
        return -(-self.whole // self.step)


class Tiling(NamedTuple):
    """How the cells of an image are shared out: ``down`` x ``across`` pixels of ``lanes`` cells at once."""

    lines: Axis
    columns: Axis
    down: int
    across: int
    lanes: int

    @property
    def blocks(self) -> int:
        """Programs that a row of cells takes."""
        return _parts(self.columns.cells, self.lanes)

    @property
    def tiles(self) -> tuple[int, int]:
        """Pieces of a cell, down and across."""
        return _parts(self.lines.extent, self.down), _parts(self.columns.extent, self.across)


def _parts(whole: int, part: int) -> int:
    return -(-whole // part)


def _power_of_two(least: int) -> int:
    return 1 << (least - 1).bit_length()


def tiling_of(inputs: Inputs) -> Tiling:
    """For these logits and labels."""
    (height_in, width_in), (height, width) = inputs.logits.shape[2:], inputs.target.shape[1:]
    lines = Axis.between(height_in, height, inputs.align_corners)
    columns = Axis.between(width_in, width, inputs.align_corners)
    across = min(_power_of_two(columns.extent), 4)
    down = min(_power_of_two(lines.extent), _PIXELS // across)
    return Tiling(lines, columns, down, across, min(_LANES, _PIXELS_OF_PROGRAM // (down * across)))


@functools.cache
def kernels() -> Any:
    """All of them, imported when they are first asked for."""
    from rayseg.kernels import cells, digits, scores  # noqa: PLC0415  Triton is not everywhere

    names = {"forward": cells.forward, "backward": cells.backward, "total": cells.total}
    return SimpleNamespace(**names, digits=digits.digits, confusion=scores.confusion)


@dataclass(frozen=True)
class Triton:
    """Backend of ``pixel_statistics`` in Triton, for NVIDIA's GPUs; :func:`why_no_triton` says whether it can be used.

    Nothing waits for the GPU, and no float is added to by two lanes at once: a repeated call gives the same bits. So nobody can
    be told of a label that is no class: the statistics of its image are NaN, and so is the loss.

    Args:
        device: type of the only device on which it is used; None: any, for Triton's interpreter.
        name: what a config calls it.
        reads: kinds of logits.

    Example:
        >>> Triton().name
        'triton'
    """

    device: str | None = "cuda"
    name: str = "triton"
    reads: frozenset[torch.dtype] = frozenset({torch.float32, torch.bfloat16, torch.float16})

    def forward(self, inputs: Inputs) -> Raw:
        """The statistics."""
        logits, target, wanted = inputs.logits, inputs.target, inputs.wanted
        images, classes = logits.shape[:2]
        tiling = tiling_of(inputs)
        tiles_down, tiles_across = tiling.tiles
        blocks = tiling.blocks * tiles_across
        nll, log_sum = (logits.new_empty(target.shape, dtype=torch.float32) for _ in range(2))
        mean_nll = torch.empty_like(nll) if wanted.mean_nll else None
        programs = blocks * tiling.lines.cells * tiles_down
        partial = nll.new_zeros(images, programs, 6 * classes) if wanted.sums else None
        launch(
            kernels().forward,
            (blocks, tiling.lines.cells * tiles_down, images),
            (logits, target, nll, log_sum, mean_nll, partial, inputs.ignore_index, classes),
            (tuple(tiling.lines), tuple(tiling.columns), tiles_down, tiles_across),
            tiling,
            VOID=wanted.void,
        )
        return Raw(nll, mean_nll, None if partial is None else _sums(partial).view(images, 6, classes), log_sum)

    def backward(self, inputs: Inputs, saved: Tensor, gradients: Gradients) -> Tensor:
        """Gradient ``(N, C, h, w)`` at the logits."""
        logits = inputs.logits
        tiling = tiling_of(inputs)
        gradient = torch.zeros_like(logits, dtype=torch.float32)
        void = inputs.wanted.void and gradients.sums is not None
        for odd in range(4):
            rows = _parts(tiling.lines.cells - odd // 2, 2)
            blocks = _parts(_parts(tiling.columns.cells - odd % 2, 2), tiling.lanes)
            launch(
                kernels().backward,
                (blocks, rows, len(logits)),
                (logits, inputs.target, saved, *gradients, gradient, inputs.ignore_index, logits.shape[1]),
                (tuple(tiling.lines), tuple(tiling.columns), *tiling.tiles, odd // 2, odd % 2),
                tiling,
                VOID=void,
            )
        return gradient


def _device_of(tensor: Tensor) -> AbstractContextManager[Any]:
    """Where Triton puts what it launches."""
    return torch.cuda.device(tensor.device) if tensor.is_cuda else nullcontext()


def launch(kernel: Any, grid: tuple[int, ...], tensors: Any, geometry: Any, tiling: Tiling, **more: Any) -> None:
    """Runs a kernel over the cells of a grid of programs, if there are any."""
    if not all(grid):
        return
    size = {"P": tiling.down, "Q": tiling.across, "B": tiling.lanes, **more}
    with _device_of(tensors[0]):
        kernel[grid](*tensors, *geometry, **size, num_warps=max(1, tiling.lanes // _WARP), enable_fp_fusion=True)


def _sums(partial: Tensor) -> Tensor:
    """``(N, width)`` in float64 of the sums ``(N, programs, width)`` of programs."""
    images, programs, width = partial.shape
    sums = partial.new_empty(images, width, dtype=torch.float64)
    if images:
        with _device_of(partial):
            kernels().total[_parts(width, _WARP), images](partial, sums, programs, width, LINES=64, B=_WARP)
    return sums


def digit_counts(bits: Tensor, place: int, found: Tensor | None) -> Tensor | None:
    """How often each digit of 11 bits occurs, as ``kth_largest`` counts them; None where no kernel in Triton is in use.

    Torch's own way takes a lock for each value, or sorts them all where it has to be deterministic.

    Args:
        bits: ``(M,)`` int32, contiguous; the sign is ignored.
        place: of the digit, from the lowest.
        found: ``()`` the higher digits that a value must have to be counted; None: any.

    Example:
        >>> digit_counts(torch.tensor([5, 5, 7]), 0, None)  # of int64
    """
    if not kernels.cache_info().currsize or bits.dtype != torch.int32:
        return None
    counts = torch.zeros(1 << _DIGIT_BITS, dtype=torch.int64, device=bits.device)
    if len(bits):
        grid, size = (_parts(len(bits), _COUNTED * _PIECES),), {"DIGIT_BITS": _DIGIT_BITS, "B": _COUNTED, "PIECES": _PIECES}
        with _device_of(bits):
            kernels().digits[grid](bits, counts, found, len(bits), place * _DIGIT_BITS, **size)
    return counts


@functools.cache
def why_no_triton(device: torch.device) -> str | None:
    """Why the backend in Triton cannot be used on a device; None where it can, which is tried out once.

    With ``TRITON_INTERPRET=1`` in the environment it can be used on any device, and is slow.

    Args:
        device: where logits would be.

    Example:
        >>> why_no_triton(torch.device("meta"))
        'there are no such kernels for meta'
    """
    interpreted = os.environ.get("TRITON_INTERPRET") == "1"
    if device.type != "cuda" and not (interpreted and device.type == "cpu"):
        return f"there are no such kernels for {device.type}"
    if importlib.util.find_spec("triton") is None:
        return "Triton is not installed"
    try:
        return _failure(Triton(device.type), device)
    except Exception as error:  # noqa: BLE001  whatever a compiler or a driver raises
        return f"Triton fails here: {type(error).__name__}: {(str(error).splitlines() or [''])[0][:200]}"


def _failure(backend: Backend, device: torch.device) -> str | None:
    """What is wrong with it on a small batch, against strips on a CPU."""
    generator = torch.Generator().manual_seed(0)
    logits, target = torch.randn(1, 2, 2, 3, generator=generator), torch.tensor([[[0, 1, 1, 255, 0, 1]] * 4])
    found = []
    for way, where in ((Strips(), torch.device("cpu")), (backend, device)):
        leaf = logits.to(where).requires_grad_()
        wanted = Wanted(mean_nll=True, sums=True)
        one = pixel_statistics(leaf, target.to(where), ignore_index=255, wanted=wanted, backend=way)
        assert one.mean_nll is not None
        assert one.sums is not None
        value = (one.nll + one.mean_nll).sum() + one.sums.prediction_squared.sum()
        found.append(torch.cat([value[None], torch.autograd.grad(value, leaf)[0].flatten()]).cpu())
    difference = float((found[0] - found[1]).detach().abs().max())
    return None if difference < 1e-4 else f"its kernels give wrong numbers here: a gradient differs by {difference:.1e}"
