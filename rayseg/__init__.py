"""Distributed semantic-segmentation training and recipe search on Ray.

The names below load when they are first used, so that ``import rayseg.losses`` needs neither Ray nor MLflow.

Example:
    >>> import rayseg
    >>> rayseg.ExperimentConfig().with_({"optim.lr": 0.02}).optim.lr
    0.02
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from rayseg.imports import importing

if TYPE_CHECKING:
    from rayseg.build import adopt, evaluate, export, predict
    from rayseg.config import ExperimentConfig
    from rayseg.launch import confirm, register, sweep, train
    from rayseg.load import load_config

__all__ = [
    "ExperimentConfig",
    "__version__",
    "adopt",
    "confirm",
    "evaluate",
    "export",
    "load_config",
    "predict",
    "register",
    "sweep",
    "train",
]

__version__ = "0.1.0"

_HOME = {
    "ExperimentConfig": "rayseg.config",
    "adopt": "rayseg.build",
    "confirm": "rayseg.launch",
    "evaluate": "rayseg.build",
    "export": "rayseg.build",
    "load_config": "rayseg.load",
    "predict": "rayseg.build",
    "register": "rayseg.launch",
    "sweep": "rayseg.launch",
    "train": "rayseg.launch",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'rayseg' has no attribute {name!r}; it has {', '.join(__all__)}")
    with importing():
        return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
