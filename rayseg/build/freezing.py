"""What a config freezes, looked at before a run."""

from __future__ import annotations

from torch import nn
from torch.optim import Optimizer

from rayseg.build.objects import make_freezing, num_steps
from rayseg.build.resolve import Problems, caught
from rayseg.config import ExperimentConfig
from rayseg.models import Freezing
from rayseg.optim.rules import applied_rules, trainable_entries

__all__ = ["probe_freezing"]


def probe_freezing(
    config: ExperimentConfig, model: nn.Module, optimizer: Optimizer | None, num_images: int, problems: Problems
) -> None:
    """Every fault of ``freeze``; then the model is left as the last step has it.

    Args:
        config: the experiment.
        model: as it was made.
        optimizer: over its parameters, if there is one.
        num_images: in the training set.
        problems: every fault is added here.
    """
    freezing = caught("freeze", problems, lambda: make_freezing(config, model, num_images))
    if freezing is None:
        return
    total = num_steps(config.train.length, config, num_images)
    for name, rule in freezing.rules.items():
        if rule.until_step is not None and rule.until_step >= total:
            message = f"step {rule.until_step} of {total}: it would never be released; give less, or null to say so"
            problems.add(f"freeze.{name}.until", message)
    if optimizer is not None:
        _check_groups(config, freezing, model, total, problems)
    freezing.apply(model, total - 1)


def _check_groups(config: ExperimentConfig, freezing: Freezing, model: nn.Module, total_steps: int, problems: Problems) -> None:
    """Rules of parameter groups whose every parameter is never trained."""
    never, rules = set(freezing.frozen(total_steps - 1)), config.optim.groups
    obeyed = {entry.name: applied_rules(rules, entry) for entry in trainable_entries(model)}
    for rule in rules:
        selected = {name for name, applied in obeyed.items() if rule in applied}
        if selected and selected <= never:
            message = "selects only parameters that 'freeze' holds for the whole run; remove it, or release them"
            problems.add(f"optim.groups.{rule}", message)
