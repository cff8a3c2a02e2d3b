"""Everything that changes during a run, in one place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import nn
from torch.optim import Optimizer

from rayseg.engine.ema import Ema
from rayseg.engine.hooks import Hook, hook_states, restore_hooks
from rayseg.engine.meter import Meter
from rayseg.engine.other_recipe import load_moments
from rayseg.engine.scaler import LossScaler
from rayseg.engine.swa import Swa
from rayseg.errors import CheckpointError
from rayseg.optim import Plateau

__all__ = ["TrainState"]


@dataclass
class TrainState:
    """Model, optimizer and the few numbers that a resumed run needs.

    Schedules (but for the plateau, which sees scores), the data order, dropout and torch's generators are functions of
    ``step``, so they are not in here.
    """

    model: nn.Module
    optimizer: Optimizer
    ema: Ema | None = None
    swa: Swa | None = None
    scaler: LossScaler | None = None
    plateau: Plateau | None = None
    hooks: Mapping[str, Hook] = field(default_factory=dict)
    step: int = 0
    best: float | None = None
    stopped: str | None = None
    meter: Meter = field(default_factory=Meter)
    metrics: dict[str, float] = field(default_factory=dict)

    @property
    def published(self) -> nn.Module:
        """The module that is evaluated and saved for inference: the average if there is one by now."""
        if self.swa is not None and self.swa.count > 0:
            return self.swa.module
        return self.model if self.ema is None else self.ema.module

    def state_dict(self) -> dict[str, Any]:
        """Everything, as tensors and plain values that ``torch.load(weights_only=True)`` reads."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "ema": None if self.ema is None else self.ema.state_dict(),
            "swa": None if self.swa is None else self.swa.state_dict(),
            "scaler": None if self.scaler is None else self.scaler.state_dict(),
            "plateau": None if self.plateau is None else self.plateau.state_dict(),
            "hooks": hook_states(self.hooks),
            "step": self.step,
            "best": self.best,
            "stopped": self.stopped,
            "meter": self.meter.state_dict(),
            "metrics": dict(self.metrics),
        }

    def load_state_dict(self, state: Mapping[str, Any], *, other_recipe: bool = False) -> None:
        """Restore :meth:`state_dict`.

        Args:
            state: of this run, or of one that differs in its recipe only.
            other_recipe: rates, decay and momentum stay those of this optimizer.

        Raises:
            CheckpointError: the checkpoint belongs to another model or optimizer.
        """
        _require_same_average("ema", state["ema"], self.ema)
        _require_same_average("swa", state.get("swa"), self.swa)
        try:
            self.model.load_state_dict(state["model"])
            if other_recipe:
                load_moments(self.optimizer, state["optimizer"])
            else:
                self.optimizer.load_state_dict(state["optimizer"])
        except (RuntimeError, ValueError) as error:
            raise CheckpointError(f"the checkpoint does not fit this config: {error}") from error
        if self.ema is not None:
            self.ema.load_state_dict(state["ema"])
        if self.swa is not None:
            self.swa.load_state_dict(state["swa"])
        if self.scaler is not None and state.get("scaler") is not None:
            self.scaler.load_state_dict(state["scaler"])
        self._load_plateau(state.get("plateau"))
        restore_hooks(self.hooks, state["hooks"])
        self.meter.load_state_dict(state["meter"])
        self.step, self.best, self.metrics = state["step"], state["best"], dict(state["metrics"])
        self.stopped = state.get("stopped")

    def _load_plateau(self, state: Mapping[str, Any] | None) -> None:
        if (state is None) != (self.plateau is None):
            raise CheckpointError("the checkpoint has another kind of schedule: leave schedule.type as it was, or start anew")
        if self.plateau is not None and state is not None:
            self.plateau.load_state_dict(state)


def _require_same_average(name: str, saved: Any, wanted: Any) -> None:
    if (saved is None) != (wanted is None):
        has, wants = ("no average", "one") if saved is None else ("an average", "none")
        raise CheckpointError(
            f"the checkpoint has {has}, the config wants {wants}: leave train.{name} as it was, or start anew"
        )
