"""``rayseg show --schedule``: rate and momentum over the run, in a terminal and as a picture."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from rayseg.build.rates import Rates
from rayseg.cli.braille import draw_line
from rayseg.cli.output import fill, table
from rayseg.errors import ConfigError, Problem

__all__ = ["schedule_plot", "write_schedule_png"]

_COLUMNS, _LABEL = 80, 9
_PLOT = _COLUMNS - _LABEL - 3
_ROWS = {"learning rate": 9, "momentum": 5}
_TICKS = 4


def schedule_plot(rates: Rates) -> str:
    """The schedules in 80 columns: a curve of the first group, axes in steps and epochs, and the ends of every group.

    Args:
        rates: of :func:`rayseg.build.rates.rates_of`.

    Example:
        >>> from rayseg.build.rates import rates_of
        >>> from rayseg.config import ExperimentConfig
        >>> print(schedule_plot(rates_of(ExperimentConfig().with_({"train.steps": 9}))))  # doctest: +ELLIPSIS
        learning rate, group default
            0.001 ┤...
    """
    panels = _panels(rates)
    blocks = [_panel(title, rates, values) for title, values in panels.items()]
    if not panels:
        return "The optimizer has no learning rate, and no schedule moves its momentum."
    blocks.append(table([("group", "", "first", "highest", "lowest", "last"), *_ends(panels)]))
    if rates.plateau is not None:
        wait = rates.plateau
        blocks.append(
            fill(
                f"Drawn without scores: the rate is multiplied by {wait.factor:g} when {wait.monitor} has not improved for "
                f"more than {wait.patience} evaluations."
            )
        )
    if rates.steps_per_epoch is None:
        blocks.append("The data are not here, so there is no axis of epochs.")
    return "\n\n".join(blocks)


def _panels(rates: Rates) -> dict[str, dict[str, Sequence[float]]]:
    """Curves by what they show and whose they are; groups that have the same share one."""
    found = {"learning rate": _alike(rates.rates), "momentum": _alike(rates.momenta)}
    return {title: curves for title, curves in found.items() if curves}


def _alike(values: Mapping[str, Sequence[float]]) -> dict[str, Sequence[float]]:
    names: dict[tuple[float, ...], list[str]] = {}
    for name, curve in values.items():
        names.setdefault(tuple(curve), []).append(name)
    return {_listed(alike): curve for curve, alike in names.items()}


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - 2} more" if len(names) > 2 else ""
    return ", ".join(names[:2]) + more


def _panel(title: str, rates: Rates, values: Mapping[str, Sequence[float]]) -> str:
    name, curve = next(iter(values.items()))
    low, high = min(curve), max(curve)
    low = 0.0 if title == "learning rate" or low == high else low
    high = high if high > low else low + (abs(low) or 1.0)
    rows = _ROWS[title]
    lines = draw_line(rates.steps, curve, columns=_PLOT, rows=rows, low=low, high=high)
    marks = {0: high, rows // 2: (high + low) / 2, rows - 1: low}
    body = [
        f"{_number(marks[row], 3) if row in marks else '':>{_LABEL}} {'┤' if row in marks else '│'}{line}"
        for row, line in enumerate(lines)
    ]
    word = "groups" if "," in name else "group"
    return "\n".join([f"{title}, {word} {name}", *body, *_axis(rates)])


def _axis(rates: Rates) -> Iterator[str]:
    places = [round(tick * (_PLOT - 1) / _TICKS) for tick in range(_TICKS + 1)]
    yield " " * (_LABEL + 1) + "└" + "".join("┬" if column in places else "─" for column in range(_PLOT))
    last = rates.total_steps - 1
    at = [round(tick * last / _TICKS) for tick in range(_TICKS + 1)]
    yield _labels("step", [f"{step:,}" for step in at], places)
    if rates.steps_per_epoch is not None:
        yield _labels("epoch", [f"{step / rates.steps_per_epoch:.1f}" for step in at], places)


def _labels(title: str, words: Sequence[str], places: Sequence[int]) -> str:
    """Words centred below their ticks, within the line."""
    line = f"{title:>{_LABEL}}  ".ljust(_COLUMNS)
    for word, place in zip(words, places, strict=True):
        start = min(max(_LABEL + 2 + place - len(word) // 2, _LABEL + 2), _COLUMNS - len(word))
        line = line[:start] + word + line[start + len(word) :]
    return line.rstrip()


def _ends(panels: Mapping[str, Mapping[str, Sequence[float]]]) -> Iterator[tuple[str, ...]]:
    for kind, values in panels.items():
        for name, curve in values.items():
            yield (name, kind, *map(_number, (curve[0], max(curve), min(curve), curve[-1])))


def _number(value: float, digits: int = 4) -> str:
    return f"{value:.{digits}g}"


def write_schedule_png(rates: Rates, path: str | Path) -> Path:
    """The same as a picture, every group a line.

    Args:
        rates: of :func:`rayseg.build.rates.rates_of`.
        path: of a PNG file.

    Raises:
        ConfigError: matplotlib is not installed, or the file cannot be written.
    """
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415  a second to import, and for pictures only
    except ImportError as error:
        raise ConfigError([Problem("--png", f"needs matplotlib ({error}); install it, or leave --png out")]) from error
    panels = _panels(rates)
    if not panels:
        raise ConfigError([Problem("--png", "there is nothing to draw: the optimizer has no learning rate; leave it out")])
    figure = Figure(figsize=(8, 2.2 + 2 * len(panels)), layout="constrained")
    axes = figure.subplots(len(panels), sharex=True, squeeze=False)[:, 0]
    for axis, (title, values) in zip(axes, panels.items(), strict=True):
        for name, curve in values.items():
            axis.plot(rates.steps, curve, label=name, linewidth=1.5)
        axis.set_ylabel(title)
        axis.grid(alpha=0.3)
        axis.margins(x=0)
        axis.legend(frameon=False, fontsize="small")
    axes[0].set_ylim(bottom=0)
    axes[-1].set_xlabel(f"step of {rates.total_steps:,}")
    per_epoch = rates.steps_per_epoch
    if per_epoch is not None:
        epochs = axes[0].secondary_xaxis("top", functions=(lambda step: step / per_epoch, lambda epoch: epoch * per_epoch))
        epochs.set_xlabel("epoch")
    try:
        figure.savefig(path, format="png", dpi=120)
    except OSError as error:
        raise ConfigError([Problem("--png", f"{path}: cannot be written ({error.strerror}); name another file")]) from error
    return Path(path)
