"""MobileNets and VGG: torchvision's arithmetic where it is the same, its weights, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torchvision.models import mobilenet_v2, mobilenet_v3_large, mobilenet_v3_small
from torchvision.models.vgg import cfgs, make_layers

from rayseg.build import assemble, check
from rayseg.engine import LocalReporter
from rayseg.errors import ShapeError
from rayseg.models import (
    VGG,
    DepthwiseSeparableFCNHead,
    LRASPPHead,
    MobileNetV2,
    MobileNetV3,
    WeightRules,
    match_weights,
    mmseg,
    prepare,
    sample_keys,
)
from rayseg.models.mmseg.conv import conv2d
from rayseg.models.mmseg.norms import made_with_norms
from tests.models.test_mmseg import BASE, FCN, disturbed

SMALL: dict[str, Any] = {"type": "MobileNetV2", "widen_factor": 0.1}
D8: dict[str, Any] = {"strides": (1, 2, 2, 1, 1, 1, 1), "dilations": (1, 1, 1, 2, 2, 4, 4)}
ONE_STAGE: dict[str, Any] = {"depth": 11, "num_stages": 1, "dilations": [1], "out_indices": [0]}


def taken(body: nn.Module, theirs: nn.Module) -> nn.Module:
    """A body with the weights of torchvision's; what is left of these is behind its last layer."""
    tensors, report = match_weights(body.state_dict(), disturbed(theirs).state_dict(), WeightRules(strict=True), source="a.pth")
    assert all(name.startswith(("classifier.", "features.18.")) for name in report.left), report.left
    body.load_state_dict(tensors, strict=True)
    return body.eval()


@torch.no_grad()
def stages(theirs: nn.Module, x: torch.Tensor, last: list[int]) -> list[torch.Tensor]:
    """What comes out of some of torchvision's layers."""
    found = []
    for index, layer in enumerate(theirs.eval().get_submodule("features").children()):
        x = layer(x)
        if index in last:
            found.append(x.clone())
    return found


def test_mobilenet_v2_is_torchvision_s() -> None:
    theirs = mobilenet_v2(weights=None, width_mult=0.25)
    ours = taken(MobileNetV2(0.25, out_indices=tuple(range(7))), theirs)
    x = torch.randn(2, 3, 63, 40)
    with torch.no_grad():
        torch.testing.assert_close(list(ours(x)), stages(theirs, x, [1, 3, 6, 10, 13, 16, 17]))


@pytest.mark.parametrize(("arch", "build", "last"), [("large", mobilenet_v3_large, 6), ("small", mobilenet_v3_small, 3)])
def test_mobilenet_v3_is_torchvision_s_up_to_stride_8_where_sizes_are_odd(arch: str, build: Any, last: int) -> None:
    theirs, norm = build(weights=None), {"eps": 0.001}
    num_layers = {"large": 17, "small": 13}[arch]
    ours = taken(made_with_norms(MobileNetV3, norm, arch, out_indices=(*range(last + 1), num_layers - 1)), theirs)
    x = torch.randn(2, 3, 65, 33)
    with torch.no_grad():
        *found, deep = ours(x)
    torch.testing.assert_close(found, stages(theirs, x, list(range(last + 1))))
    assert deep.shape[2:] == (9, 5)


def test_vgg_is_torchvision_s() -> None:
    theirs = nn.Module()
    theirs.features = make_layers(cfgs["A"][:7], batch_norm=True)
    ours = taken(VGG(11, with_bn=True, num_stages=3, dilations=(1, 1, 1), out_indices=(0, 1, 2)), theirs)
    x = torch.randn(1, 3, 64, 33)
    with torch.no_grad():
        torch.testing.assert_close(list(ours(x)), stages(theirs, x, [3, 7, 14]))


@pytest.mark.parametrize(
    ("arch", "expected"),
    [
        ("small", [(2, 1), (2, 1), (1, 1), *[(1, 2)] * 5, *[(1, 4)] * 3]),
        ("large", [(1, 1), (2, 1), (1, 1), (2, 1), (1, 1), (1, 1), *[(1, 2)] * 6, *[(1, 4)] * 3]),
    ],
)
def test_strides_of_mobilenet_v3_beyond_8_are_dilations_without_a_path_beside_them(arch: Any, expected: Any) -> None:
    with torch.device("meta"):
        net = MobileNetV3(arch, out_indices=(len(expected) + 1,))
    blocks: list[Any] = [net.get_submodule(f"layer{index}") for index in range(1, len(expected) + 1)]
    convs = [block.depthwise_conv.conv for block in blocks]
    assert [(conv.stride[0], conv.dilation[0]) for conv in convs] == expected
    assert {conv.padding for conv in convs if conv.stride == (2, 2)} == {(0, 0)}  # these pad by themselves
    assert not any(blocks[index].has_skip for index in ([0, 3, 8] if arch == "small" else [6, 12]))
    assert [blocks[index].has_skip for index in (-1, -2)] == [True, True]


