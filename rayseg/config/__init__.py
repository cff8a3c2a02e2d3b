"""The grammar of an experiment: what may be written, how it is changed, how it is read and shown.

=============  =====================================================================
``schema``     :class:`ExperimentConfig`, the whole
``recipe``     its sections that say what is learned, and how
``schedules``  how rate and momentum move
``start``      its sections that say where weights start and which of them wait
``running``    its sections that say how long, where, and what is kept
``spec``       open parts: a type name and its arguments
``values``     numbers, lengths, names
``overlay``    dotted keys over a tree
``files``      YAML, JSON, TOML, Python
``assign``     ``key=value`` words of a command line
``show``       flat leaves, the table of ``rayseg show``, a JSON Schema
``faults``     what is said about a wrong config
=============  =====================================================================

Nothing here knows tensors, files of images, or which types exist: ``rayseg.build`` does.
"""

from __future__ import annotations

from rayseg.config.assign import parse_assignments
from rayseg.config.files import SUFFIXES, read_config_file, write_yaml
from rayseg.config.overlay import overlay
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
from rayseg.config.schedules import PHASES, MomentumConfig, MomentumWarmup, Phase, ScheduleConfig, Warmup
from rayseg.config.schema import ExperimentConfig
from rayseg.config.show import flatten, flatten_tree, json_schema, render
from rayseg.config.spec import Section, Spec
from rayseg.config.start import FreezeRule, InitConfig
from rayseg.config.text import from_yaml, to_line, to_yaml
from rayseg.config.typed import typed
from rayseg.config.values import Length, Moment

__all__ = [
    "PHASES",
    "SUFFIXES",
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
    "Section",
    "Spec",
    "SpeedConfig",
    "SwaConfig",
    "TrackingConfig",
    "TrainConfig",
    "TtaConfig",
    "WandbConfig",
    "Warmup",
    "flatten",
    "flatten_tree",
    "from_yaml",
    "json_schema",
    "overlay",
    "parse_assignments",
    "plain",
    "read_config_file",
    "render",
    "to_line",
    "to_yaml",
    "typed",
    "write_yaml",
]
