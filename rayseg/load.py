"""From a file, overrides and the environment to one experiment, and to where each of its values came from."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rayseg.config import ExperimentConfig, flatten, flatten_tree, plain, read_config_file

__all__ = ["load_config", "load_with_origins"]

_DEFAULT = "default"


def load_config(path: str | Path, overrides: Mapping[str, Any] | None = None) -> ExperimentConfig:
    """The experiment of a config file, with overrides.

    ``MLFLOW_TRACKING_URI`` and ``MLFLOW_EXPERIMENT_NAME`` fill in what neither the file nor an override says.

    Args:
        path: a ``.yaml``, ``.json``, ``.toml`` or ``.py`` file.
        overrides: dotted path to value, as for :meth:`ExperimentConfig.with_`.

    Raises:
        ConfigError: with every fault of the file, or of the overrides.

    Example:
        >>> import pathlib, tempfile
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "camvid.yaml"
        >>> _ = path.write_text("train: {epochs: 2}")
        >>> load_config(path, {"optim.lr": 0.02}).train.epochs
        2.0
    """
    return load_with_origins(path, overrides, os.environ)[0]


def load_with_origins(
    path: str | Path | None, overrides: Mapping[str, Any] | None, environ: Mapping[str, str]
) -> tuple[ExperimentConfig, dict[str, str]]:
    """The experiment, and for every leaf of it ``default``, ``file NAME``, ``override`` or ``environment NAME``.

    Args:
        path: a config file; None: the defaults.
        overrides: dotted path to value.
        environ: environment variables.

    Raises:
        ConfigError: with every fault of the file, or of the overrides.

    Example:
        >>> config, origins = load_with_origins(None, {"optim.lr": 0.02}, {"MLFLOW_TRACKING_URI": "http://localhost:5000"})
        >>> origins["optim.lr"], origins["tracking.mlflow.uri"], origins["seed"]
        ('override', 'environment MLFLOW_TRACKING_URI', 'default')
    """
    tree = read_config_file(path) if path is not None else {}
    given = dict(overrides or {})
    config = _with_weight_files(ExperimentConfig.from_dict(tree, where=str(path or "defaults")).with_(given))
    origins = dict.fromkeys(flatten(config), _DEFAULT)
    if path is not None:
        _claim(origins, flatten_tree(tree), f"file {Path(path).name}")
    for key in sorted(given, key=lambda key: key.count(".")):
        value = plain(given[key])[0]
        _claim(origins, {key: None}, _DEFAULT)
        _claim(origins, flatten_tree({key: value}), "override")
    filled = _from_environment(config, origins, environ)
    if filled:
        config = config.with_({key: value for key, (value, _) in filled.items()})
        origins.update({key: f"environment {variable}" for key, (_, variable) in filled.items()})
    return config, origins


def _with_weight_files(config: ExperimentConfig) -> ExperimentConfig:
    heads = (head.losses or {} for head in config.heads.values())
    terms = [term for losses in (config.losses, *heads) for term in losses.values()]
    if not any(isinstance(term.class_weight, str) for term in terms):
        return config
    from rayseg.build import with_weight_files  # noqa: PLC0415  needs tensors, which take seconds to import

    return with_weight_files(config)


def _claim(origins: dict[str, str], written: Mapping[str, Any], origin: str) -> None:
    """Every leaf that is written, or stands below what is written, comes from there."""
    for leaf in origins:
        parts = leaf.split(".")
        if any(".".join(parts[:depth]) in written for depth in range(1, len(parts) + 1)):
            origins[leaf] = origin


def _from_environment(
    config: ExperimentConfig, origins: Mapping[str, str], environ: Mapping[str, str]
) -> dict[str, tuple[str, str]]:
    """Dotted path to (value, variable) of what the environment fills in."""
    if config.tracking.mlflow is None:
        return {}
    open_keys = {"uri": config.tracking.mlflow.uri is None, "experiment": origins["tracking.mlflow.experiment"] == _DEFAULT}
    variables = {"uri": "MLFLOW_TRACKING_URI", "experiment": "MLFLOW_EXPERIMENT_NAME"}
    return {
        f"tracking.mlflow.{key}": (environ[variable], variable)
        for key, variable in variables.items()
        if open_keys[key] and environ.get(variable)
    }
