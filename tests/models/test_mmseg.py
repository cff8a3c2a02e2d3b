"""MMSegmentation's networks: names and shapes of its own package, its arithmetic, and what is refused."""

from __future__ import annotations

import json
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models import resnet18, resnet50

from rayseg.build import applied_values, assemble, check
from rayseg.config import ExperimentConfig
from rayseg.engine import LocalReporter
from rayseg.errors import ConfigError, Problem, ShapeError
from rayseg.models import (
    DECODE_HEADS,
    ASPPHead,
    EncoderDecoder,
    FCNHead,
    PSPHead,
    ResNet,
    STDCNet,
    UNet,
    mmseg,
    mmseg_file,
    prepare,
    sample_keys,
)
from rayseg.models.mmseg import BACKBONES
from rayseg.models.mmseg.parts import bound
from rayseg.models.mmseg.parts import made as make
from tests.models import mmseg_reference as reference

NAMES: dict[str, dict[str, list[int]]] = json.loads(reference.NAMES.read_text(encoding="utf-8"))
SMALL: dict[str, Any] = {"type": "ResNetV1c", "depth": 18, "stem_channels": 4, "base_channels": 4}
FCN: dict[str, Any] = {"type": "FCNHead", "channels": 4, "num_convs": 1, "concat_input": False}
HEADS: dict[str, dict[str, Any]] = {
    "FCNHead": FCN,
    "PSPHead": {"type": "PSPHead", "channels": 4},
    "ASPPHead": {"type": "ASPPHead", "channels": 4},
    "DepthwiseSeparableASPPHead": {"type": "DepthwiseSeparableASPPHead", "channels": 4, "c1_channels": 2},
}


def part(name: str) -> nn.Module:
    problems: list[Problem] = []
    with torch.device("meta"):
        if name in reference.BACKBONES:
            made: nn.Module | None = make(bound(BACKBONES, reference.BACKBONES[name], "", problems), "", problems)
        else:
            written, channels = reference.HEADS[name]
            own = dict(written)
            num_classes = own.pop("num_classes", reference.NUM_CLASSES)
            made = make(bound(DECODE_HEADS, own, "", problems, num_given=2), "", problems, num_classes, channels)
    assert made is not None, problems
    return made


@pytest.mark.parametrize("name", list(NAMES))
def test_every_tensor_has_the_name_and_the_shape_that_it_has_there(name: str) -> None:
    assert reference.shapes(part(name)) == NAMES[name]


def test_every_part_is_compared() -> None:
    parts = {*reference.BACKBONES, *reference.HEADS}
    assert set(NAMES) == parts
    assert {reference.BACKBONES[name]["type"] for name in reference.BACKBONES} == set(BACKBONES)
    assert {written["type"] for written, _ in reference.HEADS.values()} == set(DECODE_HEADS)


DISTURBED = (
    *("running_mean", "running_var", "bn.bias", "bn3.weight", "bn2.weight"),
    *(
        f"{norm}.{kind}"
        for norm in ("norm", "norm1", "norm2", *(f"layers.{stage}.2" for stage in range(4)))
        for kind in ("weight", "bias")
    ),
    *("in_proj_bias", "out_proj.bias", "sr.bias"),
)


