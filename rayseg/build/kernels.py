"""How losses and scores are computed: which heads need no logits at full size, and what computes those."""

from __future__ import annotations

import logging

import torch

from rayseg.build.resolve import Problems
from rayseg.collective import is_main
from rayseg.config import ExperimentConfig
from rayseg.errors import ConfigError, Problem
from rayseg.kernels import (
    Backend,
    Scoring,
    Strips,
    StripScoring,
    Triton,
    compiled_backend,
    compiled_scoring,
    triton_scoring,
    why_no_triton,
)
from rayseg.mix import Head, Mix, fused, why_not_fused

__all__ = ["check_kernels", "kernel_in_force", "make_scoring", "with_kernels"]

_log = logging.getLogger(__name__)


def _backend(config: ExperimentConfig, device: torch.device) -> Backend | None:
    """What the config asks for; None: plainly."""
    kernels = config.train.kernels
    if kernels == "plain":
        return None
    if kernels == "auto":
        return _automatic(device)
    if kernels == "strips":
        return Strips()
    return _triton(device) if kernels == "triton" else _compiled(device)


def _automatic(device: torch.device) -> Backend | None:
    """The quickest: strips wait for a GPU after every few rows, so that there the plain way is quicker than they are."""
    if device.type == "cpu":
        return compiled_backend() or Strips()
    reason = why_no_triton(device)
    if reason is not None:
        _log.warning("losses are computed plainly, with logits at full size: %s", reason)
    return Triton() if reason is None else None


def _triton(device: torch.device) -> Backend:
    if reason := why_no_triton(device):
        raise ConfigError([Problem("train.kernels", f"triton, but {reason}; write auto")])
    return Triton(device.type)


def _compiled(device: torch.device) -> Backend:
    if device.type != "cpu":
        raise ConfigError([Problem("train.kernels", f"fused, but there are no such kernels for {device.type}; write auto")])
    if (compiled := compiled_backend()) is None:
        message = "fused, but nothing here compiles C++ (looked for $CXX, c++, g++, clang++); install g++, or write auto"
        raise ConfigError([Problem("train.kernels", message)])
    return compiled


def with_kernels(mix: Mix, config: ExperimentConfig, device: torch.device) -> Mix:
    """The mix with every head that can be computed without logits at full size computed so, if the config says so.

    Args:
        mix: of heads with logits at full size.
        config: the experiment; ``train.kernels`` says which way.
        device: where the logits are.

    Raises:
        ConfigError: the config asks for kernels that cannot be had here.
    """
    backend = None if all(map(why_not_fused, mix.heads.values())) else _backend(config, device)
    return mix if backend is None else Mix({name: _with_backend(name, head, backend) for name, head in mix.heads.items()})


def _with_backend(name: str, head: Head, backend: Backend) -> Head:
    reason = why_not_fused(head)
    if is_main():
        _log.info("the loss of head %r is %s", name, f"computed plainly: {reason}" if reason else backend.name)
    return head if reason else fused(head, backend)


def make_scoring(config: ExperimentConfig, device: torch.device) -> Scoring | None:
    """What counts logits into a confusion matrix, as ``train.kernels`` says; None: plain torch.

    Args:
        config: the experiment.
        device: where the logits are.
    """
    kernels = config.train.kernels
    scoring: Scoring | None = None
    if kernels == "strips":
        scoring = StripScoring()
    elif kernels in {"auto", "fused"} and device.type == "cpu":
        scoring = compiled_scoring() or StripScoring()
    elif kernels == "triton" or (kernels == "auto" and device.type == "cuda"):
        scoring = triton_scoring(device)
    if is_main():
        _log.info("scores are counted %s", "plainly" if scoring is None else f"from the head's own stride: {scoring.name}")
    return scoring


def check_kernels(mix: Mix, config: ExperimentConfig, device: torch.device, problems: Problems) -> None:
    """What was asked for by name must be there and of use; what is to be compiled is compiled here, before workers start.

    Args:
        mix: of heads with logits at full size.
        config: the experiment.
        device: of this process; that of workers may be another one, which then looks again.
        problems: the fault is added here.
    """
    kernels = config.train.kernels
    if kernels == "auto" and device.type == "cuda":
        return  # it cannot be refused, and a process that does not train keeps off the GPU
    reasons = {name: why_not_fused(head) for name, head in mix.heads.items()}
    if all(reasons.values()) and kernels not in {"auto", "plain"}:
        listed = "; ".join(f"head {name!r}: {reason}" for name, reason in reasons.items())
        problems.add("train.kernels", f"{kernels}, but no head can be computed so ({listed}); write auto or plain")
        return
    if kernels == "triton" and config.scaling.gpu is True and device.type == "cpu":
        return  # the workers have what this process has not, and look themselves
    try:
        with_kernels(mix, config, device)
        make_scoring(config, device)
    except ConfigError as error:
        for problem in error.problems:
            problems.add(problem.path, problem.message)


def kernel_in_force(mix: Mix, config: ExperimentConfig) -> str:
    """The value of ``train.kernels``, read back from the mix: ``auto`` where that has built it."""
    names = {head.fused.backend.name for head in mix.heads.values() if head.fused is not None}
    if config.train.kernels == "auto":
        return "auto"
    return names.pop() if names else "plain"
