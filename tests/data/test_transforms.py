"""Joint transforms, against MMSegmentation's rules written out."""

from __future__ import annotations

import colorsys
import pickle
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from rayseg.data import TRANSFORMS, Decoded, Photometric, RandomCrop, RandomFlip, RandomResize, View, normalize, pad_to
from rayseg.data._colour import coloured, hsv_to_rgb, rgb_to_hsv
from rayseg.data._drawing import ALL, HUE, SATURATION, Stage
from rayseg.data._native import plainly
from rayseg.errors import ConfigError
from rayseg.types import Sample

Array = NDArray[np.uint8]


def _sample(height: int, width: int, seed: int = 0, classes: int = 3) -> Sample:
    rng = np.random.default_rng(seed)
    mask = rng.integers(0, classes, (height, width), dtype=np.uint8)
    return Sample(rng.integers(0, 256, (height, width, 3), dtype=np.uint8), mask, "a.png")


def _marked(height: int, width: int) -> Sample:
    """An image whose three channels are its mask, so that geometry can be compared."""
    mask = np.random.default_rng(1).integers(0, 5, (height, width), dtype=np.uint8)
    return Sample(np.stack([mask] * 3, axis=-1), mask, "a.png")


# -- geometry ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("own", "scale"), [((90, 120), (60, 100)), ((120, 90), (60, 100)), ((37, 53), None)])
@pytest.mark.parametrize("seed", range(4))
def test_resize_keeps_the_ratio_by_the_rule_of_mmseg(own: tuple[int, int], scale: tuple[int, int] | None, seed: int) -> None:
    ratio = np.random.default_rng(seed).random() * 1.5 + 0.5
    target = [int(side * ratio) for side in scale or own]
    factor = min(max(target) / max(own), min(target) / min(own))
    resized = RandomResize(scale=scale)(_sample(*own), np.random.default_rng(seed))
    assert resized.mask.shape == tuple(int(side * factor + 0.5) for side in own)
    assert resized.image.shape == (*resized.mask.shape, 3)


def test_resize_without_keeping_the_ratio_takes_the_target_itself() -> None:
    resize = RandomResize(scale=(30, 70), ratio_range=(2.0, 2.0), keep_ratio=False)
    assert resize(_sample(40, 40), np.random.default_rng(0)).mask.shape == (60, 140)


def test_resize_invents_no_label() -> None:
    sample = _sample(20, 20)
    sample.mask[sample.mask == 1] = 255
    mask = RandomResize(ratio_range=(1.7, 1.7))(sample, np.random.default_rng(0)).mask
    assert set(np.unique(mask)) == {0, 2, 255}


def _mmseg_crop(mask: Array, size: tuple[int, int], ratio: float, ignore: int, rng: np.random.Generator) -> Array:
    def draw() -> Array:
        y, x = (int(rng.integers(max(have - want, 0) + 1)) for have, want in zip(mask.shape, size, strict=True))
        return mask[y : y + size[0], x : x + size[1]]

    window = draw()
    for _ in range(10):
        labels, counts = np.unique(window, return_counts=True)
        counts = counts[labels != ignore]
        if len(counts) > 1 and counts.max() / counts.sum() < ratio:
            break
        window = draw()
    return window


@pytest.mark.parametrize("seed", range(12))
def test_crop_is_the_first_draw_that_the_rule_of_mmseg_accepts(seed: int) -> None:
    sample = _sample(30, 40)
    sample.mask[:, :30] = 1
    sample.mask[10:14, 5:9] = 255
    crop = RandomCrop(size=(8, 12), cat_max_ratio=0.6)
    expected = _mmseg_crop(sample.mask, (8, 12), 0.6, 255, np.random.default_rng(seed))
    assert np.array_equal(crop(sample, np.random.default_rng(seed)).mask, expected)


