"""ResNet (He et al., 2016) with MMSegmentation's stems, dilations and names of parameters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from torch import Tensor, nn

from rayseg.errors import ConfigError, Problem
from rayseg.models.mmseg.conv import conv2d

__all__ = ["ResNet"]

Style = Literal["pytorch", "caffe"]


class _BasicBlock(nn.Module):
    """Two 3 x 3 convolutions; only the first of them is dilated."""

    expansion = 1

    def __init__(self, c_in: int, width: int, stride: int, dilation: int, downsample: nn.Module | None, style: Style) -> None:
        super().__init__()
        assert style == "pytorch"
        self.conv1 = conv2d(c_in, width, 3, stride=stride, dilation=dilation)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = conv2d(width, width, 3)
        self.bn2 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = downsample

    @property
    def last_norm(self) -> nn.BatchNorm2d:
        return self.bn2

    def forward(self, x: Tensor) -> Tensor:
        out = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        skip = x if self.downsample is None else self.downsample(x)
        result: Tensor = self.relu(out + skip)
        return result


class _Bottleneck(nn.Module):
    """1 x 1, 3 x 3, 1 x 1 convolutions; the stride is that of the second, in style ``caffe`` of the first."""

    expansion = 4

    def __init__(self, c_in: int, width: int, stride: int, dilation: int, downsample: nn.Module | None, style: Style) -> None:
        super().__init__()
        first, second = (1, stride) if style == "pytorch" else (stride, 1)
        self.conv1 = conv2d(c_in, width, 1, stride=first)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = conv2d(width, width, 3, stride=second, dilation=dilation)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = conv2d(width, width * self.expansion, 1)
        self.bn3 = nn.BatchNorm2d(width * self.expansion)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = downsample

    @property
    def last_norm(self) -> nn.BatchNorm2d:
        return self.bn3

    def forward(self, x: Tensor) -> Tensor:
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))
        skip = x if self.downsample is None else self.downsample(x)
        result: Tensor = self.relu(self.bn3(self.conv3(out)) + skip)
        return result


_Block = type[_BasicBlock] | type[_Bottleneck]
_DEPTHS: Mapping[int, tuple[_Block, tuple[int, ...]]] = {
    18: (_BasicBlock, (2, 2, 2, 2)),
    34: (_BasicBlock, (3, 4, 6, 3)),
    50: (_Bottleneck, (3, 4, 6, 3)),
    101: (_Bottleneck, (3, 4, 23, 3)),
    152: (_Bottleneck, (3, 8, 36, 3)),
}


def _downsample(c_in: int, c_out: int, stride: int, *, avg_down: bool) -> nn.Sequential | None:
    """The path beside the first block of a stage, where its input does not fit its output."""
    if stride == 1 and c_in == c_out:
        return None
    pool = [nn.AvgPool2d(stride, stride, ceil_mode=True, count_include_pad=False)] if avg_down else []
    return nn.Sequential(*pool, conv2d(c_in, c_out, 1, stride=1 if avg_down else stride), nn.BatchNorm2d(c_out))


def _deep_stem(channels: int) -> nn.Sequential:
    """Three 3 x 3 convolutions instead of one of 7 x 7 (He et al., 2019, "Bag of tricks", ResNet-C)."""
    half, layers = channels // 2, list[nn.Module]()
    for c_in, c_out, stride in ((3, half, 2), (half, half, 1), (half, channels, 1)):
        layers += [conv2d(c_in, c_out, 3, stride=stride), nn.BatchNorm2d(c_out), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


def _dilations(blocks: int, dilation: int, multi_grid: Sequence[int] | None, *, contract: bool) -> list[int]:
    """Of each block of a stage."""
    if multi_grid is not None:
        return list(multi_grid)
    first = dilation // 2 if contract and dilation > 1 else dilation
    return [first, *[dilation] * (blocks - 1)]


def _stage(
    block: _Block, c_in: int, width: int, stride: int, dilations: Sequence[int], style: Style, *, avg_down: bool
) -> nn.Sequential:
    """One block for each dilation; the first has the stride."""
    c_out = width * block.expansion
    first = block(c_in, width, stride, dilations[0], _downsample(c_in, c_out, stride, avg_down=avg_down), style)
    return nn.Sequential(first, *(block(c_out, width, 1, dilation, None, style) for dilation in dilations[1:]))


class ResNet(nn.Module):
    """Images ``(N, 3, H, W)`` to the features of some stages, ``(N, C_i, H / s_i, W / s_i)`` each, sizes rounded up.

    MMSegmentation's ``ResNetV1c`` is this with ``deep_stem``, its ``ResNetV1d`` with ``deep_stem`` and ``avg_down``. Output
    stride 8 is ``strides=(1, 2, 1, 1), dilations=(1, 1, 2, 4)``; 16 is ``strides=(1, 2, 2, 1), dilations=(1, 1, 1, 2)``.

    Args:
        depth: 18, 34, 50, 101 or 152.
        stem_channels: channels after the stem.
        base_channels: width of the first stage; each further one has twice as many.
        num_stages: 1 to 4.
        strides: of the first block of each stage; the stem has a stride of 4 by itself.
        dilations: of each stage.
        out_indices: stages that give features, counted from 0.
        style: which convolution of a bottleneck has the stride: the second, or in ``caffe`` the first.
        deep_stem: three 3 x 3 convolutions for the one of 7 x 7.
        avg_down: average pooling for the stride beside the first block (He et al., 2019, ResNet-D).
        multi_grid: dilations of the blocks of the last stage (Chen et al., 2017), in place of its dilation.
        contract_dilation: the first block of a dilated stage has half its dilation.
        zero_init_residual: the last norm of each block begins at zero (Goyal et al., 2017), so a block begins as the identity.

    Attributes:
        channels: of each feature.

    Raises:
        ConfigError: with every value that cannot be.

    Example:
        >>> import torch
        >>> net = ResNet(18, strides=(1, 2, 1, 1), dilations=(1, 1, 2, 4), base_channels=4, out_indices=(2, 3))
        >>> [tuple(feature.shape) for feature in net(torch.zeros(1, 3, 64, 64))], net.channels
        ([(1, 16, 8, 8), (1, 32, 8, 8)], (16, 32))
    """

    def __init__(  # noqa: PLR0913
        self,
        depth: int = 50,
        *,
        stem_channels: int = 64,
        base_channels: int = 64,
        num_stages: int = 4,
        strides: tuple[int, ...] = (1, 2, 2, 2),
        dilations: tuple[int, ...] = (1, 1, 1, 1),
        out_indices: tuple[int, ...] = (0, 1, 2, 3),
        style: Style = "pytorch",
        deep_stem: bool = False,
        avg_down: bool = False,
        multi_grid: tuple[int, ...] | None = None,
        contract_dilation: bool = False,
        zero_init_residual: bool = True,
    ) -> None:
        super().__init__()
        sizes = {"stem_channels": stem_channels, "base_channels": base_channels}
        faults = [*_not_positive({**sizes, "strides": strides, "dilations": dilations, "multi_grid": multi_grid or ()})]
        faults += _shape_faults(depth, num_stages, strides, dilations, out_indices)
        faults += _block_faults(depth, num_stages, style, multi_grid)
        if deep_stem and stem_channels % 2:
            faults.append(Problem("stem_channels", f"must be even with a deep stem, got {stem_channels}"))
        if faults:
            raise ConfigError(faults)
        self.deep_stem = deep_stem
        self.out_indices = tuple(out_indices)
        self._make_stem(stem_channels)
        block, counts = _DEPTHS[depth]
        self._stages, c_in = [f"layer{stage + 1}" for stage in range(num_stages)], stem_channels
        for stage, name in enumerate(self._stages):
            grid = multi_grid if stage == num_stages - 1 else None
            each = _dilations(counts[stage], dilations[stage], grid, contract=contract_dilation)
            width = base_channels * 2**stage
            self.add_module(name, _stage(block, c_in, width, strides[stage], each, style, avg_down=avg_down))
            c_in = width * block.expansion
        self.channels = tuple(base_channels * 2**stage * block.expansion for stage in self.out_indices)
        if zero_init_residual:
            self._begin_as_identity()

    def _make_stem(self, channels: int) -> None:
        if self.deep_stem:
            self.stem = _deep_stem(channels)
        else:
            self.conv1 = conv2d(3, channels, 7, stride=2)
            self.bn1 = nn.BatchNorm2d(channels)
            self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)

    def _begin_as_identity(self) -> None:
        for module in self.modules():
            if isinstance(module, _BasicBlock | _Bottleneck):
                nn.init.zeros_(module.last_norm.weight)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Features of the stages in ``out_indices``, shallow to deep."""
        x = self.stem(images) if self.deep_stem else self.relu(self.bn1(self.conv1(images)))
        x, features = self.maxpool(x), list[Tensor]()
        for stage, name in enumerate(self._stages):
            x = self.get_submodule(name)(x)
            if stage in self.out_indices:
                features.append(x)
        return tuple(features)


