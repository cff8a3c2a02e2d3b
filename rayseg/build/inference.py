"""How a model is asked for predictions: made from the config, and tried once."""

from __future__ import annotations

import torch
from torch import nn

from rayseg.build.data import Data
from rayseg.build.resolve import Problems, caught
from rayseg.config import ExperimentConfig
from rayseg.inference import Inference, scaled_size
from rayseg.models import named_logits

__all__ = ["make_inference", "probe_windows"]


def make_inference(config: ExperimentConfig) -> Inference:
    """What ``eval`` says about windows and views.

    Example:
        >>> make_inference(ExperimentConfig().with_({"eval.tta.flip": True})).flip
        True
    """
    asked = config.eval
    return Inference(asked.crop_size, asked.stride, asked.tta.scales, asked.tta.flip, asked.resize, asked.batch_size)


def probe_windows(config: ExperimentConfig, model: nn.Module, data: Data, problems: Problems) -> None:
    """One window forward, as an evaluation will: of the size that windows have in the first image."""
    crop = config.eval.crop_size
    if crop is None:
        return
    height, width = (min(pair) for pair in zip(crop, scaled_size(data.val[0].mask.shape, 1.0, config.eval.resize), strict=True))

    def forward() -> None:
        with torch.no_grad():
            named_logits(model.eval()(torch.zeros(1, 3, height, width)))

    was_training = model.training
    caught("eval.crop_size", problems, forward)
    model.train(was_training)
