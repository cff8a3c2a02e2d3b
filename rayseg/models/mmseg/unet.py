"""U-Net (Ronneberger et al., 2015) as a backbone, with MMSegmentation's names of parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal

import torch
from torch import Tensor, nn

from rayseg.errors import ConfigError, Problem, ShapeError
from rayseg.models.mmseg.conv import ConvModule
from rayseg.models.mmseg.parts import bound

__all__ = ["UNet"]


class _Convs(nn.Module):
    """3 x 3 convolutions; the first has the stride and is not dilated."""

    def __init__(self, c_in: int, c_out: int, count: int, *, stride: int = 1, dilation: int = 1) -> None:
        super().__init__()
        others = [ConvModule(c_out, c_out, 3, dilation=dilation) for _ in range(count - 1)]
        self.convs = nn.Sequential(ConvModule(c_in, c_out, 3, stride=stride), *others)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.convs(x)
        return out


class _Interpolated(nn.Module):
    """Bilinear to twice the size, then a 1 x 1 convolution, or this first."""

    def __init__(self, c_in: int, c_out: int, *, conv_first: bool = False) -> None:
        super().__init__()
        up, conv = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False), ConvModule(c_in, c_out, 1)
        self.interp_upsample = nn.Sequential(conv, up) if conv_first else nn.Sequential(up, conv)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.interp_upsample(x)
        return out


class _Deconvolved(nn.Module):
    """A transposed convolution to twice the size, its initial weights PyTorch's, norm and ReLU."""

    def __init__(self, c_in: int, c_out: int, *, kernel_size: int = 4, scale_factor: Literal[2] = 2) -> None:
        super().__init__()
        padding, odd = divmod(kernel_size - scale_factor, 2)
        if padding < 0 or odd:
            message = f"must be even and at least 2, or the size would not double; got {kernel_size}"
            raise ConfigError([Problem("upsample_cfg.kernel_size", message)])
        up = nn.ConvTranspose2d(c_in, c_out, kernel_size, scale_factor, padding)
        self.deconv_upsamping = nn.Sequential(up, nn.BatchNorm2d(c_out), nn.ReLU(inplace=True))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.deconv_upsamping(x)
        return out


_UPSAMPLING: Mapping[str, Callable[..., nn.Module]] = {"DeconvModule": _Deconvolved, "InterpConv": _Interpolated}
_INTERPOLATED = MappingProxyType({"type": "InterpConv"})


class _Up(nn.Module):
    """The deeper feature brought up beside the encoder's, and convolutions over both."""

    def __init__(self, channels: int, count: int, upsample: nn.Module, *, dilation: int) -> None:
        super().__init__()
        self.conv_block = _Convs(2 * channels, channels, count, dilation=dilation)
        self.upsample = upsample

    def forward(self, skip: Tensor, deeper: Tensor) -> Tensor:
        out: Tensor = self.conv_block(torch.cat([skip, self.upsample(deeper)], dim=1))
        return out


