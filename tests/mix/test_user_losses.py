"""Losses of every form that a user may write, and the checks that they are offered."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rayseg.errors import ShapeError
from rayseg.losses import LOSSES, TAKE_SOFT_TARGETS, one_hot, smooth_borders
from rayseg.mix import Head, Mix, Term, ValidationLoss, accepted_inputs
from rayseg.mix.heads import Scope
from rayseg.testing import check_loss, check_schedule

VOID = 255
LOGITS = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
TARGET = torch.randint(3, (2, 4, 5), generator=torch.Generator().manual_seed(1))
TARGET[0, :2] = VOID
WEIGHT = torch.tensor([1.0, 2.0, 4.0], dtype=torch.float64)


def a_map(logits: Tensor, target: Tensor, *, ignore_index: int) -> Tensor:
    return F.cross_entropy(logits, target, ignore_index=ignore_index, reduction="none") ** 2


def a_ratio(logits: Tensor, target: Tensor, *, nll: Tensor, pixel_weight: Tensor) -> tuple[Tensor, Tensor]:
    return (nll * pixel_weight).sum(), pixel_weight.sum()


def a_scalar(logits: Tensor, target: Tensor, *, ignore_index: int) -> Tensor:
    valid = target != ignore_index
    nll = F.cross_entropy(logits, target, ignore_index=ignore_index, reduction="sum")
    return nll / valid.sum().clamp(min=1)


class AsModule(nn.Module):
    def forward(self, _: Tensor, target: Tensor, log_probs: Tensor, ignore_index: int) -> Tensor:
        valid = target != ignore_index
        return -log_probs.gather(1, target.where(valid, 0)[:, None])[:, 0] * valid


def total(loss: Any, scope: Scope = "global", class_weight: Tensor | None = None) -> Tensor:
    return Mix({"main": Head({"own": Term(loss, scope=scope, class_weight=class_weight)})})(
        {"main": LOGITS}, TARGET, step=0
    ).total


MEAN = F.cross_entropy(LOGITS, TARGET, ignore_index=VOID)


def test_a_map_is_weighted_and_normalised_by_the_mix() -> None:
    valid = TARGET != VOID
    values = F.cross_entropy(LOGITS, TARGET, ignore_index=VOID, reduction="none")[valid] ** 2
    torch.testing.assert_close(total(a_map), values.mean())
    weights = WEIGHT[TARGET[valid]]
    torch.testing.assert_close(total(a_map, class_weight=WEIGHT), (values * weights).sum() / weights.sum())


def test_a_ratio_is_taken_as_it_is() -> None:
    torch.testing.assert_close(total(a_ratio), MEAN)


def test_a_module_gets_the_inputs_that_its_forward_names() -> None:
    torch.testing.assert_close(total(AsModule()), MEAN)


def test_a_scalar_is_averaged_over_workers_by_their_images() -> None:
    torch.testing.assert_close(total(a_scalar, scope="rank"), MEAN)


def test_a_scalar_cannot_be_global() -> None:
    with pytest.raises(ShapeError, match=r"cannot be made a function of the global batch.*scope: rank"):
        total(a_scalar)


def test_a_map_of_another_shape_is_refused() -> None:
    with pytest.raises(ShapeError, match=r"returned \(2, 3, 4, 5\); expected \(2, 4, 5\)"):
        total(lambda logits, _: logits)


def test_a_loss_that_applies_class_and_pixel_weights_itself_is_not_weighted_twice() -> None:
    def weighted(logits: Tensor, target: Tensor, *, nll: Tensor, class_weight: Tensor, pixel_weight: Tensor) -> Tensor:
        return nll * class_weight[target.where(target != VOID, 0)] * pixel_weight

    torch.testing.assert_close(total(weighted, class_weight=WEIGHT), F.cross_entropy(LOGITS, TARGET, WEIGHT, ignore_index=VOID))


def test_only_named_inputs_are_passed() -> None:
    assert accepted_inputs(lambda _, __, **rest: rest, {"nll": 1}) == {}


LOOK_AT_NEIGHBOURS = {"hausdorff"}
#: Their definitions count what is predicted where nothing is labelled.
SEES_VOID = {"dice_mmseg_0x", "dice_mmseg_1x"}
TWO_CLASSES = {"boundary", "lovasz_hinge"}


@pytest.mark.parametrize("name", sorted(set(LOSSES) - SEES_VOID))
def test_every_built_in_loss_passes_the_common_checks(name: str) -> None:
    loss = LOSSES[name]
    num_classes = 2 if name in TWO_CLASSES else 4
    check_loss(loss() if isinstance(loss, type) else loss, num_classes=num_classes, permutes=name not in LOOK_AT_NEIGHBOURS)


@pytest.mark.parametrize("name", sorted(SEES_VOID))
def test_a_loss_that_looks_at_ignored_pixels_fails_the_common_checks(name: str) -> None:
    with pytest.raises(AssertionError, match="logits of ignored pixels change the loss"):
        check_loss(LOSSES[name]())


@dataclass(frozen=True)
class Balance:
    """A loss that brings sums of its own: how far the mean probability of a class is from a share."""

    share: float = 0.5
    per_image: bool = False

    def sums(self, logits: Tensor, target: Tensor, *, ignore_index: int) -> tuple[Tensor, Tensor]:
        valid = target != ignore_index
        return (logits.softmax(1)[:, 0] * valid).sum((1, 2)), valid.sum((1, 2))

    def from_sums(self, sums: tuple[Tensor, Tensor], class_weight: Tensor | None) -> Tensor:  # noqa: ARG002
        probability, count = sums
        return (probability / count.clamp(min=1) - self.share * (count > 0)).square()


@pytest.mark.parametrize("per_image", [False, True])
def test_a_loss_with_sums_of_its_own_is_a_function_of_their_totals(per_image: bool) -> None:
    probs, valid = LOGITS.softmax(1)[:, 0], TARGET != VOID
    means = [probs[i][valid[i]].mean() for i in range(len(TARGET))] if per_image else [probs[valid].mean()]
    expected = torch.stack([(mean - 0.5).square() for mean in means]).mean()
    torch.testing.assert_close(total(Balance(per_image=per_image)), expected)
    check_loss(Balance(per_image=per_image))


def test_sums_that_are_not_one_row_per_image_are_refused() -> None:
    class Flat(Balance):
        def sums(self, logits: Tensor, target: Tensor, *, ignore_index: int) -> tuple[Tensor, Tensor]:
            one, other = super().sums(logits, target, ignore_index=ignore_index)
            return one.sum(), other.sum()

    with pytest.raises(ShapeError, match=r"expected a tuple of \(N, \.\.\.\) with N = "):
        total(Flat())


@pytest.mark.parametrize("loss", [a_map, a_ratio, AsModule()])
def test_user_losses_pass_the_common_checks(loss: Any) -> None:
    check_loss(loss)


def test_a_scalar_loss_passes_the_common_checks_with_scope_rank() -> None:
    check_loss(a_scalar, scope="rank")


def of_images(logits: Tensor, target: Tensor, *, ignore_index: int, images: Tensor) -> Tensor:
    return (logits - images[:, :1]).square().mean(1).masked_fill(target == ignore_index, 0)


def test_losses_of_one_channel_of_soft_targets_and_of_images_pass_the_common_checks() -> None:
    for name in TAKE_SOFT_TARGETS:
        check_loss(LOSSES[name], num_classes=1)
        check_loss(LOSSES[name], num_classes=1, target=one_hot)
        check_loss(LOSSES[name], target=smooth_borders, permutes=False)
    check_loss(of_images)


def test_a_loss_that_asks_for_images_gets_those_of_the_batch() -> None:
    images = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    mix = Mix({"main": Head({"own": Term(of_images)})})
    expected = (LOGITS - images[:, :1]).square().mean(1)[TARGET != VOID].mean()
    torch.testing.assert_close(mix({"main": LOGITS}, TARGET, step=0, images=images).total, expected)


def test_a_target_that_is_not_a_share_for_each_class_is_refused() -> None:
    head = Head({"ce": Term(LOSSES["cross_entropy"], target=lambda masks, **_: masks.float())})
    with pytest.raises(ShapeError, match=r"\(2, 4, 5\) torch.float32; expected floating point \(2, 3, 4, 5\)"):
        Mix({"main": head})({"main": LOGITS}, TARGET, step=0)


def counts_void(logits: Tensor, target: Tensor, *, ignore_index: int) -> tuple[Tensor, Tensor]:
    return logits.square().sum(), torch.tensor(float(target.numel()), dtype=logits.dtype)


def mean_of_nothing(logits: Tensor, target: Tensor, *, ignore_index: int) -> Tensor:
    return F.cross_entropy(logits, target, ignore_index=ignore_index)


def wrong_gradient(logits: Tensor, target: Tensor, *, nll: Tensor) -> Tensor:
    return nll * nll.detach()


def depends_on_place(logits: Tensor, target: Tensor, *, nll: Tensor) -> Tensor:
    return nll * torch.arange(nll.shape[-1])


def mean_of_its_batch(logits: Tensor, target: Tensor, *, ignore_index: int, nll: Tensor) -> Tensor:
    return nll / (target != ignore_index).sum().clamp(min=1)


def no_slope(logits: Tensor, target: Tensor) -> Tensor:
    return (logits.argmax(1) != target).to(logits.dtype)


@pytest.mark.parametrize(
    ("loss", "scope", "says"),
    [
        (counts_void, "global", "ignored pixels"),
        (mean_of_nothing, "rank", "only ignored pixels gives nan"),
        (wrong_gradient, "global", "Jacobian mismatch"),
        (depends_on_place, "global", "order of the pixels"),
        (mean_of_its_batch, "global", r"2 images give .* together and .* one by one, so the number of workers would matter"),
        (no_slope, "global", "the loss has no gradient"),
    ],
)
def test_the_common_checks_find_what_is_wrong_with_a_loss(loss: Any, scope: Scope, says: str) -> None:
    with pytest.raises((AssertionError, RuntimeError), match=says):
        check_loss(loss, scope=scope)


def test_a_loss_of_neighbours_may_depend_on_the_order_of_pixels() -> None:
    check_loss(depends_on_place, permutes=False)


def test_the_schedule_check_finds_memory_nan_and_signs() -> None:
    calls = count()
    with pytest.raises(AssertionError, match="must not remember"):
        check_schedule(lambda _, __: next(calls))
    with pytest.raises(AssertionError, match="step 0 of 1 is nan"):
        check_schedule(lambda _, __: float("nan"))
    with pytest.raises(AssertionError, match="step 1 of 100 is -1"):
        check_schedule(lambda step, _: -step)


@pytest.mark.parametrize("split", [[2], [1, 1]])
def test_the_validation_loss_is_the_loss_over_the_joined_split(split: list[int]) -> None:
    terms = {
        "ce": Term(LOSSES["cross_entropy"], class_weight=WEIGHT, weight=0.5),
        "dice": Term(LOSSES["dice"](), weight=2.0),
        "tversky": Term(LOSSES["tversky"](per_image=True)),
        "own": Term(a_ratio),
        "scalar": Term(a_scalar, scope="rank", weight=0.0),
    }
    head = Head(terms, sampler=lambda *_, **__: torch.zeros(1), weight=0.4)
    loss = ValidationLoss(head)
    for logits, target in zip(torch.split(LOGITS, split), torch.split(TARGET, split), strict=True):
        loss.add(logits, target)
    whole = Mix({"main": Head(terms)})({"main": LOGITS}, TARGET, step=0).parts
    result = loss.result()
    assert set(result) == set(whole)
    images = [float(a_scalar(LOGITS[one], TARGET[one], ignore_index=VOID)) for one in (slice(0, 1), slice(1, 2))]
    assert result["loss/scalar"] == pytest.approx(sum(images) / 2)
    for name in set(whole) - {"loss/scalar"}:
        assert result[name] == pytest.approx(float(whole[name]), rel=1e-12)


def test_the_validation_loss_of_an_empty_share_is_zero() -> None:
    head = Head({"ce": Term(LOSSES["cross_entropy"]), "dice": Term(LOSSES["dice"]())})
    assert ValidationLoss(head).result() == {"loss": 0.0, "loss/ce": 0.0, "loss/dice": 0.0}


@pytest.mark.parametrize("batches", [0, 1])
def test_the_validation_loss_takes_losses_that_look_at_neighbours(batches: int) -> None:
    def smooth(logits: Tensor, target: Tensor, *, ignore_index: int) -> Tensor:
        return F.avg_pool2d(logits, 3).square().mean() + 0 * target.sum()

    loss = ValidationLoss(Head({"smooth": Term(smooth, scope="rank")}))
    for _ in range(batches):
        loss.add(LOGITS, TARGET)
    expected = float(F.avg_pool2d(LOGITS, 3).square().mean()) if batches else 0.0
    assert loss.result()["loss"] == pytest.approx(expected)


@dataclass(frozen=True)
class OfEachClass:
    """A mean over classes that was forgotten."""

    per_image: bool

    def from_sums(self, sums: Any, class_weight: Tensor | None) -> Tensor:  # noqa: ARG002
        value: Tensor = 1 - sums.intersection / (sums.target + 1)
        return value


@pytest.mark.parametrize("per_image", [False, True])
@pytest.mark.parametrize("scope", ["global", "rank"])
def test_a_loss_of_sums_that_keeps_the_classes_apart_is_told(per_image: bool, scope: Scope) -> None:
    mix = Mix({"main": Head({"own": Term(OfEachClass(per_image), scope=scope)})})
    with pytest.raises(ShapeError, match=r"from_sums returned .*; expected"):
        mix({"main": LOGITS}, TARGET, step=0)
