"""Losses of the sigmoid and focal losses against torch, torchvision and formulas written out."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import sigmoid_focal_loss

from rayseg.errors import ConfigError, ShapeError
from rayseg.losses import binary_cross_entropy, cross_entropy, focal, kl_divergence, one_hot, sigmoid_focal, smooth_borders

VOID = 255
GENERATOR = torch.Generator().manual_seed(4)
LOGITS = 2 * torch.randn(2, 4, 3, 5, generator=GENERATOR, dtype=torch.float64)
TARGET = torch.randint(4, (2, 3, 5), generator=GENERATOR)
TARGET[:, 0, :2] = VOID
VALID = TARGET != VOID
HARD = one_hot(TARGET, ignore_index=VOID, num_classes=4).double()
SOFT = torch.rand(2, 4, 3, 5, generator=GENERATOR, dtype=torch.float64)
SOFT /= SOFT.sum(1, keepdim=True)
ALONE = (LOGITS[:, :1], (TARGET % 2).where(VALID, VOID))


def gradients(ours: Tensor, theirs: Tensor, logits: Tensor) -> tuple[Tensor, Tensor]:
    return torch.autograd.grad(ours.square().sum(), logits)[0], torch.autograd.grad(theirs.square().sum(), logits)[0]


@pytest.mark.parametrize("pos_weight", [None, 3.0, (1.0, 0.5, 2.0, 4.0)])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_binary_cross_entropy_is_the_mean_over_channels_of_torch_s(pos_weight: Any, smoothing: float) -> None:
    logits = LOGITS.clone().requires_grad_()
    weight = None if pos_weight is None else torch.tensor(pos_weight, dtype=torch.float64).expand(4)[:, None, None]
    target = HARD * (1 - smoothing) + smoothing / 2
    theirs = F.binary_cross_entropy_with_logits(logits, target, pos_weight=weight, reduction="none").mean(1) * VALID
    ours = binary_cross_entropy(logits, TARGET, ignore_index=VOID, pos_weight=pos_weight, label_smoothing=smoothing)
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(*gradients(ours, theirs, logits))


@pytest.mark.parametrize(("gamma", "alpha"), [(2.0, 0.25), (0.5, 0.5), (0.0, None), (1.5, None)])
@pytest.mark.parametrize("target", [TARGET, SOFT], ids=["labels", "soft"])
def test_sigmoid_focal_is_torchvision_s(gamma: float, alpha: float | None, target: Tensor) -> None:
    logits = LOGITS.clone().requires_grad_()
    shares, counted = (HARD, VALID) if target is TARGET else (SOFT, torch.ones_like(VALID))
    theirs = sigmoid_focal_loss(logits, shares, alpha=-1 if alpha is None else alpha, gamma=gamma).mean(1) * counted
    ours = sigmoid_focal(logits, target, ignore_index=VOID, gamma=gamma, alpha=alpha)
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(*gradients(ours, theirs, logits))


@pytest.mark.parametrize("alpha", [None, 0.3, (0.5, 1.0, 2.0, 0.0)])
def test_focal_is_its_formula(alpha: Any) -> None:
    p = LOGITS.softmax(1).movedim(1, -1)[VALID].gather(1, TARGET[VALID][:, None])[:, 0]
    weights = {None: (1.0,) * 4, 0.3: (0.7, 0.3, 0.3, 0.3)}.get(alpha, alpha)
    expected = torch.tensor(weights, dtype=torch.float64)[TARGET[VALID]] * (1 - p) ** 1.7 * -p.log()
    torch.testing.assert_close(focal(LOGITS, TARGET, ignore_index=VOID, gamma=1.7, alpha=alpha)[VALID], expected)


def test_focal_without_gamma_is_cross_entropy() -> None:
    torch.testing.assert_close(
        focal(LOGITS, TARGET, ignore_index=VOID, gamma=0.0), cross_entropy(LOGITS, TARGET, ignore_index=VOID)
    )


@pytest.mark.parametrize("loss", [cross_entropy, focal, binary_cross_entropy, sigmoid_focal])
@pytest.mark.parametrize("channels", [1, 4])
def test_one_hot_shares_are_the_labels(loss: Any, channels: int) -> None:
    logits, target = ALONE if channels == 1 else (LOGITS, TARGET)
    shares = one_hot(target, ignore_index=VOID, num_classes=max(channels, 2)).double()[:, -channels:]
    found = loss(logits, shares, ignore_index=VOID)[VALID]
    torch.testing.assert_close(found, loss(logits, target, ignore_index=VOID)[VALID])


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_cross_entropy_of_shares_is_torch_s(smoothing: float) -> None:
    logits = LOGITS.clone().requires_grad_()
    theirs = F.cross_entropy(logits, SOFT, label_smoothing=smoothing, reduction="none")
    ours = cross_entropy(logits, SOFT, ignore_index=VOID, label_smoothing=smoothing)
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(*gradients(ours, theirs, logits))


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_kl_divergence_is_torch_s_times_the_square_of_the_temperature(temperature: float) -> None:
    student, teacher = LOGITS.clone().requires_grad_(), LOGITS.flip(0)
    log_p, log_q = ((each / temperature).log_softmax(1) for each in (student, teacher))
    theirs = temperature**2 * F.kl_div(log_p, log_q, log_target=True, reduction="none").sum(1)
    ours = kl_divergence(student, teacher, temperature=temperature)
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(*gradients(ours, theirs, student))


def test_one_channel_of_a_student_may_learn_from_two_of_a_teacher() -> None:
    z, two = LOGITS[:, :1], LOGITS[:, :2]
    expected = kl_divergence(torch.cat([torch.zeros_like(z), z], 1), two, temperature=2.0)
    torch.testing.assert_close(kl_divergence(z, two, temperature=2.0), expected)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32], ids=str)
@pytest.mark.parametrize(
    "loss", [binary_cross_entropy, partial(focal, gamma=0.5), partial(sigmoid_focal, gamma=0.5), cross_entropy]
)
def test_confident_logits_in_low_precision_have_a_finite_loss_and_gradient(loss: Any, dtype: torch.dtype) -> None:
    logits = torch.tensor([[[[300.0, -300.0, 0.0]], [[-300.0, 300.0, 0.0]]]], dtype=dtype, requires_grad=True)
    values = loss(logits, torch.tensor([[[0, 0, 1]]]), ignore_index=VOID)
    assert values.dtype == torch.float32
    assert values.isfinite().all()
    assert torch.autograd.grad(values.sum(), logits)[0].isfinite().all()


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (partial(focal, alpha=(1.0, 2.0)), "alpha: 2 numbers for 4 classes; give one for each"),
        (partial(focal, alpha=1.5), "alpha: must be from 0 to 1, or a number for each class, got 1.5"),
        (partial(focal, gamma=-1.0), "gamma: must be 0 or more, got -1.0"),
        (partial(sigmoid_focal, gamma=-1.0), "gamma: must be 0 or more, got -1.0"),
        (partial(sigmoid_focal, alpha=1.5), "alpha: must be from 0 to 1, got 1.5"),
        (partial(binary_cross_entropy, pos_weight=(1.0,)), "pos_weight: 1 numbers for 4 classes"),
        (partial(binary_cross_entropy, pos_weight=-1.0), "pos_weight: must be numbers from 0 on"),
        (partial(binary_cross_entropy, label_smoothing=2.0), "label_smoothing: must be from 0 to 1, got 2.0"),
        (partial(cross_entropy, label_smoothing=-0.1), "label_smoothing: must be from 0 to 1, got -0.1"),
    ],
)
def test_arguments_without_a_meaning_are_refused(call: Any, says: str) -> None:
    with pytest.raises(ConfigError, match=says.replace("(", r"\(")):
        call(LOGITS, TARGET, ignore_index=VOID)


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"the target is \(2, 3, 3, 5\); expected labels"):
        cross_entropy(LOGITS, SOFT[:, :3], ignore_index=VOID)
    with pytest.raises(ShapeError, match="a teacher of the same data"):
        kl_divergence(LOGITS, SOFT[:, :3])
    with pytest.raises(ConfigError, match="temperature: must be above 0"):
        kl_divergence(LOGITS, LOGITS, temperature=0.0)


@pytest.mark.parametrize("width", [1, 3, 5])
def test_smooth_borders_are_the_mean_over_the_labelled_pixels_of_a_window(width: int) -> None:
    shares = smooth_borders(TARGET, ignore_index=VOID, num_classes=4, width=width)
    reach = width // 2
    for n, row, column in torch.cartesian_prod(torch.arange(2), torch.arange(3), torch.arange(5)).tolist():
        window = TARGET[n, max(0, row - reach) : row + reach + 1, max(0, column - reach) : column + reach + 1].flatten()
        found = F.one_hot(window[window != VOID], 4).float()
        expected = found.mean(0) if VALID[n, row, column] else torch.zeros(4)
        torch.testing.assert_close(shares[n, :, row, column], expected)


def test_a_window_without_a_middle_is_refused() -> None:
    with pytest.raises(ConfigError, match="width: must be an odd number of px, 1 or more, got 4"):
        smooth_borders(TARGET, ignore_index=VOID, num_classes=4, width=4)
