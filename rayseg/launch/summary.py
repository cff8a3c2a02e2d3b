"""What a sweep found: ranked table, best recipe, files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import ray.tune

import ray
from rayseg.config import ExperimentConfig, flatten, read_config_file, write_yaml
from rayseg.engine.history import History
from rayseg.errors import RaysegError
from rayseg.report import rank_table, render_table, write_parquet

__all__ = ["SweepResult", "summarise"]


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

    def __str__(self) -> str:
        """The ranked table; searched keys are named by their shortest distinct endings."""
        names = shortest_endings(self.searched)
        first = ("rank", self.metric, "trial", "step", "status")
        return render_table(
            [{**{key: row.get(key) for key in first}, **{names[key]: row.get(key) for key in names}} for row in self.table]
        )


def shortest_endings(keys: Sequence[str]) -> dict[str, str]:
    """Dotted keys by the fewest last parts that tell them apart.

    Example:
        >>> shortest_endings(["losses.ce.weight", "losses.dice.weight", "optim.lr"])
        {'losses.ce.weight': 'ce.weight', 'losses.dice.weight': 'dice.weight', 'optim.lr': 'lr'}
    """
    endings = {}
    for key in keys:
        parts = key.split(".")
        candidates = [".".join(parts[-depth:]) for depth in range(1, len(parts) + 1)]
        alone = (end for end in candidates if sum(f".{other}".endswith(f".{end}") for other in keys) == 1)
        endings[key] = next(alone, key)
    return endings


def summarise(
    base: ExperimentConfig,
    results: Sequence[ray.tune.Result],
    directory: Path,
    *,
    metric: str,
    mode: Literal["max", "min"],
    searched: Sequence[str],
    total_steps: int,
    seconds: float,
) -> SweepResult:
    """Rank the trials and write ``best.yaml``, ``table.parquet`` and ``table.txt``.

    A trial is judged by its last evaluation. One that was ended early is ranked like the others: it is in the table with its
    step, so that nobody takes it for a full run.

    Raises:
        RaysegError: no trial gave a score.
    """
    rows = rank_table(
        [row for result in results if (row := _row(result, directory, searched, total_steps)) is not None], metric, mode
    )
    scored = [row for row in rows if row.get(metric) is not None]
    if not scored:
        errors = "; ".join(sorted({str(result.error).strip().splitlines()[-1] for result in results if result.error}))
        raise RaysegError(f"no trial of the sweep in {directory} gave {metric}; {errors or 'no trial ended'}")
    best = scored[0]
    config = ExperimentConfig.from_dict(read_config_file(Path(best["directory"]) / "config.yaml"))
    config = config.with_(
        {"tracking.name": None, "tracking.storage": base.tracking.storage, "tracking.text": base.tracking.text}
    )
    write_yaml(config, directory / "best.yaml")
    write_parquet(rows, directory / "table.parquet")
    step, metrics = History(Path(best["directory"]) / "metrics.jsonl").rows()[-1]
    summary = SweepResult(config, metrics, step, str(best["trial"]), rows, None, directory, seconds, metric, tuple(searched))
    (directory / "table.txt").write_text(f"{summary}\n", encoding="utf-8")
    return summary


def _row(result: ray.tune.Result, directory: Path, searched: Sequence[str], total_steps: int) -> dict[str, Any] | None:
    """One line of the table, from what the trial itself wrote."""
    point = (result.config or {}).get("point", result.config) or {}
    trial = "baseline" if point.get("baseline") else (result.metrics or {}).get("trial_id")
    own = directory / f"{directory.name}-{trial}"
    if not (own / "config.yaml").is_file():
        return None
    leaves = flatten(ExperimentConfig.from_dict(read_config_file(own / "config.yaml")))
    rows = History(own / "metrics.jsonl").rows()
    step, last = rows[-1] if rows else (0, {})
    run_id = own / "mlflow_run_id"
    ended = "full" if step >= total_steps else "stopped early"
    return {
        "trial": own.name.removeprefix(f"{directory.name}-"),
        "step": step,
        "status": "failed" if result.error else ended,
        **{key: leaves.get(key) for key in searched},
        **last,
        "run_id": run_id.read_text(encoding="utf-8") if run_id.is_file() else None,
        "directory": str(own),
    }
