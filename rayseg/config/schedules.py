"""How the learning rate and the momentum move over a run."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from rayseg.config.spec import Section, Spec, TypeName
from rayseg.config.values import Bool, Float, Interval, Named

__all__ = ["PHASES", "MomentumConfig", "MomentumWarmup", "Phase", "ScheduleConfig", "Warmup"]

#: The type of a schedule that consists of phases.
PHASES = "phases"


class Warmup(Section):
    """Multiplies the schedule at the beginning; its clock is not shifted."""

    type: Literal["constant", "linear", "exp"] = "linear"
    length: Interval
    ratio: Float = Field(default=0.1, gt=0, le=1)


class MomentumWarmup(Warmup):
    """Divides momentum at the beginning, so that it starts above its value, as in mmcv."""

    ratio: Float = Field(default=0.9, gt=0, le=1)


class Phase(Spec):
    """One stretch of a schedule; its clock starts where it begins."""

    length: Interval | None = Field(default=None, description="the last phase has none: it has the rest of the run")


class _Moves(Spec):
    """What the schedules of rate and momentum have in common."""

    by_epoch: Bool = Field(default=False, description="the value of an epoch's first step is held through the epoch")
    phases: Annotated[dict[str, Phase], Named] = Field(
        default_factory=dict, description="schedules one after the other, instead of a type"
    )

    @model_validator(mode="before")
    @classmethod
    def _type_of_phases(cls, value: Any) -> Any:
        return {**value, "type": PHASES} if isinstance(value, dict) and value.get("phases") and "type" not in value else value

    @model_validator(mode="after")
    def _phases_or_a_type(self) -> _Moves:
        if self.phases and self.type != PHASES:
            raise ValueError(
                f"has phases, and type {self.type!r} besides: remove the type or set it to phases, or remove the phases"
            )
        if self.type == PHASES and not self.phases:
            raise ValueError("type is phases, and there are none: give phases: {NAME: {type: ..., length: ...}, ...}")
        if self.phases and self.kwargs:
            raise ValueError(f"{', '.join(self.kwargs)}: belongs to a phase; write it there")
        *before, last = self.phases or [None]
        for name in before:
            if name is not None and self.phases[name].length is None:
                raise ValueError(f"phase {name!r} has no length: every phase but the last needs one")
        if last is not None and self.phases[last].length is not None:
            raise ValueError(
                f"phase {last!r} is the last and has the rest of the run: remove its length, or add a phase after it"
            )
        return self


class MomentumConfig(_Moves):
    """Momentum, or the first beta of Adam: a schedule, with a warm-up of its own."""

    type: TypeName = "constant"
    warmup: MomentumWarmup | None = Field(default=None, description="divides at the beginning")


class ScheduleConfig(_Moves):
    """Learning rate: ``(**own) -> (step, total_steps) -> multiplier``; a built-in, a scheduler of torch, an import path."""

    type: TypeName = "poly"
    warmup: Warmup | None = Field(default=None, description="multiplies at the beginning")
    momentum: MomentumConfig | None = Field(default=None, description="the same for momentum (betas[0] in Adam)")
