"""Counting and selecting on tensors; they know neither losses nor metrics."""

from __future__ import annotations

from rayseg.kernels.boundary import boundary_band, boundary_counts, boundary_width
from rayseg.kernels.classes import log_probabilities, predicted_classes
from rayseg.kernels.confusion import confusion_counts
from rayseg.kernels.gpu import Triton, why_no_triton
from rayseg.kernels.gpu_scoring import TritonScoring, triton_scoring
from rayseg.kernels.histogram import histogram
from rayseg.kernels.maps import count, scaled, sum_of_products, where_below, zero_unless_
from rayseg.kernels.native import Native, compiled_backend
from rayseg.kernels.scoring import Scored, Scoring, StripScoring, compiled_scoring, confusion_of_logits
from rayseg.kernels.select import kth_largest
from rayseg.kernels.statistics import Backend, ClassSums, PixelStatistics, Wanted, pixel_statistics
from rayseg.kernels.strips import Strips
from rayseg.kernels.summed import SummedCrossEntropy, SumsCrossEntropy, summed_cross_entropy

__all__ = [
    "Backend",
    "ClassSums",
    "Native",
    "PixelStatistics",
    "Scored",
    "Scoring",
    "StripScoring",
    "Strips",
    "SummedCrossEntropy",
    "SumsCrossEntropy",
    "Triton",
    "TritonScoring",
    "Wanted",
    "boundary_band",
    "boundary_counts",
    "boundary_width",
    "compiled_backend",
    "compiled_scoring",
    "confusion_counts",
    "confusion_of_logits",
    "count",
    "histogram",
    "kth_largest",
    "log_probabilities",
    "pixel_statistics",
    "predicted_classes",
    "scaled",
    "sum_of_products",
    "summed_cross_entropy",
    "triton_scoring",
    "where_below",
    "why_no_triton",
    "zero_unless_",
]