class UNet(nn.Module):
    """Images ``(N, 3, H, W)`` to features from the deepest, ``(N, 2^(S-1) B, H / 2^(S-1), ...)``, to ``(N, B, H, W)``.

    H and W must be multiples of the deepest stride, 16 with the defaults (``UNet-S5-D16``).

    Args:
        base_channels: B, of the first stage; each further one has twice as many.
        num_stages: S, of the encoder.
        strides: of each stage's first convolution, 1 or 2.
        enc_num_convs: convolutions of each stage of the encoder.
        dec_num_convs: convolutions of each stage of the decoder, shallow to deep.
        downsamples: whether each stage after the first halves the size; by pooling where its stride is 1.
        enc_dilations: of each stage of the encoder, after its first convolution.
        dec_dilations: of each stage of the decoder, after its first convolution.
        upsample_cfg: how the decoder doubles the size. ``type: InterpConv``: bilinear, then a 1 x 1 convolution, or with
            ``conv_first`` the other way round; ``type: DeconvModule``: a transposed convolution of ``kernel_size`` 4.

    Attributes:
        channels: of each feature, deep to shallow.

    Raises:
        ConfigError: with every value that cannot be.

    Example:
        >>> net = UNet(
        ...     2,
        ...     num_stages=3,
        ...     strides=(1,) * 3,
        ...     enc_num_convs=(2,) * 3,
        ...     dec_num_convs=(2,) * 2,
        ...     downsamples=(True,) * 2,
        ...     enc_dilations=(1,) * 3,
        ...     dec_dilations=(1,) * 2,
        ... )
        >>> [tuple(feature.shape) for feature in net(torch.zeros(1, 3, 16, 24))], net.channels
        ([(1, 8, 4, 6), (1, 4, 8, 12), (1, 2, 16, 24)], (8, 4, 2))
    """

    def __init__(
        self,
        base_channels: int = 64,
        *,
        num_stages: int = 5,
        strides: tuple[int, ...] = (1, 1, 1, 1, 1),
        enc_num_convs: tuple[int, ...] = (2, 2, 2, 2, 2),
        dec_num_convs: tuple[int, ...] = (2, 2, 2, 2),
        downsamples: tuple[bool, ...] = (True, True, True, True),
        enc_dilations: tuple[int, ...] = (1, 1, 1, 1, 1),
        dec_dilations: tuple[int, ...] = (1, 1, 1, 1),
        upsample_cfg: Mapping[str, Any] = _INTERPOLATED,
    ) -> None:
        super().__init__()
        per_stage = {"strides": strides, "enc_num_convs": enc_num_convs, "enc_dilations": enc_dilations}
        between = {"dec_num_convs": dec_num_convs, "downsamples": downsamples, "dec_dilations": dec_dilations}
        problems = [] if base_channels > 0 else [Problem("base_channels", f"must be at least 1, got {base_channels}")]
        problems += [problem for name, values in per_stage.items() for problem in _faults(name, values, num_stages)]
        problems += [problem for name, values in between.items() for problem in _faults(name, values, num_stages - 1)]
        if any(stride > 2 for stride in strides):
            problems.append(Problem("strides", f"must be 1 or 2, got {list(strides)}"))
        upsample = bound(_UPSAMPLING, upsample_cfg, "upsample_cfg", problems, num_given=2)
        if problems or upsample is None:
            raise ConfigError(problems)
        widths = [base_channels * 2**stage for stage in range(num_stages)]
        halved = [stride == 2 or down for stride, down in zip(strides[1:], downsamples, strict=True)]
        self.multiple = 2 ** sum(halved)
        self.channels = tuple(reversed(widths))
        self.encoder, self.decoder = nn.ModuleList(), nn.ModuleList()
        for stage, width in enumerate(widths):
            convs = _Convs(
                widths[stage - 1] if stage else 3,
                width,
                enc_num_convs[stage],
                stride=strides[stage],
                dilation=enc_dilations[stage],
            )
            pools = stage > 0 and strides[stage] == 1 and downsamples[stage - 1]
            self.encoder.append(nn.Sequential(nn.MaxPool2d(2), convs) if pools else nn.Sequential(convs))
        for width, count, dilation, doubles in zip(widths, dec_num_convs, dec_dilations, halved, strict=False):
            up = upsample(2 * width, width) if doubles else ConvModule(2 * width, width, 1)
            self.decoder.append(_Up(width, count, up, dilation=dilation))

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Features, deep to shallow.

        Raises:
            ShapeError: the size is no multiple of the deepest stride.
        """
        if any(side % self.multiple for side in images.shape[-2:]):
            message = f"got images of {tuple(images.shape[-2:])}, expected multiples of {self.multiple}"
            raise ShapeError(f"UNet: {message}; crop or pad to such a size, or evaluate in windows of one")
        x, encoded = images, list[Tensor]()
        for stage in self.encoder:
            x = stage(x)
            encoded.append(x)
        features = [x]
        for up, skip in zip(reversed(self.decoder), encoded[-2::-1], strict=True):
            features.append(up(skip, features[-1]))
        return tuple(features)


def _faults(name: str, values: Sequence[int], count: int) -> list[Problem]:
    problems = []
    if len(values) != count:
        problems.append(Problem(name, f"got {len(values)} values, expected {count}"))
    if name != "downsamples" and any(value < 1 for value in values):
        problems.append(Problem(name, f"must be at least 1, got {list(values)}"))
    return problems
