"""The Hausdorff loss against distances found by looking at every pair of pixels."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from rayseg.errors import ConfigError
from rayseg.losses import distance_to_border, hausdorff

VOID = 255
GENERATOR = torch.Generator().manual_seed(6)
LOGITS = 3 * torch.randn(2, 3, 5, 6, generator=GENERATOR, dtype=torch.float64)
TARGET = torch.randint(3, (2, 5, 6), generator=GENERATOR)
TARGET[0, 1:4, 2:5] = VOID
TARGET[1, 0, 0] = VOID
VALID = TARGET != VOID


def by_hand(inside: Tensor, valid: Tensor) -> Tensor:
    """One image."""
    distances = torch.zeros(inside.shape, dtype=torch.float64)
    for here in valid.nonzero():
        other = (valid & (inside != inside[tuple(here)])).nonzero()
        if len(other):
            distances[tuple(here)] = (other - here).double().norm(dim=1).min()
    return distances


def test_distances_are_those_of_every_pair_and_void_is_on_no_side() -> None:
    inside = TARGET == 1
    expected = torch.stack([by_hand(mine, valid) for mine, valid in zip(inside, VALID, strict=True)])
    torch.testing.assert_close(distance_to_border(inside, VALID), expected)


@pytest.mark.parametrize("inside", [True, False])
def test_without_a_border_there_is_no_distance(inside: bool) -> None:
    assert not distance_to_border(torch.full((1, 3, 3), inside), torch.ones(1, 3, 3, dtype=torch.bool)).any()


@pytest.mark.parametrize("power", [2.0, 1.0])
def test_the_loss_is_its_formula_with_a_mask_for_each_class(power: float) -> None:
    probs = LOGITS.softmax(1)
    expected = torch.zeros(2, 5, 6, dtype=torch.float64)
    for n in range(2):
        for c in range(3):
            error = (probs[n, c] - (TARGET[n] == c).double()).square()
            far = by_hand(probs[n, c] > 0.5, VALID[n]) ** power + by_hand(TARGET[n] == c, VALID[n]) ** power
            expected[n] += error * far * VALID[n]
    torch.testing.assert_close(hausdorff(LOGITS, TARGET, ignore_index=VOID, power=power), expected)


def test_what_is_predicted_where_nothing_is_labelled_has_no_influence() -> None:
    changed = LOGITS.where(VALID[:, None], -2 * LOGITS)
    assert torch.equal(hausdorff(changed, TARGET, ignore_index=VOID), hausdorff(LOGITS, TARGET, ignore_index=VOID))


def test_one_channel_is_two() -> None:
    z, target = LOGITS[:, :1], (TARGET % 2).where(VALID, VOID)
    two = torch.cat([torch.zeros_like(z), z], 1)
    torch.testing.assert_close(hausdorff(z, target, ignore_index=VOID), hausdorff(two, target, ignore_index=VOID))


def test_a_batch_without_images_has_a_loss_of_its_shape() -> None:
    assert hausdorff(LOGITS[:0], TARGET[:0], ignore_index=VOID).shape == (0, 5, 6)


def test_a_power_of_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="power: must be above 0"):
        hausdorff(LOGITS, TARGET, ignore_index=VOID, power=0.0)
