"""What heads take of a backbone's features, and what is said of lists that cannot be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from rayseg.build import check
from rayseg.errors import ConfigError
from rayseg.models import FCNHead, OneInput, SeveralInputs
from tests.models.test_mmseg import BASE, FCN


def features() -> list[torch.Tensor]:
    return [torch.randn(2, channels, size, size + 1) for channels, size in ((4, 12), (8, 6), (16, 3))]


@pytest.mark.parametrize("align_corners", [False, True])
def test_several_features_are_one_of_the_first_one_s_size(align_corners: bool) -> None:
    given = features()
    take = OneInput((4, 8, 16), (1, 2, 0), (8, 16, 4), "resize_concat", align_corners=align_corners)
    others = [F.interpolate(given[index], (6, 7), mode="bilinear", align_corners=align_corners) for index in (2, 0)]
    torch.testing.assert_close(take(given), torch.cat([given[1], *others], 1))
    assert take.channels == 28


def test_one_feature_is_taken_as_it_is() -> None:
    given = features()
    assert OneInput((4, 8, 16), -2, 8, None)(given) is given[1]


def test_selected_features_keep_their_order() -> None:
    given, take = features(), SeveralInputs((4, 8, 16), (2, -3), None)
    assert [id(each) for each in take(given)] == [id(given[2]), id(given[0])]
    assert take.channels == (16, 4)
    assert SeveralInputs((4, 8, 16), None, None).channels == (4, 8, 16)


def test_a_head_of_several_features_gives_logits_at_the_first_one_s_stride() -> None:
    head = FCNHead(3, (4, 8, 16), channels=4, in_index=(1, 0), input_transform="resize_concat")
    assert head(features()).shape == (2, 3, 6, 7)


def test_every_fault_of_the_lists_is_told() -> None:
    with pytest.raises(ConfigError) as caught:
        SeveralInputs((4, 8, 16), (0, 3, 2), (5, 8, 16))
    assert [problem.path for problem in caught.value.problems] == ["in_channels", "in_index"]


JOINED = {"decode_head.input_transform": "resize_concat"}


@pytest.mark.parametrize(
    ("change", "path", "says"),
    [
        ({"decode_head.in_index": [0, 1]}, "in_index", "write input_transform: resize_concat"),
        ({"decode_head.in_channels": [4, 8]}, "in_channels", "got (4, 8) for one index"),
        (JOINED, "in_index", "got -1, expected a list"),
        ({**JOINED, "decode_head.in_index": []}, "in_index", "is empty"),
        ({**JOINED, "decode_head.in_index": [0, 4]}, "in_index", "the backbone gives 4 features"),
        ({**JOINED, "decode_head.in_index": [0, 1], "decode_head.in_channels": 12}, "in_channels", "got 12, expected a list"),
        ({**JOINED, "decode_head.in_index": [0, 1], "decode_head.in_channels": [4]}, "in_channels", "1 values, expected 2"),
        ({**JOINED, "decode_head.in_index": [0, 1], "decode_head.in_channels": [4, 9]}, "in_channels", "1 has 8 channels"),
        ({"decode_head.input_transform": "multiple_select"}, "input_transform", "got 'multiple_select'"),
    ],
)
def test_lists_that_cannot_be_are_found_before_work_starts(
    change: dict[str, Any], path: str, says: str, tmp_path: Path
) -> None:
    own = {f"model.{key}": value for key, value in {"decode_head": FCN, **change}.items()}
    problems = check(BASE.with_({"tracking.storage": str(tmp_path), **own}))
    assert [problem.path for problem in problems] == [f"model.decode_head.{path}"]
    assert says in problems[0].message
