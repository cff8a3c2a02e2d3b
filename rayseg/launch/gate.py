"""Between a trial and its group of Train workers: results go out, the answer whether to go on comes back.

Killing a trainer from outside can leave its placement group behind for the rest of the session. So a trial that is to stop is
told so at its next evaluation, its workers end by themselves, and everything is given back.
"""

from __future__ import annotations

import asyncio
from typing import Any

__all__ = ["Gate"]


class Gate:
    """An actor; one trial asks ``next``, one worker gives ``result`` and waits for the answer."""

    def __init__(self) -> None:
        self._results: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._answers: asyncio.Queue[bool] = asyncio.Queue()
        self._closed = False

    async def result(self, metrics: dict[str, Any]) -> bool:
        """Metrics of an evaluation; returns whether to go on."""
        if self._closed:
            return False
        await self._results.put(metrics)
        return await self._answers.get()

    async def next(self, timeout_s: float) -> dict[str, Any] | None:
        """The next metrics, or None if there were none in time."""
        try:
            return await asyncio.wait_for(self._results.get(), timeout_s)
        except TimeoutError:
            return None

    async def answer(self, go_on: bool) -> None:
        """Let the worker go on, or end."""
        await self._answers.put(go_on)

    async def close(self) -> None:
        """Answer with no from now on: whoever waits, and every later result."""
        self._closed = True
        await self._answers.put(False)
