"""From loading processes to the device: bytes travel, numbers are made where they are used.

A loading process hands on uint8 images and masks, 4 bytes a pixel instead of 20. They become normalised numbers and int64
labels on the device: on a CPU in one pass, on a GPU after a copy that runs beside the step before.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from rayseg.data._drawing import pointer
from rayseg.data._memory import Memory
from rayseg.data._native import pixel_library
from rayseg.data.pixels import normal_tables, normalize
from rayseg.data.twist import affine_of, normal_maps, twisted
from rayseg.data.view import View
from rayseg.types import Batch

__all__ = ["Parcel", "Recipient", "delivered", "pack"]


class Parcel(NamedTuple):
    """A batch in bytes.

    Args:
        images: ``(N, 3, H, W)`` uint8 RGB; what is padding has no meaning.
        masks: ``(N, H, W)`` uint8 labels, padded with the void label.
        sizes: ``(N, 2)`` int64, height and width px of each image without padding.
        keys: ``(N,)`` int64 sample numbers.
        twists: ``(N, 3, 4)`` float32, a change of colours that is still to be made of each image (``twist.py``); empty: none.
    """

    images: Tensor
    masks: Tensor
    sizes: Tensor
    keys: Tensor
    twists: Tensor = torch.empty(0)


def pack(
    views: Sequence[View],
    keys: Sequence[int],
    pad_size: tuple[int, int] | None,
    ignore_index: int,
    memory: Memory | None = None,
    *,
    twist: bool = False,
) -> Parcel:
    """Drawn side by side, padded at the right and the bottom; a side that is larger than ``pad_size`` already stays so.

    Args:
        views: of one size after padding.
        keys: sample numbers.
        pad_size: ``(height, width)`` px; None: no padding.
        ignore_index: what masks are padded with.
        memory: what it is drawn into; None: new.
        twist: leave changes of colours to who unpacks it.

    Example:
        >>> from rayseg.data import Decoded
        >>> from rayseg.types import Sample
        >>> view = View.of(Decoded(Sample(np.full((1, 1, 3), 7, np.uint8), np.zeros((1, 1), np.uint8), "a")))
        >>> parcel = pack([view], [5], (1, 2), 255)
        >>> parcel.images.shape, parcel.masks.tolist(), parcel.sizes.tolist()
        (torch.Size([1, 3, 1, 2]), [[[0, 255]]], [[1, 1]])
    """
    sizes = [view.size for view in views]
    height, width = (max(have, want) for have, want in zip(sizes[0], pad_size or sizes[0], strict=True))
    empty = Memory().empty if memory is None else memory.empty
    images, masks = (empty((len(views), *channels, height, width), torch.uint8) for channels in ((3,), ()))
    for view, image, mask in zip(views, images.numpy(), masks.numpy(), strict=True):
        rows, columns = view.size
        view.draw_mask(mask[:rows, :columns])
        view.draw_image(image[:, :rows, :columns].transpose(1, 2, 0), in_light=not twist)
        for padded, value in ((image, 0), (mask, ignore_index)):
            padded[..., rows:, :], padded[..., :rows, columns:] = value, value
    counts, numbers = (torch.from_numpy(np.array(each, np.int64)) for each in (sizes, keys))
    twists = torch.from_numpy(np.stack([affine_of(view.light) for view in views])) if twist else torch.empty(0)
    return Parcel(images, masks, counts, numbers, twists)


@dataclass(frozen=True)
class Recipient:
    """Bytes to a batch on a device: the same numbers on every one.

    Args:
        mean: of RGB, in 0-255.
        std: of RGB, in 0-255.
        device: None: the CPU.
        memory: of batches on the CPU.

    Example:
        >>> from rayseg.data import Decoded
        >>> from rayseg.types import Sample
        >>> view = View.of(Decoded(Sample(np.full((1, 1, 3), 30, np.uint8), np.zeros((1, 1), np.uint8), "a")))
        >>> Recipient((10, 20, 30), (10, 10, 10)).batch(pack([view], [5], (1, 2), 255)).images.tolist()
        [[[[2.0, 0.0]], [[1.0, 0.0]], [[0.0, 0.0]]]]
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    device: torch.device | None = None
    memory: Memory = field(default_factory=Memory, compare=False)

    @property
    def is_gpu(self) -> bool:
        """Whether copies can run beside work."""
        return self.device is not None and self.device.type == "cuda"

    def batch(self, parcel: Parcel) -> Batch:
        """Normalised images ``(N, 3, H, W)`` float32, 0 where they are padding, and int64 labels."""
        if not self.is_gpu:
            labels = self.memory.empty(parcel.masks.shape, torch.int64).copy_(parcel.masks)
            return Batch(self._on_cpu(parcel), labels, parcel.keys)
        there = (each.pin_memory().to(self.device, non_blocking=True) for each in (*parcel[:4], self._maps(parcel)))
        pixels, masks, sizes, keys, maps = there
        images = twisted(pixels, sizes, maps) if len(maps) else self._looked_up(pixels, sizes)
        return Batch(images, masks.long(), keys)

    def _maps(self, parcel: Parcel) -> Tensor:
        return normal_maps(parcel.twists, self.mean, self.std) if len(parcel.twists) else parcel.twists

    def _on_cpu(self, parcel: Parcel) -> Tensor:
        if len(parcel.twists):
            return twisted(parcel.images, parcel.sizes, self._maps(parcel), self.memory)
        pixels, sizes = parcel.images.numpy(), parcel.sizes.numpy()
        n, _, height, width = pixels.shape
        library = pixel_library()
        if library is None:
            images = np.zeros((n, 3, height, width), np.float32)
            for image, of, (rows, columns) in zip(images, pixels, sizes, strict=True):
                image[:, :rows, :columns] = normalize(of[:, :rows, :columns].transpose(1, 2, 0), self.mean, self.std)
            return torch.from_numpy(images)
        out = self.memory.empty(pixels.shape, torch.float32)
        tables = normal_tables(self.mean, self.std)
        shape = map(ctypes.c_int64, (n, height, width))
        light = (ctypes.c_double * 3)(*self.mean), (ctypes.c_double * 3)(*self.std)
        to = ctypes.c_void_p(out.data_ptr())
        library.rayseg_normalize(pointer(pixels), *shape, pointer(sizes), pointer(tables), *light, to)
        return out

    def _looked_up(self, pixels: Tensor, sizes: Tensor) -> Tensor:
        """The same from the same tables, in torch."""
        n, _, height, width = pixels.shape
        tables = _tables_on(pixels.device, self.mean, self.std)
        places = pixels.int() + torch.arange(0, 768, 256, device=pixels.device, dtype=torch.int32)[:, None, None]
        images = tables.flatten().index_select(0, places.flatten()).view(n, 3, height, width)
        rows, columns = (torch.arange(side, device=pixels.device) for side in (height, width))
        inside = (rows[:, None] < sizes[:, 0, None, None]) & (columns < sizes[:, 1, None, None])
        return images * inside[:, None]


