"""For people who write their own parts: what every loss and schedule must satisfy, and how to run several workers in a test.

The checks raise ``AssertionError`` and say what is wrong; they are called from a test of any framework.

Letters: N images, C classes, H x W pixels.
"""

from __future__ import annotations

import math
import multiprocessing
import pickle
import random
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from datetime import timedelta
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Literal

import torch
import torch.distributed as dist
from torch import Tensor

from rayseg.config import ExperimentConfig
from rayseg.losses import RegionLoss
from rayseg.mix import Head, Mix, Term, batch_dependence
from rayseg.types import MAIN_HEAD

__all__ = ["check_loss", "check_schedule", "run_distributed", "tiny_experiment"]

_VOID = 255
_TINY: dict[str, Any] = {
    "data.dataset": {"type": "synthetic", "length": 10, "size": [32, 48]},
    "data.transforms": {"flip": {"type": "random_flip"}},
    "model": {"type": "small_unet", "width": 4, "depth": 2},
    "train.batch_size": 4,
    "train.steps": 6,
    "train.log_every": 2,
    "eval.every": 3,
    "scaling.gpu": False,
    "tracking.mlflow": None,
    "tracking.text": False,
    "tracking.pictures": 0,
}


def tiny_experiment(**overrides: Any) -> ExperimentConfig:
    """An experiment that trains in a second on one core: ten synthetic images of 32 x 48 px, a small U-Net, six steps.

    Nothing is recorded outside its storage directory.

    Args:
        overrides: dotted paths to values, as for ``ExperimentConfig.with_``.

    Raises:
        ConfigError: an override cannot be applied.

    Example:
        >>> config = tiny_experiment(seed=3, **{"train.steps": 2})
        >>> config.seed, config.train.steps, config.tracking.mlflow
        (3, 2, None)
    """
    return ExperimentConfig().with_({**_TINY, **overrides})


def check_schedule(schedule: Callable[[int, int], float], *, total_steps: int = 100) -> None:
    """What every schedule must be: finite, not negative, and a function of (step, total steps) alone.

    Args:
        schedule: ``(step, total_steps) -> multiplier``.
        total_steps: length of the run that is tried, beside one of a single step.

    Raises:
        AssertionError: says at which step, and what was expected.

    Example:
        >>> check_schedule(lambda step, total_steps: 1 - step / total_steps)
    """
    for total in (1, total_steps):
        steps = list(range(total))
        forward = [schedule(step, total) for step in steps]
        for step, value in zip(steps, forward, strict=True):
            good = math.isfinite(value) and value >= 0
            assert good, f"the multiplier at step {step} of {total} is {value}; expected a finite number, 0 or more"
        random.Random(0).shuffle(steps)  # noqa: S311 - any order will do
        for step in steps:
            again = schedule(step, total)
            assert again == forward[step], (
                f"the multiplier at step {step} of {total} was {forward[step]}, and {again} when asked out of order; "
                "a schedule must not remember earlier calls"
            )


def check_loss(
    loss: Callable[..., Any] | RegionLoss,
    *,
    num_classes: int = 4,
    scope: Literal["global", "rank"] = "global",
    permutes: bool = True,
    target: Callable[..., Tensor] | None = None,
) -> None:
    """What every loss must be, whichever of the forms it has (a map, a ratio, a scalar, a function of class sums).

    It is called the way the mix calls it. Ignored pixels must have neither influence nor gradient; a batch of only void must
    give a finite value and gradient; the gradient must be the derivative, in float64; what images add to it must not depend on
    the others, or the number of workers would matter.

    Args:
        loss: as a config would name it, with its own arguments already given.
        num_classes: C; 1 for two classes and logits with one channel.
        scope: ``rank`` for a loss that returns a scalar.
        permutes: whether shuffling the pixels of all images leaves the value alone; False for losses that look at neighbours.
        target: what the loss gets instead of labels, such as ``rayseg.losses.one_hot``.

    Raises:
        AssertionError: says what was expected.
        ShapeError: what the loss returned has the wrong shape.

    Example:
        >>> from rayseg.losses import Dice, cross_entropy
        >>> check_loss(cross_entropy)
        >>> check_loss(Dice(smooth=0.0))
    """
    value = _LossValue(Head({"loss": Term(loss, scope=scope, target=target)}, ignore_index=_VOID))
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, num_classes, 4, 5, generator=generator, dtype=torch.float64)
    labels = torch.randint(max(2, num_classes), (2, 4, 5), generator=generator)
    labels[0, :2] = _VOID
    _check_void_has_no_influence(value, logits, labels)
    _check_only_void(value, logits)
    _check_low_precision(value, logits, labels)
    assert (message := batch_dependence(value.head, logits, labels, torch.zeros(2, 3, 4, 5))) is None, message
    small = logits[:, :, :2, :3].clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda each: value(each, labels[:, :2, :3]), (small,)), "the gradient is not the derivative"
    if permutes:
        order = torch.randperm(20, generator=generator)
        shuffled = value(logits.flatten(2)[..., order].view_as(logits), labels.flatten(1)[:, order].view_as(labels))
        torch.testing.assert_close(shuffled, value(logits, labels), msg="the value depends on the order of the pixels")


