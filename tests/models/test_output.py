"""What counts as a model's output."""

from __future__ import annotations

import pytest
import torch

from rayseg.errors import ShapeError
from rayseg.models import named_logits

LOGITS = torch.zeros(2, 3, 4, 5)


def test_a_tensor_is_the_main_head() -> None:
    assert named_logits(LOGITS)["main"] is LOGITS


def test_named_logits_stay_as_they_are() -> None:
    assert list(named_logits({"main": LOGITS, "detail": LOGITS, "out": LOGITS})) == ["main", "detail", "out"]


def test_the_names_of_torchvision_are_translated() -> None:
    assert list(named_logits({"out": LOGITS, "aux": LOGITS})) == ["main", "auxiliary"]


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ((LOGITS, LOGITS), "got tuple, expected a tensor"),
        ({"logits": LOGITS}, r"got a dict of \['logits'\], expected"),
        (LOGITS[0], r"'main': got \(3, 4, 5\) torch.float32"),
        (LOGITS.long(), r"'main': got \(2, 3, 4, 5\) torch.int64"),
        ({"main": LOGITS, "aux": [LOGITS]}, "'aux': got list"),
        (None, "got NoneType"),
    ],
)
def test_anything_else_is_refused_with_what_is_expected(output: object, message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        named_logits(output)
