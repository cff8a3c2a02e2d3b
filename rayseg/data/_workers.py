"""The same function over many items, here or in loading processes, in order."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import torch
from torch.utils.data import DataLoader, Dataset

from rayseg.errors import RaysegError

__all__ = ["default_workers", "map_in_order"]

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


#: Fewer items than this are done before processes have started.
_WORTH_IT = 256
_AT_MOST = 16


def default_workers(num_items: int) -> int:
    """Loading processes for so many items: as many as this process has cores, none where they would not help or cannot be.

    Example:
        >>> default_workers(10)
        0
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    useless = num_items < _WORTH_IT or cores == 1 or multiprocessing.current_process().daemon
    return 0 if useless else min(cores, _AT_MOST)


@dataclass(frozen=True)
class _View(Dataset[Any], Generic[_Item, _Result]):
    """``item -> function(item)``; our own errors come back as values, so that they arrive as they were raised."""

    function: Callable[[_Item], _Result]

    def __getitem__(self, item: _Item) -> _Result | RaysegError:
        try:
            return self.function(item)
        except RaysegError as error:
            return error


def _as_it_is(result: Any) -> Any:
    return result


def map_in_order(
    function: Callable[[_Item], _Result], items: Iterable[_Item], num_workers: int
) -> Generator[_Result, None, None]:
    """``function(item)`` for each item; the processes end when the iterator is closed or used up.

    Args:
        function: must be picklable where processes are spawned.
        items: what it is called with, drawn as it is needed.
        num_workers: loading processes; 0: this one.
    """
    if num_workers == 0:
        yield from map(function, items)
        return
    loader = DataLoader(
        _View(function),
        sampler=items,
        batch_size=None,
        collate_fn=_as_it_is,
        num_workers=num_workers,
        generator=torch.Generator(),  # the loader draws a seed: not from the global generator
    )
    results = iter(loader)
    try:
        for result in results:
            if isinstance(result, RaysegError):
                raise result
            yield result
    finally:
        del results  # the last reference: ends the processes
