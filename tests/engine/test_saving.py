"""Checkpoints that are written while training goes on are those of their step, whole, in order, and their faults are told."""

from __future__ import annotations

import resource
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from rayseg.build import assemble
from rayseg.engine import Fit, LocalReporter, fit, read_checkpoint, write_checkpoint
from rayseg.engine.checkpoint import is_whole
from rayseg.engine.saving import Saver, snapshot
from rayseg.errors import CheckpointError
from rayseg.launch.run import Until
from rayseg.testing import tiny_experiment
from tests.engine.runs import differences

LENGTHS: dict[str, Any] = {"train.steps": 6, "eval.every": 2, "checkpoint.keep": 9, "train.ema": {"decay": 0.5}}
Write = Callable[..., Any]


def run(folder: Path, write: Write = write_checkpoint, hooks: Mapping[str, Any] | None = None) -> Fit:
    made = assemble(tiny_experiment(**LENGTHS), LocalReporter(folder, keep=9)).fit
    made.saver = Saver(write)
    made.state.hooks = {**made.state.hooks, **(hooks or {})}
    return made


class Late:
    """Lets nothing be written before the step after next has been taken: a hook, and what writes."""

    def __init__(self) -> None:
        self.moved = threading.Event()
        self.threads: set[str] = set()

    def after_step(self, run: Fit, _parts: Any) -> None:
        if run.state.step % 2 == 1:  # a step further than the checkpoint
            self.moved.set()

    def write(self, directory: Path, tensors: Any, texts: Any, *, step: int) -> Path:
        assert step == 6 or self.moved.wait(60)
        self.moved.clear()
        self.threads.add(threading.current_thread().name)
        return write_checkpoint(directory, tensors, texts, step=step)


def test_what_is_written_late_is_what_it_was_at_its_step(tmp_path: Path) -> None:
    late, here = Late(), set[str]()

    def at_once(*args: Any, **kwargs: Any) -> Path:
        here.add(threading.current_thread().name)
        return write_checkpoint(*args, **kwargs)

    class Looks:
        """A hook that is given checkpoints, which must be whole then."""

        def on_checkpoint(self, _run: Fit, directory: Path | None) -> None:
            assert directory is not None
            assert is_whole(directory)

    fit(run(tmp_path / "late", late.write, {"late": late}))
    fit(run(tmp_path / "awaited", at_once, {"looks": Looks()}))
    assert here == {threading.current_thread().name}
    assert len(late.threads) == 1
    assert not late.threads & {each.name for each in threading.enumerate()}
    for step in (2, 4, 6):
        ours, theirs = (tmp_path / way / "checkpoints" / f"step_{step:08d}" for way in ("late", "awaited"))
        for name in ("model.pt", "train.pt"):
            assert differences(read_checkpoint(ours, name), read_checkpoint(theirs, name)) == []


@pytest.mark.parametrize("fails", [2, 6])
def test_a_checkpoint_that_cannot_be_written_ends_the_run_where_the_next_is_due_or_at_the_end(
    tmp_path: Path, fails: int
) -> None:
    def write(directory: Path, tensors: Any, texts: Any, *, step: int) -> Path:
        if step == fails:
            raise CheckpointError("the disk is full")
        return write_checkpoint(directory, tensors, texts, step=step)

    made = run(tmp_path, write)
    with pytest.raises(CheckpointError, match="the disk is full"):
        fit(made)
    assert made.state.step == min(fails + 2, 6)
    whole = [path.name for path in tmp_path.glob("checkpoints/*")]
    assert sorted(whole) == [f"step_{step:08d}" for step in (2, 4) if step < fails]


def test_a_part_of_a_run_whose_last_checkpoint_cannot_be_written_has_not_ended_well(tmp_path: Path) -> None:
    """The next part, of another recipe, would go on from the one before."""

    def write(directory: Path, tensors: Any, texts: Any, *, step: int) -> Path:
        if step == 4:
            raise CheckpointError("the disk is full")
        return write_checkpoint(directory, tensors, texts, step=step)

    made = run(tmp_path, write)
    made.reporter = Until(made.reporter, 4)
    with pytest.raises(CheckpointError, match="the disk is full"):
        fit(made)
    assert made.state.step == 4


def test_a_full_disk_is_told_as_a_checkpoint_that_cannot_be_written(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**16, before[1]))
    try:
        with pytest.raises(CheckpointError, match=r"cannot write a checkpoint .*check space"):
            write_checkpoint(tmp_path / "step_00000001", {"model.pt": torch.zeros(2**16)}, {}, step=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_is_interrupted_waits_for_its_checkpoint_and_tells_of_the_interruption(tmp_path: Path) -> None:
    class Interrupts:
        def after_step(self, run: Fit, _parts: Any) -> None:
            if run.state.step == 3:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(run(tmp_path, hooks={"interrupts": Interrupts()}))
    assert is_whole(tmp_path / "checkpoints" / "step_00000002")


def test_a_copy_has_the_same_file_and_is_nobody_elses(tmp_path: Path) -> None:
    first = nn.Conv2d(3, 4, 3)
    module = nn.Sequential(first, nn.BatchNorm2d(4)).to(memory_format=torch.channels_last)
    tree: dict[str, Any] = {"model": module.state_dict(), "view": first.weight.detach()[:2], "n": [1, (2.5, "x", None)]}
    before: dict[str, Tensor] = {name: value.clone() for name, value in module.state_dict().items()}
    kept = snapshot(tree)
    torch.save(tree, tmp_path / "tree.pt")
    torch.save(kept, tmp_path / "kept.pt")
    assert (tmp_path / "tree.pt").stat().st_size == (tmp_path / "kept.pt").stat().st_size
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(1)
    assert differences(kept["model"], before) == []
    assert kept["model"]["0.weight"].is_contiguous(memory_format=torch.channels_last)
    assert kept["view"].data_ptr() == kept["model"]["0.weight"].data_ptr()
    assert kept["n"] == tree["n"]


def test_a_tensor_that_has_a_history_is_copied_as_it_is_saved(tmp_path: Path) -> None:
    weight = nn.Parameter(torch.ones(3))
    kept = snapshot({"score": weight * 2, "views": [weight[1:], weight.detach()]})
    torch.save(kept, tmp_path / "kept.pt")
    assert kept["score"].tolist() == [2, 2, 2]
    assert kept["views"][0].data_ptr() == kept["views"][1][1:].data_ptr()
