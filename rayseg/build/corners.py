"""Many recipes around one base, checked without opening the data and building the model for each of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from torch import nn

from rayseg.build.check import _check_best, _try_schedules, check
from rayseg.build.data import Data, open_data
from rayseg.build.hooks import check_monitors, try_hooks
from rayseg.build.objects import make_mix, make_model, make_transforms
from rayseg.build.optimizers import check_optimizer, try_optimizer
from rayseg.build.parts import Components, resolve_parts
from rayseg.build.probes import Size, probe_images, probe_mix, probe_model
from rayseg.build.resolve import Problems
from rayseg.config import ExperimentConfig
from rayseg.errors import Problem

__all__ = ["CornerCheck"]

#: A recipe that differs in these only has the data, the model and the images of the base.
_LIGHT = ("losses", "sampling", "optim", "schedule")


@dataclass(frozen=True)
class _Ground:
    """What the base stands on."""

    data: Data
    model: nn.Module
    size: Size | None
    channels: dict[str, int]


class CornerCheck:
    """``check`` for recipes around a base without problems, cheap where they differ in losses, sampling or optimizer only.

    Args:
        base: has no problems.
        components: name -> callable given by value.

    Example:
        >>> from rayseg.config import ExperimentConfig
        >>> base = ExperimentConfig()
        >>> [problem.path for problem in CornerCheck(base)(base.with_({"schedule.powr": 2}))]
        ['schedule.powr']
    """

    def __init__(self, base: ExperimentConfig, components: Components | None = None) -> None:
        self._base = base
        self._components = components or {}

    def __call__(self, config: ExperimentConfig) -> list[Problem]:
        """Every problem of a recipe, as ``check`` finds them."""
        if self._needs_all(config):
            return check(config, self._components)
        problems, ground = Problems(), self._ground
        parts = resolve_parts(config, self._components, problems)
        num_images, names = len(ground.data.train), ground.data.class_names
        check_optimizer(config, parts, problems)
        if parts.optimizer is not None:
            try_optimizer(config, parts, ground.model, problems)
        _check_best(config, names, problems)
        _try_schedules(config, parts, num_images, names, problems)
        mix = make_mix(config, parts, names, None, num_images, problems)
        probe_mix(mix, parts, len(names), ground.channels, ground.size, problems, batch_size=config.train.batch_size)
        check_monitors(config, try_hooks(config, parts, problems), ground.data, problems)
        return problems.found

    def _needs_all(self, config: ExperimentConfig) -> bool:
        """Groups are looked at together with what is frozen, which changes the model."""
        changed = {name for name in type(config).model_fields if getattr(config, name) != getattr(self._base, name)}
        return not changed <= set(_LIGHT) or ("optim" in changed and bool(config.freeze))

    @cached_property
    def _ground(self) -> _Ground:
        problems = Problems()
        parts = resolve_parts(self._base, self._components, problems)
        data = open_data(self._base, parts, problems)
        problems.raise_if_any()
        assert data is not None
        model = make_model(self._base, parts, len(data.class_names))
        size = probe_images(self._base, data, make_transforms(parts, problems), problems)
        channels = {} if size is None else probe_model(model, parts, data.class_names, size, problems)
        return _Ground(data, model, size, channels)
