"""What a training step costs: LR-ASPP with the losses of both sides, and rayseg's loop beside one that is written by hand.

``losses`` is forward, backward and update of one network: with cross-entropy, hard examples and three times Dice of
MMSegmentation, and with ours, plainly, fused, and fused with channels last and torch's fused SGD. ``no loss`` is the last of
these with the mean of the logits as a loss, which costs nothing: no loss can be quicker. ``loop`` is ``rayseg.engine.fit`` with
batches in memory and the bare loop under DistributedDataParallel on the same network, batches and loss, in one process and in
two, of which the first is shown. Their steps take turns in one process, where both have the memory that rayseg keeps for its
own, and their losses are equal after each: the ratio is what rayseg's loop does besides. In ``a process each`` MMSegmentation's
losses and the bare loop have memory as Python hands it out, and rayseg what it keeps in a run: each round starts all ways, and
has the medians of their steps:

    python experiments/benchmarks/step.py --reference /path/to/packages --out step.json --png step.png
"""

from __future__ import annotations

import copy
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from blocks import batch
from loss import of_mmseg, ours
from measuring import Row, Taken, arguments, finish, goal, result, rows_of, turns
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from rayseg.build import assemble
from rayseg.collective import rank, world_size
from rayseg.engine import Fit, LocalReporter, fit
from rayseg.engine.memory import kept_memory
from rayseg.kernels import compiled_backend
from rayseg.models import named_logits, torchvision_lraspp_mobilenet_v3_large
from rayseg.testing import run_distributed, tiny_experiment
from rayseg.types import Batch

#: Images, classes, height, width, stride of the logits.
CASES = {"streets": (2, 19, 512, 1024, 8), "camvid": (4, 11, 352, 480, 8)}
SMOKE = {"smoke": (2, 5, 64, 96, 8)}
SYNTHETIC_CLASSES = 9
FASTER, OVERHEAD = 2.0, 1.02
SGD = {"lr": 0.01, "momentum": 0.9, "weight_decay": 1e-4}
#: Steps in a process of its own.
ALONE = 11
#: How far two sums of gradients drift apart in a few steps.
TOLERANCE = 1e-3

Loss = Callable[[Tensor, Tensor], Tensor]
LOOPS = ("bare DDP", "rayseg")
BEST = "fused, channels last"


def stepper(network: nn.Module, loss: Loss, case: tuple[int, ...], *, last: bool) -> Callable[[], float]:
    """One step of a copy of a network; returns its loss."""
    model = copy.deepcopy(network).train()
    model = model.to(memory_format=torch.channels_last) if last else model
    optimizer = torch.optim.SGD(model.parameters(), **SGD, fused=True if last else None)
    images, labels = images_of(case), batch(case)[1]
    images = images.contiguous(memory_format=torch.channels_last) if last else images

    def step() -> float:
        optimizer.zero_grad(set_to_none=True)
        value = loss(named_logits(model(images))["main"], labels)
        value.backward()
        optimizer.step()
        return value.item()

    return step


def nothing(logits: Tensor, _: Tensor) -> Tensor:
    """A loss that costs nothing."""
    return logits.mean()


def images_of(case: tuple[int, ...]) -> Tensor:
    """Noise."""
    return torch.randn(case[0], 3, case[2], case[3], generator=torch.Generator().manual_seed(1))


def losses(name: str, case: tuple[int, ...], reference: str | None, rounds: int) -> list[Row]:
    """Rows of the losses; the first two steps of all ways must agree."""
    torch.manual_seed(0)
    network = torchvision_lraspp_mobilenet_v3_large(case[1])
    ways: dict[str, tuple[Loss, bool]] = {"plain": (ours(case, "plain"), False)}
    if reference:
        ways = {"mmseg": (of_mmseg(case, reference), False), **ways}
    if compiled_backend() is not None:
        ways |= {"fused": (ours(case, "fused"), False), BEST: (ours(case, "fused"), True)}
    steps = {way: stepper(network, loss, case, last=last) for way, (loss, last) in ways.items()}
    first = {way: [step(), step()] for way, step in steps.items()}
    steps["no loss"] = stepper(network, nothing, case, last=True)
    for way, values in first.items():
        torch.testing.assert_close(values, next(iter(first.values())), rtol=TOLERANCE, atol=0, msg=f"{way} differs: {first}")
    return rows_of(f"losses, {name}", turns(steps, rounds))


