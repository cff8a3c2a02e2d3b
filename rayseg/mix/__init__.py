"""Heads x terms x sampler x normalisers -> (total, parts)."""

from rayseg.mix.heads import Head, Normalize, Term, accepted_inputs
from rayseg.mix.mix import Mix, MixResult
from rayseg.mix.validation import ValidationLoss, batch_dependence

__all__ = ["Head", "Mix", "MixResult", "Normalize", "Term", "ValidationLoss", "accepted_inputs", "batch_dependence"]
