"""Weights as MMSegmentation keeps them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from rayseg.errors import ConfigError, Problem
from rayseg.models.mmseg.encoder_decoder import EncoderDecoder

__all__ = ["mmseg_file"]


def mmseg_file(
    model: EncoderDecoder, class_names: Sequence[str], palette: Sequence[Sequence[int]] | None = None
) -> dict[str, Any]:
    """What a ``.pth`` file of MMSegmentation holds, of both generations: ``torch.save`` it.

    ``state_dict`` on the CPU; ``meta`` with ``CLASSES`` and ``PALETTE`` as 0.x has them, and ``dataset_meta`` as 1.x has
    it. All of it is tensors and plain values, so that ``weights_only`` loads it.

    Args:
        model: whose names are MMSegmentation's.
        class_names: C names.
        palette: an RGB triple per class, or None.

    Raises:
        ConfigError: its norms have other names there.

    Example:
        >>> from rayseg.models import mmseg
        >>> body, head = {"type": "ResNet", "depth": 18, "base_channels": 4}, {"type": "FCNHead", "channels": 4}
        >>> file = mmseg_file(mmseg(2, backbone=body, decode_head=head), ["road", "sky"], [(0, 0, 0), (9, 9, 9)])
        >>> file["meta"]["dataset_meta"]
        {'classes': ('road', 'sky'), 'palette': [[0, 0, 0], [9, 9, 9]]}
    """
    if any(isinstance(module, nn.GroupNorm) for module in model.modules()):
        message = "group norms have other names in MMSegmentation's files; export a model with batch norms, or a state_dict"
        raise ConfigError([Problem("model.norm", message)], "the export")
    names, colours = tuple(class_names), None if palette is None else [list(colour) for colour in palette]
    dataset_meta = {"classes": names} if colours is None else {"classes": names, "palette": colours}
    state = {name: value.detach().cpu() for name, value in model.state_dict().items()}
    return {"meta": {"CLASSES": names, "PALETTE": colours, "dataset_meta": dataset_meta}, "state_dict": state}