def _not_positive(values: Mapping[str, int | Sequence[int]]) -> Iterable[Problem]:
    for name, value in values.items():
        numbers = [value] if isinstance(value, int) else list(value)
        if any(number < 1 for number in numbers):
            yield Problem(name, f"must be at least 1, got {value}")


def _shape_faults(
    depth: int, num_stages: int, strides: Sequence[int], dilations: Sequence[int], out_indices: Sequence[int]
) -> Iterable[Problem]:
    if depth not in _DEPTHS:
        yield Problem("depth", f"got {depth}, expected one of {', '.join(map(str, _DEPTHS))}")
    if not 1 <= num_stages <= 4:
        yield Problem("num_stages", f"got {num_stages}, expected 1 to 4")
        return
    for name, values in (("strides", strides), ("dilations", dilations)):
        if len(values) != num_stages:
            yield Problem(name, f"got {len(values)} values, expected {num_stages}, one for each stage")
    if not out_indices or list(out_indices) != sorted(set(out_indices)) or not set(out_indices) <= set(range(num_stages)):
        message = f"got {list(out_indices)}, expected stages from 0 to {num_stages - 1}, ascending, each once"
        yield Problem("out_indices", message)
    elif out_indices[-1] != num_stages - 1:
        message = f"stages after {out_indices[-1]} would not be used; set num_stages to {out_indices[-1] + 1}, or take them"
        yield Problem("out_indices", message)


def _block_faults(depth: int, num_stages: int, style: Style, multi_grid: Sequence[int] | None) -> Iterable[Problem]:
    if depth not in _DEPTHS or not 1 <= num_stages <= 4:
        return
    block, counts = _DEPTHS[depth]
    if style == "caffe" and block is _BasicBlock:
        yield Problem("style", f"depth {depth} has no bottlenecks, so 'caffe' would change nothing; remove it")
    if multi_grid is not None and len(multi_grid) != counts[num_stages - 1]:
        message = f"got {len(multi_grid)} values, expected {counts[num_stages - 1]}, one for each block of the last stage"
        yield Problem("multi_grid", message)
