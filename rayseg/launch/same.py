"""Whether a search goes on as what it was, or with more trials: ``sweep.json`` says what was asked of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from rayseg.build import worker_counts
from rayseg.config import plain
from rayseg.errors import ConfigError, Problem
from rayseg.launch.breeding_request import is_population
from rayseg.launch.budget import Budget, read_spent
from rayseg.launch.request import SweepRequest
from rayseg.launch.summary import GROWING, has_ended
from rayseg.space import Part, Rule, function_digests, keys_of, written

__all__ = ["as_many_as_before", "same_search", "version_problems"]

#: What is compared in a way of its own.
_APART = ("space", "exact", "keys", "num_samples", "parts", "place", "components")


def same_search(request: SweepRequest, directory: Path) -> SweepRequest:
    """A sweep goes on only as what it was, with as many trials or more; with more it has not ended any longer.

    Args:
        request: of the sweep.
        directory: of the sweep.

    Returns:
        The request with the parts in which its trials are run, and with the keys of the space in the order in which the trials
        before were drawn.

    Raises:
        ConfigError: the directory holds a sweep over another space, one that was asked for otherwise, or one that cannot grow.
    """
    path = directory / "sweep.json"
    before = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
    parts, place = [request.num_samples], str(directory)
    if before is not None:
        problems = [*_differences(before, _asked(request), directory), *_growth_problems(before, request, directory)]
        goes_on = _goes_on(before, request, directory)
        if goes_on:
            problems += [*_place_problems(before, directory), *version_problems(directory)]
        if problems:
            raise ConfigError(problems, where="sweep")
        place = place if goes_on else before.get("place", place)
        parts = before.get("parts", [before["num_samples"]])
        request = replace(request, space={key: request.space[key] for key in before["space"]})
        if request.num_samples > parts[-1]:
            parts = [*parts, request.num_samples]
            (directory / GROWING).touch()
    staged = directory / ".sweep.json"
    staged.write_text(json.dumps({**_asked(request), "parts": parts, "place": place}, indent=2), encoding="utf-8")
    staged.replace(path)
    return replace(request, parts=tuple(parts))


def as_many_as_before(request: SweepRequest, directory: Path) -> int:
    """How many trials a sweep has for which no number was said: as many as it had, with another budget at least so many.

    Args:
        request: with the number that a new one would have.
        directory: of the sweep.
    """
    path = directory / "sweep.json"
    if not path.is_file():
        return request.num_samples
    before = int(json.loads(path.read_text(encoding="utf-8"))["num_samples"])
    return before if request.budget == Budget() or is_population(request) else max(before, request.num_samples)


def _growth_problems(before: Mapping[str, Any], request: SweepRequest, directory: Path) -> list[Problem]:
    """Why a search cannot have so many trials, or go on at all."""
    had, now = before["num_samples"], request.num_samples
    if now < had:
        text = f"{directory} holds a sweep with {had} trials, and not {now}; say {had} or more, or choose another name"
        return [Problem("num_samples", text)]
    if now > had and is_population(request):
        text = f"{directory} holds a population of {had}, and not {now}: members are compared from the first step on, so none"
        return [Problem("num_samples", f"{text} can come later; choose another name")]
    goes_on = now > had or _has_new_budget(request, directory)
    if not goes_on or not (directory / "confirm" / "asked.json").is_file():
        return []
    text = (
        f"{directory} has been confirmed, or is being, and more trials may have another winner; leave it as it is, choose"
        f" another name, or remove {directory / 'confirm'} to confirm anew what is found then"
    )
    return [Problem("num_samples" if now > had else "time_budget" if request.budget.seconds else "gpu_hours", text)]


def _place_problems(before: Mapping[str, Any], directory: Path) -> list[Problem]:
    """Open runs lie in a store that may lie beside the search, and writes down where; trials are called as the search was."""
    place = Path(before.get("place", directory))
    if not has_ended(directory) and place != directory:
        text = f"{directory} holds a sweep that was begun in {place} and has not ended; move it back there to go on"
        return [Problem("tracking.storage", text)]
    if place.name != directory.name:
        text = f"{directory} holds a sweep that was begun as {place.name}, as its trials are called; name it so again to go on"
        return [Problem("tracking.name", text)]
    return []


def version_problems(directory: Path) -> list[Problem]:
    """Why a search, or a confirmation, cannot go on: its trials are known to Tune alone.

    Args:
        directory: of the search or of the confirmation.
    """
    kept = (each.parent for each in directory.glob("*/tuner.pkl"))
    if all((directory / f"{each.name}.state").is_file() for each in kept):
        return []
    text = f"{directory} holds trials of an earlier version of rayseg, which cannot be gone on with; choose another name"
    return [Problem("tracking.name", text)]


def _goes_on(before: Mapping[str, Any], request: SweepRequest, directory: Path) -> bool:
    """Whether trials are run: some have not ended, or more were asked for, or a larger budget is there."""
    more = request.num_samples > before["num_samples"] or _has_new_budget(request, directory)
    return more or not has_ended(directory)


def _has_new_budget(request: SweepRequest, directory: Path) -> bool:
    """Whether a search that was stopped by its budget may go on."""
    spent = read_spent(directory)
    return spent.out and not request.budget.spent_by(spent)


def _asked(request: SweepRequest) -> dict[str, Any]:
    """What makes a search, as JSON has it; ``space`` and ``keys`` are for people, ``exact`` has every digit."""
    found = {
        "space": {key: str(part) for key, part in request.space.items()},
        "exact": {key: _exact(key, part) for key, part in request.space.items()},
        "keys": keys_of(request.space),
        "components": {name: function_digests(part) for name, part in request.components.items()},
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
    changed = [key for key in {**before, **asked} if asked.get(key) != before.get(key) and key not in _APART]
    remedy = "put it back to go on, or choose another name"
    held = f"{directory} holds a sweep with another {', '.join(changed)}; {remedy}"
    return [
        *([Problem("tracking.name", held)] if changed else []),
        *(Problem(key, f"{told}; {remedy}") for key, told in _other_parts(before, asked, directory).items()),
        *(Problem("components", f"{told}; {remedy}") for told in _other_components(before, asked, directory)),
    ]


def _other_components(before: Mapping[str, Any], asked: Mapping[str, Any], directory: Path) -> list[str]:
    """Functions given by value that have changed; one that is new, or not given any longer, is seen where it is used."""
    had = before.get("components", {})
    changed = (name for name, now in asked["components"].items() if not _same_function(had.get(name, now), now))
    return [f"{directory} holds a sweep with the function {name!r} as it was then, and not as it is" for name in changed]


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
    """Whether a part is the same."""
    if isinstance(before, Mapping) and "function" in before and isinstance(now, Mapping) and "function" in now:
        return _same_function(before["function"], now["function"]) and bool(before["require"] == now["require"])
    return bool(before == now)


def _same_function(before: Mapping[str, str], now: Mapping[str, str]) -> bool:
    """By source or by bytecode; of what is not written in Python there is neither."""
    return before == now or bool(before.items() & now.items())


def _told(part: Any) -> str:
    return f"the function {part['require']!r} as it was then" if "function" in part else str(part)
