"""Whether a metric that a config names will be measured, and in which direction it is better."""

from __future__ import annotations

from collections.abc import Sequence

from rayseg.build.hooks import known_metrics
from rayseg.build.resolve import Problems, nearest
from rayseg.config import ExperimentConfig
from rayseg.engine.early_stopping import better_of

__all__ = ["check_metric", "check_metric_options"]

#: Settings of one metric, and which.
_OPTIONS = {"beta": "mFscore", "boundary_ratio": "mBoundaryIoU"}


def check_metric(
    config: ExperimentConfig, class_names: Sequence[str], metric: tuple[str, str], mode: tuple[str, str], problems: Problems
) -> None:
    """Note a metric that no evaluation gives (hooks may add any), and a direction that makes no sense.

    Args:
        config: the experiment.
        class_names: C names.
        metric: dotted path where it is written, and its name, such as val/mIoU.
        mode: dotted path where it is written, and max or min.
        problems: faults are added here.
    """
    (path, name), (mode_path, way) = metric, mode
    names = known_metrics(config, class_names)
    if name not in names and not config.hooks:
        means = ", ".join(each for each in names if each.count("/") == 1)
        known = f"{means}, val/IoU/<class> and the like, val/loss/<term>; eval.metrics adds others"
        problems.add(path, f"no metric is called {name!r}; known: {known}.{nearest(name, names)}")
    wanted = better_of(name) if name in names else None
    if wanted is not None and way != wanted:
        which = "larger" if way == "max" else "smaller"
        problems.add(mode_path, f"got {way}, but a {which} {name} is not better; set it to {wanted}")


def check_metric_options(config: ExperimentConfig, problems: Problems) -> None:
    """Note a setting of a metric that is not measured."""
    default = type(config.eval)()
    for option, metric in _OPTIONS.items():
        if getattr(config.eval, option) != getattr(default, option) and metric not in config.eval.metrics:
            message = f"is of {metric}, and eval.metrics is {', '.join(config.eval.metrics)}; add {metric}, or remove this"
            problems.add(f"eval.{option}", message)