def test_lite_r_aspp_gates_the_last_feature_by_averages_over_windows() -> None:
    head = disturbed(LRASPPHead(3, (2, 3, 4), channels=4, branch_channels=(2, 1))).eval()
    fine, middle, last = torch.randn(2, 2, 99, 141), torch.randn(2, 3, 60, 71), torch.randn(2, 4, 50, 71)
    means = torch.stack([last[..., :49, left : left + 49].mean((2, 3)) for left in (0, 20)], -1)[:, :, None]
    gate = F.conv2d(means, head.get_parameter("image_pool.1.conv.weight")).sigmoid()
    x = head.get_submodule("aspp_conv")(last) * F.interpolate(gate, (50, 71), mode="bilinear")
    x = head.get_submodule("conv_up_input")(x)
    for index, feature in ((1, middle), (0, fine)):
        up = F.interpolate(x, feature.shape[2:], mode="bilinear")
        joined = torch.cat([up, head.get_submodule(f"convs.conv{index}")(feature)], 1)
        x = head.get_submodule(f"conv_ups.conv_up{index}")(joined)
    torch.testing.assert_close(head([fine, middle, last]), head.get_submodule("conv_seg")(x))


@pytest.mark.parametrize("dw_act_cfg", [None, {"type": "ReLU"}])
def test_a_separable_fcn_is_depthwise_then_pointwise(dw_act_cfg: Any) -> None:
    head = disturbed(DepthwiseSeparableFCNHead(3, (4,), channels=2, num_convs=1, dw_act_cfg=dw_act_cfg)).eval()
    x = torch.randn(2, 4, 7, 8)

    def layer(name: str, x: torch.Tensor) -> torch.Tensor:
        part: Any = head.get_submodule(name)
        deep = part.depthwise_conv.bn(F.conv2d(x, part.depthwise_conv.conv.weight, padding=1, groups=x.shape[1]))
        deep = deep if dw_act_cfg is None else deep.relu()
        out: torch.Tensor = part.pointwise_conv.bn(F.conv2d(deep, part.pointwise_conv.conv.weight)).relu()
        return out

    joined = layer("conv_cat", torch.cat([x, layer("convs.0", x)], 1))
    torch.testing.assert_close(head([x]), head.get_submodule("conv_seg")(joined))


def test_a_prepared_mobilenet_uses_every_parameter() -> None:
    heads = [
        {"type": "DepthwiseSeparableFCNHead", "channels": 4},
        {**FCN, "in_index": [0, 1], "input_transform": "resize_concat"},
    ]
    model = prepare(mmseg(5, backbone={**SMALL, **D8}, decode_head=heads[0], auxiliary_head=heads[1]), norm="sync")
    with sample_keys(0, torch.arange(2)):
        output = model.train()(torch.randn(2, 3, 32, 48))
    sum(logits.square().mean() for logits in output.values()).backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


