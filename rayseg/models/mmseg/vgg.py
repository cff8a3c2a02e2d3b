"""VGG (Simonyan and Zisserman, 2015) with mmcv's names of parameters, which are torchvision's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from torch import Tensor, nn

from rayseg.errors import ConfigError, Problem
from rayseg.models.mmseg.conv import conv2d
from rayseg.models.mmseg.feature import list_faults, out_faults

__all__ = ["VGG"]

#: Convolutions of each stage by depth.
_DEPTHS: Mapping[int, tuple[int, ...]] = MappingProxyType(
    {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
)
_CHANNELS = (64, 128, 256, 512, 512)


def _stage(c_in: int, c_out: int, count: int, dilation: int, *, with_bn: bool, ceil_mode: bool) -> Iterator[nn.Module]:
    for index in range(count):
        yield conv2d(c_out if index else c_in, c_out, 3, dilation=dilation, bias=True)
        if with_bn:
            yield nn.BatchNorm2d(c_out)
        yield nn.ReLU(inplace=True)
    yield nn.MaxPool2d(2, 2, ceil_mode=ceil_mode)


class VGG(nn.Module):
    """Images ``(N, 3, H, W)`` to the features of some stages, each after its pooling: ``(N, C_i, H / 2^(i+1), ...)``.

    Its layers are torchvision's ``features``, so ``init.checkpoint`` takes torchvision's files. Its batch norms learn as others
    do; mmcv's keep their statistics unless ``bn_eval=False`` is written.

    Args:
        depth: 11, 13, 16 or 19.
        with_bn: a batch norm after each convolution.
        num_stages: 1 to 5.
        dilations: of the convolutions of each stage.
        out_indices: stages that give features, counted from 0; the last stage is one of them.
        ceil_mode: pooling rounds sizes up, not down.
        with_last_pool: whether the last stage is pooled.

    Attributes:
        channels: of each feature.

    Raises:
        ConfigError: with every value that cannot be.

    Example:
        >>> import torch
        >>> with torch.device("meta"):
        ...     net = VGG(16, num_stages=3, dilations=(1, 1, 2), out_indices=(1, 2))
        ...     [tuple(feature.shape) for feature in net(torch.zeros(1, 3, 64, 96))], net.channels
        ([(1, 128, 16, 24), (1, 256, 8, 12)], (128, 256))
    """

    def __init__(
        self,
        depth: int,
        *,
        with_bn: bool = False,
        num_stages: int = 5,
        dilations: tuple[int, ...] = (1, 1, 1, 1, 1),
        out_indices: tuple[int, ...] = (0, 1, 2, 3, 4),
        ceil_mode: bool = False,
        with_last_pool: bool = True,
    ) -> None:
        super().__init__()
        if faults := _faults(depth, num_stages, dilations, out_indices):
            raise ConfigError(faults)
        layers, self._ends = list[nn.Module](), list[int]()
        for stage, count in enumerate(_DEPTHS[depth][:num_stages]):
            c_in = _CHANNELS[stage - 1] if stage else 3
            own = _stage(c_in, _CHANNELS[stage], count, dilations[stage], with_bn=with_bn, ceil_mode=ceil_mode)
            layers += own
            self._ends.append(len(layers))
        if not with_last_pool:
            layers.pop()
            self._ends[-1] -= 1
        self.features = nn.Sequential(*layers)
        self.out_indices = tuple(out_indices)
        self.channels = tuple(_CHANNELS[stage] for stage in self.out_indices)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Features of the stages in ``out_indices``, shallow to deep."""
        x, taken = images, list[Tensor]()
        wanted = {self._ends[stage] for stage in self.out_indices}
        for index, layer in enumerate(self.features, start=1):
            x = layer(x)
            if index in wanted:
                taken.append(x)
        return tuple(taken)


def _faults(depth: int, num_stages: int, dilations: tuple[int, ...], out_indices: tuple[int, ...]) -> list[Problem]:
    faults = []
    if depth not in _DEPTHS:
        faults.append(Problem("depth", f"got {depth}, expected one of {', '.join(map(str, _DEPTHS))}"))
    if not 1 <= num_stages <= len(_CHANNELS):
        return [*faults, Problem("num_stages", f"got {num_stages}, expected 1 to {len(_CHANNELS)}")]
    faults += list_faults(num_stages, "stage", {"dilations": (dilations, None)})
    return [*faults, *out_faults(out_indices, num_stages, "stages")]