def loop(name: str, case: tuple[int, ...], steps: int, workers: int) -> list[Row]:
    """Rows of both loops, of the first of some processes, which share the images."""
    case = (case[0], SYNTHETIC_CLASSES, *case[2:])
    with tempfile.TemporaryDirectory() as folder:
        taken = run_distributed(turns_of_loops, workers, case, steps, Path(folder) / "run", timeout_s=1800)[0]
    return rows_of(titled(name, workers), {way: shown(each, steps) for way, each in taken.items()})


def losses_alone(name: str, case: tuple[int, ...], steps: int, reference: str, rounds: int) -> list[Row]:
    """Rows of a step with MMSegmentation's losses, with ours and with none, each in a process of its own."""

    def started(way: str) -> list[Taken]:
        return run_distributed(steps_of_losses, 1, way, case, steps, reference, timeout_s=1800)

    return alone(f"losses, {name}", ("mmseg", BEST, "no loss"), started, steps, rounds)


def loop_alone(name: str, case: tuple[int, ...], steps: int, workers: int, rounds: int) -> list[Row]:
    """Rows of both loops, each in processes of its own."""
    case = (case[0], SYNTHETIC_CLASSES, *case[2:])

    def started(way: str) -> list[Taken]:
        with tempfile.TemporaryDirectory() as folder:
            return run_distributed(steps_of_one, workers, way, case, steps, Path(folder) / "run", timeout_s=1800)

    return alone(titled(name, workers), LOOPS, started, steps, rounds)


def alone(title: str, ways: Sequence[str], started: Callable[[str], list[Taken]], steps: int, rounds: int) -> list[Row]:
    """Rows of ways whose processes start anew in every round; the first process of each is shown."""
    taken = {way: Taken() for way in ways}
    for _ in range(rounds):
        for way, medians in taken.items():
            each = shown(started(way)[0], steps)
            medians.cpu_s.append(statistics.median(each.cpu_s))
            medians.wall_s.append(statistics.median(each.wall_s))
    return rows_of(f"{title}, a process each", taken)


def titled(name: str, workers: int) -> str:
    """Of a case of loops."""
    return f"loop, {name}" if workers == 1 else f"loop, {name}, {workers} processes"


def shown(taken: Taken, steps: int) -> Taken:
    """The first steps warm up; the last of rayseg ends with a checkpoint, and is not recorded."""
    return Taken(taken.cpu_s[2 : steps - 1], taken.wall_s[2 : steps - 1])


def turns_of_loops(case: tuple[int, ...], steps: int, folder: Path) -> dict[str, Taken]:
    """Seconds of the steps of both in this process: before the loop of rayseg gets a batch, the bare loop makes its step."""
    run, batches = prepared(case, steps, folder)
    bare = bare_step(run, batches[0])
    taken = {way: Taken() for way in LOOPS}
    found: dict[str, list[float]] = {way: [] for way in LOOPS}

    def both(first: int, last: int) -> Iterator[Sequence[Batch]]:
        for _ in range(first, last):
            with recorded(taken["bare DDP"]):
                found["bare DDP"].append(bare())
            with recorded(taken["rayseg"]):
                yield batches

    run.batches = both
    run.state.hooks["losses"] = _Remember(found["rayseg"])
    fit(run)
    torch.testing.assert_close(found["rayseg"], found["bare DDP"], rtol=TOLERANCE, atol=0)
    return taken


def steps_of_losses(way: str, case: tuple[int, ...], steps: int, reference: str) -> Taken:
    """Seconds of the steps with some losses."""
    torch.manual_seed(0)
    loss = of_mmseg(case, reference) if way == "mmseg" else ours(case, "fused") if way == BEST else nothing
    step = stepper(torchvision_lraspp_mobilenet_v3_large(case[1]), loss, case, last=way != "mmseg")
    taken = Taken()
    with nullcontext() if way == "mmseg" else kept_memory(torch.device("cpu")):
        for _ in range(steps):
            with recorded(taken):
                step()
    return taken


