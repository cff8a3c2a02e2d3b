"""The loop. It reads from top to bottom; hooks are drawn in ``rayseg.engine.hooks``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from rayseg.collective import all_max, barrier, broadcast_object, is_main, rank, world_size
from rayseg.engine.checkpoint import read_checkpoint, read_manifest
from rayseg.engine.clip import clip_gradients
from rayseg.engine.clock import Clock
from rayseg.engine.generators import borrowed_generators, seed_everything
from rayseg.engine.guard import FiniteGuard, check_weights
from rayseg.engine.hooks import call_hooks
from rayseg.engine.memory import kept_memory
from rayseg.engine.plan import Plan, Schedule
from rayseg.engine.reporter import Reporter, StopRun
from rayseg.engine.saving import Saver, by_main
from rayseg.engine.scores import number, observe
from rayseg.engine.state import TrainState
from rayseg.engine.step import backward, broadcast_buffers, wrap
from rayseg.engine.swa import renew_statistics
from rayseg.engine.walking import is_training, which_learn
from rayseg.errors import CheckpointError
from rayseg.mix import Mix
from rayseg.models import Freezing
from rayseg.optim import apply_schedule
from rayseg.types import Batch

__all__ = ["Fit", "fit", "train_step"]

#: ``(first step, one past the last step) -> this worker's micro-batches of each step``
Batches = Callable[[int, int], Iterator[Sequence[Batch]]]
#: ``model -> metrics`` over the whole split; a collective with the same result on every rank.
Evaluate = Callable[[nn.Module], dict[str, float]]


@dataclass
class Fit:
    """One run of the loop: everything it was given, and what changes in ``state``. Hooks receive it.

    ``compiled``: the network is compiled for training.
    ``other_recipe``: the checkpoint to go on from may be of another recipe, whose rates, decay and momentum are not this run's.
    """

    state: TrainState
    plan: Plan
    mix: Mix
    batches: Batches
    evaluate: Evaluate
    reporter: Reporter
    schedule: Schedule
    momentum_schedule: Schedule | None = None
    freezing: Freezing | None = None
    texts: Mapping[str, str] = field(default_factory=dict)
    other_recipe: bool = False
    compiled: bool = False
    saver: Saver = field(default_factory=Saver)
    last_good: str | None = None
    asked: str | None = None

    def stop(self, reason: str) -> None:
        """Ask for an early end of the run, from any hook, on any rank.

        Workers agree where something is logged, evaluated or saved anyway: the run ends there on all of them, at the same step
        whoever asked and however many they are, after an evaluation (unless ``eval_at_end`` is off) and a last checkpoint. A
        run that has ended so does not go on when it is started again.

        Args:
            reason: for people; it is in ``state.stopped`` from then on. The first one counts.
        """
        self.asked = self.asked or reason

    @property
    def device(self) -> torch.device:
        """Where it trains."""
        return next(self.state.model.parameters()).device

    @property
    def ended(self) -> bool:
        """Whether no step comes after this one."""
        return self.state.stopped is not None or self.state.step >= self.plan.total_steps


def fit(run: Fit) -> dict[str, float]:
    """Train to the last step, or to where a hook stops the run, from the newest checkpoint if there is one; a collective.

    Returns:
        Metrics of the last evaluation, the same on every rank.

    Raises:
        NonFiniteLossError: before anything of or after that step is published.
        CheckpointError: the checkpoint to resume from does not fit, or the storage cannot be written.
    """
    state = run.state
    with borrowed_generators(), kept_memory(run.device), run.saver:
        _resume(run)
        call_hooks(state.hooks, "on_start", run)
        if not run.ended:
            try:
                _train(run)
            except StopRun:  # on every rank
                by_main(run.saver.wait)
                raise
        by_main(run.saver.wait)
        call_hooks(state.hooks, "on_end", run)
    barrier()  # what rank 0 has written is there for all
    return dict(state.metrics)


def _train(run: Fit) -> None:
    state, plan, device, guard, clock = run.state, run.plan, run.device, FiniteGuard(), Clock()
    model: nn.Module = state.model
    wrapped: list[bool] | None = None
    for micro_batches in run.batches(state.step, plan.total_steps):
        batches = [_to(batch, device) for batch in micro_batches]
        if plan.begins_epoch(state.step):
            call_hooks(state.hooks, "before_epoch", run, plan.epoch(state.step))
        if run.freezing is not None:
            run.freezing.apply(state.model, state.step)
        call_hooks(state.hooks, "before_step", run)
        trainable = which_learn(state.model)
        if trainable != wrapped:  # DDP adds up the gradients of what was trainable when it was made
            model, wrapped = wrap(state.model, batches[0], seed=plan.seed, compiled=run.compiled), trainable
        seed_everything(plan.seed, state.step)
        parts = train_step(run, model, batches)
        guard.observe(state.step, parts)
        state.step += 1
        state.meter.add(parts)
        clock.add(sum(len(batch.masks) for batch in batches))
        call_hooks(state.hooks, "after_step", run, parts)
        if plan.begins_epoch(state.step):
            call_hooks(state.hooks, "after_epoch", run, plan.epoch(state.step - 1))
        _publish(run, guard, clock)
        if run.ended:
            break


def train_step(run: Fit, model: nn.Module, batches: Sequence[Batch]) -> dict[str, Tensor]:
    """One optimizer step: rates from the step, gradient of the global batch, and, unless it overflowed, the update."""
    state, plan = run.state, run.plan
    momentum = None if run.momentum_schedule is None else run.momentum_schedule(state.step, plan.total_steps)
    apply_schedule(state.optimizer, run.schedule(state.step, plan.total_steps), momentum)
    if not is_training(state.model):
        model.train()
    if run.freezing is not None:
        run.freezing.hold_statistics(state.model, state.step)
    parts = backward(model, run.mix, batches, step=state.step, seed=plan.seed, autocast=plan.autocast, scaler=state.scaler)
    if state.scaler is None or state.scaler.unscale(state.model.parameters()):
        parts = {**parts, **_update(state, plan)}
    state.optimizer.zero_grad(set_to_none=True)
    return parts


def _update(state: TrainState, plan: Plan) -> dict[str, Tensor]:
    """Clip, move the weights, and the average after them."""
    measured = clip_gradients(
        state.model.parameters(), max_norm=plan.clip_norm, norm_type=plan.clip_norm_type, max_value=plan.clip_value
    )
    state.optimizer.step()
    if state.ema is not None:
        state.ema.update(state.model, state.step)
    if state.swa is not None:
        state.swa.update(state.model, state.step)
    return measured


def _publish(run: Fit, guard: FiniteGuard, clock: Clock) -> None:
    """Log, evaluate and save what is due after ``state.step`` steps, and all three where the run is ended early."""
    state, plan = run.state, run.plan
    logs, evaluates, saves = plan.logs(state.step), plan.evaluates(state.step), plan.saves(state.step)
    if not (logs or evaluates or saves):
        return
    guard.check(run.last_good)
    logs |= _agreed_to_stop(run)
    if saves or run.ended:
        check_weights(state.model, state.step, run.last_good)
    if logs:
        _log(run, clock)
    if evaluates or (run.ended and plan.eval_at_end):
        evaluates = True
        _evaluate(run)
        clock.restart()
        if _agreed_to_stop(run) and not logs:
            check_weights(state.model, state.step, run.last_good)
            _log(run, clock)
    if evaluates or saves or run.ended:
        checkpoint = _save(run) if saves or run.ended else None
        try:
            run.reporter.report(state.step, state.metrics if evaluates else {}, checkpoint)
        finally:  # it may end the run
            if checkpoint is not None and (stored := getattr(run.reporter, "stored", None)) is not None:
                run.saver.then(lambda: stored(checkpoint))


def _agreed_to_stop(run: Fit) -> bool:
    """Whether any rank has asked for the end; a collective, after which every rank knows the reason of the lowest of them."""
    state = run.state
    asking = 0 if run.asked is None else world_size() - rank()
    first = int(all_max(torch.tensor(asking, device=run.device)))
    if first > 0 and state.stopped is None:
        state.stopped = broadcast_object(run.asked, source=world_size() - first)
    return state.stopped is not None


def _log(run: Fit, clock: Clock) -> None:
    state = run.state
    means = {f"train/{name}": value for name, value in state.meter.flush().items()}
    rates = {
        f"train/lr/{group.get('name', number)}": float(group["lr"])
        for number, group in enumerate(state.optimizer.param_groups)
        if "lr" in group
    }
    scaler = state.scaler
    scaling = {} if scaler is None else {"train/loss_scale": scaler.scale, "train/skipped_steps": float(scaler.skipped)}
    if is_main():
        run.reporter.log(state.step, {**means, **rates, **scaling, **clock.read()})


def _evaluate(run: Fit) -> None:
    state, plan = run.state, run.plan
    call_hooks(state.hooks, "before_eval", run)
    _renew_average(run)
    broadcast_buffers(state.published)
    metrics = run.evaluate(state.published)
    state.model.train()
    call_hooks(state.hooks, "on_eval", run, metrics)
    metrics = {name: number(name, value) for name, value in metrics.items()}
    if plan.best in metrics and plan.is_better(metrics[plan.best], state.best):
        state.best = metrics[plan.best]
    if state.plateau is not None:
        observe(state.plateau, metrics)
    state.metrics = metrics


def _renew_average(run: Fit) -> None:
    """Statistics of an equal average, on the first batches of the run's stream: a function of the seed and the weights."""
    state, swa, freezing = run.state, run.state.swa, run.freezing
    if swa is None or not swa.stale:
        return
    renew_statistics(
        swa.module,
        (batch for batches in run.batches(0, swa.num_batches) for batch in batches),
        seed=run.plan.seed,
        autocast=run.plan.autocast,
        prepare=None if freezing is None else lambda model: freezing.hold_statistics(model, state.step - 1),
    )
    swa.stale = False