def test_crop_gives_up_after_ten_further_draws_and_void_is_no_second_class() -> None:
    mask = np.zeros((50, 50), np.uint8)
    mask[::2] = 255
    rng, other = np.random.default_rng(3), np.random.default_rng(3)
    RandomCrop(size=(4, 4))(Sample(np.zeros((50, 50, 3), np.uint8), mask, "a"), rng)
    for _ in range(2 * 11):
        other.integers(47)
    assert rng.random() == other.random()


def test_crop_of_an_all_void_image_is_taken_and_a_small_image_stays_small() -> None:
    void = Sample(np.zeros((5, 9, 3), np.uint8), np.full((5, 9), 255, np.uint8), "a")
    assert RandomCrop(size=(8, 4))(void, np.random.default_rng(0)).mask.shape == (5, 4)


@pytest.mark.parametrize("transform", [RandomCrop(size=(7, 9)), RandomFlip(prob=1.0), RandomFlip()])
def test_image_and_mask_move_together(transform: Any) -> None:
    for seed in range(5):
        moved = transform(_marked(16, 20), np.random.default_rng(seed))
        assert np.array_equal(moved.image[..., 0], moved.mask)


def test_flip_happens_with_its_probability() -> None:
    sample = _sample(4, 6)
    rng = np.random.default_rng(0)
    flips = [not np.array_equal(RandomFlip(prob=0.3)(sample, rng).mask, sample.mask) for _ in range(1000)]
    assert 0.25 < np.mean(flips) < 0.35


# -- colour -----------------------------------------------------------------------------------------------------------


def test_hsv_is_that_of_colorsys_in_half_degrees() -> None:
    image = np.random.default_rng(0).integers(0, 256, (1, 2000, 3), dtype=np.uint8)
    exact = np.array([colorsys.rgb_to_hsv(*(pixel / 255)) for pixel in image[0]]) * (180, 255, 255)
    off = np.abs(rgb_to_hsv(image)[0] - exact)
    off[:, 0] = np.minimum(off[:, 0], 180 - off[:, 0])
    assert off.max() <= 0.5 + 1275 / 2 / 4096  # rounding, after a division by tables of 12 bits


def test_rgb_is_that_of_colorsys_for_every_hue() -> None:
    rng = np.random.default_rng(1)
    hsv = np.stack([np.tile(np.arange(180), 10), *rng.integers(0, 256, (2, 1800))], axis=-1).astype(np.uint8)[None]
    exact = np.array([colorsys.hsv_to_rgb(*(pixel / (180, 255, 255))) for pixel in hsv[0]]) * 255
    assert np.abs(hsv_to_rgb(hsv)[0] - exact).max() <= 0.51


def test_known_colours_have_opencvs_hues() -> None:
    colours = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 0, 128], [9, 9, 9], [0, 0, 0]]], np.uint8)
    expected = [[0, 255, 255], [60, 255, 255], [120, 255, 255], [165, 255, 255], [0, 0, 9], [0, 0, 0]]
    assert rgb_to_hsv(colours)[0].tolist() == expected


def _mmseg_photometric(image: Array, rng: np.random.Generator) -> Array:
    def convert(values: Array, alpha: float = 1, beta: float = 0) -> Array:
        moved: NDArray[np.float32] = np.clip(values.astype(np.float32) * np.float32(alpha) + np.float32(beta), 0, 255)
        return moved.astype(np.uint8)

    if rng.integers(2):
        image = convert(image, beta=rng.uniform(-32, 32))
    after = rng.integers(2)
    if not after and rng.integers(2):
        image = convert(image, rng.uniform(0.5, 1.5))
    if rng.integers(2):
        hsv = rgb_to_hsv(image)
        hsv[..., 1] = convert(hsv[..., 1], rng.uniform(0.5, 1.5))
        image = hsv_to_rgb(hsv)
    if rng.integers(2):
        hsv = rgb_to_hsv(image)
        hsv[..., 0] = (hsv[..., 0].astype(int) + rng.integers(-18, 18)) % 180
        image = hsv_to_rgb(hsv)
    if after and rng.integers(2):
        image = convert(image, rng.uniform(0.5, 1.5))
    return image


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("seed", range(24))
def test_photometric_is_mmsegs_written_out(seed: int, compiled: bool) -> None:
    sample = _sample(19, 17, seed)
    with nullcontext() if compiled else plainly():
        got = Photometric()(sample, np.random.default_rng(seed))
    assert np.array_equal(got.image, _mmseg_photometric(sample.image, np.random.default_rng(seed)))
    assert got.mask is sample.mask


