"""Masks that are functions of (seed, sample, layer)."""

from __future__ import annotations

import pytest
import torch
import torchvision
from torch import nn
from torch.utils.checkpoint import checkpoint

from rayseg.errors import ConfigError, RaysegError, ShapeError
from rayseg.models import SampleDropout, SampleDropout2d, SampleDropPath, sample_keys, sample_mask, set_dropout

LAYERS = [SampleDropout(0.4, "a"), SampleDropout2d(0.4, "a"), SampleDropPath(0.4, "a")]


@pytest.mark.parametrize("layer", LAYERS)
def test_the_mask_of_a_sample_does_not_depend_on_its_batch(layer: nn.Module) -> None:
    keys = torch.tensor([3, 10**12, 5, 0, 2**40 + 3])
    x = torch.rand(5, 6, 4, 3) + 1
    with sample_keys(1, keys):
        whole = layer(x)
    for share in (torch.tensor([4]), torch.tensor([2, 0]), torch.tensor([3, 1, 4, 2, 0])):
        with sample_keys(1, keys[share]):
            torch.testing.assert_close(layer(x[share]), whole[share], rtol=0, atol=0)


def test_memory_format_does_not_change_the_mask() -> None:
    x = torch.rand(2, 4, 5, 6)
    with sample_keys(0, torch.arange(2)):
        torch.testing.assert_close(LAYERS[0](x), LAYERS[0](x.to(memory_format=torch.channels_last)), rtol=0, atol=0)


@pytest.mark.parametrize(("layer", "unit"), [(LAYERS[0], ()), (LAYERS[1], (2, 3)), (LAYERS[2], (1, 2, 3))])
def test_whole_units_are_dropped_and_the_rest_is_scaled(layer: nn.Module, unit: tuple[int, ...]) -> None:
    with sample_keys(0, torch.arange(200)):
        dropped = layer(torch.ones(200, 6, 4, 3))
    units = dropped.mean(unit) if unit else dropped
    expected = torch.tensor([0.0, 1 / 0.6])
    torch.testing.assert_close(units.unique(), expected)


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_the_share_that_is_dropped_is_p(p: float) -> None:
    mask = sample_mask(3, torch.arange(1000), "head", 1000, p)
    deviation = (p * (1 - p)) ** 0.5
    assert abs(float(mask.double().mean()) - (1 - p)) < 4 * deviation / 1000
    per_sample, per_unit = mask.double().mean(1), mask.double().mean(0)
    for means in (per_sample, per_unit):  # binomial: neither too equal nor too different
        assert float(means.std()) == pytest.approx(deviation / 1000**0.5, rel=0.1)


def correlation(a: torch.Tensor, b: torch.Tensor) -> float:
    return float(torch.corrcoef(torch.stack([a.double().flatten(), b.double().flatten()]))[0, 1])


@pytest.mark.parametrize("change", ["key", "layer", "seed", "unit", "far key", "shift"])
def test_masks_of_neighbours_are_uncorrelated(change: str) -> None:
    keys = torch.arange(500)
    base = sample_mask(3, keys, "head", 501, 0.5)
    other = {
        "key": lambda: sample_mask(3, keys + 1, "head", 501, 0.5),
        "far key": lambda: sample_mask(3, keys + 2**32, "head", 501, 0.5),
        "layer": lambda: sample_mask(3, keys, "heae", 501, 0.5),
        "seed": lambda: sample_mask(4, keys, "head", 501, 0.5),
        "unit": lambda: base.roll(1, 1),
        "shift": lambda: sample_mask(3, keys + 1, "head", 501, 0.5).roll(1, 1),
    }[change]()
    assert abs(correlation(base, other)) < 4 / 250_500**0.5


def test_every_bit_of_the_hash_takes_part() -> None:
    low, high = (sample_mask(0, torch.arange(2000), "x", 50, p) for p in (0.25, 0.75))
    assert bool((low | ~high).all())  # a smaller p drops a subset
    quarters = torch.stack([~low, low & ~high, high]).double().mean((1, 2))
    torch.testing.assert_close(quarters, torch.tensor([0.25, 0.5, 0.25], dtype=torch.float64), rtol=0.03, atol=0)


