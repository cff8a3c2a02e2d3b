"""torchvision's segmentation models, with heads that keep their own stride.

The networks are torchvision's own modules under other names: ``classifier`` is ``decode_head``, ``aux_classifier`` is
``auxiliary_head``. Their logits, upsampled, are torchvision's output.
"""

from __future__ import annotations

import importlib

from rayseg.models.pretrained import load_backbone, torchvision_state
from rayseg.models.segmenter import Segmenter

__all__ = [
    "torchvision_deeplabv3_mobilenet_v3_large",
    "torchvision_deeplabv3_resnet50",
    "torchvision_deeplabv3_resnet101",
    "torchvision_fcn_resnet50",
    "torchvision_fcn_resnet101",
    "torchvision_lraspp_mobilenet_v3_large",
]


def _segmenter(head: str, arch: str, num_classes: int, pretrained_backbone: str | None, *, aux: bool = False) -> Segmenter:
    segmentation = importlib.import_module("torchvision.models.segmentation")  # slow, so only when one of these is built
    build = getattr(segmentation, f"{head}_{arch}")
    model = build(weights=None, weights_backbone=None, num_classes=num_classes, aux_loss=aux)
    report = None
    if pretrained_backbone is not None:
        report = load_backbone(model.backbone, torchvision_state(arch, pretrained_backbone), source=pretrained_backbone)
    return Segmenter(
        model.backbone,
        model.classifier,
        model.aux_classifier if aux else None,
        decode_feature=None if head == "lraspp" else "out",
        pretrained=report,
    )


def torchvision_fcn_resnet50(num_classes: int, *, aux: bool = False, pretrained_backbone: str | None = None) -> Segmenter:
    """FCN (Long et al., 2015) on a dilated ResNet-50; logits at stride 8.

    Args:
        num_classes: C.
        aux: add an FCN head on the third stage.
        pretrained_backbone: path of a state dict, or a torchvision name such as ``IMAGENET1K_V1``; what was loaded stands
            in the model's ``pretrained``.

    Raises:
        CheckpointError: the weights cannot be found or do not fit.

    Example:
        >>> import torch
        >>> with torch.device("meta"):
        ...     {name: tuple(t.shape) for name, t in torchvision_fcn_resnet50(19, aux=True)(torch.empty(2, 3, 64, 128)).items()}
        {'main': (2, 19, 8, 16), 'auxiliary': (2, 19, 8, 16)}
    """
    return _segmenter("fcn", "resnet50", num_classes, pretrained_backbone, aux=aux)


def torchvision_fcn_resnet101(num_classes: int, *, aux: bool = False, pretrained_backbone: str | None = None) -> Segmenter:
    """FCN (Long et al., 2015) on a dilated ResNet-101; logits at stride 8.

    Args:
        num_classes: C.
        aux: add an FCN head on the third stage.
        pretrained_backbone: path of a state dict, or a torchvision name such as ``IMAGENET1K_V1``; what was loaded stands
            in the model's ``pretrained``.

    Raises:
        CheckpointError: the weights cannot be found or do not fit.

    Example:
        >>> import torch
        >>> with torch.device("meta"):
        ...     {
        ...         name: tuple(t.shape)
        ...         for name, t in torchvision_fcn_resnet101(19, aux=True)(torch.empty(2, 3, 64, 128)).items()
        ...     }
        {'main': (2, 19, 8, 16), 'auxiliary': (2, 19, 8, 16)}
    """
    return _segmenter("fcn", "resnet101", num_classes, pretrained_backbone, aux=aux)


