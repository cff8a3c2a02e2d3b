"""A confirmed winner in MLflow's registry, in one go with its search: once, and only where the verdict permits."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from rayseg.build import Components
from rayseg.config import ExperimentConfig
from rayseg.errors import Problem
from rayseg.launch.recipes import BASELINE
from rayseg.launch.registering import Registered, name_problems, register_once
from rayseg.launch.winners import winner_of

__all__ = ["register_standing", "registration_problems"]


def registration_problems(written: str, base: ExperimentConfig, *, confirmed: bool) -> list[Problem]:
    """Why the winner of a search could not be registered in one go.

    Args:
        written: ``name`` or ``name@alias``.
        base: of the search.
        confirmed: whether a confirmation was asked for.

    Example:
        >>> [each.path for each in registration_problems("streets@v2", ExperimentConfig(), confirmed=False)]
        ['register', 'register']
    """
    name, _, alias = written.partition("@")
    told = [f"{each.path}: {each.message}" for each in name_problems(name, alias or None)]
    if not confirmed:
        told.append("only a confirmed winner is registered in one go; ask for confirm, too, or use rayseg register afterwards")
    if base.tracking.mlflow is None:
        told.append("tracking.mlflow is null, so there is no store to register in; set it, such as {}")
    return [Problem("register", each) for each in told]


def register_standing(directory: Path, standing: str, written: str, components: Components | None = None) -> Registered | None:
    """Register the recipe that was found to be better; None where none was: a baseline needs no search.

    Args:
        directory: of a search that was confirmed.
        standing: the recipe to go on with.
        written: ``name`` or ``name@alias``; one that was registered before returns that version.
        components: name -> callable given by value.

    Raises:
        TrackingError: the store cannot be reached, or refuses.
        RaysegError: no program can be made of the model.
    """
    if standing == BASELINE:
        return None
    path = directory / "confirm" / "registered.json"
    done = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    if written in done:
        return Registered(**{**done[written], "winner": winner_of(directory)})
    name, _, alias = written.partition("@")
    made = register_once(directory, name, alias=alias or None, components=components)
    kept = {key: value for key, value in asdict(made).items() if key != "winner"}
    staged = path.with_name(f".{path.name}")
    staged.write_text(json.dumps({**done, written: kept}, indent=2), encoding="utf-8")
    staged.replace(path)
    return made