def steps_of_one(way: str, case: tuple[int, ...], steps: int, folder: Path) -> Taken:
    """Seconds of the steps of one loop, with nothing of the other."""
    run, batches = prepared(case, steps, folder)
    taken = Taken()

    def one(first: int, last: int) -> Iterator[Sequence[Batch]]:
        for _ in range(first, last):
            with recorded(taken):
                yield batches

    if way == "rayseg":
        run.batches = one
        fit(run)
        return taken
    bare = bare_step(run, batches[0])
    for _ in one(0, steps):
        bare()
    return taken


def prepared(case: tuple[int, ...], steps: int, folder: Path) -> tuple[Fit, list[Batch]]:
    """A run of rayseg that scores nothing, and this process's share of the batch that all its steps have."""
    mine = slice(rank(), None, world_size())
    config = tiny_experiment(
        model={"type": "torchvision_lraspp_mobilenet_v3_large"},
        **{"losses.dice": {"type": "dice", "weight": 3.0}, "sampling": {"type": "ohem"}, "schedule": {"type": "constant"}},
        **{"optim": {"type": "sgd", **SGD}, "train.steps": steps, "train.batch_size": case[0], "train.log_every": 10},
        **{"eval.every": steps, "train.threads": 1},
    )
    run = assemble(config, LocalReporter(folder)).fit
    run.evaluate = lambda _: {"val/mIoU": 0.0}
    return run, [Batch(images_of(case)[mine], batch(case)[1][mine], torch.arange(case[0])[mine])]


def bare_step(run: Fit, batch: Batch) -> Callable[[], float]:
    """One step of a loop that somebody writes by hand, with a copy of a run's network, and its loss; returns that."""
    model = DistributedDataParallel(copy.deepcopy(run.state.model).train())
    optimizer = torch.optim.SGD(model.parameters(), **SGD)

    def step() -> float:
        optimizer.zero_grad(set_to_none=True)
        total, _ = run.mix(named_logits(model(batch.images)), batch.masks, step=0)
        (total * world_size()).backward()
        optimizer.step()
        return total.item()

    return step


class _Remember:
    """A hook that keeps the losses."""

    def __init__(self, found: list[float]) -> None:
        self.found = found

    def after_step(self, _: Any, parts: dict[str, Tensor]) -> None:
        """The loss of the step."""
        self.found.append(parts["loss"].item())


@contextmanager
def recorded(taken: Taken) -> Iterator[None]:
    """Add the time that it takes."""
    cpu, wall = time.process_time(), time.perf_counter()
    yield
    taken.cpu_s.append(time.process_time() - cpu)
    taken.wall_s.append(time.perf_counter() - wall)


def goals(rows: list[Row]) -> list[dict[str, Any]]:
    """Of each case."""
    fast = [row for row in rows if row["way"] == BEST and rows[0]["way"] == "mmseg"]
    words = (
        "LR-ASPP with hard examples and Dice, channels last and torch's fused SGD, against MMSegmentation's losses with neither"
    )
    return [
        *(goal(f"step, {row['case']}, threads: {row['threads']}: {words}", row["cpu_ratio"][1], least=FASTER) for row in fast),
        *(
            goal(f"step, {row['case']}: time over that of a bare DDP loop", 1 / row["cpu_ratio"][1], most=OVERHEAD)
            for row in rows
            if row["way"] == "rayseg"
        ),
    ]


def main() -> None:
    """Measure with one thread, and what takes turns in one process with all."""
    options = arguments(__doc__).parse_args()
    rounds, steps = (1, 6) if options.smoke else (options.rounds, 4 * options.rounds)
    rows: list[Row] = []
    torch.set_num_threads(1)
    for name, case in (SMOKE if options.smoke else CASES).items():
        rows += losses(name, case, options.reference, rounds)
        if options.reference and compiled_backend() is not None:
            rows += losses_alone(name, case, min(steps, ALONE), options.reference, -(-rounds // 2))
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    for name, case in ({} if options.smoke or torch.get_num_threads() == 1 else CASES).items():
        rows += losses(name, case, options.reference, rounds)
    torch.set_num_threads(1)
    for name, case in (SMOKE if options.smoke else {"camvid": CASES["camvid"]}).items():
        for workers in (2,) if options.smoke else (1, 2):
            rows += loop(name, case, steps, workers)
        for workers in (1,) if options.smoke else (1, 2):
            rows += loop_alone(name, case, min(steps, ALONE), workers, -(-rounds // 2))
    finish(result("step", rows, [] if options.smoke else goals(rows)), options)


if __name__ == "__main__":
    main()
