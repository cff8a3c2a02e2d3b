"""Config files: YAML, JSON, TOML (data only), and Python (a function ``config()``).

A file may leave out whatever has a default; what it holds is checked by :meth:`ExperimentConfig.from_dict`.
"""

from __future__ import annotations

import importlib.util
import json
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from rayseg.config.faults import schema_problems
from rayseg.config.plain import plain
from rayseg.config.schema import ExperimentConfig
from rayseg.config.text import from_yaml, to_yaml
from rayseg.errors import ConfigError, Problem

__all__ = ["SUFFIXES", "read_config_file", "write_yaml"]


def read_config_file(path: str | Path) -> dict[str, Any]:
    """The tree that a config file holds, as plain data, not yet checked against the schema.

    Args:
        path: a file that ends in ``.yaml``, ``.yml``, ``.json``, ``.toml``, or ``.py`` with a function ``config()`` that
            returns an :class:`ExperimentConfig` or a dict.

    Raises:
        ConfigError: the file is not there, cannot be parsed (with the line), or holds no mapping.

    Example:
        >>> import pathlib, tempfile
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "camvid.yaml"
        >>> _ = path.write_text("optim: {lr: 2e-2}")
        >>> read_config_file(path)
        {'optim': {'lr': 0.02}}
    """
    file = Path(path)
    reader = _READERS.get(file.suffix)
    if reader is None:
        raise _error(file, f"ends in {file.suffix!r}; a config file ends in {', '.join(SUFFIXES)}")
    if not file.is_file():
        raise _error(file, f"no such file; the working directory is {Path.cwd()}")
    tree, problems = plain(reader(file))
    if problems:
        raise ConfigError(problems, str(file))
    if not isinstance(tree, dict):
        raise _error(file, f"holds {'nothing' if tree is None else type(tree).__name__} at its top level, not a mapping")
    _place_weight_files(tree, file.parent)
    return tree


def _place_weight_files(tree: dict[str, Any], place: Path) -> None:
    """Name each file of class weights from where the config lies."""
    heads = tree.get("heads")
    for section in (tree, *(heads.values() if isinstance(heads, dict) else ())):
        losses = section.get("losses") if isinstance(section, dict) else None
        for term in losses.values() if isinstance(losses, dict) else ():
            name = term.get("class_weight") if isinstance(term, dict) else None
            if isinstance(name, str) and Path(name).suffix:
                term["class_weight"] = str(place / Path(name).expanduser())


def write_yaml(config: ExperimentConfig, path: str | Path) -> Path:
    """Write the whole config, defaults included; reading it gives an equal config.

    Args:
        config: what to write.
        path: where; missing directories are made.

    Returns:
        The path.

    Example:
        >>> import pathlib, tempfile
        >>> path = write_yaml(ExperimentConfig(), pathlib.Path(tempfile.mkdtemp()) / "best.yaml")
        >>> ExperimentConfig.from_dict(read_config_file(path)) == ExperimentConfig()
        True
    """
    file = Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(to_yaml(config.to_dict()), encoding="utf-8")
    return file


def _error(file: Path, message: str) -> ConfigError:
    return ConfigError([Problem("", f"{file}: {message}")], "config file")


def _yaml(file: Path) -> Any:
    try:
        return from_yaml(file.read_text(encoding="utf-8"))
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else "?"
        raise _error(file, f"line {line}: {error.problem}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise _error(file, f"is no YAML: {error}") from None


def _json(file: Path) -> Any:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        tree = dict(pairs)
        if len(tree) < len(pairs):
            names = [name for name, _ in pairs]
            raise _error(file, f"key {next(name for name in names if names.count(name) > 1)!r} is written twice")
        return tree

    try:
        return json.loads(file.read_text(encoding="utf-8"), object_pairs_hook=once)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise _error(file, f"is no JSON: {error}") from None


def _toml(file: Path) -> Any:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise _error(file, f"is no TOML: {error}") from None


def _python(file: Path) -> Any:
    spec = importlib.util.spec_from_file_location(f"rayseg_config_{file.stem}", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        function = getattr(module, "config", None)
        tree = function() if callable(function) else None
    except ConfigError:
        raise
    except ValidationError as error:
        raise ConfigError(schema_problems(error, _model(error), None), f"{file}, {error.title}") from None
    except Exception as error:
        raise _error(file, f"raised {type(error).__name__}: {error}") from error
    if not isinstance(tree, ExperimentConfig | Mapping):
        got = f"config() returned {type(tree).__name__}" if callable(function) else "there is no function config()"
        raise _error(file, f"{got}; a Python config file has a function config() that returns an ExperimentConfig or a dict")
    return tree


def _model(error: ValidationError) -> type[BaseModel]:
    """The section that was built wrongly: pydantic's title is its name."""
    pending: list[type[BaseModel]] = [BaseModel]
    while pending:
        model = pending.pop()
        if model.__name__ == error.title:
            return model
        pending += model.__subclasses__()
    return ExperimentConfig


_READERS: dict[str, Callable[[Path], Any]] = {".yaml": _yaml, ".yml": _yaml, ".json": _json, ".toml": _toml, ".py": _python}
#: Suffixes of config files.
SUFFIXES = tuple(_READERS)
