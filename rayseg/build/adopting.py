"""Weights that were trained elsewhere, as a checkpoint: to be scored, to predict, to go out, without a step of training."""

from __future__ import annotations

from pathlib import Path

from rayseg.build.networks import classes_without_data
from rayseg.build.parts import Components, resolve_parts
from rayseg.build.resolve import Problems
from rayseg.build.start import bare_model, plan_start, read_weights
from rayseg.build.trained import classes_of, raise_needed
from rayseg.config import ExperimentConfig, to_yaml
from rayseg.engine import write_checkpoint
from rayseg.errors import CheckpointError, ConfigError, Problem
from rayseg.models import WeightReport

__all__ = ["adopt"]


def adopt(config: ExperimentConfig, directory: str | Path, *, components: Components | None = None) -> WeightReport:
    """Write a checkpoint of the weights that ``init`` of a config names, each of which must be there.

    It has no optimizer, so no run can go on from it; another may begin with it.

    Args:
        config: its ``init`` says which file, and how its names differ. Where the data are not here, the number of classes is
            that of ``data.class_names`` or of the head.
        directory: for the checkpoint; it must not be there yet.
        components: name -> callable, for what the config names by value.

    Returns:
        Every tensor and what it was called in the file.

    Raises:
        ConfigError: no ``init``, a model that cannot be made, a tensor that is missing or of another shape.
        CheckpointError: the file cannot be read, or the directory is there.

    Example:
        >>> weights = {"checkpoint": "pspnet_r50.pth"}
        >>> config = rayseg.load_config("pspnet_r50-d8_4xb2-40k_cityscapes-512x1024.py", {"init": weights})  # doctest: +SKIP
        >>> adopt(config, "pspnet")  # doctest: +SKIP
        >>> rayseg.evaluate("pspnet")["val/mIoU"]  # doctest: +SKIP
        0.778
    """
    path = Path(directory).expanduser()
    if path.exists():
        raise CheckpointError(f"{directory}: is there already; name another directory, or remove it")
    if config.init is None:
        raise ConfigError([Problem("init", "says no weights; give init={checkpoint: FILE}")], "weights to adopt")
    config = config.with_({"init.strict": True})
    init = config.init
    assert init is not None
    problems = Problems()
    parts = resolve_parts(config, components or {}, problems)
    raise_needed(problems, ("model",))
    names, _ = classes_of(config, parts)
    num_classes = len(names) if names else classes_without_data(config)
    model = bare_model(config, parts, num_classes)
    tensors, report = plan_start(config, init, parts, model, num_classes, read_weights(init.checkpoint))
    model.load_state_dict(tensors, strict=False)  # what a file may lack, such as counters of batches
    write_checkpoint(path, {"model.pt": model.state_dict()}, {"config.yaml": to_yaml(config.to_dict())}, step=0)
    return report
