"""A trained model on images: logits of whole images, of windows, of several views; scores over a split, masks; programs."""

from __future__ import annotations

from rayseg.inference.agreement import Agreement, agreement
from rayseg.inference.capture import capture
from rayseg.inference.deployed import Deployed, Returned
from rayseg.inference.images import predict_images
from rayseg.inference.method import Inference
from rayseg.inference.programs import ProgramFormat, require_packages, run_program, write_program
from rayseg.inference.sizes import Sizes
from rayseg.inference.slide import slide_logits, window_starts
from rayseg.inference.split import evaluate_split
from rayseg.inference.views import augmented_logits, scaled_size
from rayseg.inference.whole import predict_logits, predicted_labels, resized

__all__ = [
    "Agreement",
    "Deployed",
    "Inference",
    "ProgramFormat",
    "Returned",
    "Sizes",
    "agreement",
    "augmented_logits",
    "capture",
    "evaluate_split",
    "predict_images",
    "predict_logits",
    "predicted_labels",
    "require_packages",
    "resized",
    "run_program",
    "scaled_size",
    "slide_logits",
    "window_starts",
    "write_program",
]
