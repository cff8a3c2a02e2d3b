"""Bytes become the numbers of ``normalize`` and ``pad_to``, compiled or not, on every device."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest
import torch

from rayseg.data import Decoded, View, normalize, pad_to
from rayseg.data._colour import coloured
from rayseg.data._drawing import ALL, HUE, SATURATION, Stage
from rayseg.data._memory import Memory
from rayseg.data._native import plainly
from rayseg.data.delivery import Recipient, delivered, pack
from rayseg.data.twist import affine_of
from rayseg.types import Sample

MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
SIZES = [(5, 7), (9, 4), (9, 11)]


def samples() -> list[Sample]:
    rng = np.random.default_rng(0)
    return [
        Sample(rng.integers(0, 256, (*size, 3), dtype=np.uint8), rng.integers(0, 4, size, dtype=np.uint8), "a")
        for size in SIZES
    ]


def views() -> list[View]:
    return [View.of(Decoded(sample)) for sample in samples()]


def expected() -> tuple[torch.Tensor, torch.Tensor]:
    pairs = [pad_to(normalize(each.image, MEAN, STD), each.mask, (9, 11), 255) for each in samples()]
    images, masks = (torch.from_numpy(np.stack(arrays)) for arrays in zip(*pairs, strict=True))
    return images, masks.long()


@pytest.mark.parametrize("compiled", [True, False])
def test_a_parcel_becomes_normalised_and_padded_images(compiled: bool) -> None:
    with nullcontext() if compiled else plainly():
        batch = Recipient(MEAN, STD).batch(pack(views(), [3, 4, 5], (9, 11), 255))
    images, masks = expected()
    assert torch.equal(batch.images, images)
    assert torch.equal(batch.masks, masks)
    assert batch.keys.tolist() == [3, 4, 5]


def test_what_a_gpu_looks_up_is_the_same() -> None:
    parcel = pack(views(), [3, 4, 5], (9, 11), 255)
    assert torch.equal(Recipient(MEAN, STD)._looked_up(parcel.images, parcel.sizes), expected()[0])


def test_an_image_larger_than_the_padding_stays_as_it_is() -> None:
    big = views()[2:]
    assert pack(big, [0], (4, 20), 255).images.shape == (1, 3, 9, 20)
    assert torch.equal(pack(big, [0], None, 255).masks[0], torch.from_numpy(big[0].mask()))


@pytest.mark.gpu
@pytest.mark.parametrize("ahead", [1, 3])
def test_batches_reach_a_gpu_in_order_and_whole_while_it_works(ahead: int) -> None:
    device = torch.device("cuda", torch.cuda.current_device())
    rng = np.random.default_rng(0)
    many = [
        View.of(
            Decoded(Sample(rng.integers(0, 256, (256, 512, 3), dtype=np.uint8), np.full((256, 512), key % 9, np.uint8), "a"))
        )
        for key in range(12)
    ]
    parcels = [pack([view], [key], (300, 512), 255) for key, view in enumerate(many)]
    busy = torch.randn(2048, 2048, device=device)
    keys = []
    for batch, parcel in zip(delivered(iter(parcels), Recipient(MEAN, STD, device), ahead), parcels, strict=True):
        for _ in range(5):
            busy = (busy @ busy).clamp(-1, 1)
        here = Recipient(MEAN, STD).batch(parcel)
        assert batch.images.device == device
        assert torch.equal(batch.images.cpu(), here.images)
        assert torch.equal(batch.masks.cpu(), here.masks)
        keys += batch.keys.tolist()
    assert keys == list(range(12))


@pytest.mark.gpu
def test_delivery_never_waits_for_the_gpu() -> None:
    device = torch.device("cuda", torch.cuda.current_device())
    parcels = [pack(views(), [3, 4, 5], (9, 11), 255) for _ in range(6)]
    recipient = Recipient(MEAN, STD, device)
    recipient.batch(parcels[0])  # the tables are copied once
    torch.cuda.set_sync_debug_mode("error")
    try:
        assert len(list(delivered(iter(parcels), recipient, ahead=1))) == 6
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_batches_that_are_held_in_any_way_keep_their_numbers_and_the_memory_of_others_is_used_again() -> None:
    recipient = Recipient(MEAN, STD)
    first, second, third = (recipient.batch(pack(views()[place:], [0], (9, 11), 255)) for place in (0, 0, 2))
    place = second.images.data_ptr()
    part, numbers, labels = first.images[1, 0], first.images.numpy(), second.masks.mT
    del first, second
    again = [recipient.batch(pack(views(), [0], (9, 11), 255)) for _ in range(3)]
    images, masks = expected()
    assert torch.equal(part, images[1, 0])
    assert np.array_equal(numbers, images.numpy())
    assert torch.equal(labels, masks.mT)
    assert torch.equal(third.images, images[2:])
    assert [batch.images.data_ptr() for batch in again].count(place) == 1


LIGHTS: tuple[list[Stage], ...] = (
    [],
    [Stage(ALL, 1.3, -20.0), Stage(HUE, 1.0, 170.0)],
    [Stage(SATURATION, 0.6, 0.0), Stage(ALL, 0.8, 0.0)],
)


@pytest.mark.parametrize("compiled", [True, False])
def test_colours_that_wait_are_one_clipped_affine_map_of_each_image(compiled: bool) -> None:
    lit = [view.coloured(stages) for view, stages in zip(views(), LIGHTS, strict=True)]
    with nullcontext() if compiled else plainly():
        batch = Recipient(MEAN, STD).batch(pack(lit, [3, 4, 5], (9, 11), 255, twist=True))
        alone = Recipient(MEAN, STD).batch(pack(lit[1:2], [4], (9, 11), 255, twist=True))
    for image, view, stages in zip(batch.images.double(), views(), LIGHTS, strict=True):
        (rows, columns), affine = view.size, affine_of(stages).astype(np.float64)
        wanted = np.clip(view.image() @ affine[:, :3].T + affine[:, 3], 0, 255)
        wanted = ((wanted - MEAN) / STD).transpose(2, 0, 1)
        assert np.allclose(image[:, :rows, :columns], wanted, rtol=0, atol=1e-5)
        assert not image[:, rows:].any()
        assert not image[:, :, columns:].any()
    assert torch.equal(alone.images[0], batch.images[1])
    assert torch.equal(batch.masks, expected()[1])


@pytest.mark.parametrize(
    ("stage", "opposite"),
    [
        (Stage(ALL, 1.2, 9.0), Stage(ALL, 0.8, -9.0)),
        (Stage(HUE, 1.0, 9.0), Stage(HUE, 1.0, 171.0)),
        (Stage(SATURATION, 1.3, 0.0), Stage(SATURATION, 0.7, 0.0)),
    ],
)
def test_affine_colours_go_where_those_through_hsv_go(stage: Stage, opposite: Stage) -> None:
    pixels = np.random.default_rng(0).integers(40, 200, (40, 50, 3), dtype=np.uint8)
    exact = coloured(pixels, [stage])
    there, back = (pixels @ affine[:, :3].T + affine[:, 3] for affine in (affine_of([stage]), affine_of([opposite])))
    assert np.abs(there - exact).mean() < 0.6 * np.abs(back - exact).mean()


@pytest.mark.gpu
def test_colours_that_wait_are_those_of_the_cpu_and_nobody_waits_for_them() -> None:
    device = torch.device("cuda", torch.cuda.current_device())
    lit = [view.coloured(stages) for view, stages in zip(views(), LIGHTS, strict=True)]
    parcel = pack(lit, [3, 4, 5], (9, 11), 255, twist=True)
    torch.cuda.set_sync_debug_mode("error")
    try:
        there = Recipient(MEAN, STD, device).batch(parcel)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    here = Recipient(MEAN, STD).batch(parcel)
    assert torch.allclose(there.images.cpu(), here.images, rtol=0, atol=1e-5)


def test_memory_that_another_thread_gives_back_meanwhile_is_not_taken_for_another_size() -> None:
    class Trimmed(list[Any]):
        """Loses its oldest after it was looked at."""

        def pop(self, place: Any = -1) -> Any:
            del self[0]
            return super().pop(place)

    for sizes in ((4, 8, 4), (4, 8)):
        memory = Memory(Trimmed(np.empty(size, np.uint8) for size in sizes))
        assert memory.empty((2, 4), torch.uint8).shape == (2, 4)
