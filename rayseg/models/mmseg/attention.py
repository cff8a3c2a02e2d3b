"""Multi-head attention under the names of ``torch.nn.MultiheadAttention``, its dropout a layer of its own.

Letters: N images, Q queries, K keys, D channels, M heads of D / M channels each.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["Attention", "DropPath"]


class Attention(nn.Module):
    """Softmax attention (Vaswani et al., 2017): queries ``(N, Q, D)``, keys and values ``(N, K, D)``, to ``(N, Q, D)``.

    The parameters are those of ``nn.MultiheadAttention``, and begin as it begins. That one draws its dropout from a
    generator's state; here it is an ``nn.Dropout`` on the weights of attention, which ``set_dropout`` exchanges.

    Args:
        channels: D.
        num_heads: M, which divides D.
        bias: of the three projections at the input, and of that at the output.
        dropout: probability that a weight of attention is dropped.

    Example:
        >>> layer = Attention(8, 2)
        >>> layer(torch.zeros(3, 6, 8), torch.zeros(3, 4, 8)).shape
        torch.Size([3, 6, 8])
        >>> sorted(layer.state_dict())
        ['in_proj_bias', 'in_proj_weight', 'out_proj.bias', 'out_proj.weight']
    """

    in_proj_bias: Tensor | None

    def __init__(self, channels: int, num_heads: int, *, bias: bool = True, dropout: float = 0.0) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * channels, channels))
        nn.init.xavier_uniform_(self.in_proj_weight)
        self.register_parameter("in_proj_bias", nn.Parameter(torch.zeros(3 * channels)) if bias else None)
        self.out_proj = nn.Linear(channels, channels, bias=bias)
        if bias:
            nn.init.zeros_(self.out_proj.bias)
        self.drop = nn.Dropout(dropout) if dropout > 0 else None

    def forward(self, queries: Tensor, keys: Tensor) -> Tensor:
        """Values at the keys, weighted for each query."""
        biases = (None,) * 3 if self.in_proj_bias is None else self.in_proj_bias.chunk(3)
        q, k, v = (
            self._heads(F.linear(x, weight, bias))
            for x, weight, bias in zip((queries, keys, keys), self.in_proj_weight.chunk(3), biases, strict=True)
        )
        out: Tensor = self.out_proj(self._attended(q, k, v).transpose(1, 2).flatten(2))
        return out

    def _heads(self, x: Tensor) -> Tensor:
        """``(N, L, D)`` to ``(N, M, L, D / M)``."""
        return x.reshape(*x.shape[:2], self.num_heads, x.shape[2] // self.num_heads).transpose(1, 2)

    def _attended(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        if self.drop is None or not self.training:
            return F.scaled_dot_product_attention(q, k, v)
        weights = (q * q.shape[-1] ** -0.5 @ k.transpose(2, 3)).softmax(-1)
        attended: Tensor = self.drop(weights) @ v
        return attended


class DropPath(nn.Module):
    """Drop whole samples of a residual branch ``(N, ...)``: stochastic depth (Huang et al., 2016).

    It draws from torch's generator, until ``set_dropout`` exchanges it by :class:`rayseg.models.SampleDropPath`.

    Args:
        drop_prob: probability that a sample's branch is dropped.

    Example:
        >>> sorted(set(DropPath(0.5)(torch.ones(64, 2)).sum(1).tolist()))
        [0.0, 4.0]
    """

    def __init__(self, drop_prob: float) -> None:
        super().__init__()
        self.drop_prob = drop_prob

    def forward(self, x: Tensor) -> Tensor:
        """The branch, scaled where it is kept."""
        return x * F.dropout(x.new_ones(x.shape[0], *[1] * (x.dim() - 1)), self.drop_prob, self.training)

    def extra_repr(self) -> str:
        """The argument."""
        return f"drop_prob={self.drop_prob}"
