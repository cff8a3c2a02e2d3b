"""Parts of networks in MMSegmentation's words, and the names and shapes that its own package gives their tensors.

``mmseg_names.json`` was made with mmsegmentation 1.2.2, mmengine 0.10.7 and mmcv-lite on the path, by
``python -m tests.models.mmseg_reference``. Nothing else needs these packages.
"""

from __future__ import annotations

import importlib
import json
import sys
import types
from collections.abc import Mapping
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import torch
from torch import nn

NAMES = Path(__file__).with_name("mmseg_names.json")
NUM_CLASSES = 19
Part = Mapping[str, Any]

D8 = {"strides": (1, 2, 1, 1), "dilations": (1, 1, 2, 4), "contract_dilation": True}
D16_MG = {
    "strides": (1, 2, 2, 1),
    "dilations": (1, 1, 1, 2),
    "multi_grid": (1, 2, 4),
    "contract_dilation": True,
}
BACKBONES: Mapping[str, Part] = {
    "resnet50": {"type": "ResNet", "depth": 50, "style": "caffe"},
    "resnet18_v1c_d8": {"type": "ResNetV1c", "depth": 18, **D8},
    "resnet34_v1c": {"type": "ResNetV1c", "depth": 34},
    "resnet50_v1c_d8": {"type": "ResNetV1c", "depth": 50, **D8},
    "resnet50_v1d_d8": {"type": "ResNetV1d", "depth": 50, **D8},
    "resnet101_v1c_d16_mg124": {"type": "ResNetV1c", "depth": 101, **D16_MG},
}
#: The numbers are those of the features of the backbone.
HEADS: Mapping[str, tuple[Part, tuple[int, ...]]] = {
    "psp": ({"type": "PSPHead", "in_channels": 2048, "in_index": 3, "channels": 512}, (256, 512, 1024, 2048)),
    "psp_r18": ({"type": "PSPHead", "in_channels": 512, "in_index": 3, "channels": 128}, (64, 128, 256, 512)),
    "fcn": ({"type": "FCNHead", "in_channels": 2048, "in_index": 3, "channels": 512}, (256, 512, 1024, 2048)),
    "fcn_wide_kernel": (
        {"type": "FCNHead", "in_channels": 64, "in_index": 0, "channels": 16, "num_convs": 3, "kernel_size": 5, "dilation": 2},
        (64, 128),
    ),
    "fcn_no_convs": (
        {"type": "FCNHead", "in_channels": 64, "in_index": 0, "channels": 64, "num_convs": 0, "concat_input": False},
        (64, 128),
    ),
    "auxiliary": (
        {"type": "FCNHead", "in_channels": 1024, "in_index": 2, "channels": 256, "num_convs": 1, "concat_input": False},
        (256, 512, 1024, 2048),
    ),
    "auxiliary_r18": (
        {"type": "FCNHead", "in_channels": 256, "in_index": 2, "channels": 64, "num_convs": 1, "concat_input": False},
        (64, 128, 256, 512),
    ),
    "aspp": (
        {"type": "ASPPHead", "in_channels": 2048, "in_index": 3, "channels": 512, "dilations": (1, 12, 24, 36)},
        (256, 512, 1024, 2048),
    ),
    "sep_aspp": (
        {
            "type": "DepthwiseSeparableASPPHead",
            "in_channels": 2048,
            "in_index": 3,
            "channels": 512,
            "dilations": (1, 12, 24, 36),
            "c1_in_channels": 256,
            "c1_channels": 48,
        },
        (256, 512, 1024, 2048),
    ),
    "sep_aspp_without_c1": (
        {
            "type": "DepthwiseSeparableASPPHead",
            "in_channels": 2048,
            "in_index": 3,
            "channels": 64,
            "c1_in_channels": 0,
            "c1_channels": 0,
        },
        (256, 512, 1024, 2048),
    ),
}
#: Backbone, decode head, auxiliary heads, and more arguments of the heads.
MODELS: Mapping[str, tuple[str, str, list[str], Part]] = {
    "fcn_r50_d8": ("resnet50_v1c_d8", "fcn", ["auxiliary"], {}),
    "pspnet_r18_d8": ("resnet18_v1c_d8", "psp_r18", ["auxiliary_r18"], {}),
    "pspnet_r50_d8": ("resnet50_v1c_d8", "psp", ["auxiliary"], {}),
    "pspnet_r50_d8 aligned": ("resnet50_v1d_d8", "psp", ["auxiliary", "fcn"], {"align_corners": True}),
    "deeplabv3_r101_d16_mg124": ("resnet101_v1c_d16_mg124", "aspp", ["auxiliary"], {}),
    "deeplabv3plus_r50_d8": ("resnet50_v1c_d8", "sep_aspp", ["auxiliary"], {}),
    "deeplabv3plus_r50 caffe": ("resnet50", "sep_aspp_without_c1", [], {}),
}


def whole(name: str, *, norm_cfg: bool = False) -> dict[str, Any]:
    """The three dicts of a network; with what only the reference needs."""
    backbone, main, others, more = MODELS[name]
    own = {"norm_cfg": {"type": "BN", "requires_grad": True}} if norm_cfg else {}
    heads = [{**HEADS[head][0], **more, **own} for head in (main, *others)]
    if norm_cfg:
        heads = [{**head, "num_classes": NUM_CLASSES} for head in heads]
    auxiliary = heads[1:] if len(heads) > 2 else heads[1] if len(heads) == 2 else None
    return {"backbone": {**BACKBONES[backbone], **own}, "decode_head": heads[0], "auxiliary_head": auxiliary}


def reference(written: Part) -> nn.Module:
    """What the package makes of a dict; its compiled operators are stubbed."""
    _stub_operators()
    vars(importlib.import_module("mmcv"))["__version__"] = "2.1.0"  # of mmcv-lite, later ones are refused
    importlib.import_module("mmseg.models")
    made: nn.Module = importlib.import_module("mmseg.registry").MODELS.build(dict(written))
    return made


def _stub_operators() -> None:
    class _Operators(types.ModuleType):
        def __getattr__(self, name: str) -> Any:
            if name.startswith("__"):
                raise AttributeError(name)
            return None

    if "mmcv._ext" not in sys.modules:
        stub = _Operators("mmcv._ext")
        stub.__spec__ = ModuleSpec("mmcv._ext", None)
        sys.modules["mmcv._ext"] = stub


def shapes(module: nn.Module) -> dict[str, list[int]]:
    return {name: list(tensor.shape) for name, tensor in sorted(module.state_dict().items())}


def _names() -> dict[str, dict[str, list[int]]]:
    bn = {"norm_cfg": {"type": "BN", "requires_grad": True}}
    with torch.device("meta"):
        bodies = {name: shapes(reference({**part, **bn})) for name, part in BACKBONES.items()}
        heads = {
            name: shapes(reference({**part, **bn, "num_classes": part.get("num_classes", NUM_CLASSES)}))
            for name, (part, _) in HEADS.items()
        }
    return {**bodies, **heads}


if __name__ == "__main__":
    lines = [
        f"{json.dumps(part)}: {{\n" + ",\n".join(f"{json.dumps(name)}: {shape}" for name, shape in names.items()) + "\n}"
        for part, names in _names().items()
    ]
    NAMES.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
