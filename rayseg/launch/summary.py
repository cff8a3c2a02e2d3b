"""What a sweep found: ranked table, best recipe, files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from rayseg.config import ExperimentConfig, flatten, read_config_file, write_yaml
from rayseg.engine.history import History
from rayseg.errors import RaysegError
from rayseg.launch.budget import read_spent
from rayseg.launch.confirmed import Confirmation
from rayseg.launch.eager import eager_in
from rayseg.launch.lineage import lineage_of, read_lineage, told_lineage, write_schedule
from rayseg.launch.objectives import derived
from rayseg.launch.registering import Registered
from rayseg.launch.request import SweepRequest
from rayseg.launch.run import stopped_by
from rayseg.launch.spans import SPANS, loop_seconds, read_spans
from rayseg.launch.trial_effects import TrialEffects, population_effects, trial_effects
from rayseg.report import ClusterUse, cluster_use, on_front, rank_table, render_table, shortest_endings, write_parquet
from rayseg.space import keys_of

__all__ = ["ENDING", "GROWING", "EndedTrial", "SweepResult", "has_ended", "read_summary", "summarise"]

#: In a sweep's directory while its trials have ended, and its pictures, page and record are not all there.
ENDING = ".ending"
#: In a sweep's directory while more trials were asked for than its summary has, which stays until there is another one.
GROWING = ".growing"

#: Of a result, what is in files of its own.
_NOT_KEPT = ("best_config", "directory", "confirmation", "registered")

#: How a trial ends that nobody else ended.
_ENDED = ("full", "stopped itself")
#: How a trial ends that has no rank.
_UNRANKED = ("replaced", "failed")


@dataclass(frozen=True)
class EndedTrial:
    """A trial that will not go on.

    Args:
        trial: its name; of each segment of a run of a population another one.
        point: overrides of the base.
        directory: what it wrote.
        fault: why it failed, or None.
        checkpoint: its newest, or None.
        replaced: its weights were given up for those of another member of a population.
        unfinished: it has no end yet, as when the budget of the search was spent before; it may go on.
    """

    trial: str
    point: dict[str, Any]
    directory: Path
    fault: str | None
    checkpoint: Path | None = None
    replaced: bool = False
    unfinished: bool = False


@dataclass
class SweepResult:
    """What a sweep brought home.

    Args:
        best_config: the best recipe, runnable as it is; also ``best.yaml``.
        best_metrics: its last evaluation.
        best_step: the step of that evaluation.
        best_name: its trial.
        table: one row per trial, ranked; also ``table.parquet``.
        run_id: MLflow run of the sweep, or None.
        directory: everything that the sweep wrote.
        seconds: wall time.
        metric: what it was ranked by.
        searched: keys of the space.
        use: what became of the cluster's time; None where no trial came to its loop.
        confirmation: verdicts over paired seeds, where they were asked for.
        registered: the version of the winner in MLflow's registry, where that was asked for and a recipe is better.
        schedule: of a population's winner, the recipes by step that made its weights; also ``schedule.yaml``.
        others: further objectives; a row's ``front`` says whether no other trial beats it in all of them.
        out_of_budget: whether it was stopped because its budget was spent; the same call with a larger one goes on.
    """

    best_config: ExperimentConfig
    best_metrics: dict[str, float]
    best_step: int
    best_name: str
    table: list[dict[str, Any]]
    run_id: str | None
    directory: Path
    seconds: float
    metric: str
    searched: tuple[str, ...]
    use: ClusterUse | None = None
    confirmation: Confirmation | None = None
    registered: Registered | None = None
    schedule: list[dict[str, Any]] = field(default_factory=list)
    others: tuple[str, ...] = ()
    out_of_budget: bool = False

    def __str__(self) -> str:
        """The ranked table, and how the cluster was used; searched keys are named by their shortest distinct endings."""
        names = shortest_endings(self.searched)
        front = ["front"] if self.others else []
        first = ("rank", self.metric, *self.others, *front, "trial", "step", "status", *(["lineage"] if self.bred else []))
        rows = [{**{key: row.get(key) for key in first}, **{names[key]: row.get(key) for key in names}} for row in self.table]
        table = render_table(rows, [*first, *names.values()])
        use = [] if self.use is None else [str(self.use)]
        told = ["the budget is spent; the same call with a larger one goes on"] if self.out_of_budget else []
        eager = [row["eager"] for row in self.table if "eager" in row]
        told += [f"{len(eager)} trials ran partly uncompiled: {'; '.join(sorted(set(eager)))}"] if eager else []
        return "\n\n".join([table, *use, *told])

    @property
    def bred(self) -> bool:
        """Whether the trials were a population, whose recipes changed while they ran."""
        return any("lineage" in row for row in self.table)

    def curves(self) -> dict[str, list[tuple[int, dict[str, float]]]]:
        """Every evaluation of every trial: name -> ``(step, metrics)`` by step; the sweep may have been moved."""
        places = {row["trial"]: self.directory / Path(row["directory"]).name for row in self.table}
        return {name: History(place / "metrics.jsonl").rows() for name, place in places.items()}

    def effects(self) -> TrialEffects:
        """What the scores of the trials follow: each searched key, and pairs of keys; also ``effects.txt``.

        Of a population it is what its members' first recipes did until the first comparison: recipes change afterwards.

        Raises:
            RaysegError: too few trials have a score at one step.
        """
        if self.bred:
            mode = self.best_config.checkpoint.mode
            return population_effects(read_lineage(self.directory), self.searched, self.metric, mode)
        return trial_effects(self.table, self.searched, self.metric, self.best_config.checkpoint.mode)


def summarise(
    request: SweepRequest,
    trials: Sequence[EndedTrial],
    directory: Path,
    total_steps: int,
    seconds: float,
    run_id: str | None,
    places: int,
) -> SweepResult:
    """Rank the trials and write ``best.yaml``, ``table.parquet``, ``table.txt`` and ``summary.json``.

    A trial is judged by its last evaluation. One that was ended early is ranked like the others: it is in the table with its
    step, so that nobody takes it for a full run. One that failed has no rank.

    Raises:
        RaysegError: no trial gave a score.
    """
    rows = _ranked([_row(trial, request, total_steps) for trial in trials], request)
    if request.others:
        _mark_front(rows, request)
    segments = read_lineage(directory)
    for row in rows if segments else []:
        row["lineage"] = told_lineage(lineage_of(segments, row["trial"])) or None
    if not rows or rows[0]["rank"] is None:
        faults = "; ".join(sorted({trial.fault.strip() for trial in trials if trial.fault}))
        faults = faults or ("the budget was spent before: give a larger one" if read_spent(directory).out else "")
        raise RaysegError(f"no trial of the sweep in {directory} gave {request.metric}; {faults or 'none of them reported it'}")
    best = rows[0]
    where = {key: getattr(request.base.tracking, key) for key in ("storage", "text")}
    config = ExperimentConfig.from_dict(read_config_file(Path(best["directory"]) / "config.yaml"))
    config = config.with_({"tracking.name": None, **{f"tracking.{key}": value for key, value in where.items()}})
    step, metrics = History(Path(best["directory"]) / "metrics.jsonl").rows()[-1]
    searched = tuple(keys_of(request.space))
    use = cluster_use([read_spans(trial.directory / SPANS) for trial in trials], read_spans(directory / SPANS), places)
    name = str(best["trial"])
    found = SweepResult(config, metrics, step, name, rows, run_id, directory, seconds, request.metric, searched, use)
    found.schedule = lineage_of(segments, name)
    found.others = tuple(metric for metric, _ in request.others)
    found.out_of_budget = read_spent(directory).out
    _write(found)
    return found


def has_ended(directory: Path) -> bool:
    """Whether the summary of a sweep is there, and is that of all trials that were asked for.

    Args:
        directory: of the sweep.
    """
    return (directory / "summary.json").is_file() and not (directory / GROWING).is_file()


def read_summary(directory: Path) -> SweepResult | None:
    """What a sweep that has ended brought home, at the place where it is now; None where it has not ended."""
    path = directory / "summary.json"
    if not path.is_file():
        return None
    kept = json.loads(path.read_text(encoding="utf-8"))
    kept["table"] = [{**row, "directory": str(directory / Path(row["directory"]).name)} for row in kept["table"]]
    config = ExperimentConfig.from_dict(read_config_file(directory / "best.yaml"))
    use = None if kept.get("use") is None else ClusterUse(**kept["use"])
    tuples = {name: tuple(kept.get(name, ())) for name in ("searched", "others")}  # earlier versions had one objective
    return SweepResult(**{**kept, **tuples, "best_config": config, "directory": directory, "use": use})


def _write(found: SweepResult) -> None:
    """Every file; ``summary.json`` last, which says that the sweep has ended."""
    write_yaml(found.best_config, found.directory / "best.yaml")
    if found.schedule:
        write_schedule(found.schedule, found.directory / "best.yaml")
    write_parquet(found.table, found.directory / "table.parquet")
    (found.directory / "table.txt").write_text(f"{found}\n", encoding="utf-8")
    (found.directory / "effects.txt").write_text(f"{_effects_of(found)}\n", encoding="utf-8")
    kept = {each.name: getattr(found, each.name) for each in fields(found) if each.name not in _NOT_KEPT}
    kept["use"] = None if found.use is None else asdict(found.use)
    staged = found.directory / ".summary.json"
    staged.write_text(json.dumps(kept), encoding="utf-8")
    staged.replace(found.directory / "summary.json")
    (found.directory / GROWING).unlink(missing_ok=True)


def _effects_of(found: SweepResult) -> TrialEffects | str:
    """Or why there are none."""
    try:
        return found.effects()
    except RaysegError as reason:
        return str(reason)


def _ranked(rows: Sequence[dict[str, Any]], request: SweepRequest) -> list[dict[str, Any]]:
    """Those whose weights are not there any more, or never were good for anything, come last and have no rank."""
    whole = rank_table([row for row in rows if row["status"] not in _UNRANKED], request.metric, request.mode)
    rest = sorted((row for row in rows if row["status"] in _UNRANKED), key=lambda row: _UNRANKED.index(row["status"]))
    return [*whole, *({"rank": None, request.metric: row.get(request.metric), **row} for row in rest)]


def _mark_front(rows: Sequence[dict[str, Any]], request: SweepRequest) -> None:
    """Say of every trial whether it is on the Pareto front; only those that came to their ends and have all scores may be."""
    names = [name for name, _ in request.objectives]
    whole = [row for row in rows if row["status"] in _ENDED and all(row.get(name) is not None for name in names)]
    scores = [[float(row[name]) for name in names] for row in whole]
    for row, front in zip(whole, on_front(scores, [mode for _, mode in request.objectives]), strict=True):
        row["front"] = front


def _row(trial: EndedTrial, request: SweepRequest, total_steps: int) -> dict[str, Any]:
    """One line of the table, from what the trial itself wrote."""
    own, leaves, searched = trial.directory, dict(trial.point), keys_of(request.space)
    if (own / "config.yaml").is_file():
        leaves = flatten(ExperimentConfig.from_dict(read_config_file(own / "config.yaml")))
    rows = History(own / "metrics.jsonl").rows()
    step, last = rows[-1] if rows else (0, {})
    run_id = own / "mlflow_run_id"
    early = "stopped early" if stopped_by(own) is None else "stopped itself"
    early = "out of budget" if trial.unfinished else early
    ended = "replaced" if trial.replaced else "full" if step >= total_steps else early
    made = derived(last, step, loop_seconds(own / SPANS)) if request.others else {}
    return {
        "trial": own.name.removeprefix(f"{request.name}-"),
        "step": step,
        "status": "failed" if trial.fault else ended,
        **{key: leaves.get(key, trial.point.get(key)) for key in searched},
        "point": {key: trial.point[key] for key in searched if key in trial.point},
        **last,
        **made,
        **({"eager": eager} if (eager := eager_in(own)) is not None else {}),
        "fault": trial.fault,
        "run_id": run_id.read_text(encoding="utf-8") if run_id.is_file() else None,
        "directory": str(own),
    }
