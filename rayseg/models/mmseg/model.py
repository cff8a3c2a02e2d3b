"""A network described in MMSegmentation's words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any

from torch import nn

from rayseg.errors import ConfigError, Problem
from rayseg.models.mmseg.aspp import ASPPHead, DepthwiseSeparableASPPHead
from rayseg.models.mmseg.encoder_decoder import EncoderDecoder
from rayseg.models.mmseg.fcn import FCNHead
from rayseg.models.mmseg.lraspp import LRASPPHead
from rayseg.models.mmseg.mit import MixVisionTransformer
from rayseg.models.mmseg.mobilenet_v2 import MobileNetV2
from rayseg.models.mmseg.mobilenet_v3 import MobileNetV3
from rayseg.models.mmseg.parts import bound, made
from rayseg.models.mmseg.psp import PSPHead
from rayseg.models.mmseg.resnet import ResNet
from rayseg.models.mmseg.segformer import SegformerHead
from rayseg.models.mmseg.sep_fcn import DepthwiseSeparableFCNHead
from rayseg.models.mmseg.stdc import STDCContextPathNet, STDCNet, stdc_head
from rayseg.models.mmseg.unet import UNet
from rayseg.models.mmseg.uper import UPerHead
from rayseg.models.mmseg.vgg import VGG

__all__ = ["BACKBONES", "DECODE_HEADS", "mmseg"]

#: MMSegmentation's backbones by type: ``(**own) -> Module`` with ``channels``, those of its features.
BACKBONES: Mapping[str, Callable[..., nn.Module]] = MappingProxyType(
    {
        "MixVisionTransformer": MixVisionTransformer,
        "MobileNetV2": MobileNetV2,
        "MobileNetV3": MobileNetV3,
        "ResNet": ResNet,
        "ResNetV1c": partial(ResNet, deep_stem=True),
        "ResNetV1d": partial(ResNet, deep_stem=True, avg_down=True),
        "STDCContextPathNet": STDCContextPathNet,
        "STDCNet": STDCNet,
        "UNet": UNet,
        "VGG": VGG,
    }
)

#: MMSegmentation's heads by type: ``(num_classes, feature_channels, **own) -> Module`` with ``align_corners``.
DECODE_HEADS: Mapping[str, Callable[..., nn.Module]] = MappingProxyType(
    {
        "ASPPHead": ASPPHead,
        "DepthwiseSeparableASPPHead": DepthwiseSeparableASPPHead,
        "DepthwiseSeparableFCNHead": DepthwiseSeparableFCNHead,
        "FCNHead": FCNHead,
        "LRASPPHead": LRASPPHead,
        "PSPHead": PSPHead,
        "STDCHead": stdc_head,
        "SegformerHead": SegformerHead,
        "UPerHead": UPerHead,
    }
)

_R50_D8 = MappingProxyType(
    {
        "type": "ResNetV1c",
        "depth": 50,
        "strides": (1, 2, 1, 1),
        "dilations": (1, 1, 2, 4),
        "contract_dilation": True,
    }
)
_PSP = MappingProxyType({"type": "PSPHead", "channels": 512})


def mmseg(
    num_classes: int,
    *,
    backbone: Mapping[str, Any] = _R50_D8,
    decode_head: Mapping[str, Any] = _PSP,
    auxiliary_head: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
) -> EncoderDecoder:
    """A network with MMSegmentation's arithmetic and names of parameters, so its ``.pth`` files load by ``init.checkpoint``.

    The dicts are those of its config files: ``type`` and the arguments of the network. What is no part of the network
    (losses, samplers, norms, weights to start from) is written elsewhere in rayseg, and refused here with its place.
    ``in_channels`` may be left out. PSPNet on a ResNet-50 of output stride 8 unless something else is written.

    Args:
        num_classes: C.
        backbone: ``type`` is one of ``BACKBONES``, or the import path of what gives features shallow to deep and has
            ``channels``, or timm's ``feature_info``.
        decode_head: ``type`` is one of ``DECODE_HEADS``, or the import path of a ``(num_classes, feature_channels, **own) ->
            Module``; gives ``main``.
        auxiliary_head: another head, which gives ``auxiliary``, or a list of some, which give ``auxiliary_0`` and so on; it
            may have a ``num_classes`` of its own.

    Raises:
        ConfigError: with every fault of the dicts.

    Example:
        >>> import torch
        >>> backbone = {"type": "ResNetV1c", "depth": 18, "base_channels": 4, "stem_channels": 8}
        >>> head = {"type": "FCNHead", "channels": 8}
        >>> model = mmseg(9, backbone=backbone, decode_head=head, auxiliary_head={**head, "in_index": 2})
        >>> {name: tuple(logits.shape) for name, logits in model(torch.zeros(2, 3, 64, 64)).items()}
        {'main': (2, 9, 2, 2), 'auxiliary': (2, 9, 4, 4)}
        >>> mmseg(9, backbone={"type": "ResNetV1c", "depht": 18})
        Traceback (most recent call last):
        rayseg.errors.ConfigError: 1 problem in experiment config
          backbone.depht: ResNetV1c has no parameter 'depht'; it takes depth, ... Did you mean 'depth'?
    """
    problems: list[Problem] = []
    body = made(bound(BACKBONES, backbone, "backbone", problems, imports=True), "backbone", problems)
    channels = None if body is None else _channels(body, problems)
    heads = [_head(num_classes, channels, decode_head, "decode_head", problems, own_classes=False)]
    for path, written in _auxiliary(auxiliary_head):
        heads.append(_head(num_classes, channels, written, path, problems, own_classes=True))
    if problems:
        raise ConfigError(problems)
    main, *others = heads
    if isinstance(auxiliary_head, Mapping):
        return EncoderDecoder(body, main, others[0])
    return EncoderDecoder(body, main, others or None)


def _channels(body: nn.Module, problems: list[Problem]) -> Sequence[int] | None:
    """Of each feature, as the backbone tells them."""
    told = getattr(body, "channels", None) or getattr(body, "feature_info", None)
    if isinstance(told, Sequence) and all(isinstance(each, int) for each in told):
        return told
    if callable(count := getattr(told, "channels", None)):
        of_timm: Sequence[int] = count()
        return of_timm
    message = f"{type(body).__name__} does not tell the channels of its features; give it channels, a tuple of whole numbers"
    problems.append(Problem("backbone.type", f"{message}, or of timm write features_only: true"))
    return None


def _auxiliary(written: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None) -> list[tuple[str, Mapping[str, Any]]]:
    if isinstance(written, Mapping):
        return [("auxiliary_head", written)]
    return [(f"auxiliary_head.{index}", each) for index, each in enumerate(written or ())]


def _head(
    num_classes: int,
    channels: Sequence[int] | None,
    written: Mapping[str, Any],
    path: str,
    problems: list[Problem],
    *,
    own_classes: bool,
) -> Any:
    """A head; without a backbone only its arguments' names and types are looked at."""
    arguments = dict(written)
    own = arguments.pop("num_classes", num_classes)
    if own != num_classes and not own_classes:
        message = f"got {own}, and the data has {num_classes} classes; remove it"
        problems.append(Problem(f"{path}.num_classes", message))
    elif not isinstance(own, int) or own < 1:
        problems.append(Problem(f"{path}.num_classes", f"must be a whole number of at least 1, got {own!r}"))
    else:
        call = bound(DECODE_HEADS, arguments, path, problems, num_given=2, imports=True)
        return None if channels is None else made(call, path, problems, own, channels)
    return None