@pytest.mark.parametrize("size", [6, 7, 8, 9])
@pytest.mark.parametrize(("kernel", "dilation"), [(3, 1), (5, 1), (3, 2)])
def test_same_padding_gives_the_rounded_up_size_and_puts_the_odd_pixel_after_the_image(
    size: int, kernel: int, dilation: int
) -> None:
    layer = conv2d(1, 1, kernel, stride=2, dilation=dilation, same=True)
    x = torch.randn(1, 1, size, size + 1)
    reach = (kernel - 1) * dilation
    before = [(2 * (-(-side // 2) - 1) + reach + 1 - side) // 2 for side in x.shape[2:]]
    wide = F.pad(x, (before[1], 2 * reach, before[0], 2 * reach))
    expected = F.conv2d(wide, layer.weight, stride=2, dilation=dilation)[:, :, : -(-size // 2), : -(-(size + 1) // 2)]
    torch.testing.assert_close(layer(x), expected)


@pytest.mark.parametrize(("own", "strides"), [({}, (4, 8, 16, 32)), (D8, (4, 8, 8, 8))])
def test_mobilenet_v2_has_the_strides_that_were_asked_for(own: Any, strides: Any) -> None:
    net = MobileNetV2(0.1, **own)
    features = net(torch.zeros(1, 3, 65, 96))
    assert [tuple(each.shape[2:]) for each in features] == [(-(-65 // stride), -(-96 // stride)) for stride in strides]
    assert net.channels == tuple(each.shape[1] for each in features)


def test_a_mobilenet_of_torchvision_starts_a_network_of_ours(tmp_path: Path) -> None:
    theirs = mobilenet_v2(weights=None, width_mult=0.1)
    torch.save(theirs.state_dict(), tmp_path / "mobilenet_v2.pth")
    model = {"type": "mmseg", "backbone": SMALL, "decode_head": FCN}
    init = {"checkpoint": str(tmp_path / "mobilenet_v2.pth"), "only": "^backbone", "strict": True}
    config = BASE.with_({"tracking.storage": str(tmp_path), "model": model, "init": init})
    experiment = assemble(config, LocalReporter(tmp_path))
    first = experiment.fit.state.model.get_parameter("backbone.conv1.conv.weight")
    torch.testing.assert_close(first.detach().cpu(), theirs.state_dict()["features.0.0.weight"])


def test_numbers_of_norms_are_the_part_s_own() -> None:
    model = mmseg(5, backbone={**SMALL, "norm_cfg": {"eps": 0.001, "momentum": 0.01}}, decode_head=FCN)
    found = {
        name.split(".")[0]: (each.eps, each.momentum)
        for name, each in model.named_modules()
        if isinstance(each, nn.BatchNorm2d)
    }
    assert found == {"backbone": (0.001, 0.01), "decode_head": (1e-5, 0.1)}


def test_a_feature_below_the_window_is_refused_with_the_size_that_is_needed() -> None:
    head = LRASPPHead(2, (2, 2), channels=2, branch_channels=(2,)).eval()
    with pytest.raises(ShapeError, match=r"got a last feature of \(48, 60\) px, expected 49 x 49 at least.*385 px"):
        head([torch.zeros(1, 2, 96, 120), torch.zeros(1, 2, 48, 60)])


def body(kind: str, **own: Any) -> dict[str, Any]:
    return {"backbone": {"type": kind, **own}}


def head(kind: str, **own: Any) -> dict[str, Any]:
    return {"backbone": SMALL, "decode_head": {"type": kind, "channels": 4, **own}}


@pytest.mark.parametrize(
    ("model", "path", "says"),
    [
        (body("MobileNetV2", widen_factor=0.0), "backbone.widen_factor", "above 0"),
        (body("MobileNetV2", strides=[1, 2, 3, 1, 1, 1, 1]), "backbone.strides", "must be 1 or 2"),
        (body("MobileNetV2", dilations=[1, 2]), "backbone.dilations", "got 2 values, expected 7, one for each layer"),
        (body("MobileNetV2", out_indices=[1, 4]), "backbone.out_indices", "after 4 would not be used; add 6"),
        (body("MobileNetV2", out_indices=[4, 1, 7]), "backbone.out_indices", "expected layers from 0 to 6, ascending"),
        (body("MobileNetV2", act_cfg={"type": "Relu6"}), "backbone.act_cfg.type", "expected one of GELU, HSigmoid"),
        (body("MobileNetV2", act_cfg={"type": "ReLU", "slope": 1}), "backbone.act_cfg.slope", "have no arguments"),
        (body("MobileNetV2", norm_cfg={"type": "BN", "eps": 0.1}), "backbone.norm_cfg", "Only eps and momentum"),
        (body("MobileNetV2", norm_cfg={"eps": 0}), "backbone.norm_cfg.eps", "must be above 0"),
        (body("MobileNetV2", norm_cfg={"momentum": 2.0}), "backbone.norm_cfg.momentum", "at most 1, got 2.0"),
        (
            {**body("MobileNetV2", norm_cfg={"momentum": 0.1}), "norm": "group"},
            "backbone.norm_cfg.momentum",
            "model.norm: auto",
        ),
        (body("VGG", **ONE_STAGE, norm_cfg={"eps": 0.1}), "backbone.norm_cfg", "there is no batch norm in it"),
        (body("MobileNetV3", arch="medium"), "backbone.arch", "got 'medium'"),
        (body("MobileNetV3", arch="large"), "backbone.out_indices", "after 12 would not be used; add 16"),
        (body("MobileNetV3", reduction_factor=0), "backbone.reduction_factor", "must be from 1 to 96"),
        (body("MobileNetV3", frozen_stages=3), "backbone.frozen_stages", "write freeze"),
        (body("VGG", depth=12), "backbone.depth", "expected one of 11, 13, 16, 19"),
        (body("VGG", depth=11, num_stages=6), "backbone.num_stages", "expected 1 to 5"),
        (body("VGG", depth=11, bn_eval=True), "backbone.bn_eval", "write freeze"),
        (body("VGG"), "backbone.depth", "is missing; VGG needs it"),
        (head("LRASPPHead"), "decode_head.branch_channels", "got 2 values, expected 3"),
        (head("LRASPPHead", in_index=2), "decode_head.in_index", "got 2, expected"),
        (head("LRASPPHead", input_transform="resize_concat"), "decode_head.input_transform", "got 'resize_concat'"),
        (head("LRASPPHead", in_index=[0, 1, 3]), "", "decode_head: LRASPPHead: got a last feature of (2, 2) px"),
        (head("DepthwiseSeparableFCNHead", num_convs=0), "decode_head.num_convs", "at least 1"),
        (head("DepthwiseSeparableFCNHead", kernel_size=4), "decode_head.kernel_size", "must be odd"),
        (head("DepthwiseSeparableFCNHead", dw_act_cfg={"type": "x"}), "decode_head.dw_act_cfg.type", "got 'x'"),
        (head("DepthwiseSeparableFCNHead", dilation=2), "decode_head.dilation", "has no parameter 'dilation'"),
    ],
)
def test_faults_are_found_before_work_starts(model: dict[str, Any], path: str, says: str, tmp_path: Path) -> None:
    problems = check(BASE.with_({"tracking.storage": str(tmp_path), "model": {"type": "mmseg", "decode_head": FCN, **model}}))
    assert [problem.path for problem in problems] == [f"model.{path}".rstrip(".")]
    assert says in problems[0].message or not path
