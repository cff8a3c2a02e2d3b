"""Backbones and heads of other people's in a network of MMSegmentation's words, by import path."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from rayseg.build import check, hidden_arguments
from rayseg.models import mmseg
from tests.models.test_mmseg import BASE, FCN, SMALL

HERE = "tests.models.test_mmseg_imports"


class Info:
    """As timm's."""

    def channels(self) -> list[int]:
        return [4, 6]


class Body(nn.Module):
    """Two features; says their channels as timm does."""

    def __init__(self, stride: int = 2, **more: Any) -> None:
        super().__init__()
        if more.pop("depth", 1) != 1:
            raise RuntimeError("no such depth")
        self.feature_info = Info()
        self.stem, self.deep = nn.Conv2d(3, 4, 3, stride, 1), nn.Conv2d(4, 6, 3, stride, 1)

    def forward(self, images: Tensor) -> list[Tensor]:
        first = self.stem(images)
        return [first, self.deep(first)]


class Classifier(nn.Linear):
    """Features, of which it tells no channels."""

    feature_info = ({"num_chs": 4},)

    def __init__(self) -> None:
        super().__init__(1, 1)


class Head(nn.Module):
    def __init__(self, num_classes: int, feature_channels: Sequence[int], *, in_index: int = 0, bias: bool = True) -> None:
        super().__init__()
        self.in_index, self.classifier = in_index, nn.Conv2d(feature_channels[in_index], num_classes, 1, bias=bias)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        logits: Tensor = self.classifier(features[self.in_index])
        return logits


BODY: dict[str, Any] = {"type": f"{HERE}:Body"}
HEAD: dict[str, Any] = {"type": f"{HERE}:Head"}


@pytest.mark.parametrize(
    ("backbone", "decode_head", "auxiliary_head", "sizes"),
    [
        ({**BODY, "stride": 4}, FCN, HEAD, [(4, 4), (16, 16)]),
        (BODY, {**HEAD, "in_index": 1}, {**FCN, "align_corners": True}, [(16, 16), (64, 64)]),
        (SMALL, {**HEAD, "bias": False}, FCN, [(16, 16), (2, 2)]),
    ],
)
def test_they_stand_in_the_places_of_ours(
    backbone: dict[str, Any], decode_head: dict[str, Any], auxiliary_head: dict[str, Any], sizes: list[tuple[int, int]]
) -> None:
    model = mmseg(5, backbone=backbone, decode_head=decode_head, auxiliary_head=auxiliary_head)
    assert [tuple(each.shape) for each in model(torch.zeros(2, 3, 64, 64)).values()] == [(2, 5, *size) for size in sizes]


def test_an_experiment_has_them(tmp_path: Path) -> None:
    config = BASE.with_({"tracking.storage": str(tmp_path), "model.backbone": {**BODY, "depth": 1}, "model.decode_head": HEAD})
    assert check(config) == []
    assert hidden_arguments(config) == ["model.backbone"]
    listed = {"model.auxiliary_head": [HEAD, BODY], "model.backbone": SMALL}
    assert hidden_arguments(config.with_(listed)) == ["model.auxiliary_head.1"]


@pytest.mark.parametrize(
    ("change", "path", "says"),
    [
        ({"backbone": {"type": f"{HERE}:Boddy"}}, "backbone.type", "cannot import"),
        ({"backbone": {"type": "no_such_package:Body"}}, "backbone.type", "every worker must be able to"),
        ({"backbone": {**BODY, "stride": "2"}}, "backbone.stride", "expected int"),
        ({"backbone": {**BODY, "depth": 2}}, "", "raised RuntimeError: no such depth"),
        ({"backbone": {"type": f"{HERE}:Classifier"}}, "backbone.type", "of timm write features_only: true"),
        ({"decode_head": {**HEAD, "bais": False}}, "decode_head.bais", "Did you mean 'bias'?"),
        ({"decode_head": {"type": "Heda"}}, "decode_head.type", "give an import path 'package.module:name'"),
        ({"auxiliary_head": {**HEAD, "in_channels": 9}}, "auxiliary_head.in_channels", "has no parameter"),
    ],
)
def test_what_cannot_be_is_said_before_work_starts(change: dict[str, Any], path: str, says: str, tmp_path: Path) -> None:
    changes = {f"model.{key}": value for key, value in change.items()}
    heads: dict[str, Any] = {"heads.auxiliary": {}} if "auxiliary_head" in change else {}
    problems = check(BASE.with_({"tracking.storage": str(tmp_path), **changes, **heads}))
    assert [problem.path for problem in problems] == [f"model.{path}".rstrip(".")]
    assert says in problems[0].message
