"""What ``auto`` becomes: a few steps of the experiment itself, each way beside the best so far, in turns.

A way is taken where the median of its rounds is faster by 3 % or more and nearly every round agrees; compiling, where what it
saves over the run is more than it took. The steps are of the real network, losses and first batch of one worker; the weights
are thrown away. What workers tell each other is not in it.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from rayseg.build.experiment import Experiment, assemble, pick_device
from rayseg.build.lengths import plan_of
from rayseg.build.parts import Components, resolve_parts
from rayseg.build.resolve import Problems
from rayseg.build.settings import torch_settings
from rayseg.build.speed import PLAIN, has_fused, open_choices, without_choices
from rayseg.config import ExperimentConfig
from rayseg.engine import LocalReporter, borrowed_generators, kept_memory, lent_process, set_generators, train_step, wrap
from rayseg.types import Batch

__all__ = ["Comparison", "Decision", "accepts", "decide"]

#: The other way of each choice.
_OTHER = {
    "train.speed.memory_format": "channels_last",
    "train.precision": "bf16",
    "train.speed.fused_optimizer": True,
    "train.speed.compile": True,
}
#: Least gain of a median, and the share of rounds that must agree.
_GAIN, _AGREE = 1.03, 0.8
#: Rounds of a comparison, and the seconds that they should come to.
_ROUNDS, _SECONDS = (5, 11), 6.0


@dataclass(frozen=True)
class Comparison:
    """Steps one way and the other, in turns.

    Args:
        before: seconds per step, a number per round.
        after: likewise, of the other way.
        start: seconds to its first step.
    """

    before: Sequence[float]
    after: Sequence[float]
    start: float = 0.0

    @property
    def ratio(self) -> float:
        """How many times faster the other way is: the median over rounds."""
        return statistics.median(one / other for one, other in zip(self.before, self.after, strict=True))


def accepts(found: Comparison, *, total_steps: int | None = None) -> bool:
    """Whether the other way is taken.

    Args:
        found: of both.
        total_steps: of the run, where the start has to be won back; None: it costs nothing.

    Example:
        >>> accepts(Comparison([1.0, 1.1, 1.0], [0.9, 1.0, 0.8])), accepts(Comparison([1.0, 1.0, 1.0], [0.5, 1.1, 1.2]))
        (True, False)
        >>> accepts(Comparison([1.0] * 3, [0.5] * 3, start=60), total_steps=100)
        False
    """
    rounds = list(zip(found.before, found.after, strict=True))
    agree = sum(other < one for one, other in rounds) >= _AGREE * len(rounds)
    saved = statistics.median(one - other for one, other in rounds)
    return found.ratio >= _GAIN and agree and (total_steps is None or saved * total_steps > found.start)


@dataclass(frozen=True)
class Decision:
    """What was chosen, and why.

    Args:
        values: dotted key -> value, for every key that was ``auto``.
        reasons: a line each.
    """

    values: dict[str, Any]
    reasons: tuple[str, ...]


def decide(config: ExperimentConfig, components: Components | None = None, *, num_workers: int = 1) -> Decision:
    """Measure every choice that the config leaves open, on this process's device.

    Args:
        config: checked; what it names is kept.
        components: name -> callable given by value.
        num_workers: of the run, whose share of a batch is measured.

    Raises:
        ConfigError: the experiment cannot be built here.

    Example:
        >>> decide(ExperimentConfig())
        Decision(values={}, reasons=())
    """
    keys = open_choices(config)
    if not keys:
        return Decision({}, ())
    total_steps = plan_of(without_choices(config), components or {}).total_steps
    best, reasons, chosen = _measurable(config, num_workers), [], dict[str, Any]()
    with lent_process(), torch_settings(best), borrowed_generators(), tempfile.TemporaryDirectory() as scratch:
        for key in keys:
            value, reason = _decided(key, best, components or {}, Path(scratch), total_steps)
            chosen[key] = value
            best = best.with_({key: value})
            reasons.append(f"{key}: {value}, {reason}")
    return Decision(chosen, tuple(reasons))


def _measurable(config: ExperimentConfig, num_workers: int) -> ExperimentConfig:
    """One worker's share, without what speaks to others or reads other files."""
    share = -(-config.train.batch_size // num_workers)
    return without_choices(config).with_(
        {"train.batch_size": share, "data.num_workers": 0, "hooks": {}, "init": None, "tracking.mlflow": None}
    )


def _decided(key: str, best: ExperimentConfig, components: Components, scratch: Path, steps: int) -> tuple[Any, str]:
    other = _OTHER[key]
    if reason := _why_not(key, best, components):
        return PLAIN[key], reason
    try:
        found = _compared(best, best.with_({key: other}), components, scratch)
    except Exception as error:  # noqa: BLE001 - whatever a way cannot do, the plain one does
        told = ": ".join([type(error).__name__, *str(error).strip().splitlines()[:1]])  # some have no message
        return PLAIN[key], f"since {other} failed here ({told[:200]})"
    total = steps if key == "train.speed.compile" else None
    taken = accepts(found, total_steps=total)
    before, after = (statistics.median(times) * 1000 for times in (found.before, found.after))
    told = f"a step took {before:.4g} ms, with {other} {after:.4g} ms"
    if total is not None and not taken and accepts(found):
        told += f", which {total} steps do not win back: it took {found.start:.0f} s to start"
    return (other if taken else PLAIN[key]), told


def _why_not(key: str, config: ExperimentConfig, components: Components) -> str | None:
    """Why there is nothing to measure."""
    if key == "train.speed.fused_optimizer":
        optimizer = resolve_parts(config, components, Problems()).optimizer
        if optimizer is None or not has_fused(optimizer):
            return f"since {config.optim.type!r} has no such argument, or optim gives it"
    if key == "train.precision" and pick_device(config).type == "cuda" and not torch.cuda.is_bf16_supported():
        return "since this GPU has no bf16"
    return None


class _Runner:
    """An experiment whose steps can be timed; they go on from each other."""

    def __init__(self, config: ExperimentConfig, components: Components, scratch: Path) -> None:
        set_generators(config.seed)
        self.experiment: Experiment = assemble(config, LocalReporter(scratch), components)
        self.device = pick_device(config)
        fit = self.experiment.fit
        self.batches = [_to(batch, self.device) for batch in next(iter(fit.batches(0, 1)))]
        if fit.freezing is not None:
            fit.freezing.apply(fit.state.model, 0)
        began = time.perf_counter()
        self.model = wrap(fit.state.model, self.batches[0], seed=config.seed, compiled=fit.compiled)
        self.seconds(2)
        self.start = time.perf_counter() - began

    def seconds(self, steps: int) -> float:
        """Of one step, over that many; the processor's where one thread computes, which other processes do not lengthen."""
        clock = time.process_time if self.device.type == "cpu" and torch.get_num_threads() == 1 else time.perf_counter
        self._wait()
        began = clock()
        for _ in range(steps):
            train_step(self.experiment.fit, self.model, self.batches)
        self._wait()
        return (clock() - began) / steps

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()


def _to(batch: Batch, device: torch.device) -> Batch:
    return Batch(*(tensor.to(device) for tensor in batch))


def _compared(one: ExperimentConfig, other: ExperimentConfig, components: Components, scratch: Path) -> Comparison:
    with _released(), kept_memory(pick_device(one)):
        first, second = _Runner(one, components, scratch), _Runner(other, components, scratch)
        once = first.seconds(1) + second.seconds(1)
        steps = max(1, round(0.05 / once))
        rounds = min(max(round(_SECONDS / (once * steps)), _ROUNDS[0]), _ROUNDS[1])
        pairs = [_in_turn(first, second, steps, swapped=number % 2 == 1) for number in range(rounds)]
        return Comparison([pair[0] for pair in pairs], [pair[1] for pair in pairs], second.start - first.start)


def _in_turn(first: _Runner, second: _Runner, steps: int, *, swapped: bool) -> tuple[float, float]:
    if swapped:
        after = second.seconds(steps)
        return first.seconds(steps), after
    return first.seconds(steps), second.seconds(steps)


@contextmanager
def _released() -> Iterator[None]:
    """Gives the memory of both back."""
    try:
        yield
    finally:
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
