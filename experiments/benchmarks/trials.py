"""What a trial costs besides training: ``rayseg.sweep`` against one ``TorchTrainer`` per trial inside a Tune function.

    python experiments/benchmarks/trials.py --trials 4 --rounds 3    a quarter of an hour on two quiet cores

The plain pattern is that of Ray's guide on hyperparameter optimisation: the function that Tune runs makes a ``TorchTrainer`` of
one worker with a ``TuneReportCallback`` and calls ``fit``. ``quick`` is the same with what can be switched without changing it:
Train looks for reports every fifth of a second instead of every two, and Tune's processes are used again. In all ways a trial
is the same loop over the same data: the final losses must be equal to the last bit. One trial runs at a time. What lies between
the end of one loop and the begin of the next is counted. ``recorded`` is ``rayseg`` with every trial in MLflow.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import ray.train
import ray.tune
from measuring import Row, arguments, finish, goal, ratios, result, spread
from ray.train.torch import TorchTrainer
from ray.tune.integration.ray_train import TuneReportCallback

import ray
import rayseg
from rayseg.config import ExperimentConfig
from rayseg.launch.cluster import connect
from rayseg.launch.run import RunInfo, run_worker
from rayseg.launch.spans import SPANS, read_spans
from rayseg.report import ClusterUse, cluster_use
from rayseg.space import choice
from rayseg.testing import tiny_experiment
from rayseg.tracking import NullTracker

#: What a way has measured, and the final loss of each rate.
Found = tuple[ClusterUse, dict[float, float]]
INTERVAL = "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S"


class PlainReporter:
    """What the loop tells goes to ``ray.train.report``, as in the guide."""

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Steps are not recorded."""

    def staging(self, step: int) -> Path:
        """A local directory that Ray uploads from."""
        return Path(tempfile.mkdtemp()) / f"step_{step}"

    def report(self, step: int, metrics: Mapping[str, float], checkpoint: Path | None) -> None:
        """Hand both to Ray."""
        saved = None if checkpoint is None else ray.train.Checkpoint.from_directory(str(checkpoint))
        ray.train.report({"step": step, **metrics}, checkpoint=saved)

    def latest(self) -> Path | None:
        """Trials begin anew."""
        return None


def experiment(storage: Path, name: str, mlflow: bool) -> ExperimentConfig:
    """Six small steps, one evaluation, one checkpoint."""
    recorded = {"tracking.mlflow": {"experiment": "trials"} if mlflow else None}
    where = {"tracking.storage": str(storage), "tracking.name": name, "train.threads": 1, "eval.every": 6}
    return tiny_experiment(**recorded, **where)


def plain(storage: Path, name: str, rates: list[float], *, quick: bool) -> Found:
    """One ``TorchTrainer`` per trial inside the function that Tune runs."""
    base = experiment(storage, name, mlflow=False)

    def loop(own: dict[str, Any]) -> None:
        directory = storage / name / f"loop-{own['optim.lr']}"
        directory.mkdir(parents=True, exist_ok=True)
        run_worker(RunInfo(base.with_(own).to_dict(), str(directory)), PlainReporter(), NullTracker())

    def driver(own: dict[str, Any]) -> None:
        trial = ray.tune.get_context().get_trial_id()
        run_config = ray.train.RunConfig(
            name=f"train-{trial}", storage_path=str(storage / name), callbacks=[TuneReportCallback()]
        )
        TorchTrainer(
            loop,
            train_loop_config=own["train_loop_config"],
            scaling_config=ray.train.ScalingConfig(num_workers=1),
            run_config=run_config,
        ).fit()

    os.environ[INTERVAL] = "0.2" if quick else "2"
    tuner = ray.tune.Tuner(
        ray.tune.with_resources(driver, {"cpu": 0.5}),
        param_space={"train_loop_config": {"optim.lr": ray.tune.grid_search(rates)}},
        tune_config=ray.tune.TuneConfig(max_concurrent_trials=1, reuse_actors=quick),
        run_config=ray.tune.RunConfig(name="tune", storage_path=str(storage / name), verbose=0),
    )
    began = time.time()
    results = tuner.fit()
    part = (began, time.time())
    losses = {each.config["train_loop_config"]["optim.lr"]: each.metrics["val/loss"] for each in results}
    return _use([storage / name / f"loop-{rate}" for rate in rates], part), losses


def ours(storage: Path, name: str, rates: list[float], *, mlflow: bool) -> Found:
    """``rayseg.sweep``: the baseline has the first rate."""
    base = experiment(storage, name, mlflow).with_({"optim.lr": rates[0]})
    os.environ[INTERVAL] = "0.2"
    found = rayseg.sweep(base, {"optim.lr": choice(rates[1:])}, searcher="grid", scheduler=None, max_concurrent=1)
    assert found.use is not None
    return found.use, {row["optim.lr"]: row["val/loss"] for row in found.table}


def _use(directories: list[Path], part: tuple[float, float]) -> ClusterUse:
    use = cluster_use([read_spans(directory / SPANS) for directory in directories], [part], 1)
    assert use is not None
    return use


WAYS: dict[str, Callable[[Path, str, list[float]], Found]] = {
    "plain": lambda *where: plain(*where, quick=False),
    "quick": lambda *where: plain(*where, quick=True),
    "rayseg": lambda *where: ours(*where, mlflow=False),
    "recorded": lambda *where: ours(*where, mlflow=True),
}


def measure(ways: list[str], rates: list[float], rounds: int) -> dict[str, list[ClusterUse]]:
    """What each way takes in each round; in each, all give the same losses."""
    taken: dict[str, list[ClusterUse]] = {way: [] for way in ways}
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(rounds):
            losses = {}
            for number, way in enumerate(ways):
                use, losses[way] = WAYS[way](Path(folder), f"turn-{turn}-{number}", rates)
                taken[way].append(use)
                print(f"round {turn}, {way}: {use}", flush=True)
            assert all(each == losses[ways[0]] for each in losses.values()), losses
    return taken


def rows(taken: Mapping[str, list[ClusterUse]]) -> list[Row]:
    """One for each way, with ratios to the first."""
    first = next(iter(taken.values()))
    return [
        {
            "case": f"{uses[0].trials} trials",
            "way": way,
            "to a first loop_s": spread([each.first_s for each in uses])[1],
            "between loops_s": spread([each.between_s or 0.0 for each in uses])[1],
            "times less between": ratios([each.between_s or 0.0 for each in first], [each.between_s or 1e-9 for each in uses]),
            "trials an hour": spread([each.trials_per_hour for each in uses])[1],
            "times more an hour": spread(
                [own.trials_per_hour / other.trials_per_hour for own, other in zip(uses, first, strict=True)]
            ),
        }
        for way, uses in taken.items()
    ]


def options() -> argparse.Namespace:
    """Of the command line."""
    parser = arguments(__doc__)
    parser.add_argument("--trials", type=int, default=4, help="of each way in each round")
    return parser.parse_args()


def main() -> None:
    """Take turns, compare, print."""
    asked = options()
    trials, rounds = (2, 1) if asked.smoke else (asked.trials, asked.rounds)
    ways = [way for way in WAYS if way in {"quick", "rayseg"} or not asked.smoke]
    connect()
    found = rows(measure(ways, [round(1e-3 * 1.5**number, 6) for number in range(trials)], rounds))
    least = found[-1]["times less between"][1]
    finish(
        result(
            "trials", found, [goal("between two trials: one TorchTrainer per trial against a recorded sweep", least, least=10)]
        ),
        asked,
        what=("times less between", "times more an hour"),
    )


if __name__ == "__main__":
    main()
