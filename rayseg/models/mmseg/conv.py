"""Convolution, norm and activation under MMSegmentation's names, and what a head is made of besides.

The initial weights are MMSegmentation's: every convolution Kaiming normal over its outputs (He et al., 2015), norms one and
zero, the layer that tells the classes normal with a deviation of 0.01.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from rayseg.errors import Problem

__all__ = ["ACTIVATIONS", "ConvModule", "activation", "class_layer", "conv2d", "dropout2d", "resize", "separable"]

#: Activations by the ``type`` of an ``act_cfg``.
ACTIVATIONS: Mapping[str, Callable[[], nn.Module]] = MappingProxyType(
    {
        "GELU": nn.GELU,
        "HSigmoid": nn.Hardsigmoid,
        "HSwish": nn.Hardswish,
        "ReLU": partial(nn.ReLU, inplace=True),
        "ReLU6": partial(nn.ReLU6, inplace=True),
        "Sigmoid": nn.Sigmoid,
        "SiLU": nn.SiLU,
    }
)


def activation(act_cfg: Mapping[str, Any] | None, path: str, faults: list[Problem]) -> str | None:
    """The name in ``ACTIVATIONS`` that an ``act_cfg`` says; ``inplace`` changes no number and may be said.

    Args:
        act_cfg: ``type``; None: no activation.
        path: where it stands, for errors.
        faults: what cannot be is added here.

    Example:
        >>> faults = []
        >>> activation({"type": "ReLU6", "inplace": True}, "act_cfg", faults), activation({"type": "Relu"}, "act_cfg", faults)
        ('ReLU6', None)
        >>> print(*faults)
        act_cfg.type: got 'Relu', expected one of GELU, HSigmoid, HSwish, ReLU, ReLU6, SiLU, Sigmoid
    """
    if act_cfg is None:
        return None
    others = [name for name in act_cfg if name not in {"type", "inplace"}]
    faults += [Problem(f"{path}.{name}", "the activations here have no arguments; remove it") for name in others]
    if act_cfg.get("type") in ACTIVATIONS:
        return str(act_cfg["type"])
    faults.append(Problem(f"{path}.type", f"got {act_cfg.get('type')!r}, expected one of {', '.join(sorted(ACTIVATIONS))}"))
    return None


class _SameConv2d(nn.Conv2d):
    """A convolution padded as by TensorFlow's ``SAME``: to ``ceil(H / stride)`` rows, the odd pixel after the image."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  (torch's name)
        sides = zip(input.shape[:1:-1], self.kernel_size[::-1], self.stride[::-1], self.dilation[::-1], strict=True)
        missing = [max(0, (-(-n // s) - 1) * s + (k - 1) * d + 1 - n) for n, k, s, d in sides]
        return super().forward(F.pad(input, [pixels for each in missing for pixels in (each // 2, each - each // 2)]))


def conv2d(
    c_in: int,
    c_out: int,
    size: int,
    *,
    stride: int = 1,
    dilation: int = 1,
    groups: int = 1,
    bias: bool = False,
    same: bool = False,
) -> nn.Conv2d:
    """A convolution that keeps ``H x W`` at stride 1, with its initial weights.

    Beyond stride 1 it pads both sides alike, with ``same`` as TensorFlow does: less before the image than after it.

    Example:
        >>> import torch
        >>> conv2d(3, 4, 3, dilation=2)(torch.zeros(1, 3, 5, 5)).shape
        torch.Size([1, 4, 5, 5])
    """
    kind, padding = (_SameConv2d, 0) if same else (nn.Conv2d, size // 2 * dilation)
    layer = kind(c_in, c_out, size, stride, padding, dilation, groups, bias=bias)
    nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


class ConvModule(nn.Module):
    """``conv``, ``bn``, then an activation: ``(N, c_in, H, W) -> (N, c_out, H / stride, W / stride)``, the size rounded up.

    Args:
        c_in: channels of the input.
        c_out: channels of the output.
        size: of the kernel in pixels, odd.
        stride: of the convolution.
        dilation: of the convolution.
        groups: of the convolution.
        bias: whether the convolution has one.
        same: whether it pads as TensorFlow does.
        norm: whether there is a ``bn``.
        act: one of ``ACTIVATIONS``, or None.

    Example:
        >>> list(ConvModule(2, 4, 1).state_dict())[:2]
        ['conv.weight', 'bn.weight']
    """

    def __init__(
        self,
        c_in: int,
        c_out: int,
        size: int,
        *,
        stride: int = 1,
        dilation: int = 1,
        groups: int = 1,
        bias: bool = False,
        same: bool = False,
        norm: bool = True,
        act: str | None = "ReLU",
    ) -> None:
        super().__init__()
        self.conv = conv2d(c_in, c_out, size, stride=stride, dilation=dilation, groups=groups, bias=bias, same=same)
        self.bn = nn.BatchNorm2d(c_out) if norm else None
        self.activate = None if act is None else ACTIVATIONS[act]()

    def forward(self, x: Tensor) -> Tensor:
        """The three in turn."""
        x = self.conv(x)
        if self.bn is not None:
            x = self.bn(x)
        return x if self.activate is None else self.activate(x)


def separable(c_in: int, c_out: int, size: int = 3, *, dilation: int = 1, depthwise_act: str | None = "ReLU") -> nn.Sequential:
    """A depthwise and a pointwise convolution, each with a norm and an activation, of the second ReLU (Chen et al., 2018).

    Example:
        >>> [name for name, _ in separable(2, 4).named_children()]
        ['depthwise_conv', 'pointwise_conv']
    """
    layers = nn.Sequential()
    depthwise = ConvModule(c_in, c_in, size, dilation=dilation, groups=c_in, act=depthwise_act)
    layers.add_module("depthwise_conv", depthwise)
    layers.add_module("pointwise_conv", ConvModule(c_in, c_out, 1))
    return layers


def class_layer(channels: int, num_classes: int) -> nn.Conv2d:
    """The 1 x 1 convolution that tells the classes, ``conv_seg``.

    Example:
        >>> class_layer(4, 2)
        Conv2d(4, 2, kernel_size=(1, 1), stride=(1, 1))
    """
    layer = nn.Conv2d(channels, num_classes, 1)
    nn.init.normal_(layer.weight, std=0.01)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return layer


def dropout2d(ratio: float) -> nn.Module:
    """Dropout of whole channels, and nothing at all for a ratio of 0.

    Example:
        >>> dropout2d(0.1), dropout2d(0)
        (Dropout2d(p=0.1, inplace=False), Identity())
    """
    return nn.Dropout2d(ratio) if ratio > 0 else nn.Identity()


def resize(x: Tensor, size: Sequence[int], *, align_corners: bool) -> Tensor:
    """Bilinear to ``size``: ``(N, C, h, w) -> (N, C, *size)``.

    Example:
        >>> import torch
        >>> resize(torch.zeros(1, 2, 1, 1), (3, 4), align_corners=False).shape
        torch.Size([1, 2, 3, 4])
    """
    return F.interpolate(x, tuple(size), mode="bilinear", align_corners=align_corners)
