"""Whether every parameter can learn, seen from the graph of one forward pass."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from rayseg.build.resolve import Problems
from rayseg.models import named_logits, sample_keys

__all__ = ["probe_gradients"]


def probe_gradients(model: nn.Module, images: Tensor, problems: Problems) -> None:
    """With several workers every trainable parameter must take part in the output: gradients are summed in fixed buckets.

    Args:
        model: in training mode; its forward pass was tried before.
        images: ``(N, 3, H, W)``.
        problems: a fault is added here.
    """
    with sample_keys(0, torch.arange(len(images))):
        output = named_logits(model(images))
    reached = _leaves_of([logits.grad_fn for logits in output.values()])
    unused = [name for name, value in model.named_parameters() if value.requires_grad and id(value) not in reached]
    if unused:
        shown = ", ".join([*unused[:3], *(["..."] if len(unused) > 3 else [])])
        message = f"{len(unused)} trainable parameters take no part in its output ({shown}), which several workers cannot sum; "
        problems.add("model", f"{message}remove them, or freeze them: freeze.<name>: {{match: ...}}")


def _leaves_of(nodes: list[Any]) -> set[int]:
    """Identities of the parameters that a graph begins with."""
    seen: set[Any] = set()
    leaves: set[int] = set()
    while nodes:
        node = nodes.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        leaves |= {id(node.variable)} if hasattr(node, "variable") else set()
        nodes += [following for following, _ in node.next_functions]
    return leaves
