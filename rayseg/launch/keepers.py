"""Decoded samples are kept on every node that trains: on the driver's by the driver, on each other one by a small actor.

Whoever trains asks the desk; the first on a node has the actor started there, the others share what it keeps. It ends with the
desk, and what it kept with it.
"""

from __future__ import annotations

import logging
import threading
from contextlib import ExitStack, suppress
from typing import Any

from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

import ray
from rayseg.keeping import KeepingPlace, keeping_place

__all__ = ["Keeper", "Keepers", "place_here"]

_log = logging.getLogger(__name__)

#: Longest wait for a node that may be gone.
_END_S = 10.0


class Keeper:
    """Owns the place of a node; runs as an actor there."""

    def __init__(self) -> None:
        self._open = ExitStack()
        self._place = self._open.enter_context(keeping_place())

    def place(self) -> KeepingPlace:
        """Where samples are kept."""
        return self._place

    def close(self) -> None:
        """Remove it."""
        self._open.close()


class Keepers:
    """The keepers of a run or a search, by node; part of its desk."""

    def __init__(self) -> None:
        self._started: dict[str, Any] = {}
        self._lock = threading.Lock()

    def place(self, node: str) -> KeepingPlace:
        """That of a node.

        Args:
            node: its id.

        Raises:
            RayError: the node or its keeper has died.
        """
        with self._lock:
            if node not in self._started:
                there = NodeAffinitySchedulingStrategy(node, soft=False)
                self._started[node] = ray.remote(Keeper).options(num_cpus=0, scheduling_strategy=there).remote()
        place: KeepingPlace = ray.get(self._started[node].place.remote())
        return place

    def close(self) -> None:
        """Remove what is kept on nodes that still live."""
        for keeper in self._started.values():
            with suppress(ray.exceptions.RayError):
                ray.get(keeper.close.remote(), timeout=_END_S)


def place_here(desk: Any, place: KeepingPlace | None) -> KeepingPlace | None:
    """Where this process finds what is kept on its node.

    Args:
        desk: of the run or the search.
        place: the driver's; None where nothing is to be kept.
    """
    if place is None:
        return None
    try:
        found: KeepingPlace = ray.get(desk.place.remote(ray.get_runtime_context().get_node_id(), place))
    except ray.exceptions.RayError as error:
        _log.warning("data.cache: this node keeps no decoded images, they are decoded each time (%s)", error)
        return None
    return found
