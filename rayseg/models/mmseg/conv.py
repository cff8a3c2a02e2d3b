"""Convolution, norm and activation under MMSegmentation's names, and what a head is made of besides.

The initial weights are MMSegmentation's: every convolution Kaiming normal over its outputs (He et al., 2015), norms one and
zero, the layer that tells the classes normal with a deviation of 0.01.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType

import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["ACTIVATIONS", "ConvModule", "class_layer", "conv2d", "dropout2d", "resize", "separable"]

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


def conv2d(
    c_in: int, c_out: int, size: int, *, stride: int = 1, dilation: int = 1, groups: int = 1, bias: bool = False
) -> nn.Conv2d:
    """A convolution that keeps ``H x W`` at stride 1, with its initial weights.

    Example:
        >>> import torch
        >>> conv2d(3, 4, 3, dilation=2)(torch.zeros(1, 3, 5, 5)).shape
        torch.Size([1, 4, 5, 5])
    """
    padding = size // 2 * dilation
    layer = nn.Conv2d(c_in, c_out, size, stride, padding, dilation, groups, bias=bias)
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
        norm: bool = True,
        act: str | None = "ReLU",
    ) -> None:
        super().__init__()
        self.conv = conv2d(c_in, c_out, size, stride=stride, dilation=dilation, groups=groups, bias=bias)
        self.bn = nn.BatchNorm2d(c_out) if norm else None
        self.activate = None if act is None else ACTIVATIONS[act]()

    def forward(self, x: Tensor) -> Tensor:
        """The three in turn."""
        x = self.conv(x)
        if self.bn is not None:
            x = self.bn(x)
        return x if self.activate is None else self.activate(x)


def separable(c_in: int, c_out: int, *, dilation: int = 1) -> nn.Sequential:
    """A depthwise 3 x 3 and a pointwise convolution, each with norm and ReLU (Chen et al., 2018).

    Example:
        >>> [name for name, _ in separable(2, 4).named_children()]
        ['depthwise_conv', 'pointwise_conv']
    """
    layers = nn.Sequential()
    layers.add_module("depthwise_conv", ConvModule(c_in, c_in, 3, dilation=dilation, groups=c_in))
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