def test_a_mask_is_the_same_in_every_version() -> None:
    kept = sample_mask(7, torch.tensor([123, 2**40]), "decode_head.dropout", 16, 0.5).int().tolist()
    assert ["".join(map(str, row)) for row in kept] == ["0110100110000101", "0010010001101001"]


@pytest.mark.parametrize("layer", LAYERS)
def test_eval_mode_and_p_zero_need_no_keys(layer: nn.Module) -> None:
    x = torch.rand(2, 3, 4, 4)
    assert layer.eval()(x) is x
    layer.train()
    assert type(layer)(0.0)(x) is x
    assert not type(layer)(1.0)(x).any()


def test_training_without_keys_or_with_others_says_what_to_do() -> None:
    with pytest.raises(RaysegError, match=r"dropout layer 'a': training forward outside .*sample_keys"):
        LAYERS[0](torch.ones(2, 3))
    with sample_keys(0, torch.arange(3)), pytest.raises(ShapeError, match=r"'a': got \(2, 3\) for 3 sample keys"):
        LAYERS[0](torch.ones(2, 3))
    with pytest.raises(ShapeError, match="int64"), sample_keys(0, torch.ones(3)):
        pass


def test_contexts_nest_and_end() -> None:
    x = torch.ones(1, 64)
    with sample_keys(0, torch.tensor([1])):
        outer = LAYERS[0](x)
        with sample_keys(0, torch.tensor([2])):
            inner = LAYERS[0](x)
        assert torch.equal(LAYERS[0](x), outer)
    assert not torch.equal(inner, outer)
    with pytest.raises(RaysegError):
        LAYERS[0](x)


def test_an_empty_share_passes() -> None:
    with sample_keys(0, torch.empty(0, dtype=torch.int64)):
        assert LAYERS[1](torch.ones(0, 3, 4, 4)).shape == (0, 3, 4, 4)


def test_activation_checkpointing_sees_the_same_mask() -> None:
    layer = SampleDropout(0.5, "a")
    grads = []
    for again in (False, True):
        x = torch.ones(3, 50, requires_grad=True)
        with sample_keys(0, torch.arange(3)):
            output: torch.Tensor = checkpoint(layer, x, use_reentrant=False) if again else layer(x)
            torch.autograd.backward(output.square().sum())
        grads.append(x.grad)
    torch.testing.assert_close(grads[0], grads[1])


def test_every_known_layer_is_replaced_under_its_name() -> None:
    model = nn.ModuleDict(
        {
            "a": nn.Dropout(0.1),
            "b": nn.Sequential(nn.Dropout2d(0.2), nn.Dropout1d(0.3)),
            "c": torchvision.ops.StochasticDepth(0.4, "row"),
            "d": SampleDropout(0.5),
            "e": nn.Dropout3d(0.6).eval(),
        }
    )
    set_dropout(model)
    found = {name: layer for name, layer in model.named_modules() if hasattr(layer, "layer")}
    assert {name: (type(layer), layer.p) for name, layer in found.items()} == {
        "a": (SampleDropout, 0.1),
        "b.0": (SampleDropout2d, 0.2),
        "b.1": (SampleDropout2d, 0.3),
        "c": (SampleDropPath, 0.4),
        "d": (SampleDropout, 0.5),
        "e": (SampleDropout2d, 0.6),
    }
    assert all(layer.layer == name for name, layer in found.items())
    assert [name for name, layer in found.items() if not layer.training] == ["e"]


@pytest.mark.parametrize(
    "layer", [torchvision.ops.StochasticDepth(0.1, "batch"), nn.AlphaDropout(0.1), nn.MultiheadAttention(4, 2, dropout=0.1)]
)
def test_a_layer_that_cannot_depend_on_the_sample_is_refused(layer: nn.Module) -> None:
    with pytest.raises(ConfigError, match=rf"model: x is a {type(layer).__name__} .*use|set"):
        set_dropout(nn.ModuleDict({"x": layer}))


def test_a_probability_outside_zero_to_one_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"between 0 and 1, got 1\.5"):
        SampleDropout(1.5)
