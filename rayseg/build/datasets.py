"""Data sets resolved: one, or several as one, each with its own place in the config."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol

from pydantic import ValidationError

from rayseg.build.resolve import Problems, Resolved, takes
from rayseg.config import ExperimentConfig, Spec
from rayseg.data import DATASETS, ConcatSegmentation

__all__ = ["knows_void", "resolve_dataset"]

_JOINED = "concat"


class _Resolver(Protocol):
    """What finds a callable and checks its arguments; components are names given by value."""

    @property
    def components(self) -> Any: ...

    def __call__(self, spec: Spec, path: str, table: Any, *, num_positional: int = 0) -> Resolved | None: ...


def knows_void(call: Resolved | None, ignore_index: int) -> Resolved | None:
    """What has ``ignore_index`` in its signature gets the data's, unless the user gave one."""
    if call is None or not takes(call.target, "ignore_index"):
        return call
    return replace(call, kwargs={"ignore_index": ignore_index, **call.kwargs})


def resolve_dataset(config: ExperimentConfig, one: _Resolver, problems: Problems) -> Resolved | None:
    """``data.dataset``; that of type ``concat`` has ``parts`` that are data sets themselves.

    Args:
        config: the experiment.
        one: finds a callable and checks its arguments.
        problems: every fault is added here.

    Returns:
        None when a fault was found.
    """

    def resolve(spec: Spec, path: str) -> Resolved | None:
        if spec.type == _JOINED and _JOINED not in one.components:
            return _joined(spec, path, resolve, problems)
        return knows_void(one(spec, path, DATASETS, num_positional=1), config.data.ignore_index)

    return resolve(config.data.dataset, "data.dataset")


def _joined(spec: Spec, path: str, resolve: Callable[[Spec, str], Resolved | None], problems: Problems) -> Resolved | None:
    before, kwargs = len(problems.found), dict(spec.kwargs)
    written = kwargs.pop("parts", None)
    for key in kwargs:
        problems.add(f"{path}.{key}", f"{spec.type!r} has no parameter {key!r}; it takes parts: {{NAME: {{type: ...}}, ...}}")
    if not isinstance(written, dict) or not written:
        problems.add(f"{path}.parts", f"must be data sets by name, {{NAME: {{type: ...}}, ...}}; got {written!r}")
        return None
    parts: dict[str, Any] = {}
    splits: dict[str, list[str]] = {}
    for name, each in written.items():
        place = f"{path}.parts.{name}"
        own = dict(each) if isinstance(each, dict) else {"type": each}
        belongs = own.pop("splits", None)
        if belongs is not None:
            splits[name] = _names(belongs, f"{place}.splits", problems)
        parts[name] = _part(own, place, resolve, problems)
    kwargs = {"parts": parts, **({"splits": splits} if splits else {})}
    return Resolved(ConcatSegmentation, kwargs, spec.type) if len(problems.found) == before else None


def _part(
    own: dict[str, Any], place: str, resolve: Callable[[Spec, str], Resolved | None], problems: Problems
) -> Resolved | None:
    try:
        return resolve(Spec.model_validate(own), place)
    except ValidationError as error:
        problems.add(place, f"is no data set {{type: ..., ...}}: {error.errors()[0]['msg'].lower()}; got {own!r}")
        return None


def _names(written: Any, place: str, problems: Problems) -> list[str]:
    names = written if isinstance(written, list | tuple) else [written]
    if not names or not all(isinstance(name, str) for name in names):
        problems.add(place, f"must be names of splits, such as [train]; got {written!r}")
        return []
    return list(names)