class _LossValue:
    """The value of a mix of one term."""

    def __init__(self, head: Head) -> None:
        self.head = head

    def __call__(self, logits: Tensor, target: Tensor) -> Tensor:
        images = torch.zeros(len(target), 3, *target.shape[1:])
        return Mix({MAIN_HEAD: self.head})({MAIN_HEAD: logits}, target, step=0, images=images).total

    def gradient(self, logits: Tensor, target: Tensor) -> Tensor:
        total = self(leaf := logits.clone().requires_grad_(), target)
        assert total.requires_grad, "the loss has no gradient; compute it with torch operations, without detach or argmax"
        (found,) = torch.autograd.grad(total, leaf)
        return found


def _check_void_has_no_influence(value: _LossValue, logits: Tensor, target: Tensor) -> None:
    void = (target == _VOID)[:, None].expand_as(logits)
    expected, changed = value(logits, target), value(logits.where(~void, logits + 3 * logits.sin()), target)
    assert torch.isfinite(expected), f"the loss is {expected.item()}; expected a finite number"
    torch.testing.assert_close(changed, expected, msg="logits of ignored pixels change the loss; leave those pixels out")
    gradient = value.gradient(logits, target)
    assert torch.isfinite(gradient).all(), "the gradient is not finite"
    assert not gradient[void].any(), "ignored pixels have a gradient; expected exactly zero"
    assert gradient.any(), "the gradient is zero everywhere"


def _check_only_void(value: _LossValue, logits: Tensor) -> None:
    void = torch.full_like(logits[:, 0], _VOID, dtype=torch.int64)
    total, gradient = value(logits, void), value.gradient(logits, void)
    assert torch.isfinite(total), f"a batch of only ignored pixels gives {total.item()}; expected a finite number, such as 0"
    assert torch.isfinite(gradient).all(), "a batch of only ignored pixels has a gradient that is not finite"


def _check_low_precision(value: _LossValue, logits: Tensor, target: Tensor) -> None:
    """Under autocast logits arrive as bfloat16; very confident ones must not overflow."""
    for scale in (1.0, 100.0):
        total = value((scale * logits).to(torch.bfloat16), target)
        assert torch.isfinite(total), f"bfloat16 logits times {scale:g} give {total.item()}; expected a finite number"


def run_distributed(function: Callable[..., Any], world_size: int, *args: Any, timeout_s: float = 120.0) -> list[Any]:
    """Call a function on several workers: processes on this machine with a gloo process group and one torch thread each.

    No process is left behind, whatever happens.

    Args:
        function: importable by name (not a lambda, not defined in a function), called as ``function(*args)`` on every rank.
        world_size: number of workers.
        args: given to every worker; pickled, as is what the function returns.
        timeout_s: for the whole call, and for each collective.

    Returns:
        What the function returned, by rank.

    Raises:
        TimeoutError: the workers were not done in time.
        ChildProcessError: a worker died without an exception.
        Exception: the first exception of any worker, with its rank and traceback as a note.

    Example:
        >>> import rayseg.collective
        >>> run_distributed(rayseg.collective.world_size, 2)
        [2, 2]
    """
    with tempfile.TemporaryDirectory(prefix="rayseg_group_") as folder:
        workers = _start(function, world_size, args, Path(folder), timeout_s)
        try:
            codes = _join(workers, time.monotonic() + timeout_s, timeout_s)
        finally:
            _kill(workers)
        outcomes = [_outcome(Path(folder), rank) for rank in range(world_size)]
        _raise_first(outcomes, codes)
        return [outcome["result"] for outcome in outcomes if outcome is not None]


