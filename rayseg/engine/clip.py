"""Gradients made smaller, after they were summed over all workers: so a limit is one on the gradient of the global batch."""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor, nn

__all__ = ["clip_gradients"]


def clip_gradients(
    parameters: Iterable[nn.Parameter],
    *,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    max_value: float | None = None,
) -> dict[str, Tensor]:
    """Clip in place, by the norm of all gradients together (Pascanu et al. 2013), then each element by value.

    ``g <- g * min(1, max_norm / (norm + 1e-6))`` and ``g <- clamp(g, -max_value, max_value)``, as torch does.

    Args:
        parameters: those without a gradient are passed over.
        max_norm: largest norm, or None.
        norm_type: 1, 2, any p, or ``inf`` for the largest absolute value.
        max_value: largest absolute value of an element, or None.

    Returns:
        ``grad_norm``, before clipping, where there is a limit to it.

    Example:
        >>> import torch
        >>> weight = nn.Parameter(torch.zeros(2))
        >>> weight.grad = torch.tensor([3.0, 4.0])
        >>> clip_gradients([weight], max_norm=1.0)["grad_norm"].item(), round(weight.grad.norm().item(), 4)
        (5.0, 1.0)
    """
    if max_norm is None and max_value is None:
        return {}
    learned = [parameter for parameter in parameters if parameter.grad is not None]
    measured: dict[str, Tensor] = {}
    if max_norm is not None:
        measured["grad_norm"] = nn.utils.clip_grad_norm_(learned, max_norm, norm_type=norm_type)
    if max_value is not None:
        nn.utils.clip_grad_value_(learned, max_value)
    return measured
