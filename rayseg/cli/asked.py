"""Keys of a config that a command on a checkpoint uses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rayseg.errors import ConfigError, Problem

__all__ = ["EVALUATION_KEYS", "MODEL_KEYS", "PREDICTION_KEYS", "require_used"]

#: On which the model and what it is given depend.
MODEL_KEYS = (*(f"data.{key}" for key in ("class_names", "dataset", "mean", "std", "train_split")), "model")
#: On which a prediction depends.
PREDICTION_KEYS = (
    *MODEL_KEYS,
    *(f"eval.{key}" for key in ("batch_size", "crop_size", "mode", "resize", "stride", "tta")),
    "data.palette",
    "scaling.gpu",
)
#: On which scores depend, those of the losses too.
EVALUATION_KEYS = (
    *PREDICTION_KEYS,
    *(f"data.{key}" for key in ("ignore_index", "num_workers", "test_split", "val_split")),
    *(f"eval.{key}" for key in ("beta", "boundary_ratio", "metrics")),
    *(f"train.{key}" for key in ("kernels", "precision")),
    "heads",
    "ignore_classes",
    "losses",
    "sampling",
)


def require_used(overrides: Mapping[str, Any], used: Iterable[str], what: str) -> None:
    """Refuse overrides that would change nothing.

    Args:
        overrides: dotted config key -> value.
        used: beginnings of keys.
        what: the command is about.

    Raises:
        ConfigError: with every key that is not used.

    Example:
        >>> require_used({"optim.lr": 0.1}, MODEL_KEYS, "an export")
        Traceback (most recent call last):
        rayseg.errors.ConfigError: 1 problem in the command line
          optim.lr: is not used in an export; used are data.class_names, ...
    """
    keys = tuple(sorted(used))
    idle = [key for key in overrides if not key.startswith(keys)]
    if idle:
        message = f"is not used in {what}; used are {', '.join(keys)}"
        raise ConfigError([Problem(key, message) for key in idle], "the command line")
