"""What a run costs besides training: its start, a checkpoint, a step's record.

    python experiments/benchmarks/overheads.py    two minutes on two cores

*start* is a new process that takes one step of a small network and ends: a bare script of torch, ``rayseg.train``, and the
same with MLflow, whose store is there already. *checkpoint* is what the thread that trains does, and waits for, at a checkpoint
of a network of ten million weights with AdamW: ``torch.save`` of the same values to the same disk, flushed; ``rayseg``, which
copies them and lets another thread write them, with digests, and drop old ones; and ``awaited``, where that is done before the
next step. *checkpoint under Ray* is the same in a Train worker, where ``torch`` writes into a directory of its own and calls
``ray.train.report``, which copies it, as in Ray's guide. *record* is 200 steps of twelve values each, on that thread.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import ray.train
import torch
from measuring import Row, Taken, arguments, finish, result, rows_of, turns
from ray.train.torch import TorchTrainer
from torch import nn

from rayseg.config import CheckpointConfig, write_yaml
from rayseg.engine import LocalReporter
from rayseg.engine.history import History
from rayseg.engine.saving import Saver
from rayseg.launch.cluster import connect
from rayseg.launch.ray_train import import_paths
from rayseg.launch.ray_worker import TrainReporter
from rayseg.testing import tiny_experiment
from rayseg.tracking import MlflowStore, MlflowTracker, NullTracker

BARE = """
import torch, torchvision, numpy, PIL.Image
net = torch.nn.Conv2d(3, 9, 3)
optimizer = torch.optim.AdamW(net.parameters())
loss = torch.nn.functional.cross_entropy(net(torch.rand(4, 3, 32, 48)), torch.zeros(4, 30, 46, dtype=torch.long))
loss.backward()
optimizer.step()
optimizer.zero_grad()
"""
OURS = "import rayseg, sys; rayseg.train(sys.argv[1])"


def starts(folder: Path, rounds: int) -> dict[str, Taken]:
    """Seconds of processes from their start to their end."""
    recorded = {"tracking.mlflow": {"experiment": "starts"}}
    configs = {"rayseg": _config(folder, "plain"), "recorded": _config(folder, "recorded", **recorded)}
    _child(OURS, str(_config(folder, "first", **recorded)), folder)  # the schema of the store
    taken = {way: Taken() for way in ("torch", *configs)}
    for number in range(rounds):
        for way, each in taken.items():
            words = [BARE] if way == "torch" else [OURS, str(configs[way])]
            before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
            _child(*words, folder / f"{way}-{number}")
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            each.wall_s.append(time.perf_counter() - began)
            each.cpu_s.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return taken


def _config(folder: Path, name: str, **more: Any) -> Path:
    """A file that says to take one step; every run of it has a name and so a directory of its own."""
    path = folder / f"{name}.yaml"
    config = tiny_experiment(**{"train.steps": 1, "eval.at_end": True, "tracking.storage": str(folder / "runs"), **more})
    write_yaml(config, path)
    return path


def _child(script: str, *words: Any) -> None:
    own = Path(words[-1])
    own.mkdir(exist_ok=True)
    subprocess.run([sys.executable, "-c", script, *map(str, words[:-1])], cwd=own, env=os.environ.copy(), check=True)


def checkpoints(folder: Path, width: int, rounds: int) -> dict[str, Taken]:
    """What ways to keep a network and its optimizer take of this thread; of each way the last ones are kept."""
    with Saver() as saver:
        tensors = _network(width)
        keep = _keeper(LocalReporter(folder / "ours", best="score"), saver, tensors)
        return _in_turn({"torch": lambda: _flushed(folder, tensors), **keep}, saver, rounds)


def checkpoints_on_ray(folder: Path, width: int, rounds: int) -> dict[str, Taken]:
    """The same in a Train worker, where the first way is that of Ray's guide."""
    own = {"folder": folder / "ray", "width": width, "rounds": rounds}
    run = ray.train.RunConfig(
        name=own["folder"].name,
        storage_path=str(folder),
        checkpoint_config=ray.train.CheckpointConfig(num_to_keep=2),
        worker_runtime_env={"env_vars": {"PYTHONPATH": os.pathsep.join(import_paths())}},
    )
    connect()
    TorchTrainer(_worker, train_loop_config=own, scaling_config=ray.train.ScalingConfig(num_workers=1), run_config=run).fit()
    return {way: Taken(**each) for way, each in json.loads((own["folder"] / "taken.json").read_text()).items()}