def disturbed(module: nn.Module) -> nn.Module:
    """Statistics, scales and shifts that are not those of the beginning."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, tensor in module.state_dict().items():
            if name.endswith(DISTURBED):
                tensor.uniform_(0.2, 0.6, generator=generator)
    return module


@pytest.mark.filterwarnings("ignore")
@pytest.mark.skipif(find_spec("mmseg") is None, reason="needs mmsegmentation, mmengine and mmcv-lite")
@pytest.mark.parametrize("name", list(reference.MODELS))
@pytest.mark.parametrize("training", [False, True])
def test_the_outputs_are_those_of_the_package_beside_it(name: str, training: bool) -> None:
    torch.manual_seed(0)
    written = reference.whole(name)
    auxiliary = written["auxiliary_head"] or []
    listed = [{**each, "dropout_ratio": 0.0} for each in (auxiliary if isinstance(auxiliary, list) else [auxiliary])]
    heads = [reference.there(each) for each in listed]
    theirs = disturbed(
        reference.reference(
            {
                "type": "EncoderDecoder",
                "backbone": reference.there(written["backbone"]),
                "decode_head": reference.there({**written["decode_head"], "dropout_ratio": 0.0}),
                "auxiliary_head": heads if isinstance(auxiliary, list) else heads[0],
            }
        )
    ).train(training)
    ours = mmseg(reference.NUM_CLASSES, **written).train(training)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    for module in ours.modules():
        if isinstance(module, nn.Dropout2d):
            module.p = 0.0
    x = torch.randn(2, 3, *((64, 96) if "unet" in name else (402, 391) if "lraspp" in name else (65, 97)))
    with torch.no_grad():
        features, output = theirs.get_submodule("backbone")(x), ours(x)
        others: Any = theirs.auxiliary_head if listed else []
        others = others if isinstance(others, nn.ModuleList | list) else [others]
        all_heads: list[Any] = [theirs.decode_head, *others]
        for head, logits in zip(all_heads, output.values(), strict=True):
            logits_there = head(features)
            expected = F.interpolate(logits_there, x.shape[-2:], mode="bilinear", align_corners=head.align_corners)
            full = F.interpolate(logits, x.shape[-2:], mode="bilinear", align_corners=False)
            torch.testing.assert_close(full, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("depth", "build"), [(18, resnet18), (50, resnet50)])
def test_resnet_is_torchvision_s(depth: int, build: Any) -> None:
    with torch.device("meta"):
        ours, theirs = ResNet(depth).train(), build(weights=None).train()
    disturbed(theirs.to_empty(device="cpu"))
    for name, tensor in theirs.state_dict().items():
        if "running" not in name and tensor.dim() > 0:
            reach = tensor[0].numel() ** -0.5
            tensor.uniform_(-reach, reach)
    state = {name: value for name, value in theirs.state_dict().items() if not name.startswith("fc.")}
    ours.load_state_dict(state, strict=True, assign=True)
    x = torch.randn(1, 3, 33, 49)
    with torch.no_grad():
        y, features = theirs.maxpool(theirs.relu(theirs.bn1(theirs.conv1(x)))), ours(x)
        for stage, feature in enumerate(features, start=1):
            y = theirs.get_submodule(f"layer{stage}")(y)
            torch.testing.assert_close(feature, y)


@pytest.mark.parametrize(
    ("own", "strides"),
    [
        ({}, (4, 8, 16, 32)),
        ({"strides": (1, 2, 1, 1), "dilations": (1, 1, 2, 4), "contract_dilation": True}, (4, 8, 8, 8)),
        ({"strides": (1, 2, 2, 1), "dilations": (1, 1, 1, 2), "multi_grid": (2, 4)}, (4, 8, 16, 16)),
        ({"num_stages": 2, "strides": (1, 2), "dilations": (1, 1), "out_indices": (1,)}, (8,)),
    ],
)
@pytest.mark.parametrize("size", [(64, 64), (65, 33)])
def test_features_have_the_strides_that_were_asked_for(own: Any, strides: Any, size: tuple[int, int]) -> None:
    net = ResNet(18, deep_stem=True, avg_down=True, stem_channels=4, base_channels=4, **own)
    features = net(torch.zeros(1, 3, *size))
    assert [tuple(each.shape[2:]) for each in features] == [tuple(-(-side // stride) for side in size) for stride in strides]
    assert net.channels == tuple(each.shape[1] for each in features)


def dilations(net: ResNet, stage: str) -> list[int]:
    return [block.get_submodule("conv2").dilation[0] for block in net.get_submodule(stage)]  # type: ignore[attr-defined]


def test_the_first_block_of_a_dilated_stage_is_contracted_and_a_grid_replaces_the_dilations() -> None:
    small: Any = {"base_channels": 4, "strides": (1, 2, 1, 1), "dilations": (1, 1, 2, 4)}
    assert dilations(ResNet(50, **small), "layer4") == [4, 4, 4]
    net = ResNet(50, contract_dilation=True, **small)
    assert [dilations(net, f"layer{stage}") for stage in (3, 4)] == [[1, 2, 2, 2, 2, 2], [2, 4, 4]]
    assert dilations(ResNet(50, multi_grid=(1, 2, 4), contract_dilation=True, **small), "layer4") == [1, 2, 4]


def test_a_block_begins_as_the_identity_and_heads_begin_small() -> None:
    model = mmseg(5, backbone=SMALL, decode_head=HEADS["PSPHead"])
    block = model.backbone.get_submodule("layer1")[1].eval()  # type: ignore[index]
    x = torch.rand(1, 4, 8, 8)
    assert torch.equal(block(x), x)
    assert 0.005 < float(model.decode_head.get_parameter("conv_seg.weight").detach().std()) < 0.02
    fan_out = 4 * 9
    weight = model.decode_head.get_parameter("bottleneck.conv.weight").detach()
    assert abs(float(weight.std()) / (2 / fan_out) ** 0.5 - 1) < 0.1


def pooled(x: Tensor, cells: int) -> Tensor:
    """Averages over a grid, cell by cell."""
    height, width = x.shape[-2:]
    edges = [(i * height // cells, -(-(i + 1) * height // cells)) for i in range(cells)]
    sides = [(i * width // cells, -(-(i + 1) * width // cells)) for i in range(cells)]
    return torch.stack([torch.stack([x[..., a:b, c:d].mean((2, 3)) for c, d in sides], -1) for a, b in edges], -2)


def test_pyramid_pooling_cell_by_cell() -> None:
    head = disturbed(PSPHead(3, (4,), channels=2, pool_scales=(2, 3))).eval()
    x = torch.randn(2, 4, 7, 8)
    branches = [
        F.interpolate(head.get_submodule(f"psp_modules.{i}.1")(pooled(x, cells)), (7, 8), mode="bilinear")
        for i, cells in enumerate((2, 3))
    ]
    joined = head.get_submodule("bottleneck")(torch.cat([x, *branches], 1))
    torch.testing.assert_close(head([x]), head.get_submodule("conv_seg")(joined))


def test_an_input_reaches_as_far_as_the_dilation() -> None:
    head = disturbed(ASPPHead(2, (1,), channels=2, dilations=(1, 3))).eval()
    x = torch.randn(1, 1, 15, 15, requires_grad=True)
    branch = head.get_submodule("aspp_modules.1.conv")(x)
    branch[0, 0, 7, 7].backward()
    assert x.grad is not None
    assert sorted({tuple(at.tolist()) for at in x.grad[0, 0].nonzero()}) == [(i, j) for i in (4, 7, 10) for j in (4, 7, 10)]


@pytest.mark.parametrize("kind", list(HEADS))
def test_a_prepared_model_uses_every_parameter_and_gives_named_logits(kind: str) -> None:
    model = prepare(mmseg(5, backbone=SMALL, decode_head=HEADS[kind], auxiliary_head={**FCN, "in_index": 2}), norm="sync")
    assert {name.split(".")[0] for name, _ in model.named_parameters()} == {"backbone", "decode_head", "auxiliary_head"}
    with sample_keys(0, torch.arange(2)):
        output = model.train()(torch.randn(2, 3, 64, 96))
    assert list(output) == ["main", "auxiliary"]
    sum(logits.square().mean() for logits in output.values()).backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_aligned_corners_come_at_full_size() -> None:
    backbone = ResNet(18, base_channels=4)
    plain, aligned = (FCNHead(5, backbone.channels, channels=4, align_corners=flag) for flag in (False, True))
    aligned.load_state_dict(plain.state_dict())
    x = torch.randn(1, 3, 64, 96)
    outputs = [EncoderDecoder(backbone, head).eval()(x)["main"] for head in (plain, aligned)]
    torch.testing.assert_close(F.interpolate(outputs[0], (64, 96), mode="bilinear", align_corners=True), outputs[1])


STDC: dict[str, Any] = {
    "type": "STDCContextPathNet",
    "backbone_cfg": {"type": "STDCNet", "channels": [4, 8, 16, 16, 16]},
    "out_channels": 4,
    "ffm_cfg": {"out_channels": 8, "scale_factor": 4},
}
STDC_HEAD: dict[str, Any] = {**FCN, "type": "STDCHead", "in_index": 0, "num_classes": 2}


@pytest.mark.parametrize("kind", ["STDCNet1", "STDCNet2"])
def test_stdc_trains_with_its_detail_head(kind: str, tmp_path: Path) -> None:
    config = BASE.with_(
        {
            "tracking.storage": str(tmp_path),
            "model.backbone": {**STDC, "backbone_cfg": {**STDC["backbone_cfg"], "stdc_type": kind}},
            "model.auxiliary_head": [{**FCN, "in_index": 2, "align_corners": True}, {**FCN, "in_index": 1}, STDC_HEAD],
            "heads.auxiliary_0": {"weight": 1.0},
            "heads.auxiliary_1": {"weight": 1.0},
            "heads.auxiliary_2": {"weight": 1.0, "target": {"type": "stdc_detail"}},
        }
    )
    assert check(config) == []
    model = assemble(config, LocalReporter(tmp_path)).fit.state.model
    assert {name for name, each in model.named_parameters() if not each.requires_grad} == {"auxiliary_head.2.fusion_kernel"}


def test_an_stdc_module_halves_its_channels_and_its_size() -> None:
    net = disturbed(STDCNet("STDCNet1", (4, 8, 16, 16, 16))).eval()
    module = net.get_submodule("stages.2.0")
    x = torch.randn(1, 8, 8, 8)
    layers = [module.get_submodule(f"layers.{index}") for index in range(4)]
    first = layers[0](x)
    second = layers[1](module.get_submodule("downsample")(first))
    third = layers[2](second)
    expected = torch.cat([F.avg_pool2d(first, 3, 2, 1), second, third, layers[3](third)], 1)
    assert [each.shape[1] for each in (first, second, third)] == [8, 4, 2]
    torch.testing.assert_close(module(x), expected)


def test_unet_s_features_go_from_the_deepest_to_full_size_and_other_sizes_are_refused() -> None:
    net = UNet(2)
    features = net(torch.zeros(1, 3, 32, 48))
    assert [tuple(each.shape[1:]) for each in features] == [(2 * 2**i, 32 // 2**i, 48 // 2**i) for i in (4, 3, 2, 1, 0)]
    assert net.channels == (32, 16, 8, 4, 2)
    with pytest.raises(ShapeError, match=r"got images of \(32, 40\), expected multiples of 16; crop or pad"):
        net(torch.zeros(1, 3, 32, 40))


def test_what_is_so_anyway_may_be_said() -> None:
    said = {"norm_eval": False, "with_cp": False, "act_cfg": {"type": "ReLU"}, "in_channels": 3}
    model = mmseg(5, backbone={**SMALL, **said}, decode_head={**FCN, "input_transform": None, "conv_cfg": None})
    assert list(model.state_dict()) == list(mmseg(5, backbone=SMALL, decode_head=FCN).state_dict())


def unet(**own: Any) -> dict[str, Any]:
    return {"backbone": {"type": "UNet", "base_channels": 2, **own}}


def stdc(**own: Any) -> dict[str, Any]:
    return {"backbone": {**STDC, **own}}


DEEPER_WRONG: list[tuple[dict[str, Any], str, str]] = [
    (unet(strides=[1, 1, 1, 1]), "model.backbone.strides", "got 4 values, expected 5"),
    (unet(strides=[1, 1, 1, 1, 3]), "model.backbone.strides", "must be 1 or 2"),
    (unet(dec_num_convs=[2, 2, 2, 0]), "model.backbone.dec_num_convs", "at least 1"),
    (unet(downsamples=[True]), "model.backbone.downsamples", "got 1 values, expected 4"),
    (unet(base_channels=0), "model.backbone.base_channels", "at least 1"),
    (unet(with_cp=True), "model.backbone.with_cp", "move a norm's statistics twice"),
    (unet(upsample_cfg={"type": "Deconv"}), "model.backbone.upsample_cfg.type", "known: DeconvModule, InterpConv"),
    (unet(upsample_cfg={"type": "DeconvModule", "kernel_size": 3}), "model.backbone.upsample_cfg.kernel_size", "must be even"),
    (unet(upsample_cfg={"type": "DeconvModule", "kernel_size": 0}), "model.backbone.upsample_cfg.kernel_size", "at least 2"),
    (unet(upsample_cfg={"type": "DeconvModule", "scale_factor": 4}), "model.backbone.upsample_cfg.scale_factor", "got 4"),
    (
        unet(upsample_cfg={"type": "InterpConv", "kernel_size": 3}),
        "model.backbone.upsample_cfg.kernel_size",
        "it takes conv_first",
    ),
    (unet(act_cfg={"type": "PReLU"}), "model.backbone.act_cfg", "the activation is ReLU"),
    (stdc(ffm_cfg={"in_channels": 9}), "model.backbone.ffm_cfg.in_channels", "and 20 channels come in"),
    (stdc(ffm_cfg={"out_chanels": 9}), "model.backbone.ffm_cfg.out_chanels", "there are in_channels, out_channels"),
    (stdc(ffm_cfg={"out_channels": 2}), "model.backbone.ffm_cfg.scale_factor", "must be from 1 to out_channels, 2"),
    (stdc(last_in_channels=[1024, 512]), "model.backbone.last_in_channels", "the features have (16, 16)"),
    (stdc(backbone_cfg={"type": "STDCNet3"}), "model.backbone.backbone_cfg.type", "known: STDCNet"),
    (stdc(backbone_cfg={"type": "STDCNet", "norm_cfg": {}}), "model.backbone.backbone_cfg.norm_cfg", "write model.norm"),
    (
        stdc(backbone_cfg={"type": "STDCNet", "channels": [4, 8, 16, 16, 12]}),
        "model.backbone.backbone_cfg.channels",
        "must be multiples of 8",
    ),
    (stdc(backbone_cfg={"type": "STDCNet", "channels": [4]}), "model.backbone.backbone_cfg.channels", "expected 5"),
    (stdc(backbone_cfg={"type": "STDCNet", "num_convs": 1}), "model.backbone.backbone_cfg.num_convs", "at least 2"),
    (stdc(backbone_cfg={"type": "STDCNet", "bottleneck_type": "add"}), "model.backbone.backbone_cfg.bottleneck_type", "'add'"),
    (
        {"auxiliary_head": {**STDC_HEAD, "boundary_threshold": 0.2}},
        "model.auxiliary_head.boundary_threshold",
        "target: {type: stdc_detail, threshold",
    ),
]
WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"backbone.depht": 18}, "model.backbone.depht", "ResNetV1c has no parameter 'depht'; it takes depth, "),
    ({"backbone.depth": 19}, "model.backbone.depth", "got 19, expected one of 18, 34, 50, 101, 152"),
    ({"backbone.depth": "18"}, "model.backbone.depth", "got '18', expected int"),
    ({"backbone.deep_stem": False}, "model.backbone.deep_stem", "has no parameter 'deep_stem'"),
    ({"backbone.norm_cfg": {"type": "SyncBN"}}, "model.backbone.norm_cfg", "write model.norm: sync, batch or group"),
    ({"backbone.pretrained": "a"}, "model.backbone.pretrained", "write init.checkpoint"),
    ({"backbone.strides": [1, 2, 2]}, "model.backbone.strides", "got 3 values, expected 4"),
    ({"backbone.dilations": [1, 1, 1, 0]}, "model.backbone.dilations", "must be at least 1"),
    ({"backbone.multi_grid": [1, 2, 4]}, "model.backbone.multi_grid", "got 3 values, expected 2, one for each block"),
    ({"backbone.style": "caffe"}, "model.backbone.style", "'caffe' would change nothing"),
    ({"backbone.style": "tf"}, "model.backbone.style", "got 'tf'"),
    ({"backbone.num_stages": 5}, "model.backbone.num_stages", "expected 1 to 4"),
    ({"backbone.out_indices": [0, 1]}, "model.backbone.out_indices", "stages after 1 would not be used"),
    ({"backbone.out_indices": [3, 3]}, "model.backbone.out_indices", "ascending, each once"),
    ({"backbone.stem_channels": 5}, "model.backbone.stem_channels", "must be even with a deep stem"),
    ({"backbone.type": "ResNet50"}, "model.backbone.type", "ResNet, ResNetV1c"),
    ({"decode_head.type": "PSPHed"}, "model.decode_head.type", "Did you mean 'PSPHead'?"),
    ({"decode_head": {"type": "PSPHead"}}, "model.decode_head.channels", "is missing; PSPHead needs it"),
    ({"decode_head": {"channels": 4}}, "model.decode_head.type", "is missing"),
    ({"decode_head.loss_decode": {"type": "CrossEntropyLoss"}}, "model.decode_head.loss_decode", "write losses"),
    ({"decode_head.in_channels": 2048}, "model.decode_head.in_channels", "feature -1 has 32 channels (0: 4, 1: 8"),
    ({"decode_head.in_index": 4}, "model.decode_head.in_index", "the backbone gives 4 features"),
    ({"decode_head.dropout_ratio": 1.0}, "model.decode_head.dropout_ratio", "below 1"),
    ({"decode_head.num_classes": 19}, "model.decode_head.num_classes", "the data has 9 classes; remove it"),
    ({"decode_head.num_convs": -1}, "model.decode_head.num_convs", "at least 0"),
    ({"decode_head.num_convs": 0}, "model.decode_head.channels", "must be that of the feature, 32"),
    ({"decode_head.kernel_size": 2}, "model.decode_head.kernel_size", "must be odd"),
    ({"decode_head": {**HEADS["PSPHead"], "pool_scales": []}}, "model.decode_head.pool_scales", "at least 1"),
    (
        {"decode_head": {**HEADS["DepthwiseSeparableASPPHead"], "c1_channels": 0}},
        "model.decode_head.c1_channels",
        "set both to 0, or neither",
    ),
    ({"auxiliary_head": [{**FCN, "num_classes": 0}]}, "model.auxiliary_head.0.num_classes", "at least 1, got 0"),
    ({"auxiliary_head": [FCN, {**FCN, "in_idx": 2}]}, "model.auxiliary_head.1.in_idx", "Did you mean 'in_index'?"),
    ({"neck": {}}, "model.neck", "it takes backbone, decode_head, auxiliary_head"),
]
BASE = ExperimentConfig.from_dict(
    {
        "data": {"dataset": {"type": "synthetic", "size": [64, 64], "length": 4}},
        "model": {"type": "mmseg", "backbone": SMALL, "decode_head": FCN},
        "train": {"batch_size": 2, "steps": 2},
    }
)


@pytest.mark.parametrize(("change", "path", "says"), [*WRONG, *DEEPER_WRONG])
def test_faults_are_found_before_work_starts(change: dict[str, Any], path: str, says: str, tmp_path: Path) -> None:
    config = BASE.with_({"tracking.storage": str(tmp_path), **{f"model.{key}": value for key, value in change.items()}})
    problems = check(config)
    assert [problem.path for problem in problems] == [path]
    assert says in problems[0].message


def test_faults_of_every_part_are_told_at_once() -> None:
    with pytest.raises(ConfigError, match="4 problems") as caught:
        mmseg(
            5,
            backbone={**SMALL, "depht": 18},
            decode_head={**FCN, "sampler": {}, "dilation": "2"},
            auxiliary_head={"type": "FCN"},
        )
    assert [problem.path for problem in caught.value.problems] == [
        "backbone.depht",
        "decode_head.sampler",
        "decode_head.dilation",
        "auxiliary_head.type",
    ]


def test_a_published_file_loads_whole_into_another_number_of_classes(tmp_path: Path) -> None:
    torch.manual_seed(1)
    donor = mmseg(19, backbone=SMALL, decode_head=FCN, auxiliary_head={**FCN, "in_index": 2})
    meta = {"CLASSES": ("road", "sidewalk"), "PALETTE": [[128, 64, 128]], "epoch": 1}
    torch.save({"meta": meta, "state_dict": donor.state_dict()}, tmp_path / "published.pth")
    config = BASE.with_(
        {
            "tracking.storage": str(tmp_path),
            "model.auxiliary_head": {**FCN, "in_index": 2},
            "heads.auxiliary": {},
            "init": {"checkpoint": str(tmp_path / "published.pth"), "strict": True},
        }
    )
    assert check(config) == []
    model = assemble(config, LocalReporter(tmp_path)).fit.state.model.state_dict()
    others = [name for name, tensor in donor.state_dict().items() if not torch.equal(model[name].cpu(), tensor)]
    assert others == [f"{head}.conv_seg.{kind}" for head in ("decode_head", "auxiliary_head") for kind in ("weight", "bias")]
    wrong = check(config.with_({"model.backbone.depth": 34}))
    assert [problem.path for problem in wrong] == ["init.strict"]


def test_values_deep_in_the_dicts_are_searched_and_read_back(tmp_path: Path) -> None:
    sampled = {"model.decode_head.dropout_ratio": 0.3, "model.backbone.depth": 34}
    experiment = assemble(BASE.with_(sampled), LocalReporter(tmp_path))
    assert applied_values(experiment, list(sampled)) == sampled
    assert sum(name.endswith("conv1.weight") for name in experiment.fit.state.model.state_dict()) == 16


@pytest.mark.filterwarnings("ignore")
@pytest.mark.skipif(find_spec("mmseg") is None, reason="needs mmsegmentation, mmengine and mmcv-lite")
def test_its_package_reads_weights_that_go_out(tmp_path: Path) -> None:
    torch.manual_seed(0)
    written = reference.whole("pspnet_r18_d8")
    ours = disturbed(mmseg(reference.NUM_CLASSES, **written)).eval()
    assert isinstance(ours, EncoderDecoder)
    torch.save(mmseg_file(ours, ["road"] * reference.NUM_CLASSES), tmp_path / "out.pth")
    theirs: Any = reference.reference(
        {
            "type": "EncoderDecoder",
            "backbone": reference.there(written["backbone"]),
            "decode_head": reference.there(written["decode_head"]),
            "auxiliary_head": reference.there(written["auxiliary_head"]),
        }
    ).eval()
    import_module("mmengine.runner").load_checkpoint(theirs, str(tmp_path / "out.pth"), strict=True)
    x = torch.randn(1, 3, 65, 97)
    with torch.no_grad():
        torch.testing.assert_close(theirs.decode_head(theirs.backbone(x)), ours(x)["main"])
