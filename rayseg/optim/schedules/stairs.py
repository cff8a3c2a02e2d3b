"""Schedules that fall at some steps and hold in between."""

from __future__ import annotations

from dataclasses import dataclass

from rayseg.optim.schedules._arguments import Schedule, above, at_least, refuse, within

__all__ = ["step"]


@dataclass(frozen=True)
class _Step:
    milestones: tuple[int, ...]
    every: int | None
    gamma: float
    floor: float

    def __call__(self, step: int, total_steps: int) -> float:  # noqa: ARG002
        falls = sum(step >= milestone for milestone in self.milestones) if self.every is None else step // self.every
        return max(self.gamma**falls, self.floor)

    def faults(self, total_steps: int) -> dict[str, str]:
        """What would never come in a run of this length."""
        late = [milestone for milestone in self.milestones if milestone >= total_steps]
        found = (
            {"milestones": f"step {late[0]} is not in a run of {total_steps} steps; give less, or leave it out"} if late else {}
        )
        if self.every is not None and self.every >= total_steps:
            found["every"] = f"{self.every} of {total_steps} steps: the value would never change; give less"
        return found


def step(*, milestones: tuple[int, ...] = (), every: int | None = None, gamma: float = 0.1, floor: float = 0.0) -> Schedule:
    """``gamma^k`` after k falls: mmcv's ``step``, ``StepLR`` and ``MultiStepLR`` of MMEngine and torch.

    Args:
        milestones: steps at which the value falls.
        every: steps between falls; exactly one of the two.
        gamma: what a fall multiplies by; above 0.
        floor: ratio of the initial value below which it does not go.

    Raises:
        ConfigError: an argument is out of range, or both or none of ``milestones`` and ``every`` are given.

    Example:
        >>> [round(step(milestones=(2, 3))(t, 5), 3) for t in range(5)]
        [1.0, 1.0, 0.1, 0.01, 0.01]
        >>> [step(every=2, gamma=0.5)(t, 5) for t in range(5)]
        [1.0, 1.0, 0.5, 0.5, 0.25]
    """
    one = None if bool(milestones) != (every is not None) else "give exactly one of 'milestones' and 'every'"
    early = f"must be steps from 1, got {list(milestones)}" if any(each < 1 for each in milestones) else None
    wrong = {
        "milestones": one or early,
        "every": None if every is None else at_least(every, 1),
        "gamma": above(gamma, 0),
        "floor": within(floor, 0, 1),
    }
    refuse("step", wrong)
    return _Step(tuple(milestones), every, gamma, floor)
