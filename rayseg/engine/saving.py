r"""Checkpoints beside the thread that trains: it copies what is to be saved, another one writes it.

::

    step 100      step 101 ...             step 200      step 201 ...
    copy | report |                        wait for 100's, copy | report |
         \ write, digests, prune           (done long ago)       \ write ...

One checkpoint is written at a time, in order. A fault is raised where the next one is due, or at the end: whatever ends the
run, the last one is waited for.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from torch import Tensor

from rayseg.collective import broadcast_object, is_main
from rayseg.engine.checkpoint import write_checkpoint
from rayseg.errors import CheckpointError

__all__ = ["Saver", "by_main", "snapshot"]


class Saver:
    """Does what it is given one after another, on one thread of its own; use it as a context.

    Args:
        write: writes a checkpoint.

    Example:
        >>> done = []
        >>> with Saver() as saver:
        ...     first = saver.then(lambda: done.append("written"))
        ...     second = saver.then(lambda: done.append("pruned"))
        >>> done
        ['written', 'pruned']
    """

    def __init__(self, write: Callable[..., object] = write_checkpoint) -> None:
        self._write = write
        self._pool: ThreadPoolExecutor | None = None
        self._open: list[Future[object]] = []

    def __enter__(self) -> Self:
        """Nothing is started before it is needed."""
        return self

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None) -> None:
        """Wait for the last; its own fault is raised where there is no other."""
        try:
            self.wait()
        except CheckpointError:
            if fault is None:
                raise
        finally:
            if self._pool is not None:
                self._pool.shutdown()
                self._pool = None

    def write(
        self, directory: Path, tensors: Mapping[str, Any], texts: Mapping[str, str], *, step: int, awaited: bool = False
    ) -> Future[object]:
        """Copy, and go on: see :func:`rayseg.engine.write_checkpoint`.

        Args:
            directory: its final name.
            tensors: file name -> what is saved.
            texts: file name -> contents.
            step: optimizer steps done.
            awaited: return when it is there.

        Returns:
            Done when the checkpoint is whole; with the fault, where it cannot be written.

        Raises:
            CheckpointError: the one before could not be written; or this one, where it is awaited.
        """
        self.wait()
        if awaited:
            done = Future[object]()
            done.set_result(self._write(directory, tensors, texts, step=step))
            return done
        copied, told = snapshot(dict(tensors)), dict(texts)
        return self.then(lambda: self._write(directory, copied, told, step=step))

    def then(self, work: Callable[[], object]) -> Future[object]:
        """Do this after what was given before, unless that failed."""
        if self._pool is None:
            self._pool = ThreadPoolExecutor(1, thread_name_prefix="rayseg-saver")
        before = self._open[-1] if self._open else None

        def after() -> object:
            if before is not None:
                before.result()
            return work()

        self._open.append(self._pool.submit(after))
        return self._open[-1]

    def wait(self) -> None:
        """Until everything that was given is done.

        Raises:
            CheckpointError: the storage cannot be written.
        """
        waiting, self._open = self._open, []
        for each in waiting:
            each.result()


def by_main(work: Callable[[], object]) -> None:
    """Rank 0 does it, and where it cannot, no rank waits for what does not come; a collective.

    Args:
        work: not a collective.

    Raises:
        CheckpointError: on the other ranks, with what went wrong on rank 0, which raises that itself.

    Example:
        >>> done = []
        >>> by_main(lambda: done.append("written"))
        >>> done
        ['written']
    """
    fault: Exception | None = None
    if is_main():
        try:
            work()
        except Exception as error:  # noqa: BLE001 - raised below
            fault = error
    told = broadcast_object(None if fault is None else str(fault))
    if fault is not None:
        raise fault
    if told is not None:
        raise CheckpointError(f"rank 0: {told}")


def snapshot(tree: Any) -> Any:
    """The same values in memory of their own on the host; tensors that share memory still do.

    Args:
        tree: dicts, lists, tensors and plain values.

    Example:
        >>> import torch
        >>> weight = torch.zeros(2)
        >>> kept = snapshot({"weight": weight, "tied": weight[:1]})
        >>> weight += 1
        >>> kept["weight"], kept["tied"].data_ptr() == kept["weight"].data_ptr()
        (tensor([0., 0.]), True)
    """
    hosted: dict[tuple[Any, ...], Tensor] = {}
    copies: dict[int, Any] = {}
    for tensor in _tensors(tree):
        if tensor.device.type == "cpu":
            if not tensor.is_leaf:  # deepcopy refuses those
                copies[id(tensor)] = copy.deepcopy(tensor.detach(), copies)
        else:
            place = (tensor.data_ptr(), tensor.dtype, tensor.shape, tensor.stride())
            copies[id(tensor)] = hosted.setdefault(place, tensor.detach().cpu())
    return copy.deepcopy(tree, copies)


def _tensors(tree: Any) -> Iterator[Tensor]:
    if isinstance(tree, Tensor):
        yield tree
    elif isinstance(tree, Mapping):
        for value in tree.values():
            yield from _tensors(value)
    elif isinstance(tree, list | tuple):
        for value in tree:
            yield from _tensors(value)
