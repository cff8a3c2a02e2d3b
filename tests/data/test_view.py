"""A view of a picture is what resizing, cutting and mirroring all of it gives, to the bit, compiled or not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from rayseg.data import Decoded, RandomCrop, RandomFlip, RandomResize, Transform, View, _native, transformed
from rayseg.data._drawing import Window
from rayseg.types import Sample

Array = NDArray[np.uint8]


def picture(height: int, width: int, seed: int = 0) -> Decoded:
    rng = np.random.default_rng(seed)
    mask = rng.integers(0, 4, (height, width), dtype=np.uint8)
    mask[rng.random(mask.shape) < 0.2] = 255
    return Decoded(Sample(rng.integers(0, 256, (height, width, 3), dtype=np.uint8), mask, "a"))


def whole(sample: Sample, size: tuple[int, int]) -> tuple[Array, Array]:
    """All of it resized by Pillow, first across, then down."""
    (height, width), (rows, _) = size, sample.mask.shape
    image = Image.fromarray(sample.image).resize((width, rows), Image.Resampling.BILINEAR)
    mask = Image.fromarray(sample.mask).resize((width, height), Image.Resampling.NEAREST)
    return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR)), np.asarray(mask)


@pytest.fixture(params=["compiled", "plain"])
def way(request: pytest.FixtureRequest) -> Iterator[str]:
    if request.param == "compiled" and _native.pixel_library() is None:
        pytest.skip("no C++ compiler")
    with _native.plainly() if request.param == "plain" else nullcontext():
        yield request.param


SIDES = st.integers(1, 70)


@settings(max_examples=40, deadline=None)
@given(source=st.tuples(SIDES, SIDES), size=st.tuples(SIDES, SIDES), mirrored=st.booleans(), data=st.data())
def test_a_window_is_that_of_the_whole_picture(
    source: tuple[int, int], size: tuple[int, int], mirrored: bool, data: st.DataObject
) -> None:
    of = picture(*source)
    top, left = (data.draw(st.integers(0, side - 1)) for side in size)
    height, width = (data.draw(st.integers(1, side)) for side in size)
    image, mask = (each[top : top + height, left : left + width] for each in whole(of.sample, size))
    view = View.of(of).resized(size).cropped(top, left, height, width)
    found = (view.flipped() if mirrored else view).sample()
    turn = slice(None, None, -1 if mirrored else 1)
    assert np.array_equal(found.image, image[:, turn])
    assert np.array_equal(found.mask, mask[:, turn])


def test_both_ways_give_what_pillow_gives(way: str) -> None:
    for seed in range(8):
        of = picture(37 + seed, 53, seed)
        image, mask = whole(of.sample, (20 + 9 * seed, 30 + 11 * seed))
        view = View.of(of).resized(mask.shape).cropped(3, 4, 15, 20).flipped()
        found = view.sample()
        assert np.array_equal(found.image, image[3:18, 4:24][:, ::-1])
        assert np.array_equal(found.mask, mask[3:18, 4:24][:, ::-1])
        assert np.array_equal(_native.label_counts(of.sample.mask), np.bincount(of.sample.mask.ravel(), minlength=256))


def test_what_is_said_in_any_order_is_done_in_that_order(way: str) -> None:
    sample = picture(40, 50).sample
    flip = RandomFlip(prob=1.0)
    chain: list[Transform] = [
        RandomCrop(size=(30, 33)),
        flip,
        RandomResize(ratio_range=(1.3, 1.3)),
        flip,
        RandomCrop(size=(20, 21)),
    ]
    one = sample
    rng, other = (np.random.default_rng(4) for _ in range(2))
    for transform in chain:
        one = transform(one, rng)
    at_once = transformed(View.of(Decoded(sample)), chain, other)
    assert np.array_equal(one.image, at_once.image)
    assert np.array_equal(one.mask, at_once.mask)
    assert rng.random() == other.random()


@dataclass(frozen=True)
class Narrow:
    """A picture that gives no pixel more than it is asked for, and lies about all other labels."""

    decoded: Decoded
    name: str = "narrow"

    @property
    def size(self) -> tuple[int, int]:
        return self.decoded.size

    def mask(self, top: int, bottom: int) -> Array:
        mask = np.full_like(self.decoded.sample.mask, 77)
        mask[top:bottom] = self.decoded.sample.mask[top:bottom]
        return mask

    def pixels(self, top: int, bottom: int, left: int, right: int) -> tuple[Array, int, int]:
        return self.decoded.sample.image[top:bottom, left:right].copy(), top, left


@pytest.mark.parametrize("ratio", [0.4, 1.0, 1.7])
def test_no_more_is_asked_for_than_the_window_needs(way: str, ratio: float) -> None:
    of = picture(60, 80)
    chain: list[Transform] = [RandomResize(ratio_range=(ratio, ratio)), RandomCrop(size=(19, 23)), RandomFlip()]
    for seed in range(6):
        full, narrow = (transformed(View.of(each), chain, np.random.default_rng(seed)) for each in (of, Narrow(of)))
        assert np.array_equal(full.image, narrow.image)
        assert np.array_equal(full.mask, narrow.mask)
    if way == "compiled":
        top, bottom, left, right = _native.needed(Window(60, 80, 120, 160, 40, 50, 20, 30))
        assert (bottom - top, right - left) <= (12, 17)


class Blackened(RandomFlip):
    """A transform with a call of its own, whose ``on_view`` is another one's."""

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        flipped = super().__call__(sample, rng)
        return Sample(np.zeros_like(flipped.image), flipped.mask, flipped.name)


def test_a_call_that_a_class_has_of_its_own_is_not_gone_around() -> None:
    found = transformed(View.of(picture(4, 5)), [Blackened()], np.random.default_rng(0))
    assert not found.image.any()
