"""Networks, and what makes any network fit for a run that is the same on any number of workers.

A model is ``(num_classes, **own) -> nn.Module`` whose forward takes images ``(N, 3, H, W)`` and returns named logits
``{"main": (N, C, h, w), ...}``, each at its head's own stride. Parameters are found under ``backbone``, ``decode_head`` and
``auxiliary_head``. A model of your own needs none of this package: give its import path.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from torch import nn

from rayseg.models.autocast import PRECISIONS, Precision, autocasting
from rayseg.models.dropout import SampleDropout, SampleDropout2d, SampleDropPath, sample_keys, sample_mask, set_dropout
from rayseg.models.freezing import Freeze, Freezing, unmatched
from rayseg.models.mmseg import (
    BACKBONES,
    DECODE_HEADS,
    VGG,
    ASPPHead,
    DepthwiseSeparableASPPHead,
    DepthwiseSeparableFCNHead,
    EncoderDecoder,
    FCNHead,
    LRASPPHead,
    MixVisionTransformer,
    MobileNetV2,
    MobileNetV3,
    OneInput,
    PSPHead,
    ResNet,
    SegformerHead,
    SeveralInputs,
    STDCContextPathNet,
    STDCNet,
    UNet,
    UPerHead,
    mmseg,
    mmseg_file,
    stdc_head,
)
from rayseg.models.norm import NormKind, SyncBatchNorm2d, frozen_statistics, set_norm
from rayseg.models.output import named_logits
from rayseg.models.pretrained import efficientnet_lite0_state, load_backbone, read_state, torchvision_state
from rayseg.models.segmenter import Segmenter
from rayseg.models.small_unet import SmallUnet, small_unet
from rayseg.models.smp import smp_unet
from rayseg.models.torchvision_models import (
    torchvision_deeplabv3_mobilenet_v3_large,
    torchvision_deeplabv3_resnet50,
    torchvision_deeplabv3_resnet101,
    torchvision_fcn_resnet50,
    torchvision_fcn_resnet101,
    torchvision_lraspp_mobilenet_v3_large,
)
from rayseg.models.weights import WeightReport, WeightRules, match_weights

__all__ = [
    "BACKBONES",
    "DECODE_HEADS",
    "MODELS",
    "PRECISIONS",
    "VGG",
    "ASPPHead",
    "DepthwiseSeparableASPPHead",
    "DepthwiseSeparableFCNHead",
    "EncoderDecoder",
    "FCNHead",
    "Freeze",
    "Freezing",
    "LRASPPHead",
    "MixVisionTransformer",
    "MobileNetV2",
    "MobileNetV3",
    "NormKind",
    "OneInput",
    "PSPHead",
    "Precision",
    "ResNet",
    "STDCContextPathNet",
    "STDCNet",
    "SampleDropPath",
    "SampleDropout",
    "SampleDropout2d",
    "SegformerHead",
    "Segmenter",
    "SeveralInputs",
    "SmallUnet",
    "SyncBatchNorm2d",
    "UNet",
    "UPerHead",
    "WeightReport",
    "WeightRules",
    "autocasting",
    "efficientnet_lite0_state",
    "frozen_statistics",
    "load_backbone",
    "match_weights",
    "mmseg",
    "mmseg_file",
    "named_logits",
    "prepare",
    "read_state",
    "sample_keys",
    "sample_mask",
    "set_dropout",
    "set_norm",
    "small_unet",
    "smp_unet",
    "stdc_head",
    "torchvision_deeplabv3_mobilenet_v3_large",
    "torchvision_deeplabv3_resnet50",
    "torchvision_deeplabv3_resnet101",
    "torchvision_fcn_resnet50",
    "torchvision_fcn_resnet101",
    "torchvision_lraspp_mobilenet_v3_large",
    "torchvision_state",
    "unmatched",
]

#: The built-in models by name: ``(num_classes, **own) -> Module``.
MODELS: Mapping[str, Callable[..., nn.Module]] = MappingProxyType(
    {
        "mmseg": mmseg,
        "small_unet": small_unet,
        "smp_unet": smp_unet,
        "torchvision_deeplabv3_mobilenet_v3_large": torchvision_deeplabv3_mobilenet_v3_large,
        "torchvision_deeplabv3_resnet50": torchvision_deeplabv3_resnet50,
        "torchvision_deeplabv3_resnet101": torchvision_deeplabv3_resnet101,
        "torchvision_fcn_resnet50": torchvision_fcn_resnet50,
        "torchvision_fcn_resnet101": torchvision_fcn_resnet101,
        "torchvision_lraspp_mobilenet_v3_large": torchvision_lraspp_mobilenet_v3_large,
    }
)


def prepare(model: nn.Module, *, norm: NormKind) -> nn.Module:
    """Make a model's randomness and statistics functions of the global batch: ``set_norm``, then ``set_dropout``.

    Args:
        model: any module, changed in place.
        norm: ``keep``, ``batch``, ``sync`` or ``group``.

    Raises:
        ConfigError: a layer cannot be converted.

    Example:
        >>> [type(layer).__name__ for layer in prepare(nn.Sequential(nn.BatchNorm2d(8), nn.Dropout(0.1)), norm="sync")]
        ['SyncBatchNorm2d', 'SampleDropout']
    """
    return set_dropout(set_norm(model, norm))
