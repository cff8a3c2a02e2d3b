"""From a file, overrides and the environment to one experiment, and to where each of its values came from."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rayseg.compat.mmseg import mmseg_config_file, read_mmseg_config, translate
from rayseg.config import ExperimentConfig, flatten, flatten_tree, plain, read_config_file
from rayseg.errors import ConfigError, Problem

__all__ = ["load_config", "load_with_origins"]

_DEFAULT = "default"


def load_config(
    path: str | Path,
    overrides: Mapping[str, Any] | None = None,
    *,
    cfg_options: Mapping[str, Any] | None = None,
    strict: bool = True,
) -> ExperimentConfig:
    """The experiment of a config file, with overrides.

    A config of MMSegmentation is translated: what has a counterpart keeps its arithmetic; what has none is refused, all of it
    at once, unless an override says what stands in its place. Its known traps are warnings.

    ``MLFLOW_TRACKING_URI`` and ``MLFLOW_EXPERIMENT_NAME`` fill in what neither the file nor an override says.

    Args:
        path: a ``.yaml``, ``.json``, ``.toml`` or ``.py`` file, or a config of MMSegmentation 0.x or 1.x.
        overrides: dotted path to value, as for :meth:`ExperimentConfig.with_`.
        cfg_options: the same for MMSegmentation's own keys, put over its file before it is translated.
        strict: False: what cannot be carried over from MMSegmentation is warned of and left out.

    Raises:
        ConfigError: with every fault of the file, or of the overrides.

    Warns:
        UserWarning: a known trap of MMSegmentation, or with ``strict=False`` what was left out.

    Example:
        >>> import pathlib, tempfile
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "camvid.yaml"
        >>> _ = path.write_text("train: {epochs: 2}")
        >>> load_config(path, {"optim.lr": 0.02}).train.epochs
        2.0
    """
    return load_with_origins(path, overrides, os.environ, cfg_options=cfg_options, strict=strict)[0]


def load_with_origins(
    path: str | Path | None,
    overrides: Mapping[str, Any] | None,
    environ: Mapping[str, str],
    *,
    cfg_options: Mapping[str, Any] | None = None,
    strict: bool = True,
) -> tuple[ExperimentConfig, dict[str, str]]:
    """The experiment, and for every leaf of it ``default``, ``file NAME``, ``override`` or ``environment NAME``.

    Args:
        path: a config file; None: the defaults.
        overrides: dotted path to value.
        environ: environment variables.
        cfg_options: as for :func:`load_config`.
        strict: as for :func:`load_config`.

    Raises:
        ConfigError: with every fault of the file, or of the overrides.

    Example:
        >>> config, origins = load_with_origins(None, {"optim.lr": 0.02}, {"MLFLOW_TRACKING_URI": "http://localhost:5000"})
        >>> origins["optim.lr"], origins["tracking.mlflow.uri"], origins["seed"]
        ('override', 'environment MLFLOW_TRACKING_URI', 'default')
    """
    given = dict(overrides or {})
    tree = _tree(path, given, environ, cfg_options, strict)
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


def _tree(
    path: str | Path | None,
    given: Mapping[str, Any],
    environ: Mapping[str, str],
    cfg_options: Mapping[str, Any] | None,
    strict: bool,
) -> dict[str, Any]:
    """What a file says in our words."""
    foreign = None if path is None else mmseg_config_file(path, environ)
    if foreign is None:
        if cfg_options:
            message = "are for configs of MMSegmentation; give overrides in the words of this file instead"
            raise ConfigError([Problem("cfg_options", message)], str(path))
        return {} if path is None else read_config_file(path)
    found = translate(read_mmseg_config(foreign, cfg_options, environ), foreign.name)
    lost = [problem for problem, instead in found.lost if instead is None or not _says(given, instead)]
    if lost and strict:
        raise ConfigError(lost, f"{path}, a config of MMSegmentation")
    for message in (*found.notes, *(f"left out: {problem}" for problem in lost)):
        warnings.warn(f"{foreign.name}: {message}", stacklevel=4)
    return found.tree


def _says(given: Mapping[str, Any], key: str) -> bool:
    """Whether an override names the key, what stands above it, or what stands below it."""
    return any(f"{key}.".startswith(f"{name}.") or f"{name}.".startswith(f"{key}.") for name in given)


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
