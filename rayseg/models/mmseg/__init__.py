"""Networks with MMSegmentation's arithmetic and names of parameters, so that its published weights fit."""

from __future__ import annotations

from rayseg.models.mmseg.aspp import ASPPHead, DepthwiseSeparableASPPHead
from rayseg.models.mmseg.encoder_decoder import EncoderDecoder
from rayseg.models.mmseg.fcn import FCNHead
from rayseg.models.mmseg.files import mmseg_file
from rayseg.models.mmseg.inputs import OneInput, SeveralInputs
from rayseg.models.mmseg.lraspp import LRASPPHead
from rayseg.models.mmseg.mit import MixVisionTransformer
from rayseg.models.mmseg.mobilenet_v2 import MobileNetV2
from rayseg.models.mmseg.mobilenet_v3 import MobileNetV3
from rayseg.models.mmseg.model import BACKBONES, DECODE_HEADS, mmseg
from rayseg.models.mmseg.psp import PSPHead
from rayseg.models.mmseg.resnet import ResNet
from rayseg.models.mmseg.segformer import SegformerHead
from rayseg.models.mmseg.sep_fcn import DepthwiseSeparableFCNHead
from rayseg.models.mmseg.stdc import STDCContextPathNet, STDCNet, stdc_head
from rayseg.models.mmseg.unet import UNet
from rayseg.models.mmseg.uper import UPerHead
from rayseg.models.mmseg.vgg import VGG

__all__ = [
    "BACKBONES",
    "DECODE_HEADS",
    "VGG",
    "ASPPHead",
    "DepthwiseSeparableASPPHead",
    "DepthwiseSeparableFCNHead",
    "EncoderDecoder",
    "FCNHead",
    "LRASPPHead",
    "MixVisionTransformer",
    "MobileNetV2",
    "MobileNetV3",
    "OneInput",
    "PSPHead",
    "ResNet",
    "STDCContextPathNet",
    "STDCNet",
    "SegformerHead",
    "SeveralInputs",
    "UNet",
    "UPerHead",
    "mmseg",
    "mmseg_file",
    "stdc_head",
]
