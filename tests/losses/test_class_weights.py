"""Class weights: published numbers, and what must hold for every rule."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from rayseg.errors import ConfigError
from rayseg.losses import CLASS_WEIGHT_RULES, effective_number, enet, inverse_frequency, median_frequency

# Sky Building Pole Road Pavement Tree SignSymbol Fence Car Pedestrian Bicyclist: CamVid's 367 training masks, 480 x 360 px,
# without void.
CAMVID_PIXELS = torch.tensor([10682767, 14750079, 623349, 20076880, 2845085, 6166762, 743859, 714595, 3719877, 405385, 184967])
CAMVID_IMAGE_PIXELS = torch.tensor(
    [60742419, 60576720, 60742419, 60913605, 57891851, 53145620, 58219298, 28788115, 59722763, 52666175, 33193217]
)
CAMVID_MEDIAN_FREQUENCY = [0.279, 0.202, 4.79, 0.149, 1.00, 0.422, 3.85, 1.97, 0.789, 6.37, 8.86]

every_rule = pytest.mark.parametrize("rule", CLASS_WEIGHT_RULES.values(), ids=CLASS_WEIGHT_RULES)


def mean_weight(weights: Tensor, counts: Tensor) -> float:
    return float((weights * counts).sum() / counts.sum())


def test_median_frequency_gives_the_known_weights_of_camvid() -> None:
    weights = median_frequency(CAMVID_PIXELS, CAMVID_IMAGE_PIXELS)
    assert weights.tolist() == pytest.approx(CAMVID_MEDIAN_FREQUENCY, rel=0.01)
    assert weights[4] == 1


def test_median_of_two_middle_classes_is_their_mean() -> None:
    weights = median_frequency(torch.tensor([10, 20, 30, 40]), torch.full((4,), 100))
    assert weights.tolist() == pytest.approx([2.5, 1.25, 25 / 30, 0.625])


def test_inverse_frequency_is_balanced() -> None:
    weights = inverse_frequency(CAMVID_PIXELS, CAMVID_IMAGE_PIXELS)
    expected = CAMVID_PIXELS.sum() / (11 * CAMVID_PIXELS.double())
    torch.testing.assert_close(weights, expected.float())


def test_effective_number_follows_its_paper() -> None:
    counts, beta = torch.tensor([5000, 250, 10]), 0.999
    raw = torch.tensor([(1 - beta) / (1 - beta**n) for n in counts.tolist()])
    torch.testing.assert_close(effective_number(counts, counts, beta=beta), raw * 3 / raw.sum())


def test_effective_number_goes_from_equal_weights_to_one_over_the_count() -> None:
    assert effective_number(CAMVID_PIXELS, CAMVID_IMAGE_PIXELS, beta=0.0).tolist() == pytest.approx([1.0] * 11)
    steep = effective_number(CAMVID_PIXELS, CAMVID_IMAGE_PIXELS, beta=1 - 1e-12)
    assert (steep[10] / steep[3]).item() == pytest.approx(20076880 / 184967, rel=1e-3)


def test_enet_follows_its_paper_and_is_bounded() -> None:
    weights = enet(CAMVID_PIXELS, CAMVID_IMAGE_PIXELS)
    share = 20076880 / CAMVID_PIXELS.sum().item()
    assert weights[3].item() == pytest.approx(1 / math.log(1.02 + share))
    assert (weights < 1 / math.log(1.02)).all()


@every_rule
def test_rarer_classes_weigh_more(rule: Callable[..., Tensor]) -> None:
    counts = torch.tensor([10, 1000, 100_000, 10_000_000])
    weights = rule(counts, torch.full((4,), counts.sum().item()))
    assert weights.dtype == torch.float32
    assert (weights.diff() < 0).all()


@every_rule
def test_normalised_weights_have_mean_one_over_pixels(rule: Callable[..., Tensor]) -> None:
    weights = rule(CAMVID_PIXELS, CAMVID_IMAGE_PIXELS, normalize=True)
    assert mean_weight(weights, CAMVID_PIXELS) == pytest.approx(1, rel=1e-5)
    plain = rule(CAMVID_PIXELS, CAMVID_IMAGE_PIXELS, normalize=False)
    torch.testing.assert_close(weights / weights[0], plain / plain[0])


@every_rule
def test_a_class_that_never_occurs_weighs_nothing_and_changes_nothing(rule: Callable[..., Tensor]) -> None:
    with_absent = rule(
        torch.cat([CAMVID_PIXELS, torch.zeros(1).long()]), torch.cat([CAMVID_IMAGE_PIXELS, torch.zeros(1).long()])
    )
    assert with_absent[-1] == 0
    torch.testing.assert_close(with_absent[:-1], rule(CAMVID_PIXELS, CAMVID_IMAGE_PIXELS))


@every_rule
@pytest.mark.parametrize("normalize", [False, True])
def test_no_labels_at_all_give_zeros(rule: Callable[..., Tensor], normalize: bool) -> None:
    nothing = torch.zeros(3, dtype=torch.int64)
    assert rule(nothing, nothing, normalize=normalize).tolist() == [0, 0, 0]


@pytest.mark.parametrize("rule", [inverse_frequency, median_frequency])
def test_power_tempers(rule: Callable[..., Tensor]) -> None:
    full = rule(CAMVID_PIXELS, CAMVID_IMAGE_PIXELS, normalize=False)
    half = rule(CAMVID_PIXELS, CAMVID_IMAGE_PIXELS, power=0.5, normalize=False)
    torch.testing.assert_close(half, full.sqrt())
    assert rule(CAMVID_PIXELS, CAMVID_IMAGE_PIXELS, power=0.0).tolist() == pytest.approx([1.0] * 11)


@pytest.mark.parametrize("rule", [inverse_frequency, median_frequency, effective_number])
@pytest.mark.parametrize("normalize", [False, True])
def test_clip_bounds_what_is_returned(rule: Callable[..., Tensor], normalize: bool) -> None:
    free = rule(CAMVID_PIXELS, CAMVID_IMAGE_PIXELS, normalize=normalize)
    clipped = rule(CAMVID_PIXELS, CAMVID_IMAGE_PIXELS, clip=0.75, normalize=normalize)
    assert free.max() > 0.75
    torch.testing.assert_close(clipped, free.clamp(max=0.75))


def test_numbers_out_of_range_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"beta: must be from 0 to below 1, got 1\.0"):
        effective_number(CAMVID_PIXELS, CAMVID_IMAGE_PIXELS, beta=1.0)
    with pytest.raises(ConfigError, match="c: must be above 1"):
        enet(CAMVID_PIXELS, CAMVID_IMAGE_PIXELS, c=1.0)
    for rule in (inverse_frequency, median_frequency, effective_number):
        with pytest.raises(ConfigError, match=r"clip: must be above 0, got -1\.0"):
            rule(CAMVID_PIXELS, CAMVID_IMAGE_PIXELS, clip=-1.0)
    with pytest.raises(ConfigError, match=r"power: must be 0 or more .*, got -0\.5"):
        inverse_frequency(CAMVID_PIXELS, CAMVID_IMAGE_PIXELS, power=-0.5)
