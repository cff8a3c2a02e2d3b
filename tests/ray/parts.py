"""Parts that the configs of these tests name."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import ray.train
import torch
from torch import Tensor
from torch.nn import functional as F

from rayseg.collective import rank
from rayseg.config import from_yaml
from rayseg.engine import Fit, write_checkpoint
from rayseg.engine.checkpoint import newest_whole
from rayseg.engine.saving import Saver
from rayseg.errors import CheckpointError, DataError

#: Names of classes that not every store takes as they are, and a score of one of them.
NAMES = ["sky", "a b", "side walk & kerb", "road", "car", "pole", "bus", "tree", "sign"]
BEST = "val/IoU/side walk & kerb"


def scalars(directory: Path) -> dict[str, list[int]]:
    """The steps of every scalar in TensorBoard's files of a run."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(directory / "tensorboard")).Reload()
    return {tag: [event.step for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


class Marks:
    """Writes ``name-<pid>`` into the folder when a run starts in this process."""

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)

    def on_start(self, _run: Fit) -> None:
        (self._folder / f"{os.getpid()}-{len(list(self._folder.iterdir()))}").touch()


class Messy:
    """Draws numbers when it is made, and leaves its process in disorder when a run ends."""

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)
        self.drawn = (random.random(), float(np.random.rand()), float(torch.rand(())))  # noqa: NPY002

    def on_start(self, _run: Fit) -> None:
        (self._folder / f"{os.getpid()}-{time.time_ns()}").write_text(str(self.drawn))

    def on_end(self, _run: Fit) -> None:
        torch.manual_seed(os.getpid())
        torch.set_default_dtype(torch.float64)
        torch.use_deterministic_algorithms(True)
        torch.set_num_threads(3)
        torch.set_float32_matmul_precision("medium")
        warnings.simplefilter("error")
        os.environ["RAYSEG_KERNELS"] = "/nowhere"
        os.environ["CXX"] = "/nowhere/c++"
        os.chdir("/")


class Starts:
    """Notes at which step every part of a run starts; rank 0 only."""

    def __init__(self, file: str) -> None:
        self._file = Path(file)

    def on_start(self, run: Fit) -> None:
        if rank() == 0:
            with self._file.open("a") as file:
                file.write(f"{run.state.step} ")


class Held:
    """Waits after a step until a file is there."""

    def __init__(self, file: str, after: int) -> None:
        self._file = Path(file)
        self._after = after

    def after_step(self, run: Fit, _parts: dict[str, Tensor]) -> None:
        while run.state.step == self._after and not self._file.exists():
            time.sleep(0.05)


class KillOnce:
    """Kills the last rank by SIGKILL after a step, once."""

    def __init__(self, marker: str, after: int) -> None:
        self._marker = Path(marker)
        self._after = after

    def after_step(self, run: Fit, _parts: dict[str, Tensor]) -> None:
        if run.state.step == self._after and rank() == 1 and not self._marker.exists():
            self._marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)


class WritesLate:
    """The first checkpoint is written after the step that follows it, the second never; notes what is seen meanwhile."""

    def __init__(self, file: str) -> None:
        self._file = Path(file)
        self._moved = threading.Event()

    def on_start(self, run: Fit) -> None:
        run.saver = Saver(self._write)

    def after_step(self, run: Fit, _parts: dict[str, Tensor]) -> None:
        if run.state.step == 4 and run.last_good is not None:
            self._file.write_text(f"{newest_whole(Path(run.last_good).parent)} {ray.train.get_checkpoint()}")
            self._moved.set()

    def _write(self, directory: Path, tensors: Any, texts: Any, *, step: int) -> Path:
        if step == 6:
            raise CheckpointError("the disk is full; make room")
        assert self._moved.wait(60)
        return write_checkpoint(directory, tensors, texts, step=step)


def troubled(driver: int) -> Any:
    """A cross-entropy with a trouble that is there in other processes than the driver's only."""

    def loss(logits: Tensor, target: Tensor, *, ignore_index: int, trouble: str = "none", log: str = "") -> Tensor:
        value = F.cross_entropy(logits, target, ignore_index=ignore_index, reduction="none")
        if os.getpid() == driver or trouble == "none":
            return value
        if log:
            with Path(log).open("a") as file:
                file.write(f"{rank()}\n")
        if trouble == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if trouble == "trial killed":
            kill_trials()
        if trouble == "worse":
            return value + 9
        if trouble == "memory":
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        if trouble == "raises":
            raise DataError("images/7.png: cannot be read; restore it")
        return value * torch.nan

    return loss


def kill_trials() -> None:
    """SIGKILL to the processes of all trials of this user's clusters that have this process's parent."""
    for each in psutil.Process().parent().children():
        if "ImplicitFunc" in " ".join(each.cmdline()):
            each.kill()


class Scripted:
    """A score of our own choice at every evaluation, by step; the last one for later steps."""

    priority = "HIGHEST"

    def __init__(self, scores: list[float | None]) -> None:
        self._scores = scores

    def on_eval(self, run: Fit, metrics: dict[str, float]) -> None:
        score = self._scores[min(run.state.step, len(self._scores)) - 1]
        metrics["val/mIoU"] = float("nan") if score is None else score


class Told:
    """Scores of our own choice by kind and seed. Every start is noted in the folder; kind ``gain`` dies once with seed 1."""

    priority = "HIGHEST"

    def __init__(self, folder: str, kind: str = "same") -> None:
        self._folder, self._kind = Path(folder), kind

    def on_start(self, run: Fit) -> None:
        started = len(list(self._folder.glob(f"{self._kind}-{run.plan.seed}-*")))
        (self._folder / f"{self._kind}-{run.plan.seed}-{started}").touch()
        if self._kind == "gain" and run.plan.seed == 1 and not started:
            os.kill(os.getpid(), signal.SIGKILL)

    def on_eval(self, run: Fit, metrics: dict[str, float]) -> None:
        seed = run.plan.seed
        if self._kind == "fails" and seed == 2:
            raise DataError("images/7.png: cannot be read; restore it")
        more = {"same": 0.0, "gain": 0.1 + 0.0001 * (seed % 2), "noise": 0.01 * (-1) ** seed, "fails": 0.2}[self._kind]
        metrics["val/mIoU"] = 0.5 + 0.01 * seed + more


class Begun:
    """Keeps with what a part of a run goes on: ``NAME-STEP.pt`` in the folder."""

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)

    def on_start(self, run: Fit) -> None:
        if run.state.step > 0 and rank() == 0:
            name = from_yaml(run.texts["config.yaml"])["tracking"]["name"]
            kept = {"model": run.state.model.state_dict(), "optimizer": run.state.optimizer.state_dict()}
            torch.save(kept, self._folder / f"{name}-{run.state.step}.pt")
