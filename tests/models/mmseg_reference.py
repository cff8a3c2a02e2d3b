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
MOBILE_D8 = {"strides": (1, 2, 2, 1, 1, 1, 1), "dilations": (1, 1, 1, 2, 2, 4, 4)}
MOBILE_NORM = {"norm_cfg": {"eps": 0.001}}


#: What the config files of SegFormer say of every backbone.
MIT = {
    "num_stages": 4,
    "num_heads": (1, 2, 5, 8),
    "patch_sizes": (7, 3, 3, 3),
    "sr_ratios": (8, 4, 2, 1),
    "out_indices": (0, 1, 2, 3),
    "mlp_ratio": 4,
    "qkv_bias": True,
    "in_channels": 3,
}


def stdc(kind: str) -> Part:
    """As the config files have it."""
    net = {
        "type": "STDCNet",
        "stdc_type": kind,
        "in_channels": 3,
        "channels": (32, 64, 256, 512, 1024),
        "bottleneck_type": "cat",
        "num_convs": 4,
        "act_cfg": {"type": "ReLU"},
        "with_final_conv": False,
    }
    ffm = {"in_channels": 384, "out_channels": 256, "scale_factor": 4}
    return {
        "type": "STDCContextPathNet",
        "backbone_cfg": net,
        "last_in_channels": (1024, 512),
        "out_channels": 128,
        "ffm_cfg": ffm,
    }


