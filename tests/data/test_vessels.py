"""The generated vessels: what a recipe for thin structures is tried on."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from rayseg.data import SyntheticVessels, check_sample
from rayseg.data._tree import Disc, grow_tree, paint_tree
from rayseg.errors import DataError

SIZE = (96, 112)


def test_vessels_are_thin_and_few_and_darker_than_what_is_beside_them() -> None:
    eyes = [SyntheticVessels("train", size=SIZE)[index] for index in range(8)]
    shares, contrasts = [], []
    for eye in eyes:
        vessel, green = eye.mask == 1, eye.image[..., 1].astype(float)
        shares.append(vessel.sum() / (eye.mask != 255).sum())
        contrasts.append(green[ndimage.binary_dilation(vessel, iterations=3) & (eye.mask == 0)].mean() - green[vessel].mean())
        assert not ndimage.binary_erosion(vessel, np.ones((9, 9))).mean() > 0.01
    assert 0.05 < np.mean(shares) < 0.2
    assert min(contrasts) > 5


def test_what_lies_outside_the_disc_is_black_and_void_or_else_background() -> None:
    sample, plain = (SyntheticVessels("val", size=SIZE, void=void)[0] for void in (True, False))
    outside = ~Disc(*SIZE).inside
    assert np.array_equal(sample.mask == 255, outside)
    assert not sample.image[outside].any()
    assert not plain.mask[outside].any()
    assert np.array_equal(sample.mask[~outside], plain.mask[~outside])
    assert np.array_equal(SyntheticVessels("val", size=SIZE, ignore_index=9)[0].mask == 9, outside)


def test_every_branch_hangs_on_the_tree() -> None:
    disc, rng = Disc(128, 128), np.random.default_rng(0)
    tree = grow_tree(rng, disc, disc.beside_the_centre(rng))
    assert disc.holds(tree[:, 0], tree[:, 1]).all()
    assert ndimage.label(paint_tree(tree, disc) > 0, np.ones((3, 3)))[1] == 1


def test_an_eye_depends_on_seed_split_and_index_alone_and_so_does_the_digest() -> None:
    keys = [(0, "train", 0), (0, "train", 1), (0, "val", 0), (1, "train", 0)]
    images = [SyntheticVessels(split, seed=seed, size=SIZE)[index].image.tobytes() for seed, split, index in keys]
    assert len(set(images)) == 4
    assert images[1] == SyntheticVessels("train", length=2, size=SIZE)[1].image.tobytes()
    plain = SyntheticVessels("train")
    others = [SyntheticVessels("val"), SyntheticVessels("train", seed=1), SyntheticVessels("train", size=SIZE)]
    others += [SyntheticVessels("train", length=5), SyntheticVessels("train", void=False)]
    assert len({plain.digest(), *(other.digest() for other in others)}) == 6


@pytest.mark.parametrize("size", [(32, 32), (40, 200), (300, 48)])
def test_eyes_of_any_shape_can_be_painted(size: tuple[int, int]) -> None:
    check_sample(SyntheticVessels("test", size=size)[3], 2, 255)


def test_eyes_that_cannot_be_are_refused() -> None:
    with pytest.raises(DataError, match="synthetic_vessels: no split 'dev'; expected one of train, val, test"):
        SyntheticVessels("dev")
    with pytest.raises(DataError, match="length is 0; expected at least 1"):
        SyntheticVessels("train", length=0)
    with pytest.raises(DataError, match="each at least 32 px"):
        SyntheticVessels("train", size=(8, 64))
