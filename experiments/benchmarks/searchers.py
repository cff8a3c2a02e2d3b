"""Which recipe each searcher finds with the same budget, on a table of recipes that were all trained once.

    python experiments/benchmarks/searchers.py --out experiments/benchmarks/results/searchers.json --png searchers.png

``surrogate_streets.csv`` has the learning curve of every recipe of a grid. A searcher proposes a point, and is told what the
table says; a scheduler reads the curve and may end the trial early. They are those of a sweep, asked and told as a sweep does
it, one trial at a time. A budget of n is the steps of n whole trials. The recipe that is found is the one whose last evaluation
is highest, as in the table of a sweep; its regret is what its score at full length lacks to the best of the grid: the mean over
seeds of the searcher, with its 95 % interval. A trial of a population changes its recipe while it runs, which no table knows.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from measuring import arguments, finish, result

from rayseg.engine.plan import Plan
from rayseg.launch.ending import make_scheduler
from rayseg.launch.searchers import make_asker
from rayseg.space import Listed, Space, choice, int_uniform, random_points

TABLE = Path(__file__).with_name("surrogate_streets.csv")
BUDGETS = (10, 20, 40)
#: Searcher and scheduler. A Gaussian process thinks for a second about a point; fewer seeds do for it.
WAYS = (
    ("random", None),
    ("optuna", None),
    ("gp", None),
    ("random", "asha"),
    ("random", "median"),
    ("optuna", "asha"),
    ("optuna", "median"),
)
SEEDS, SEEDS_GP = 40, 20
SCORE = "mIoU"

Recipe = tuple[Any, ...]
Curve = list[tuple[int, float]]


@dataclass(frozen=True, eq=False)
class Trial:
    """What a scheduler of Tune wants of a trial here."""

    trial_id: str
    config: Mapping[str, Any]


class Surrogate(NamedTuple):
    """Curves by recipe, and the values of each key."""

    curves: Mapping[Recipe, Curve]
    values: Mapping[str, list[Any]]
    noise: float

    @property
    def space(self) -> Space:
        """Numbers of values: those of a key with three or more have an order."""
        return {
            key: int_uniform(0, len(own) - 1) if len(own) > 2 else choice(range(len(own))) for key, own in self.values.items()
        }

    def curve(self, point: Mapping[str, int]) -> Curve:
        """Of the recipe at a point of the space."""
        return self.curves[tuple(own[point[key]] for key, own in self.values.items())]

    @property
    def best(self) -> float:
        """Score of the best recipe at full length."""
        return max(curve[-1][1] for curve in self.curves.values())


def read(path: Path) -> Surrogate:
    """The table; curves of the first seed, and the spread of scores between seeds where there are several."""
    with path.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(line for line in file if not line.startswith("#")))
    keys = [key for key in rows[0] if key not in {"seed", "step", SCORE, "seconds"}]
    runs: dict[tuple[Recipe, int], Curve] = {}
    for row in rows:
        recipe = tuple(json.loads(row[key]) for key in keys)
        runs.setdefault((recipe, int(row["seed"])), []).append((int(row["step"]), float(row[SCORE])))
    first = min(seed for _, seed in runs)
    curves = {recipe: sorted(curve) for (recipe, seed), curve in runs.items() if seed == first}
    finals = [[max(runs[recipe, seed])[1] for own, seed in runs if own == recipe] for recipe in curves]
    spreads = [statistics.variance(own) for own in finals if len(own) > 1]
    values = {key: sorted({recipe[at] for recipe in curves}) for at, key in enumerate(keys)}
    return Surrogate(curves, values, math.sqrt(statistics.mean(spreads)) if spreads else math.nan)


def searched(table: Surrogate, searcher: Any, scheduler: Any, seed: int, budget: int) -> Iterator[tuple[float, float]]:
    """After each trial: whole trials that were paid for, and regret of the recipe that would be taken."""
    steps = [step for step, _ in next(iter(table.curves.values()))]
    plan = Plan(total_steps=steps[-1], eval_every=steps[0])
    asker = make_asker(searcher, table.space, seed, ["max"]) or Listed(random_points(table.space, 20 * budget, seed))
    judge = make_scheduler(scheduler, plan, None)
    if judge is not None:
        judge.set_search_properties(SCORE, "max")
    spent, best, found = 0, -math.inf, math.inf
    while spent < budget * steps[-1] and (asked := asker.ask()) is not None:
        number, point = asked
        curve = table.curve(point)
        step, score = tried(judge, Trial(str(number), {"point": {"trial": str(number), **point}}), curve)
        asker.tell(number, [score], step=step if step < steps[-1] else None)
        spent += step
        if score > best:
            best, found = score, table.best - curve[-1][1]
        yield spent / steps[-1], found


def tried(judge: Any, trial: Trial, curve: Curve) -> tuple[int, float]:
    """The last evaluation of a trial, which the scheduler may end."""
    if judge is None:
        return curve[-1]
    judge.on_trial_add(None, trial)
    for step, score in curve:
        told = {"step": step, "training_iteration": step, SCORE: score}
        if step == curve[-1][0] or judge.on_trial_result(None, trial, told) == "STOP":
            judge.on_trial_complete(None, trial, told)
            return step, score
    raise AssertionError("a curve has an end")


def at_budget(path: Sequence[tuple[float, float]], budget: float) -> float:
    """Regret when so much is paid for; a trial that goes beyond it does not count."""
    return next((found for spent, found in reversed(path) if spent <= budget + 1e-9), math.nan)


def mean_interval(values: Sequence[float]) -> list[float]:
    """Mean with its 95 % interval, by the normal distribution."""
    mean, half = statistics.mean(values), 1.96 * statistics.stdev(values) / math.sqrt(len(values))
    return [mean - half, mean, mean + half]


def main() -> None:
    """Compare, print, write."""
    parser = arguments(__doc__)
    parser.add_argument("--table", type=Path, default=TABLE, help="default surrogate_streets.csv beside this file")
    options = parser.parse_args()
    table, rows = read(options.table), []
    budgets = (3, 5) if options.smoke else BUDGETS
    for searcher, scheduler in WAYS:
        seeds = 2 if options.smoke else SEEDS_GP if searcher == "gp" else SEEDS
        paths = [list(searched(table, searcher, scheduler, seed, max(budgets))) for seed in range(seeds)]
        regrets = {f"regret_{budget}": mean_interval([at_budget(path, budget) for path in paths]) for budget in budgets}
        trials = statistics.mean(len(path) for path in paths)
        rows.append({"searcher": searcher, "scheduler": scheduler or "none", "seeds": seeds, "trials": trials, **regrets})
        print(f"{searcher} {scheduler}: {regrets}", flush=True)
    found = {**result("searchers", rows), "spread_between_seeds": None if math.isnan(table.noise) else table.noise}
    finish(found, argparse.Namespace(out=options.out, png=None))
    if options.png:
        plot(found["rows"], budgets, options.png)


def plot(rows: Sequence[Mapping[str, Any]], budgets: Sequence[int], file: Path) -> None:
    """Regret by budget, a line for each way."""
    from matplotlib.figure import Figure  # noqa: PLC0415  for the picture only

    figure = Figure(figsize=(7.0, 4.0), layout="constrained")
    axis = figure.subplots()
    for number, row in enumerate(rows):
        low, middle, high = zip(*(row[f"regret_{budget}"] for budget in budgets), strict=True)
        errors = [
            [m - each for m, each in zip(middle, low, strict=True)],
            [each - m for m, each in zip(middle, high, strict=True)],
        ]
        places = [budget * (1 + 0.02 * (number - len(rows) / 2)) for budget in budgets]
        dashes = {"none": "-", "asha": "--", "median": ":"}[row["scheduler"]]
        colour = {"random": "C7", "optuna": "C0", "gp": "C1"}[row["searcher"]]
        name = row["searcher"] if row["scheduler"] == "none" else f"{row['searcher']}, {row['scheduler']}"
        axis.errorbar(
            places, middle, yerr=errors, label=name, linestyle=dashes, color=colour, marker="o", markersize=3, capsize=2
        )
    axis.set_xscale("log")
    axis.set_xticks(budgets, [str(budget) for budget in budgets])
    axis.minorticks_off()
    axis.set_ylim(bottom=0)
    axis.set_xlabel("budget, in whole trials")
    axis.set_ylabel("mIoU below the best of the grid")
    axis.legend(frameon=False, fontsize=8)
    figure.savefig(file, dpi=110)


if __name__ == "__main__":
    main()
