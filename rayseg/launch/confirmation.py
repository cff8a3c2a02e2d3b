"""Confirmation of a sweep: what is asked is checked here, without Ray."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from rayseg.build import Components, check
from rayseg.config import ExperimentConfig, read_config_file
from rayseg.errors import ConfigError, Problem
from rayseg.imports import importing
from rayseg.launch.alone import alone
from rayseg.launch.confirmed import Confirmation, read_confirmation
from rayseg.launch.interrupt import calm_interrupt
from rayseg.launch.recipes import Recipe, chosen_recipes
from rayseg.launch.reporting import write_report
from rayseg.launch.summary import has_ended
from rayseg.report import PairRules

__all__ = ["ConfirmRequest", "confirm", "confirm_problems", "confirm_request", "report", "test_split_problems"]


@dataclass(frozen=True)
class ConfirmRequest:
    """What the caller of ``confirm`` asked for; see there."""

    top: int = 2
    seeds: int = 5
    max_seeds: int = 10
    smallest: float = 0.005

    def rules(self, candidates: int) -> PairRules:
        """Of the pairs, for so many recipes."""
        return PairRules(self.seeds, self.max_seeds, self.smallest, candidates)


def confirm(
    sweep: str | Path,
    *,
    top: int = 2,
    seeds: int = 5,
    max_seeds: int = 10,
    smallest: float = 0.005,
    max_concurrent: int | None = None,
    components: Components | None = None,
) -> Confirmation:
    """Train the best recipes of a sweep and its baseline again, over paired seeds at full length, and say what is better.

    The search's own scores have chosen the recipes and are not used again, neither is its seed. Every recipe gets ``seeds`` new
    ones, the same for all. Where that does not tell enough, the spread of the differences says how many more
    (``rayseg.report.paired``). The test split is looked at once, after the last run. A confirmation that was interrupted goes
    on; one that was done returns its result. One with other numbers is refused: to ask until the answer pleases is none.

    Args:
        sweep: directory of a sweep that has ended, ``storage/name``.
        top: recipes to confirm.
        seeds: of every recipe, at least 2; fewer than 5 tell little.
        max_seeds: of any recipe.
        smallest: a difference that matters, in units of the metric; seeds are added until half the interval is that wide.
        max_concurrent: runs at a time; None: as many as the cluster holds.
        components: name -> callable, for what was given to the sweep by value.

    Returns:
        Verdicts with differences and intervals, overall and by class; also ``confirmation.txt`` and ``confirmed.yaml``.

    Raises:
        ConfigError: there is no such sweep, or a number cannot be.
        RaysegError: the baseline failed, or processes died more often than ``scaling.max_failures``.

    Example:
        >>> print(confirm("runs/camvid-ohem", top=1))  # doctest: +SKIP
    """
    directory = Path(sweep).expanduser().resolve()
    request = ConfirmRequest(top, seeds, max_seeds, smallest)
    base = _base_of(directory, "confirmation")
    problems = confirm_problems(request, base) or check(base, components) or test_split_problems(base, components)
    if max_concurrent is not None and (not isinstance(max_concurrent, int) or max_concurrent < 1):
        problems.append(Problem("max_concurrent", f"got {max_concurrent!r}; give a whole number, at least 1, or None"))
    if problems:
        raise ConfigError(problems, where="confirmation")
    with calm_interrupt(directory), alone(directory, "confirmation"):
        return _confirmed(base, directory, request, components or {}, max_concurrent)


def _confirmed(
    base: ExperimentConfig, directory: Path, request: ConfirmRequest, components: Components, max_concurrent: int | None
) -> Confirmation:
    recipes = chosen_recipes(base, directory, request.top)
    _same_confirmation(request, recipes, directory / "confirm")
    done = read_confirmation(base, directory, request.rules(len(recipes) - 1), recipes)
    if done is not None:
        write_report(directory, done)  # a search that went on since has written one without it
        return done
    with importing():
        from rayseg.launch.confirming import run_confirmation  # noqa: PLC0415  ray takes seconds to import

    return run_confirmation(base, directory, request.rules(len(recipes) - 1), recipes, components, max_concurrent)


def report(sweep: str | Path) -> Path:
    """Make the page of a sweep that has ended again, from what it wrote: after an update, or where the directory was moved.

    Nothing is trained and no store is asked. A confirmation that has ended is on it.

    Args:
        sweep: directory of the sweep, ``storage/name``.

    Returns:
        Its ``report.html``.

    Raises:
        ConfigError: there is no such sweep.

    Example:
        >>> report("runs/camvid-ohem")  # doctest: +SKIP
        PosixPath('/data/runs/camvid-ohem/report.html')
    """
    directory = Path(sweep).expanduser().resolve()
    base, asked = _base_of(directory, "report"), directory / "confirm" / "asked.json"
    if not asked.is_file():
        return write_report(directory)
    told = json.loads(asked.read_text(encoding="utf-8"))
    recipes = chosen_recipes(base, directory, told["top"])
    rules = ConfirmRequest(**{each.name: told[each.name] for each in fields(ConfirmRequest)}).rules(len(recipes) - 1)
    return write_report(directory, read_confirmation(base, directory, rules, recipes))


def confirm_request(asked: Any) -> ConfirmRequest:
    """The words of ``sweep(confirm=...)``.

    Raises:
        ConfigError: naming every word that ``confirm`` does not know.

    Example:
        >>> confirm_request({"top": 1}).seeds
        5
    """
    known = [each.name for each in fields(ConfirmRequest)]
    if not isinstance(asked, Mapping):
        told = f"got {asked!r}; give its arguments, such as {{'top': 2}}, {{}} for the defaults, or None"
        raise ConfigError([Problem("confirm", told)], where="sweep")
    problems = [Problem(f"confirm.{name}", f"unknown; it knows {', '.join(known)}") for name in asked if name not in known]
    if problems:
        raise ConfigError(problems, where="sweep")
    return ConfirmRequest(**asked)


def confirm_problems(request: ConfirmRequest, base: ExperimentConfig) -> list[Problem]:
    """Why a sweep of this base cannot be confirmed so."""
    problems = [
        Problem(f"confirm.{name}", f"got {value!r}; give a whole number, at least {least}")
        for name, value, least in _counts(request)
        if isinstance(value, bool) or not isinstance(value, int) or value < least
    ]
    small = request.smallest
    if isinstance(small, bool) or not isinstance(small, (int, float)) or not 0 < small < float("inf"):
        problems.append(Problem("confirm.smallest", f"got {small!r}; give a difference above 0 that matters, such as 0.005"))
    if not base.checkpoint.best.startswith("val/"):
        text = (
            f"recipes are confirmed by a score of the validation split, got {base.checkpoint.best!r}; name one such as val/mIoU"
        )
        problems.append(Problem("metric", text))
    return problems


def _counts(request: ConfirmRequest) -> list[tuple[str, Any, int]]:
    least = request.seeds if isinstance(request.seeds, int) else 2
    return [("top", request.top, 1), ("seeds", request.seeds, 2), ("max_seeds", request.max_seeds, max(2, least))]


def test_split_problems(base: ExperimentConfig, components: Components | None) -> list[Problem]:
    """Why the test split of a base without faults cannot be opened; it is not looked at here."""
    if base.data.test_split is None:
        return []
    remedy = "; it is wanted once, at the end: repair it, or set data.test_split to null to confirm without one"
    found = check(base.with_({"data.val_split": base.data.test_split}), components)
    return [Problem("data.test_split", f"{each.message}{remedy}") for each in found]


def _base_of(directory: Path, where: str) -> ExperimentConfig:
    """The base of a sweep that has ended, at the place where it is now."""
    if not has_ended(directory):
        state = (
            "was not ended; call it again first" if (directory / "sweep.json").is_file() else "is no sweep; name its directory"
        )
        raise ConfigError([Problem("sweep", f"{directory} {state}")], where=where)
    base = ExperimentConfig.from_dict(read_config_file(directory / "config.yaml"))
    return base.with_({"tracking.storage": str(directory.parent), "tracking.name": directory.name})


def _same_confirmation(request: ConfirmRequest, recipes: list[Recipe], directory: Path) -> None:
    """A confirmation goes on only as what it was.

    Raises:
        ConfigError: the sweep is being confirmed with other numbers, or was; or it was moved before that had ended.
    """
    path, asked = directory / "asked.json", {**asdict(request), "recipes": [each.name for each in recipes]}
    before = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    place = before.pop("place", str(directory))
    if before and before != asked:
        changed = ", ".join(f"{key} {before.get(key)}, now {asked[key]}" for key in asked if asked[key] != before.get(key))
        text = f"{directory} was begun with {changed}; put it back, or remove that directory to begin a new one"
        raise ConfigError([Problem("confirm", text)], where="confirmation")
    if place != str(directory) and not (directory / "confirmation.json").is_file():
        text = f"{directory} was begun in {place} and has not ended; move the sweep back to go on, or remove that directory"
        raise ConfigError([Problem("confirm", text)], where="confirmation")
    directory.mkdir(parents=True, exist_ok=True)
    staged = directory / ".asked.json"
    staged.write_text(json.dumps({**asked, "place": str(directory)}, indent=2), encoding="utf-8")
    staged.replace(path)