def _save(run: Fit) -> Path | None:
    state = run.state
    call_hooks(state.hooks, "before_checkpoint", run)
    _renew_average(run)
    broadcast_buffers(state.model)
    if state.published is not state.model:
        broadcast_buffers(state.published)
    directory = run.reporter.staging(state.step) if is_main() else None
    by_main(lambda: _write(run, directory))
    call_hooks(state.hooks, "on_checkpoint", run, directory)
    return directory


def _write(run: Fit, directory: Path | None) -> None:
    state = run.state
    assert directory is not None
    tensors = {"model.pt": state.published.state_dict()}
    if run.plan.resume_state != "none":
        tensors["train.pt"] = state.state_dict()
    awaited = not hasattr(run.reporter, "stored") or any(hasattr(hook, "on_checkpoint") for hook in state.hooks.values())
    written = run.saver.write(directory, tensors, run.texts, step=state.step, awaited=awaited)
    if (pending := getattr(run.reporter, "pending", None)) is not None:
        pending(written)
    run.last_good = str(directory)


def _resume(run: Fit) -> None:
    """Go on from the newest checkpoint. Its metrics are reported again: the kill may have come between the two."""
    latest = run.reporter.latest()
    if latest is None:
        return
    if "train.pt" not in read_manifest(latest)["files"]:
        raise CheckpointError(
            f"{latest}: holds weights only (checkpoint.optimizer: {run.plan.resume_state}), so this run cannot go on; choose "
            "another tracking.name, and begin from its weights with init.checkpoint if you like"
        )
    run.state.load_state_dict(read_checkpoint(latest, map_location=run.device), other_recipe=run.other_recipe)
    run.last_good = str(latest)
    if run.plan.evaluates(run.state.step) or (run.state.stopped is not None and run.plan.eval_at_end):
        run.reporter.report(run.state.step, run.state.metrics, None)


def _to(batch: Batch, device: torch.device) -> Batch:
    return Batch(*(tensor.to(device, non_blocking=True) for tensor in batch))
