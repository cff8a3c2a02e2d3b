"""``rayseg check``: every problem at once; else what the run would be."""

from __future__ import annotations

from argparse import Namespace

from torch import nn

from rayseg.build import check, hidden_arguments
from rayseg.build.data import open_data
from rayseg.build.objects import make_freezing, make_model, make_plan
from rayseg.build.parts import Parts, is_region, resolve_parts
from rayseg.build.resolve import Problems
from rayseg.build.start import weights_of
from rayseg.cli.loading import loaded
from rayseg.cli.output import fill, say, table
from rayseg.config import ExperimentConfig
from rayseg.engine import Plan
from rayseg.errors import ConfigError
from rayseg.losses import LOSSES, PIXEL_LOSSES

__all__ = ["run"]


def run(args: Namespace) -> int:
    """Check a config.

    Raises:
        ConfigError: with every problem.
    """
    config = loaded(args)
    if problems := check(config):
        raise ConfigError(problems, args.config)
    say(f"{args.config}: ok")
    say(table(_sizes(config)))
    if hidden := hidden_arguments(config):
        say(fill(f"  arguments not checked, because the callable takes any (**kwargs): {', '.join(hidden)}"))
    return 0


def _sizes(config: ExperimentConfig) -> list[tuple[str, str]]:
    """What was checked, in numbers."""
    parts = resolve_parts(config, {}, Problems())
    data = open_data(config, parts, Problems())
    assert data is not None
    plan = make_plan(config, len(data.train))
    model = make_model(config, parts, len(data.class_names))
    parameters = sum(each.numel() for each in model.parameters())
    epochs = plan.total_steps * config.train.batch_size / len(data.train)
    return [
        ("  model", f"{config.model.type}, {parameters:,} parameters"),
        ("  images", f"{len(data.train)} to train, {len(data.val)} to validate, {len(data.class_names)} classes"),
        ("  steps", f"{plan.total_steps} of {config.train.batch_size} images ({epochs:.1f} epochs)"),
        *_beginning(config, model, plan, len(data.train)),
        *_samplers(parts),
        ("  scores", f"every {plan.eval_every} steps; the best checkpoint by {config.checkpoint.best}"),
    ]


def _samplers(parts: Parts) -> list[tuple[str, str]]:
    """Which sampler each head has, and which of its terms do not look at it."""
    whole = [loss for loss in LOSSES.values() if loss not in PIXEL_LOSSES.values()]
    rows: dict[str, str] = {}
    for head in parts.heads.values():
        if head.sampler is not None:
            deaf = [name for name, (_, call) in head.terms.items() if call.target in whole or is_region(call.target)]
            known = rows.get(f"  {head.sampling_path}", head.sampler.name)
            told = f"; every pixel counts in {', '.join(f'{head.losses_path}.{name}' for name in deaf)}" if deaf else ""
            rows[f"  {head.sampling_path}"] = known if told in known else known + told
    return list(rows.items())


def _beginning(config: ExperimentConfig, model: nn.Module, plan: Plan, num_images: int) -> list[tuple[str, str]]:
    """Where weights start and which of them wait, if the config says so."""
    started, frozen = weights_of(config), make_freezing(config, model, num_images)
    rows = [] if started is None else [("  weights", str(started))]
    if frozen is not None:
        first, last = (len(frozen.frozen(step)) for step in (0, plan.total_steps - 1))
        total = len(list(model.parameters()))
        rows.append(("  frozen", f"{first} of {total} parameters at the first step, {last} at the last"))
    return rows
