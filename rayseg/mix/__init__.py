"""Heads x terms x sampler x normalisers -> (total, parts)."""

from rayseg.mix.fusing import fused, why_not_fused
from rayseg.mix.heads import Fused, Head, Normalize, Term, accepted_inputs
from rayseg.mix.mix import Mix, MixResult
from rayseg.mix.validation import ValidationLoss, batch_dependence

__all__ = [
    "Fused",
    "Head",
    "Mix",
    "MixResult",
    "Normalize",
    "Term",
    "ValidationLoss",
    "accepted_inputs",
    "batch_dependence",
    "fused",
    "why_not_fused",
]