def _worker(own: dict[str, Any]) -> None:
    tensors, folder = _network(own["width"]), own["folder"]
    reporter = TrainReporter(NullTracker(), History(folder / "metrics.jsonl"), CheckpointConfig(best="score"))

    def guide() -> None:
        with tempfile.TemporaryDirectory() as local:
            _flushed(Path(local), tensors)
            ray.train.report({"score": 0.0}, checkpoint=ray.train.Checkpoint.from_directory(local))

    with Saver() as saver:
        ways = {"torch": guide, **_keeper(reporter, saver, tensors)}
        taken = _in_turn(ways, saver, own["rounds"], pause_s=1.0)  # until Ray has taken the report
    (folder / "taken.json").write_text(json.dumps({way: asdict(each) for way, each in taken.items()}))


def _in_turn(ways: Mapping[str, Callable[[], object]], saver: Saver, rounds: int, pause_s: float = 0.0) -> dict[str, Taken]:
    taken = {way: Taken() for way in ways}
    for number in range(1 + rounds):  # the first is for what is slow once
        for way, each in taken.items():
            cpu, wall = time.thread_time(), time.perf_counter()
            ways[way]()
            if number > 0:
                each.cpu_s.append(time.thread_time() - cpu)
                each.wall_s.append(time.perf_counter() - wall)
            saver.wait()
            time.sleep(pause_s)
    return taken


def _network(width: int) -> dict[str, Any]:
    model = nn.Sequential(*(nn.Linear(width, width) for _ in range(10)))
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.rand(1, width)).sum().backward()
    optimizer.step()
    return {"model.pt": model.state_dict(), "train.pt": {"model": model.state_dict(), "optimizer": optimizer.state_dict()}}


def _flushed(folder: Path, tensors: Mapping[str, Any]) -> None:
    for name, value in tensors.items():
        with (folder / name).open("wb") as file:
            torch.save(value, file)
            file.flush()
            os.fsync(file.fileno())


def _keeper(reporter: Any, saver: Saver, tensors: Mapping[str, Any]) -> dict[str, Callable[[], object]]:
    """As the loop keeps a checkpoint and tells of it."""
    step = [0]

    def keep(*, awaited: bool) -> None:
        step[0] += 1
        directory = reporter.staging(step[0])
        written = saver.write(directory, tensors, {}, step=step[0], awaited=awaited)
        if hasattr(reporter, "pending"):
            reporter.pending(written)
        reporter.report(step[0], {"score": -float(step[0])}, directory)
        saver.then(lambda: reporter.stored(directory))
        if awaited:
            saver.wait()

    return {"awaited": lambda: keep(awaited=True), "rayseg": lambda: keep(awaited=False)}


def records(folder: Path) -> tuple[dict[str, Callable[[], object]], Callable[[], None]]:
    """Ways to record, and what closes them."""
    store = MlflowStore(f"sqlite:///{folder}/mlflow.db", "records")
    store.prepare()
    tracker = MlflowTracker(store, store.start_run("steps", params={}, tags={}))
    values = {f"train/loss/{number}": float(number) for number in range(12)}
    begun = [0]

    def log(to: Any) -> None:
        for _ in range(200):
            begun[0] += 1
            to.log_metrics(begun[0], values)

    return {"nothing": lambda: log(NullTracker()), "recorded": lambda: log(tracker)}, lambda: tracker.finish("FINISHED")


def compare(taken: Mapping[str, Taken], case: str) -> list[Row]:
    """Rows without ratios of wall time, which are the disk's and the neighbours'."""
    return [{name: value for name, value in row.items() if name != "wall_ratio"} for row in rows_of(case, taken)]


def main() -> None:
    """Measure all three, print."""
    asked = arguments(__doc__).parse_args()
    rounds, width = (1, 32) if asked.smoke else (asked.rounds, 1024)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = compare(starts(folder, min(rounds, 3)), "start")
        rows += compare(checkpoints(folder, width, rounds), "checkpoint")
        ways, close = records(folder)
        rows += compare(turns(ways, rounds), "record, 200 steps")
        close()
        rows += compare(checkpoints_on_ray(folder, width, rounds), "checkpoint under Ray")
    finish(result("overheads", rows), asked, what=("cpu_ratio",))


if __name__ == "__main__":
    main()