def torchvision_deeplabv3_resnet50(num_classes: int, *, aux: bool = False, pretrained_backbone: str | None = None) -> Segmenter:
    """DeepLabV3 (Chen et al., 2017) on a dilated ResNet-50; logits at stride 8.

    Args:
        num_classes: C.
        aux: add an FCN head on the third stage.
        pretrained_backbone: path of a state dict, or a torchvision name such as ``IMAGENET1K_V1``; what was loaded stands
            in the model's ``pretrained``.

    Raises:
        CheckpointError: the weights cannot be found or do not fit.

    Example:
        >>> import torch
        >>> with torch.device("meta"):
        ...     {
        ...         name: tuple(t.shape)
        ...         for name, t in torchvision_deeplabv3_resnet50(19, aux=True)(torch.empty(2, 3, 64, 128)).items()
        ...     }
        {'main': (2, 19, 8, 16), 'auxiliary': (2, 19, 8, 16)}
    """
    return _segmenter("deeplabv3", "resnet50", num_classes, pretrained_backbone, aux=aux)


def torchvision_deeplabv3_resnet101(
    num_classes: int, *, aux: bool = False, pretrained_backbone: str | None = None
) -> Segmenter:
    """DeepLabV3 (Chen et al., 2017) on a dilated ResNet-101; logits at stride 8.

    Args:
        num_classes: C.
        aux: add an FCN head on the third stage.
        pretrained_backbone: path of a state dict, or a torchvision name such as ``IMAGENET1K_V1``; what was loaded stands
            in the model's ``pretrained``.

    Raises:
        CheckpointError: the weights cannot be found or do not fit.

    Example:
        >>> import torch
        >>> with torch.device("meta"):
        ...     {
        ...         name: tuple(t.shape)
        ...         for name, t in torchvision_deeplabv3_resnet101(19, aux=True)(torch.empty(2, 3, 64, 128)).items()
        ...     }
        {'main': (2, 19, 8, 16), 'auxiliary': (2, 19, 8, 16)}
    """
    return _segmenter("deeplabv3", "resnet101", num_classes, pretrained_backbone, aux=aux)


def torchvision_deeplabv3_mobilenet_v3_large(
    num_classes: int, *, aux: bool = False, pretrained_backbone: str | None = None
) -> Segmenter:
    """DeepLabV3 (Chen et al., 2017) on a dilated MobileNetV3-Large; logits at stride 16.

    Args:
        num_classes: C.
        aux: add an FCN head on the stage of stride 8.
        pretrained_backbone: path of a state dict, or a torchvision name such as ``IMAGENET1K_V1``; what was loaded stands
            in the model's ``pretrained``.

    Raises:
        CheckpointError: the weights cannot be found or do not fit.

    Example:
        >>> import torch
        >>> with torch.device("meta"):
        ...     {
        ...         name: tuple(t.shape)
        ...         for name, t in torchvision_deeplabv3_mobilenet_v3_large(19, aux=True)(torch.empty(2, 3, 64, 128)).items()
        ...     }
        {'main': (2, 19, 4, 8), 'auxiliary': (2, 19, 8, 16)}
    """
    return _segmenter("deeplabv3", "mobilenet_v3_large", num_classes, pretrained_backbone, aux=aux)


def torchvision_lraspp_mobilenet_v3_large(num_classes: int, *, pretrained_backbone: str | None = None) -> Segmenter:
    """Lite R-ASPP (Howard et al., 2019) on a dilated MobileNetV3-Large; logits at stride 8.

    Args:
        num_classes: C.
        pretrained_backbone: path of a state dict, or a torchvision name such as ``IMAGENET1K_V1``; what was loaded stands
            in the model's ``pretrained``.

    Raises:
        CheckpointError: the weights cannot be found or do not fit.

    Example:
        >>> import torch
        >>> with torch.device("meta"):
        ...     {
        ...         name: tuple(t.shape)
        ...         for name, t in torchvision_lraspp_mobilenet_v3_large(19)(torch.empty(2, 3, 64, 128)).items()
        ...     }
        {'main': (2, 19, 8, 16)}
    """
    return _segmenter("lraspp", "mobilenet_v3_large", num_classes, pretrained_backbone)
