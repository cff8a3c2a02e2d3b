"""A trained model on images: logits of whole images, of windows, of several views; scores over a split, masks."""

from __future__ import annotations

from rayseg.inference.images import predict_images
from rayseg.inference.method import Inference
from rayseg.inference.slide import slide_logits, window_starts
from rayseg.inference.split import evaluate_split
from rayseg.inference.views import augmented_logits, scaled_size
from rayseg.inference.whole import predict_logits, predicted_labels, resized

__all__ = [
    "Inference",
    "augmented_logits",
    "evaluate_split",
    "predict_images",
    "predict_logits",
    "predicted_labels",
    "resized",
    "scaled_size",
    "slide_logits",
    "window_starts",
]
