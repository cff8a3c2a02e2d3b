"""What is done with maps of pixels in C++ is what torch does."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from rayseg.kernels import compiled_backend, count, native, scaled, sum_of_products, where_below, zero_unless_

pytestmark = pytest.mark.skipif(compiled_backend() is None, reason="nothing here compiles C++")


def everything(values: Tensor, valid: Tensor, factor: Tensor) -> list[Tensor]:
    return [
        sum_of_products(values, valid),
        scaled(valid, factor),
        where_below(values.clone(), factor, valid),
        zero_unless_(values.clone(), valid),
        count(valid),
    ]


@given(size=st.integers(0, 300), seed=st.integers(0, 99))
def test_maps_are_those_of_torch(size: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    values, factor = torch.rand(1, 1, size, generator=generator), torch.rand((), generator=generator)
    valid = torch.rand(1, 1, size, generator=generator) < 0.6
    with pytest.MonkeyPatch.context() as patched:
        compiled = everything(values, valid, factor)
        patched.setattr(native, "_in_use", [])
        expected = everything(values, valid, factor)
    for ours, theirs in zip(compiled, expected, strict=True):
        assert ours.dtype == theirs.dtype
        assert torch.equal(ours, theirs)


def test_what_is_no_number_is_seen_in_a_sum_and_not_where_nothing_is_valid() -> None:
    values, none = torch.tensor([[[1.0, math.nan]]]), torch.zeros(1, 1, 2, dtype=torch.bool)
    assert sum_of_products(values, none).isnan()
    assert not zero_unless_(values.clone(), none).any()
    assert not where_below(values.clone(), torch.tensor(2.0), none).any()
    assert scaled(none, torch.tensor(math.nan)).isnan().all()


def test_maps_of_two_shapes_are_left_to_torch() -> None:
    values, fewer = torch.ones(2, 3, 4), torch.ones(3, 4, dtype=torch.bool)
    with pytest.raises(RuntimeError, match="shape"):
        sum_of_products(values, fewer)
    assert torch.equal(where_below(values.clone(), torch.tensor(2.0), fewer), values)
    assert torch.equal(zero_unless_(values.clone(), ~fewer), torch.zeros(2, 3, 4))
