"""Whether a search goes on as what it was: ``sweep.json`` says what was asked of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rayseg.build import worker_counts
from rayseg.config import plain
from rayseg.errors import ConfigError, Problem
from rayseg.launch.request import SweepRequest
from rayseg.space import Part, Rule, function_digests, keys_of, written

__all__ = ["same_search"]


def same_search(request: SweepRequest, directory: Path) -> None:
    """A sweep goes on only as what it was.

    Args:
        request: of the sweep.
        directory: of the sweep.

    Raises:
        ConfigError: the directory holds a sweep over another space, or one that was asked for otherwise.
    """
    path = directory / "sweep.json"
    asked = _asked(request)
    if path.is_file() and (problems := _differences(json.loads(path.read_text(encoding="utf-8")), asked, directory)):
        raise ConfigError(problems, where="sweep")
    staged = directory / ".sweep.json"
    staged.write_text(json.dumps(asked, indent=2), encoding="utf-8")
    staged.replace(path)


def _asked(request: SweepRequest) -> dict[str, Any]:
    """What makes a search, as JSON has it; ``space`` and ``keys`` are for people, ``exact`` has every digit."""
    found = {
        "space": {key: str(part) for key, part in request.space.items()},
        "exact": {key: _exact(key, part) for key, part in request.space.items()},
        "keys": keys_of(request.space),
        "baseline": plain(dict(request.baseline))[0],
        "num_samples": request.num_samples,
        "searcher": request.searcher,
        "scheduler": request.scheduler,
        "grace_steps": request.grace_steps,
        "workers": list(worker_counts(request.base)),
        **({"warm_start": list(request.warm_start)} if request.warm_start else {}),
        **({"others": [list(each) for each in request.others]} if request.others else {}),
        **{name: value for name in ("perturb_every", "quantile", "resample") if (value := getattr(request, name)) is not None},
    }
    again: dict[str, Any] = json.loads(json.dumps(found))
    return again


def _exact(key: str, part: Part) -> Any:
    """A part of a space with every digit; a rule that is a function with digests of it."""
    plainly = written({key: part})[key]
    return {**plainly, "function": function_digests(part.test)} if isinstance(part, Rule) and part.is_function else plainly


def _differences(before: Mapping[str, Any], asked: Mapping[str, Any], directory: Path) -> list[Problem]:
    """In what a search is another one; what an earlier version did not write is not compared."""
    changed = [
        key for key in {**before, **asked} if asked.get(key) != before.get(key) and key not in ("keys", "exact", "space")
    ]
    remedy = "put it back to go on, or choose another name"
    held = f"{directory} holds a sweep with another {', '.join(changed)}; {remedy}"
    return [
        *([Problem("tracking.name", held)] if changed else []),
        *(Problem(key, f"{told}; {remedy}") for key, told in _other_parts(before, asked, directory).items()),
    ]


def _other_parts(before: Mapping[str, Any], asked: Mapping[str, Any], directory: Path) -> dict[str, str]:
    """Keys of the space that are searched otherwise."""
    told = {}
    for key in {**before["space"], **asked["space"]}:
        was, now = (each["space"].get(key) for each in (before, asked))
        exactly, exact = before.get("exact", asked["exact"]).get(key), asked["exact"].get(key)
        if was is None or now is None:
            told[key] = f"{directory} holds a sweep {'without it' if was is None else f'that has {was} there'}"
        elif was != now:
            told[key] = f"{directory} holds a sweep with {was}, and not {now}"
        elif not _same_part(exactly, exact):
            told[key] = f"{directory} holds a sweep with another one: {_told(exactly)}, and not {_told(exact)}"
    return told


def _same_part(before: Any, now: Any) -> bool:
    """Whether a part is the same; functions are by their source or by their bytecode."""
    if isinstance(before, Mapping) and "function" in before and isinstance(now, Mapping) and "function" in now:
        same = before["function"].items() & now["function"].items()
        return bool(same) and before["require"] == now["require"]
    return bool(before == now)


def _told(part: Any) -> str:
    return f"the function {part['require']!r} as it was then" if "function" in part else str(part)
