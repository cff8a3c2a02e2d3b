"""Means of what a step returned, kept on the device until they are logged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

__all__ = ["Meter"]


class Meter:
    """Sums tensors by name; one transfer to the host per flush.

    Example:
        >>> meter = Meter()
        >>> meter.add({"loss": torch.tensor(1.0)})
        >>> meter.add({"loss": torch.tensor(3.0)})
        >>> meter.flush(), meter.flush()
        ({'loss': 2.0}, {})
    """

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}

    def add(self, values: Mapping[str, Tensor]) -> None:
        """Add one step's values, each a scalar tensor."""
        for name, value in values.items():
            added = value.detach().double()
            self._sums[name] = self._sums[name] + added if name in self._sums else added
            self._counts[name] = self._counts.get(name, 0) + 1

    def flush(self) -> dict[str, float]:
        """Mean of each name since the last flush."""
        if not self._sums:
            return {}
        means = torch.stack(list(self._sums.values())).tolist()
        result = {name: mean / self._counts[name] for name, mean in zip(self._sums, means, strict=True)}
        self._sums, self._counts = {}, {}
        return result

    def state_dict(self) -> dict[str, Any]:
        """Sums and counts, so that a run resumed between two log lines logs the same means."""
        return {"sums": dict(self._sums), "counts": dict(self._counts)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore :meth:`state_dict`."""
        self._sums, self._counts = dict(state["sums"]), dict(state["counts"])
