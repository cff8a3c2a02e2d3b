"""The training loop: state, step, hooks, checkpoints. Needs torch only."""

from rayseg.engine.builtin import HOOKS
from rayseg.engine.checkpoint import read_checkpoint, read_manifest, write_checkpoint
from rayseg.engine.clip import clip_gradients
from rayseg.engine.eager import eager_reasons
from rayseg.engine.early_stopping import EarlyStopping
from rayseg.engine.ema import Ema
from rayseg.engine.generators import borrowed_generators, set_generators
from rayseg.engine.guard import FiniteGuard
from rayseg.engine.hooks import Hook
from rayseg.engine.loop import Fit, fit, train_step
from rayseg.engine.memory import kept_memory
from rayseg.engine.meter import Meter
from rayseg.engine.plan import Plan, Schedule
from rayseg.engine.process import lent_process
from rayseg.engine.reporter import LocalReporter, Reporter
from rayseg.engine.scaler import LossScaler
from rayseg.engine.state import TrainState
from rayseg.engine.step import backward, wrap
from rayseg.engine.swa import Swa, renew_statistics

__all__ = [
    "HOOKS",
    "EarlyStopping",
    "Ema",
    "FiniteGuard",
    "Fit",
    "Hook",
    "LocalReporter",
    "LossScaler",
    "Meter",
    "Plan",
    "Reporter",
    "Schedule",
    "Swa",
    "TrainState",
    "backward",
    "borrowed_generators",
    "clip_gradients",
    "eager_reasons",
    "fit",
    "kept_memory",
    "lent_process",
    "read_checkpoint",
    "read_manifest",
    "renew_statistics",
    "set_generators",
    "train_step",
    "wrap",
    "write_checkpoint",
]
