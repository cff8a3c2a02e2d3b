"""Weights to start from: found, fitted to the model, set alike on every worker, and told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch.distributed as dist
from torch import Tensor, nn

from rayseg.build.data import open_data
from rayseg.build.objects import make_model
from rayseg.build.parts import Components, Parts, resolve_parts
from rayseg.build.resolve import Problems, caught
from rayseg.collective import broadcast_object, is_main, world_size
from rayseg.config import ExperimentConfig, InitConfig
from rayseg.engine import Reporter, read_checkpoint
from rayseg.engine.checkpoint import newest_whole
from rayseg.errors import CheckpointError, RaysegError
from rayseg.models import MODELS, WeightReport, WeightRules, match_weights, read_state

__all__ = ["Start", "bare_model", "plan_start", "probe_start", "read_model", "read_weights", "start", "weights_of"]

#: Arguments that name weights to start from: they are overwritten by those of a checkpoint.
_STARTING_WEIGHTS = ("pretrained", "pretrained_backbone")
_MAX_LISTED = 4


@dataclass(frozen=True)
class Start:
    """What a run began with.

    Args:
        checkpoint: where the weights come from.
        rules: which were to be taken.
        report: which were taken; None in a run that went on from a checkpoint of its own, which needs none.
    """

    checkpoint: str
    rules: WeightRules
    report: WeightReport | None


def read_model(directory: str | Path) -> dict[str, Tensor]:
    """The model's weights of a checkpoint whose every file is as it was written.

    Raises:
        CheckpointError: no whole checkpoint is there; says which are near.
    """
    path = Path(directory).expanduser()
    if not (path / "manifest.json").is_file():
        raise CheckpointError(_no_checkpoint(str(directory), path))
    state: dict[str, Tensor] = read_checkpoint(path, "model.pt")
    return state


def read_weights(checkpoint: str) -> dict[str, Tensor]:
    """The weights of a checkpoint directory or of a file.

    Raises:
        CheckpointError: nothing there, or nothing that can be read.
    """
    path = Path(checkpoint).expanduser()
    if "://" in checkpoint or path.is_dir():
        return read_model(checkpoint)
    if not path.is_file():
        raise CheckpointError(f"{checkpoint}: no such file or directory here ({Path.cwd()}); every worker must see it")
    return read_state(path)


def _no_checkpoint(name: str, directory: Path) -> str:
    if "://" in name:
        return f"{name}: a checkpoint is read from a local directory; copy it here first"
    if directory.is_file():
        begun = f"rayseg adopt CONFIG {name} --out DIR"
        return f"{name}: a file, no such directory as training writes; make one of it: {begun}"
    if not directory.is_dir():
        return f"{name}: no such directory; expected a checkpoint, such as runs/NAME/checkpoints/step_00000300"
    inside = sorted(path.parent for depth in ("*", "*/*", "*/*/*") for path in directory.glob(f"{depth}/manifest.json"))
    if inside:
        listed = ", ".join(str(path) for path in inside[-_MAX_LISTED:])
        return f"{name}: not a checkpoint itself, but it holds {len(inside)}; name one of them: {listed}"
    return f"{name}: not a checkpoint, or a torn one (no manifest.json); name another one"


def bare_model(config: ExperimentConfig, parts: Parts, num_classes: int) -> nn.Module:
    """The model of C classes without weights to start from, which this machine may not have."""
    call = parts.model
    assert call is not None
    if call.target in MODELS.values():
        call = replace(call, kwargs={key: value for key, value in call.kwargs.items() if key not in _STARTING_WEIGHTS})
    return make_model(config, replace(parts, model=call), num_classes)


def plan_start(
    config: ExperimentConfig, init: InitConfig, parts: Parts, model: nn.Module, num_classes: int, state: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], WeightReport]:
    """What of a state the model would take; see ``models.match_weights``.

    Raises:
        ConfigError: it does not fit.
    """

    def output_layer() -> list[str]:
        return caught("init", Problems(), lambda: _class_layer(config, parts, num_classes)) or []

    return match_weights(model.state_dict(), state, rules_of(init), source=init.checkpoint, output_layer=output_layer)


def rules_of(init: InitConfig) -> WeightRules:
    """The section as plain arguments."""
    return WeightRules(init.only, init.skip, init.rename, init.strict)


def _class_layer(config: ExperimentConfig, parts: Parts, num_classes: int) -> list[str]:
    """Names of the tensors whose shapes depend on the number of classes."""
    this, other = (bare_model(config, parts, count).state_dict() for count in (num_classes, num_classes + 1))
    return [name for name, value in this.items() if name not in other or other[name].shape != value.shape]


def probe_start(
    config: ExperimentConfig, parts: Parts, model: nn.Module, num_classes: int, problems: Problems
) -> WeightReport | None:
    """Every fault of ``init``; what it would load. A run that would go on from a checkpoint of its own needs none.

    Args:
        config: the experiment.
        parts: what the model was made from.
        model: of C classes; it is not changed.
        num_classes: C.
        problems: every fault is added here.
    """
    init = config.init
    if init is None or _goes_on(config):
        return None
    state = caught("init.checkpoint", problems, lambda: read_weights(init.checkpoint))
    if state is None:
        return None
    planned = caught("init", problems, lambda: plan_start(config, init, parts, model, num_classes, state))
    return None if planned is None else planned[1]


def weights_of(config: ExperimentConfig, components: Components | None = None) -> WeightReport | None:
    """What a run would start from, by ``init`` or else by its model's own argument.

    None where it is initialised by its seed, or goes on from its own checkpoint.

    Args:
        config: the experiment.
        components: name -> callable given by value.

    Raises:
        ConfigError: the data, the model or the weights have a fault.
    """
    if config.init is None and not any(config.model.kwargs.get(name) for name in _STARTING_WEIGHTS):
        return None
    problems = Problems()
    parts = resolve_parts(config, components or {}, problems)
    data = open_data(config, parts, problems)
    problems.raise_if_any()
    assert data is not None
    num_classes = len(data.class_names)
    model = make_model(config, parts, num_classes)
    if config.init is None:
        return getattr(model, "pretrained", None)
    report = probe_start(config, parts, model, num_classes, problems)
    problems.raise_if_any()
    return report


def _goes_on(config: ExperimentConfig) -> bool:
    name = config.tracking.name
    return name is not None and newest_whole(Path(config.tracking.storage).expanduser() / name) is not None


def start(config: ExperimentConfig, parts: Parts, model: nn.Module, num_classes: int, reporter: Reporter) -> Start | None:
    """Set the weights that the config names; a collective.

    Rank 0 alone reads; what it then has goes to every rank, so all begin with the same bits.

    Args:
        config: the experiment.
        parts: what the model was made from.
        model: of C classes, changed in place.
        num_classes: C.
        reporter: knows whether the run goes on from a checkpoint of its own.

    Returns:
        What was loaded, on every rank; None where the config names no weights.

    Raises:
        RaysegError: they cannot be read or do not fit, on every rank.
    """
    init = config.init
    if init is None:
        return None
    outcome = broadcast_object(_load(config, init, parts, model, num_classes, reporter) if is_main() else None)
    if isinstance(outcome, RaysegError):
        raise outcome
    if world_size() > 1:
        for tensor in model.state_dict().values():
            dist.broadcast(tensor, src=0)
    return Start(init.checkpoint, rules_of(init), outcome)


def _load(
    config: ExperimentConfig, init: InitConfig, parts: Parts, model: nn.Module, num_classes: int, reporter: Reporter
) -> WeightReport | RaysegError | None:
    """Rank 0's part: the report, or what went wrong, which every rank must hear of."""
    if reporter.latest() is not None:
        return None
    try:
        tensors, report = plan_start(config, init, parts, model, num_classes, read_weights(init.checkpoint))
    except RaysegError as error:
        return error
    model.load_state_dict(tensors, strict=False)
    return report
