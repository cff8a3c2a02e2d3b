"""Batch norm over the global batch, and conversions between kinds of normalisation."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from rayseg.errors import ConfigError
from rayseg.models import SyncBatchNorm2d, frozen_statistics, set_norm
from rayseg.models.norm import _input_gradient, _local_gradients, _local_sums, _Normalise


def images(*shape: int, dtype: torch.dtype = torch.float64, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed)) * 2 + 3


def pair(**own: object) -> tuple[nn.BatchNorm2d, SyncBatchNorm2d]:
    ours, theirs = SyncBatchNorm2d(3, **own), nn.BatchNorm2d(3, **own)  # type: ignore[arg-type]
    if theirs.affine:
        nn.init.uniform_(theirs.weight), nn.init.uniform_(theirs.bias)
    ours.load_state_dict(theirs.state_dict())
    return theirs.double(), ours.double()


@pytest.mark.parametrize("own", [{}, {"momentum": None}, {"affine": False}, {"track_running_stats": False}, {"momentum": 0.3}])
@pytest.mark.parametrize("training", [True, False])
def test_with_one_worker_it_is_batch_norm_to_the_bit(own: dict[str, object], training: bool) -> None:
    theirs, ours = pair(**own)
    for step in range(3):
        x = images(4, 3, 5, 6, seed=step)
        a, b = x.clone().requires_grad_(), x.clone().requires_grad_()
        for norm, given in ((theirs, a), (ours, b)):
            torch.autograd.backward(norm.train(training)(given).square().mul(x).sum())
        assert a.grad is not None
        assert b.grad is not None
        torch.testing.assert_close(a.grad, b.grad, rtol=0, atol=0)
    assert all(torch.equal(ours.state_dict()[name], value) for name, value in theirs.state_dict().items())
    assert all(torch.equal(p.grad, q.grad) for p, q in zip(theirs.parameters(), ours.parameters(), strict=True))  # type: ignore[arg-type]


@pytest.mark.parametrize("affine", [True, False])
def test_the_backward_formula_is_the_derivative_of_batch_norm(affine: bool) -> None:
    x, grad = images(4, 3, 5, 6), images(4, 3, 5, 6, seed=1)
    weight, bias = (torch.rand(3, dtype=torch.float64).requires_grad_() if affine else None for _ in range(2))
    given = x.clone().requires_grad_()
    expected = torch.nn.functional.batch_norm(given, None, None, weight, bias, training=True, eps=1e-3)
    torch.autograd.backward(expected, grad)
    var, mean = torch.var_mean(x, (0, 2, 3), correction=0)
    ours = x.clone().requires_grad_()
    count = torch.tensor(120.0, dtype=torch.float64)
    leaves = (
        None if weight is None else weight.detach().requires_grad_(),
        None if bias is None else bias.detach().requires_grad_(),
    )
    output = _Normalise.apply(ours, *leaves, mean, var, count, 1e-3)
    torch.autograd.backward(output, grad)
    torch.testing.assert_close(output, expected)
    torch.testing.assert_close(ours.grad, given.grad, rtol=1e-10, atol=1e-12)
    for mine, theirs in zip(leaves, (weight, bias), strict=True):
        if mine is not None and theirs is not None:
            torch.testing.assert_close(mine.grad, theirs.grad)


def test_sums_add_up_over_uneven_shares_and_an_empty_one() -> None:
    x = images(5, 3, 4, 4)
    whole = _local_sums(x)
    shares = _local_sums(x[:1]) + _local_sums(x[1:]) + _local_sums(x[:0])
    torch.testing.assert_close(whole, shares)
    torch.testing.assert_close(whole[:3], x.sum((0, 2, 3)))
    torch.testing.assert_close(whole[3:6], x.square().sum((0, 2, 3)))
    assert whole[6] == 80


def test_float32_statistics_survive_a_mean_far_from_zero() -> None:
    x = images(4, 3, 32, 32).float() + 1000
    sums = _local_sums(x)
    mean, square = (sums[:-1] / sums[-1]).chunk(2)
    torch.testing.assert_close(square - mean.square(), x.double().var((0, 2, 3), correction=0), rtol=1e-5, atol=0)


def test_bfloat16_images_keep_float32_statistics() -> None:
    x = images(4, 3, 8, 8).bfloat16()
    torch.testing.assert_close(_local_sums(x)[:3], x.double().sum((0, 2, 3)), rtol=1e-5, atol=0)
    weight, stats = torch.ones(3), torch.zeros(3)
    product, total = _local_gradients(x, x, weight, stats, stats + 1)
    torch.testing.assert_close(product, x.float().square().sum((0, 2, 3)), rtol=1e-4, atol=0)
    assert _input_gradient(x, x, weight, stats, stats + 1, torch.cat([product, total]) * 0).dtype == torch.bfloat16


def block() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.Sequential(nn.BatchNorm2d(8, eps=1e-3, momentum=0.2), nn.ReLU()), nn.Dropout(0.1)
    )


def test_sync_and_back_keep_every_tensor_flag_and_mode() -> None:
    model = block()
    inner = model[1]
    assert isinstance(inner, nn.Sequential)
    norm = inner[0]
    assert isinstance(norm, nn.BatchNorm2d)
    assert norm.running_mean is not None
    norm.weight.requires_grad_(False)
    norm.running_mean.fill_(0.5)
    norm.eval()
    names = list(model.state_dict())
    assert set_norm(model, "sync") is model
    converted = inner[0]
    assert type(converted) is SyncBatchNorm2d
    assert converted.weight is norm.weight
    assert converted.running_mean is norm.running_mean
    assert (converted.eps, converted.momentum, converted.training, converted.weight.requires_grad) == (1e-3, 0.2, False, False)
    assert type(set_norm(model, "batch")[1][0]) is nn.BatchNorm2d  # type: ignore[index]
    assert inner[0].running_mean is norm.running_mean
    assert list(model.state_dict()) == names


def test_keep_changes_nothing_and_a_converted_model_is_not_converted_again() -> None:
    model = block()
    before = list(model.modules())
    assert list(set_norm(model, "keep").modules()) == before
    once = list(set_norm(model, "sync").modules())
    assert list(set_norm(model, "sync").modules()) == once


@pytest.mark.parametrize(("channels", "groups"), [(16, 4), (24, 2), (64, 16), (256, 32), (3, 1), (6, 2), (4, 1)])
def test_group_norm_divides_the_channels(channels: int, groups: int) -> None:
    norm = nn.BatchNorm2d(channels)
    nn.init.uniform_(norm.weight)
    converted = set_norm(norm, "group")
    assert isinstance(converted, nn.GroupNorm)
    assert converted.num_groups == groups
    assert converted.weight is norm.weight


def test_torch_s_own_sync_batch_norm_becomes_batch_norm_or_ours() -> None:
    assert type(set_norm(nn.SyncBatchNorm(4), "batch")) is nn.BatchNorm2d
    assert type(set_norm(nn.SyncBatchNorm(4), "sync")) is SyncBatchNorm2d


def test_one_dimensional_batch_norm_keeps_its_shapes() -> None:
    norm = set_norm(nn.BatchNorm1d(4), "sync")
    assert isinstance(norm, SyncBatchNorm2d)
    assert norm(torch.randn(5, 4)).shape == (5, 4)
    with pytest.raises(ValueError, match="2D or 3D"):
        norm(torch.randn(5, 4, 2, 2))
    assert type(set_norm(norm, "batch")) is nn.BatchNorm1d


def test_a_norm_that_is_shared_stays_shared() -> None:
    norm = nn.BatchNorm2d(3)
    model = set_norm(nn.ModuleDict({"a": norm, "b": norm}), "sync")
    assert isinstance(model, nn.ModuleDict)
    assert model["a"] is model["b"]


class _Scaled(nn.BatchNorm2d):
    def forward(self, input: Tensor) -> Tensor:  # noqa: A002
        return super().forward(input) * 2


def test_a_norm_with_a_forward_of_its_own_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match=r"model.norm: 0.0 is a _Scaled"):
        set_norm(nn.Sequential(nn.Sequential(_Scaled(3))), "sync")
    with pytest.raises(ConfigError, match="keep, batch, sync, group, got 'layer'"):
        set_norm(nn.Sequential(), "layer")  # type: ignore[arg-type]


class _NormAct(nn.BatchNorm2d):
    """timm's BatchNormAct2d in short."""

    def __init__(self, num_features: int) -> None:
        super().__init__(num_features)
        self.drop, self.act = nn.Identity(), nn.ReLU(inplace=True)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002
        activated: Tensor = self.act(self.drop(super().forward(input)))
        return activated


@pytest.mark.parametrize("kind", ["sync", "group"])
def test_an_activation_inside_a_norm_is_kept(kind: str) -> None:
    model = nn.Sequential(_NormAct(4))
    x = images(2, 4, 5, 5, dtype=torch.float32)
    expected = model(x)
    converted = copy.deepcopy(set_norm(model, kind))  # type: ignore[arg-type]
    output = converted(x)
    assert output.min() == 0
    if kind == "sync":
        torch.testing.assert_close(output, expected)


def test_frozen_statistics_puts_buffers_back_even_after_an_error() -> None:
    model = block().train()
    before = copy.deepcopy(model.state_dict())

    def use_and_fail() -> None:
        with frozen_statistics(model):
            model(images(2, 3, 6, 6, dtype=torch.float32))
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        use_and_fail()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