def _start(
    function: Callable[..., Any], world_size: int, args: Sequence[Any], folder: Path, timeout_s: float
) -> list[BaseProcess]:
    """One process per rank. They are forked from a server that has imported torch and never ran it, so that start is cheap."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["rayseg.build", "torch._dynamo"])  # the latter every optimizer imports, in two seconds
    workers: list[BaseProcess] = [
        context.Process(target=_worker, args=(function, rank, world_size, args, folder, timeout_s), daemon=True)
        for rank in range(world_size)
    ]
    for worker in workers:
        worker.start()
    return workers


def _worker(
    function: Callable[..., Any], rank: int, world_size: int, args: Sequence[Any], folder: Path, timeout_s: float
) -> None:
    torch.set_num_threads(1)
    try:
        dist.init_process_group(
            "gloo", f"file://{folder}/store", rank=rank, world_size=world_size, timeout=timedelta(seconds=timeout_s)
        )
        outcome = {"result": function(*args)}
        dist.barrier()
    except BaseException as error:  # noqa: BLE001 - whatever it is, the parent raises it
        outcome = {"error": error, "at": time.monotonic(), "traceback": traceback.format_exc()}
    _write_outcome(folder, rank, outcome)
    if "error" in outcome:
        raise SystemExit(1)
    dist.destroy_process_group()


def _write_outcome(folder: Path, rank: int, outcome: dict[str, Any]) -> None:
    try:
        data = pickle.dumps(outcome)
        pickle.loads(data)  # noqa: S301 - an error with arguments of its own may be written and not be read
    except Exception:  # noqa: BLE001 - what cannot be pickled is told as text
        text = outcome.get("traceback", traceback.format_exc())
        data = pickle.dumps({"error": RuntimeError(text.splitlines()[-1]), "at": time.monotonic(), "traceback": text})
    staged = folder / f"{rank}.tmp"
    staged.write_bytes(data)
    staged.replace(folder / f"{rank}.outcome")


def _outcome(folder: Path, rank: int) -> dict[str, Any] | None:
    path = folder / f"{rank}.outcome"
    return pickle.loads(path.read_bytes()) if path.is_file() else None  # noqa: S301 - written by our own worker


def _join(workers: Sequence[BaseProcess], deadline: float, timeout_s: float) -> list[int | None]:
    """Wait until all workers are done, or one of them has failed; their exit codes, None while running."""
    while running := [worker for worker in workers if worker.exitcode is None]:
        if not wait([worker.sentinel for worker in running], timeout=max(0.0, deadline - time.monotonic())):
            ranks = [rank for rank, worker in enumerate(workers) if worker.exitcode is None]
            raise TimeoutError(f"run_distributed: ranks {ranks} of {len(workers)} were not done after {timeout_s:g} s")
        if any(worker.exitcode for worker in workers):
            break
    return [worker.exitcode for worker in workers]


def _kill(workers: Sequence[BaseProcess]) -> None:
    for worker in workers:
        worker.kill()
    for worker in workers:
        worker.join()


def _raise_first(outcomes: Sequence[dict[str, Any] | None], codes: Sequence[int | None]) -> None:
    """What went wrong first; a worker that died silently comes before what that did to the others."""
    for rank, (outcome, code) in enumerate(zip(outcomes, codes, strict=True)):
        if outcome is None and code is not None:
            raise ChildProcessError(f"run_distributed: rank {rank} ended with exit code {code} and no exception")
    failed = [(each["at"], rank, each) for rank, each in enumerate(outcomes) if each is not None and "error" in each]
    if failed:
        _, rank, first = min(failed, key=lambda found: found[:2])
        error: BaseException = first["error"]
        error.add_note(f"on rank {rank} of {len(outcomes)}:\n{first['traceback']}")
        raise error
