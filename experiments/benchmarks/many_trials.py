"""Whether a search of many quick trials leaks: processes, placement groups, memory and file handles, while it runs.

    python experiments/benchmarks/many_trials.py --trials 200    minutes on two cores

Every trial opens and closes its MLflow run, trains a tiny net for two steps and stores a checkpoint. A leak of one per trial
shows as 175 more in the last row than in the first.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
from pathlib import Path
from typing import NamedTuple

import psutil

import rayseg
from rayseg.space import log_uniform
from rayseg.testing import tiny_experiment

MB = 2**20


class Row(NamedTuple):
    """What is there after so many trials; sizes in MB, of the largest process of a kind."""

    trials: int
    processes: int
    groups: int
    driver_mb: float
    driver_files: int
    trial_mb: float
    trial_files: int
    writer_mb: float
    writer_files: int


def look(trials: int) -> Row:
    """Count now."""
    import ray  # noqa: PLC0415  the search has started it

    driver = psutil.Process()
    family = driver.children(recursive=True)
    groups = ray.util.placement_group_table().values()
    mine = _size([driver])
    return Row(
        trials,
        len(family),
        sum(each["state"] == "CREATED" for each in groups),
        *mine,
        *_size(_named(family, "ray::ImplicitFunc")),
        *_size(_named(family, "ray::Desk")),
    )


def _named(family: list[psutil.Process], name: str) -> list[psutil.Process]:
    found = []
    for each in family:
        try:
            found += [each] if each.cmdline() and each.cmdline()[0].startswith(name) else []
        except psutil.Error:
            continue
    return found


def _size(processes: list[psutil.Process]) -> tuple[float, int]:
    memory, files = 0.0, 0
    for each in processes:
        try:
            memory, files = max(memory, each.memory_info().rss / MB), max(files, each.num_fds())
        except psutil.Error:
            continue
    return memory, files


def watch(storage: Path, at: list[int], rows: list[Row], done: threading.Event) -> None:
    """Count whenever so many trials have been evaluated."""
    while at and not done.is_set():
        evaluated = len(list(storage.glob("many/many-*/metrics.jsonl")))
        if evaluated >= at[0]:
            at.pop(0)
            rows.append(look(evaluated))
        time.sleep(0.2)


def main() -> None:
    """Search, count, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--trials", type=int, default=200)
    trials = parser.parse_args().trials
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        storage, done = Path(folder), threading.Event()
        base = tiny_experiment(
            **{"tracking.storage": folder, "tracking.name": "many", "tracking.mlflow": {"experiment": "many"}},
            **{"train.steps": 2, "eval.every": 2, "data.dataset.length": 4},
        )
        at = [count for count in (25, 50, 100, 150, 200, 400) if count < trials] + [trials]
        watcher = threading.Thread(target=watch, args=(storage, at, rows, done))
        watcher.start()
        try:
            sweep = rayseg.sweep(base, {"optim.lr": log_uniform(1e-4, 1e-2)}, num_samples=trials, scheduler=None)
        finally:
            done.set()
            watcher.join()
        rows.append(look(len(sweep.table)))
        whole = sum(row["status"] == "full" for row in sweep.table)
        print(f"{whole} of {len(sweep.table)} trials are whole, {sweep.seconds:.0f} s\n")
    print("".join(f"{name:>14}" for name in Row._fields))
    for row in rows:
        print("".join(f"{value:>14.0f}" for value in row))


if __name__ == "__main__":
    main()
