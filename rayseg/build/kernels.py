"""How the losses are computed: which heads need no logits at full size, and what computes those."""

from __future__ import annotations

import logging
from dataclasses import replace

from rayseg.build.resolve import Problems
from rayseg.collective import is_main
from rayseg.config import ExperimentConfig
from rayseg.kernels import Backend, Strips
from rayseg.mix import Mix, fused, why_not_fused

__all__ = ["check_kernels", "kernel_in_force", "with_kernels"]

_log = logging.getLogger(__name__)


def _backend(config: ExperimentConfig) -> Backend | None:
    """What the config asks for; on its own account rayseg uses strips on a CPU only."""
    if config.train.kernels == "plain":
        return None
    return Strips("cpu" if config.train.kernels == "auto" else None)


def with_kernels(mix: Mix, config: ExperimentConfig) -> Mix:
    """The mix with every head that can be computed without logits at full size computed so, if the config says so.

    Args:
        mix: of heads with logits at full size.
        config: the experiment; ``train.kernels`` says which way.
    """
    backend = _backend(config)
    if backend is None:
        return mix
    heads = dict(mix.heads)
    for name, head in mix.heads.items():
        reason = why_not_fused(head)
        heads[name] = head if reason else fused(head, backend)
        if is_main():
            _log.info("loss of head %r: %s", name, f"plain, because {reason}" if reason else backend.name)
    return Mix(heads)


def check_kernels(mix: Mix, config: ExperimentConfig, problems: Problems) -> None:
    """What was asked for by name must be of use.

    Args:
        mix: of heads with logits at full size.
        config: the experiment.
        problems: the fault is added here.
    """
    if config.train.kernels in {"auto", "plain"}:
        return
    reasons = {name: why_not_fused(replace(head, fused=None)) for name, head in mix.heads.items()}
    if all(reasons.values()):
        listed = "; ".join(f"head {name!r}: {reason}" for name, reason in reasons.items())
        problems.add("train.kernels", f"{config.train.kernels}, but no head can be computed so ({listed}); write auto or plain")


def kernel_in_force(mix: Mix, config: ExperimentConfig) -> str:
    """The value of ``train.kernels``, read back from the mix: ``auto`` where that would have built the same."""
    names = {head.fused.backend.name for head in mix.heads.values() if head.fused is not None}
    if config.train.kernels == "auto":
        return "auto"
    return names.pop() if names else "plain"
