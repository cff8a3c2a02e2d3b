"""One experiment, whole: the sections together, and the ways in and out of plain data.

Terms, groups, heads, transforms and hooks are named mappings, so that ``losses.dice.weight`` is a key that a person can read
and Tune can search. Lengths are ``{steps: n}`` or ``{epochs: x}``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import Field, ValidationError

from rayseg.config.faults import schema_problems
from rayseg.config.overlay import overlaid
from rayseg.config.plain import plain
from rayseg.config.recipe import (
    ArgumentSchedule,
    ClassWeight,
    DataConfig,
    GroupRule,
    HeadConfig,
    LossTerm,
    ModelConfig,
    OptimConfig,
    SamplingConfig,
)
from rayseg.config.running import (
    CheckpointConfig,
    EmaConfig,
    EvalConfig,
    HookConfig,
    MlflowConfig,
    ScalingConfig,
    SpeedConfig,
    SwaConfig,
    TrackingConfig,
    TrainConfig,
    TtaConfig,
    WandbConfig,
)
from rayseg.config.schedules import MomentumConfig, MomentumWarmup, Phase, ScheduleConfig, Warmup
from rayseg.config.spec import Section
from rayseg.config.start import FreezeRule, InitConfig
from rayseg.config.values import Int, Length, Moment, Named
from rayseg.errors import ConfigError, Problem

__all__ = [
    "ArgumentSchedule",
    "CheckpointConfig",
    "ClassWeight",
    "DataConfig",
    "EmaConfig",
    "EvalConfig",
    "ExperimentConfig",
    "FreezeRule",
    "GroupRule",
    "HeadConfig",
    "HookConfig",
    "InitConfig",
    "Length",
    "LossTerm",
    "MlflowConfig",
    "ModelConfig",
    "Moment",
    "MomentumConfig",
    "MomentumWarmup",
    "OptimConfig",
    "Phase",
    "SamplingConfig",
    "ScalingConfig",
    "ScheduleConfig",
    "SpeedConfig",
    "SwaConfig",
    "TrackingConfig",
    "TrainConfig",
    "TtaConfig",
    "WandbConfig",
    "Warmup",
]


class ExperimentConfig(Section):
    """One experiment: everything that a run depends on.

    Example:
        >>> config = ExperimentConfig().with_({"losses.ce.weight": 2.0, "optim.lr": 0.02})
        >>> config.losses["ce"].weight
        2.0
        >>> ExperimentConfig.from_dict(config.to_dict()) == config
        True
    """

    seed: Int = Field(default=0, ge=0, le=2**31 - 1)
    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    init: InitConfig | None = None
    freeze: Annotated[dict[str, FreezeRule], Named] = Field(default_factory=dict)
    losses: Annotated[dict[str, LossTerm], Named] = Field(default_factory=lambda: {"ce": LossTerm(type="cross_entropy")})
    sampling: SamplingConfig | None = None
    ignore_classes: tuple[str, ...] = Field(
        default=(), description="classes whose pixels no loss and no sampler looks at; scores still count them"
    )
    heads: Annotated[dict[str, HeadConfig], Named] = Field(default_factory=dict)
    optim: OptimConfig = OptimConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    train: TrainConfig = TrainConfig()
    scaling: ScalingConfig = ScalingConfig()
    checkpoint: CheckpointConfig = CheckpointConfig()
    eval: EvalConfig = EvalConfig()
    tracking: TrackingConfig = TrackingConfig()
    hooks: Annotated[dict[str, HookConfig], Named] = Field(default_factory=dict)

    @classmethod
    def from_dict(cls, tree: Mapping[str, Any], where: str = "experiment config") -> ExperimentConfig:
        """The experiment that a tree of plain data describes; what is absent has its default.

        Args:
            tree: nested mappings, as :meth:`to_dict` gives them or a file holds them.
            where: what the tree is, for the error.

        Raises:
            ConfigError: with every fault of the tree.

        Example:
            >>> ExperimentConfig.from_dict({"train": {"epochs": 2}}).train.length
            Length(steps=None, epochs=2.0)
        """
        data, problems = plain(tree)
        return cls._validated(data, problems, where)

    def to_dict(self) -> dict[str, Any]:
        """Plain data, defaults included: text, numbers, booleans, null, lists and mappings.

        Example:
            >>> ExperimentConfig().to_dict()["losses"]["ce"]["type"]
            'cross_entropy'
        """
        return self.model_dump(mode="json")

    def with_(self, overrides: Mapping[str, Any]) -> ExperimentConfig:
        """Another experiment, with some nodes replaced; the whole of it is validated again.

        An override replaces exactly the node that it names; a whole spec adds a term to a named mapping, null removes one.
        An override of a part of what another override names comes after it.

        Args:
            overrides: dotted path to value, such as ``{"losses.dice.weight": 3, "optim.lr": 0.02}``.

        Raises:
            ConfigError: with every override that cannot be applied and every fault of the outcome.

        Example:
            >>> changed = ExperimentConfig().with_({"losses.dice": {"type": "dice", "weight": 3}, "losses.dice.smooth": 1.0})
            >>> list(changed.losses), changed.losses["dice"].kwargs
            (['ce', 'dice'], {'smooth': 1.0})
        """
        tree, problems = overlaid(self.to_dict(), overrides, type(self))
        return self._validated(tree, problems, "experiment config")

    @classmethod
    def _validated(cls, tree: Any, problems: Sequence[Problem], where: str) -> ExperimentConfig:
        try:
            config = cls.model_validate(tree)
        except ValidationError as error:
            raise ConfigError([*problems, *_new(schema_problems(error, cls, tree), problems)], where) from None
        if problems:
            raise ConfigError(problems, where)
        return config


def _new(found: Sequence[Problem], known: Sequence[Problem]) -> list[Problem]:
    """Problems at places that nothing was said about; what is not data was replaced by null, which is no fault of its own."""
    said = {problem.path for problem in known}
    return [problem for problem in found if problem.path not in said]