@lru_cache(maxsize=4)
def _tables_on(device: torch.device, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    return torch.from_numpy(normal_tables(mean, std)).to(device)


def delivered(parcels: Iterable[Parcel], recipient: Recipient, ahead: int) -> Iterator[Batch]:
    """Batches in order; on a GPU so many are under way while the one before is used.

    Args:
        parcels: what is loaded.
        recipient: where to.
        ahead: batches that a GPU holds beyond the one that is used, 1 or more.

    Example:
        >>> from rayseg.data import Decoded
        >>> from rayseg.types import Sample
        >>> view = View.of(Decoded(Sample(np.zeros((1, 1, 3), np.uint8), np.zeros((1, 1), np.uint8), "a")))
        >>> parcels = (pack([view], [key], None, 255) for key in (3, 4))
        >>> [batch.keys.tolist() for batch in delivered(parcels, Recipient((0, 0, 0), (1, 1, 1)), ahead=1)]
        [[3], [4]]
    """
    if not recipient.is_gpu:
        yield from map(recipient.batch, parcels)
        return
    stream, rest = torch.cuda.Stream(recipient.device), iter(parcels)  # type: ignore[no-untyped-call]
    under_way = [_sent(parcel, recipient, stream) for parcel in islice(rest, ahead)]
    while under_way:
        batch, arrived = under_way.pop(0)
        under_way += [_sent(parcel, recipient, stream) for parcel in islice(rest, 1)]
        current = torch.cuda.current_stream(recipient.device)
        current.wait_event(arrived)
        for tensor in batch:
            tensor.record_stream(current)
        yield batch


def _sent(parcel: Parcel, recipient: Recipient, stream: torch.cuda.Stream) -> tuple[Batch, torch.cuda.Event]:
    """A batch that a stream of its own is making, and when it is there."""
    with torch.cuda.stream(stream):
        batch = recipient.batch(parcel)
        return batch, stream.record_event()