UNET_CHANNELS = (1024, 512, 256, 128, 64)
STDC_CHANNELS = (256, 128, 128, 256)
MOBILE_CHANNELS = (24, 32, 96, 320)
LRASPP = {"in_index": (0, 1, 2), "channels": 128, "input_transform": "multiple_select", **MOBILE_NORM}
ONE_CONV = {"num_convs": 1, "concat_input": False}
BACKBONES: Mapping[str, Part] = {
    "resnet50": {"type": "ResNet", "depth": 50, "style": "caffe"},
    "resnet18_v1c_d8": {"type": "ResNetV1c", "depth": 18, **D8},
    "resnet34_v1c": {"type": "ResNetV1c", "depth": 34},
    "resnet50_v1c": {"type": "ResNetV1c", "depth": 50},
    "resnet50_v1c_d8": {"type": "ResNetV1c", "depth": 50, **D8},
    "resnet50_v1d_d8": {"type": "ResNetV1d", "depth": 50, **D8},
    "resnet101_v1c_d16_mg124": {"type": "ResNetV1c", "depth": 101, **D16_MG},
    "unet_s5_d16": {
        "type": "UNet",
        "in_channels": 3,
        "with_cp": False,
        "conv_cfg": None,
        "act_cfg": {"type": "ReLU"},
        "upsample_cfg": {"type": "InterpConv"},
        "norm_eval": False,
    },
    "unet_strided": {
        "type": "UNet",
        "base_channels": 8,
        "num_stages": 4,
        "strides": (1, 2, 1, 1),
        "enc_num_convs": (1, 2, 3, 2),
        "dec_num_convs": (2, 1, 3),
        "downsamples": (False, True, False),
        "enc_dilations": (1, 2, 1, 2),
        "dec_dilations": (2, 1, 1),
    },
    "unet_deconvolved": {"type": "UNet", "base_channels": 8, "upsample_cfg": {"type": "DeconvModule"}},
    "unet_wide_deconvolved": {
        "type": "UNet",
        "base_channels": 4,
        "upsample_cfg": {"type": "DeconvModule", "kernel_size": 6, "scale_factor": 2},
    },
    "unet_conv_first": {"type": "UNet", "base_channels": 4, "upsample_cfg": {"type": "InterpConv", "conv_first": True}},
    "mit_b0": {"type": "MixVisionTransformer", "embed_dims": 32, "num_layers": (2, 2, 2, 2), **MIT},
    "mit_b2": {"type": "MixVisionTransformer", "embed_dims": 64, "num_layers": (3, 4, 6, 3), **MIT},
    "mit_without_biases": {
        "type": "MixVisionTransformer",
        "embed_dims": 8,
        "num_stages": 3,
        "num_layers": (1, 2, 1),
        "num_heads": (2, 1, 3),
        "patch_sizes": (5, 3, 1),
        "strides": (2, 3, 1),
        "sr_ratios": (1, 3, 2),
        "out_indices": (0, 2),
        "mlp_ratio": 2,
        "qkv_bias": False,
        "norm_cfg": {"type": "LN", "eps": 0.01},
        "act_cfg": {"type": "ReLU"},
    },
    "stdc1_with_final_conv": {
        "type": "STDCNet",
        "stdc_type": "STDCNet1",
        "in_channels": 3,
        "channels": (16, 32, 64, 128, 256),
        "bottleneck_type": "cat",
        "num_convs": 3,
        "with_final_conv": True,
        "act_cfg": {"type": "ReLU"},
    },
    "stdc1": stdc("STDCNet1"),
    "stdc2": stdc("STDCNet2"),
    "mobilenet_v2_d8": {"type": "MobileNetV2", "widen_factor": 1.0, "out_indices": (1, 2, 4, 6), **MOBILE_D8},
    "mobilenet_v2_wide": {"type": "MobileNetV2", "widen_factor": 1.3, "out_indices": (6,), "act_cfg": {"type": "ReLU"}},
    "mobilenet_v3_large": {"type": "MobileNetV3", "arch": "large", "out_indices": (1, 3, 16), **MOBILE_NORM},
    "mobilenet_v3_small": {"type": "MobileNetV3", "arch": "small", "out_indices": (0, 1, 12), **MOBILE_NORM},
    "mobilenet_v3_large_reduced": {
        "type": "MobileNetV3",
        "arch": "large",
        "out_indices": tuple(range(17)),
        "reduction_factor": 2,
    },
    "vgg16": {"type": "VGG", "depth": 16, "dilations": (1, 1, 1, 2, 4), "with_last_pool": False, "ceil_mode": True},
    "vgg11_bn": {
        "type": "VGG",
        "depth": 11,
        "with_bn": True,
        "num_stages": 4,
        "dilations": (1, 1, 1, 1),
        "out_indices": (1, 2, 3),
    },
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
HEADS = {
    **HEADS,
    "segformer": (
        {"type": "SegformerHead", "in_channels": (32, 64, 160, 256), "in_index": (0, 1, 2, 3), "channels": 256},
        (32, 64, 160, 256),
    ),
    "segformer_of_two": (
        {"type": "SegformerHead", "in_channels": (24, 16), "in_index": (1, 0), "channels": 8, "interpolate_mode": "bicubic"},
        (16, 24),
    ),
    "uper": (
        {"type": "UPerHead", "in_channels": (256, 512, 1024, 2048), "in_index": (0, 1, 2, 3), "channels": 512},
        (256, 512, 1024, 2048),
    ),
    "uper_r18": (
        {"type": "UPerHead", "in_channels": (64, 256, 512), "in_index": (0, 2, 3), "channels": 16, "pool_scales": (2, 5)},
        (64, 128, 256, 512),
    ),
    "unet_fcn": ({"type": "FCNHead", "in_channels": 64, "in_index": 4, "channels": 64, **ONE_CONV}, UNET_CHANNELS),
    "unet_small_fcn": ({"type": "FCNHead", "in_index": 4, "channels": 8, "in_channels": 8}, (128, 64, 32, 16, 8)),
    "unet_smaller_fcn": ({"type": "FCNHead", "in_index": 4, "channels": 8, "in_channels": 4}, (64, 32, 16, 8, 4)),
    "unet_aspp": (
        {"type": "ASPPHead", "in_channels": 64, "in_index": 4, "channels": 16, "dilations": (1, 12, 24, 36)},
        UNET_CHANNELS,
    ),
    "unet_auxiliary": ({"type": "FCNHead", "in_channels": 128, "in_index": 3, "channels": 64, **ONE_CONV}, UNET_CHANNELS),
    "stdc_fcn": ({"type": "FCNHead", "in_channels": 256, "in_index": 3, "channels": 256, **ONE_CONV}, STDC_CHANNELS),
    "stdc_16": ({"type": "FCNHead", "in_channels": 128, "in_index": 2, "channels": 64, **ONE_CONV}, STDC_CHANNELS),
    "stdc_8": ({"type": "FCNHead", "in_channels": 128, "in_index": 1, "channels": 64, **ONE_CONV}, STDC_CHANNELS),
    "stdc_detail": (
        {"type": "STDCHead", "in_channels": 256, "in_index": 0, "channels": 64, "num_classes": 2, **ONE_CONV},
        STDC_CHANNELS,
    ),
    "fcn_of_all": (
        {
            "type": "FCNHead",
            "in_channels": (64, 128, 256, 512),
            "in_index": (0, 1, 2, 3),
            "input_transform": "resize_concat",
            "channels": 960,
            "kernel_size": 1,
            **ONE_CONV,
        },
        (64, 128, 256, 512),
    ),
    "mobile_psp": ({"type": "PSPHead", "in_channels": 320, "in_index": 3, "channels": 512}, MOBILE_CHANNELS),
    "mobile_fcn": ({"type": "FCNHead", "in_channels": 320, "in_index": 3, "channels": 512}, MOBILE_CHANNELS),
    "mobile_aspp": (
        {"type": "ASPPHead", "in_channels": 320, "in_index": 3, "channels": 512, "dilations": (1, 12, 24, 36)},
        MOBILE_CHANNELS,
    ),
    "mobile_sep_aspp": (
        {
            "type": "DepthwiseSeparableASPPHead",
            "in_channels": 320,
            "in_index": 3,
            "channels": 512,
            "dilations": (1, 12, 24, 36),
            "c1_in_channels": 24,
            "c1_channels": 48,
        },
        MOBILE_CHANNELS,
    ),
    "mobile_auxiliary": ({"type": "FCNHead", "in_channels": 96, "in_index": 2, "channels": 256, **ONE_CONV}, MOBILE_CHANNELS),
    "lraspp_large": ({"type": "LRASPPHead", "in_channels": (16, 24, 960), **LRASPP}, (16, 24, 960)),
    "lraspp_small": ({"type": "LRASPPHead", "in_channels": (16, 16, 576), **LRASPP}, (16, 16, 576)),
    "sep_fcn": (
        {"type": "DepthwiseSeparableFCNHead", "in_channels": 512, "in_index": -1, "channels": 128, "concat_input": False},
        (128, 256, 512),
    ),
    "sep_fcn_of_all": (
        {
            "type": "DepthwiseSeparableFCNHead",
            "in_channels": (512, 128),
            "in_index": (2, 0),
            "input_transform": "resize_concat",
            "channels": 64,
            "kernel_size": 5,
            "num_convs": 3,
            "dw_act_cfg": {"type": "ReLU6"},
        },
        (128, 256, 512),
    ),
    "vgg_auxiliary": ({"type": "FCNHead", "in_channels": 256, "in_index": 2, "channels": 32, **ONE_CONV}, (64, 128, 256)),
}
#: Backbone, decode head, auxiliary heads, and more arguments of the heads.
MODELS: Mapping[str, tuple[str, str, list[str], Part]] = {
    "fcn_r50_d8": ("resnet50_v1c_d8", "fcn", ["auxiliary"], {}),
    "pspnet_r18_d8": ("resnet18_v1c_d8", "psp_r18", ["auxiliary_r18"], {}),
    "pspnet_r50_d8": ("resnet50_v1c_d8", "psp", ["auxiliary"], {}),
    "pspnet_r50_d8 aligned": ("resnet50_v1d_d8", "psp", ["auxiliary", "fcn"], {"align_corners": True}),
    "deeplabv3_r101_d16_mg124": ("resnet101_v1c_d16_mg124", "aspp", ["auxiliary"], {}),
    "deeplabv3plus_r50_d8": ("resnet50_v1c_d8", "sep_aspp", ["auxiliary"], {}),
    "segformer_mit_b0": ("mit_b0", "segformer", [], {}),
    "segformer_mit aligned": ("mit_without_biases", "segformer_of_two", [], {"align_corners": True}),
    "upernet_r50": ("resnet50_v1c", "uper", ["auxiliary"], {}),
    "upernet_r18_d8": ("resnet18_v1c_d8", "uper_r18", ["auxiliary_r18"], {}),
    "upernet_r18_d8 aligned": ("resnet18_v1c_d8", "uper_r18", [], {"align_corners": True}),
    "fcn_unet_deconvolved": ("unet_deconvolved", "unet_small_fcn", [], {}),
    "fcn_unet_wide_deconvolved": ("unet_wide_deconvolved", "unet_smaller_fcn", [], {}),
    "fcn_unet_conv_first": ("unet_conv_first", "unet_smaller_fcn", [], {}),
    "fcn_unet_s5_d16": ("unet_s5_d16", "unet_fcn", ["unet_auxiliary"], {}),
    "deeplabv3_unet_s5_d16": ("unet_s5_d16", "unet_aspp", ["unet_auxiliary"], {}),
    "stdc1": ("stdc1", "stdc_fcn", ["stdc_16", "stdc_8", "stdc_detail"], {"align_corners": True}),
    "stdc2": ("stdc2", "stdc_fcn", ["stdc_16", "stdc_8", "stdc_detail"], {"align_corners": True}),
    "fcn_r18_d8 of all features": ("resnet18_v1c_d8", "fcn_of_all", [], {}),
    "fcn_r18_d8 of all features, aligned": ("resnet18_v1c_d8", "fcn_of_all", [], {"align_corners": True}),
    "pspnet_m-v2-d8": ("mobilenet_v2_d8", "mobile_psp", ["mobile_auxiliary"], {}),
    "fcn_m-v2-d8": ("mobilenet_v2_d8", "mobile_fcn", ["mobile_auxiliary"], {}),
    "deeplabv3_m-v2-d8": ("mobilenet_v2_d8", "mobile_aspp", ["mobile_auxiliary"], {}),
    "deeplabv3plus_m-v2-d8": ("mobilenet_v2_d8", "mobile_sep_aspp", ["mobile_auxiliary"], {}),
    "lraspp_m-v3-d8": ("mobilenet_v3_large", "lraspp_large", [], {}),
    "lraspp_m-v3s-d8": ("mobilenet_v3_small", "lraspp_small", [], {}),
    "sep_fcn_vgg11": ("vgg11_bn", "sep_fcn", ["sep_fcn_of_all"], {}),
    "fcn_vgg16": ("vgg16", "vgg_auxiliary", [], {}),
    "deeplabv3plus_r50 caffe": ("resnet50", "sep_aspp_without_c1", [], {}),
}


def whole(name: str) -> dict[str, Any]:
    """The three dicts of a network."""
    backbone, main, others, more = MODELS[name]
    heads = [{**HEADS[head][0], **more} for head in (main, *others)]
    auxiliary = heads[1:] if len(heads) > 2 else heads[1] if len(heads) == 2 else None
    return {"backbone": dict(BACKBONES[backbone]), "decode_head": heads[0], "auxiliary_head": auxiliary}


def there(part: Part) -> dict[str, Any]:
    """A part with what only the reference needs."""
    if part["type"] == "VGG":
        return {**part, "bn_eval": False}
    own: dict[str, Any] = {"norm_cfg": {"type": "BN", "requires_grad": True, **part.get("norm_cfg", {})}}
    if part["type"] == "MixVisionTransformer":
        own = {}
    if part["type"].endswith("Head"):
        own |= {"num_classes": part.get("num_classes", NUM_CLASSES)}
    inner = {"backbone_cfg": there(part["backbone_cfg"])} if "backbone_cfg" in part else {}
    return {**part, **own, **inner}


def reference(written: Part) -> nn.Module:
    """What the package makes of a dict; its compiled operators are stubbed."""
    _stub_operators()
    vars(importlib.import_module("mmcv"))["__version__"] = "2.1.0"  # of mmcv-lite, later ones are refused
    importlib.import_module("mmseg.models")
    importlib.import_module("mmengine.registry").init_default_scope("mmseg")
    registry = importlib.import_module("mmseg.registry").MODELS
    registry.register_module(module=importlib.import_module("mmcv.cnn").VGG, force=True)
    made: nn.Module = registry.build(dict(written))
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
    parts = {**BACKBONES, **{name: part for name, (part, _) in HEADS.items()}}
    found = {}
    for name, part in parts.items():
        with torch.device("cpu" if part["type"] == "MixVisionTransformer" else "meta"):  # it reads numbers of a tensor
            found[name] = shapes(reference(there(part)))
    return found


if __name__ == "__main__":
    lines = [
        f"{json.dumps(part)}: {{\n" + ",\n".join(f"{json.dumps(name)}: {shape}" for name, shape in names.items()) + "\n}"
        for part, names in _names().items()
    ]
    NAMES.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