@pytest.mark.parametrize("kind", [ALL, HUE, SATURATION])
def test_every_colour_of_a_cube_takes_the_same_way_compiled_or_not(kind: int) -> None:
    steps = np.array([0, 1, 2, 3, 50, 51, 84, 127, 128, 170, 200, 253, 254, 255], np.uint8)
    cube = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(-1, 14, 3)
    view = View.of(Decoded(Sample(cube, np.zeros(cube.shape[:2], np.uint8), "a")))
    for turn, factor in ((0, 0.7), (1, 1.31), (77, 1.0), (179, 1.9)):
        stages = [Stage(kind, factor, turn), Stage(ALL, -0.9, 250.3)]
        assert np.array_equal(view.coloured(stages).image(), coloured(cube, stages))


def test_photometric_parts_that_are_switched_off_change_nothing() -> None:
    neutral = Photometric(brightness_delta=0, contrast_range=(1, 1), saturation_range=(1, 1), hue_delta=0)
    grey = Sample(np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, 2), np.zeros((16, 16), np.uint8), "a")
    for seed in range(16):
        assert np.array_equal(neutral(grey, np.random.default_rng(seed)).image, grey.image)


# -- the last two steps -----------------------------------------------------------------------------------------------


def test_normalize_is_the_formula() -> None:
    image = _sample(5, 6).image
    mean, std = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
    got = normalize(image, mean, std)
    assert got.dtype == np.float32
    assert np.allclose(got, ((image - np.array(mean)) / np.array(std)).transpose(2, 0, 1), rtol=0, atol=1e-6)


def test_padding_is_right_and_bottom_and_leaves_larger_sides() -> None:
    image, mask = pad_to(np.ones((3, 2, 5), np.float32), np.ones((2, 5), np.uint8), (4, 3), 11)
    assert image.shape == (3, 4, 5)
    assert mask.tolist() == [[1] * 5] * 2 + [[11] * 5] * 2
    assert image[:, :2].min() == 1
    assert image[:, 2:].max() == 0


# -- all of them ------------------------------------------------------------------------------------------------------

_OWN: dict[str, dict[str, Any]] = {"random_crop": {"size": (8, 8)}}


@pytest.mark.parametrize("name", TRANSFORMS)
def test_every_transform_is_a_pure_function_of_sample_and_generator(name: str) -> None:
    transform, sample = TRANSFORMS[name](**_OWN.get(name, {})), _sample(16, 20)
    image, mask = sample.image.copy(), sample.mask.copy()
    first = transform(sample, np.random.default_rng(5))
    second = pickle.loads(pickle.dumps(transform))(sample, np.random.default_rng(5))
    assert np.array_equal(first.image, second.image)
    assert np.array_equal(first.mask, second.mask)
    assert np.array_equal(sample.image, image)
    assert np.array_equal(sample.mask, mask)
    assert first.image.dtype == first.mask.dtype == np.uint8
    assert first.name == sample.name


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: RandomResize(ratio_range=(2.0, 0.5)), "ratio_range: expected 0 < low <= high"),
        (lambda: RandomResize(scale=(0, 4)), "scale: expected"),
        (lambda: RandomCrop(size=(0, 4)), "size: expected"),
        (lambda: RandomCrop(size=(4, 4), cat_max_ratio=75), "cat_max_ratio: expected"),
        (lambda: RandomFlip(prob=50), "prob: expected a probability"),
        (lambda: Photometric(hue_delta=-1), "hue_delta: expected"),
    ],
)
def test_a_value_that_makes_no_sense_is_refused(make: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        make()
