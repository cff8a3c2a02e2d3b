"""Every built-in network as a program: what the file computes is what the network does, at sizes that it was not made with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from rayseg.errors import RaysegError
from rayseg.inference import Deployed, ProgramFormat, Sizes, agreement, capture, run_program, write_program
from rayseg.models import MODELS, prepare

pytestmark = pytest.mark.examples

SMALL = {"type": "ResNetV1c", "depth": 18, "stem_channels": 4, "base_channels": 4, "strides": [1, 2, 1, 1]}
STDC = {"type": "STDCNet", "stdc_type": "STDCNet1", "channels": [4, 8, 16, 32, 64], "num_convs": 4, "bottleneck_type": "cat"}
PATHS = {
    "type": "STDCContextPathNet",
    "backbone_cfg": STDC,
    "last_in_channels": [64, 32],
    "out_channels": 8,
    "ffm_cfg": {"in_channels": 24, "out_channels": 16, "scale_factor": 4},
}
MIT = {"type": "MixVisionTransformer", "embed_dims": 4, "num_layers": [1, 1, 1, 1]}
UNET = {"type": "UNet", "base_channels": 4}
FCN = {"type": "FCNHead", "channels": 4}
EVERY = "N x 3 x H x W, H and W any from 64 px"
#: A conversion takes seconds, so not every one; all of them were once.
IN_ONNX = ("small_unet", "psp", "unet")
#: Network, its arguments, and the images that its program takes.
NETWORKS: Mapping[str, tuple[str, dict[str, Any], str]] = {
    "small_unet": ("small_unet", {"width": 4, "auxiliary": True}, EVERY),
    "smp_unet": ("smp_unet", {"encoder": "resnet18", "pretrained": None}, EVERY),
    "fcn": ("mmseg", {"backbone": SMALL, "decode_head": FCN}, EVERY),
    "fcn, aligned": ("mmseg", {"backbone": SMALL, "decode_head": {**FCN, "align_corners": True}}, EVERY),
    "psp": (
        "mmseg",
        {"backbone": SMALL, "decode_head": {"type": "PSPHead", "channels": 4}},
        "N x 3 x H x W, H and W multiples of 8 from 64 px",
    ),
    "aspp": ("mmseg", {"backbone": SMALL, "decode_head": {"type": "ASPPHead", "channels": 4}}, EVERY),
    "separable aspp": (
        "mmseg",
        {"backbone": SMALL, "decode_head": {"type": "DepthwiseSeparableASPPHead", "channels": 4, "c1_channels": 2}},
        EVERY,
    ),
    "unet": (
        "mmseg",
        {"backbone": UNET, "decode_head": {**FCN, "in_index": 4}},
        "N x 3 x H x W, H and W multiples of 16 from 64 px",
    ),
    "stdc": ("mmseg", {"backbone": PATHS, "decode_head": {**FCN, "in_index": 3}}, EVERY),
    "segformer": ("mmseg", {"backbone": MIT, "decode_head": {"type": "SegformerHead", "channels": 4}}, EVERY),
    "uper": (
        "mmseg",
        {"backbone": SMALL, "decode_head": {"type": "UPerHead", "channels": 4, "pool_scales": [1, 2]}},
        "N x 3 x H x W, H and W multiples of 8 from 64 px",
    ),
    "vgg": ("mmseg", {"backbone": {"type": "VGG", "depth": 11}, "decode_head": {**FCN, "in_index": -1}}, EVERY),
    "mobile": ("mmseg", {"backbone": {"type": "MobileNetV2", "widen_factor": 0.1}, "decode_head": FCN}, EVERY),
    "lraspp": ("torchvision_lraspp_mobilenet_v3_large", {}, EVERY),
    "deeplab": ("torchvision_deeplabv3_mobilenet_v3_large", {"aux": True}, EVERY),
    "torchvision's fcn": ("torchvision_fcn_resnet50", {}, EVERY),
}


def deployed(name: str) -> Deployed:
    torch.manual_seed(0)
    model, arguments, _ = NETWORKS[name]
    made = prepare(MODELS[model](5, **arguments), norm="sync")
    return Deployed(made, mean=(120, 110, 100), std=(60, 61, 62)).eval()


def pictures(sizes: Sizes) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = [(1, *sizes.nearest((97, 131))), (3, *sizes.nearest((64, 75)))]
    return [torch.rand(n, 3, height, width, generator=generator) * 255 for n, height, width in shapes]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", list(NETWORKS))
def test_the_program_of_a_network_computes_what_the_network_does(name: str, tmp_path: Path) -> None:
    if NETWORKS[name][0] == "smp_unet" and find_spec("segmentation_models_pytorch") is None:
        pytest.skip("needs rayseg[pretrained]")
    network = deployed(name)
    program, sizes = capture(network)
    assert str(sizes) == NETWORKS[name][2]
    forms: list[ProgramFormat] = ["torch_export"]
    if name in IN_ONNX and find_spec("onnx") and find_spec("onnxruntime") and find_spec("onnxscript"):
        forms.append("onnx")
    for form in forms:
        path = tmp_path / f"{form}.pt2"
        write_program(program, path, form=form, returns="logits", sizes=sizes, about={"class_names": ["a"]})
        found = agreement(network, run_program(path, form), pictures(sizes))
        assert found.within(1e-4), f"{form}: {found}"


@pytest.mark.filterwarnings("ignore")
def test_an_onnx_file_says_what_goes_in_and_what_comes_out(tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    program, sizes = capture(Deployed(nn.Conv2d(3, 2, 1).eval(), mean=(0, 0, 0), std=(1, 1, 1), returns="classes").eval())
    write_program(program, tmp_path / "a.onnx", form="onnx", returns="classes", sizes=sizes, about={"class_names": ["a", "b"]})
    session = onnxruntime.InferenceSession(tmp_path / "a.onnx")
    (images,), (classes,) = session.get_inputs(), session.get_outputs()
    assert (images.name, images.shape, images.type) == ("images", ["batch", 3, "height", "width"], "tensor(float)")
    assert (classes.name, classes.shape, classes.type) == ("classes", ["batch", "height", "width"], "tensor(int64)")
    about = json.loads(session.get_modelmeta().custom_metadata_map["rayseg.json"])
    assert about == {"class_names": ["a", "b"]}


class _LooksAtTheSize(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 2, 1)

    def forward(self, images: Tensor) -> Tensor:
        assert images.shape[-1] == 96
        return self.layer(images)  # type: ignore[no-any-return]


@pytest.mark.filterwarnings("ignore")
def test_a_network_of_one_size_is_refused_with_the_remedy_and_taken_with_it() -> None:
    with pytest.raises(RaysegError, match=r"makes no graph of the model: .*; give one size \(--size HEIGHT WIDTH\)"):
        capture(_LooksAtTheSize().eval())
    program, sizes = capture(_LooksAtTheSize().eval(), fixed=(64, 96))
    assert str(sizes) == "N x 3 x 64 x 96"
    assert program.module()(torch.zeros(5, 3, 64, 96)).shape == (5, 2, 64, 96)
