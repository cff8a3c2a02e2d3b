"""The numbers that one run follows; all lengths in optimizer steps."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch

from rayseg.engine.checkpoint import ResumeState
from rayseg.models import PRECISIONS, Precision

__all__ = ["Plan", "Schedule"]

#: ``(step, total_steps) -> multiplier``
Schedule = Callable[[int, int], float]


@dataclass(frozen=True)
class Plan:
    """What a run does and when.

    Args:
        total_steps: optimizer steps in the run.
        eval_every: steps between evaluations; the last step is evaluated too when ``eval_at_end``.
        checkpoint_every: steps between checkpoints; the last step has one too.
        log_every: steps between log lines; a line is the mean since the one before.
        seed: of dropout masks and of torch's generators, which are set anew at every step.
        precision: ``fp32``, or ``bf16`` or ``fp16`` for autocast in the forward pass.
        clip_norm: largest norm of the gradient, or None.
        clip_norm_type: which norm: 1, 2, any p, or infinity.
        clip_value: largest absolute value of a gradient's element, or None.
        best: metric by which the best checkpoint is chosen.
        mode: whether more or less of it is better.
        resume_state: whether a checkpoint has what a resumed run needs when it is written; ``none``: weights only.
        images_per_step: in one optimizer step, over all workers.
        images_per_epoch: in one pass over the training set; None: the run is a single one.

    Example:
        >>> plan = Plan(total_steps=10, eval_every=4)
        >>> [step for step in range(1, 11) if plan.evaluates(step)]
        [4, 8, 10]
    """

    total_steps: int
    eval_every: int
    checkpoint_every: int | None = None
    log_every: int = 10
    eval_at_end: bool = True
    seed: int = 0
    precision: Precision = "fp32"
    clip_norm: float | None = None
    clip_norm_type: float = 2.0
    clip_value: float | None = None
    best: str = "val/mIoU"
    mode: Literal["max", "min"] = "max"
    resume_state: ResumeState = "all"
    images_per_step: int = 1
    images_per_epoch: int | None = None

    @property
    def autocast(self) -> torch.dtype | None:
        """Of the forward pass; None: none."""
        return PRECISIONS[self.precision]

    def epoch(self, step: int) -> int:
        """The pass over the training set, from 0, in which step ``step`` begins.

        Example:
            >>> plan = Plan(total_steps=6, eval_every=6, images_per_step=4, images_per_epoch=10)
            >>> [plan.epoch(step) for step in range(7)]
            [0, 0, 0, 1, 1, 2, 2]
        """
        return 0 if self.images_per_epoch is None else step * self.images_per_step // self.images_per_epoch

    def begins_epoch(self, step: int) -> bool:
        """Whether step ``step`` is the first to begin in its epoch: then all samples of earlier ones were drawn."""
        return step == 0 or self.epoch(step) != self.epoch(step - 1)

    def evaluates(self, step: int) -> bool:
        """Whether there is an evaluation after ``step`` steps."""
        return step % self.eval_every == 0 or (self.eval_at_end and step == self.total_steps)

    def saves(self, step: int) -> bool:
        """Whether there is a checkpoint after ``step`` steps."""
        every = self.checkpoint_every
        due = self.evaluates(step) if every is None else step % every == 0
        return due or step == self.total_steps

    def logs(self, step: int) -> bool:
        """Whether there is a log line after ``step`` steps."""
        return step % self.log_every == 0 or step == self.total_steps

    def is_better(self, score: float, best: float | None) -> bool:
        """Whether ``score`` is strictly better than the best so far; NaN never is."""
        if best is None:
            return not math.isnan(score)
        return score > best if self.mode == "max" else score < best
