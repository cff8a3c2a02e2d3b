"""``data.colours``: whether what changes colours can wait until an image is normalised."""

from __future__ import annotations

from collections.abc import Mapping

from rayseg.build.resolve import Problems
from rayseg.config import ExperimentConfig
from rayseg.data import Photometric, Transform, asks_for_pixels

__all__ = ["check_colours"]


def check_colours(config: ExperimentConfig, transforms: Mapping[str, Transform], problems: Problems) -> None:
    """Note where ``affine`` would change nothing, or would find colours changed already.

    Args:
        config: the experiment.
        transforms: by name, in the order in which they are applied.
        problems: takes the faults.
    """
    if config.data.colours != "affine":
        return
    names = list(transforms)
    first = next((place for place, name in enumerate(names) if isinstance(transforms[name], Photometric)), None)
    if first is None:
        message = f"affine, but no transform changes colours ({', '.join(names) or 'there are none'})"
        problems.add("data.colours", f"{message}; add photometric to data.transforms, or write exact")
        return
    for name in names[first + 1 :]:
        if asks_for_pixels(transforms[name]):
            message = f"needs pixels whose colours {names[first]} has changed, and data.colours: affine changes them last"
            problems.add(f"data.transforms.{name}", f"{message}; put it before {names[first]}, or write data.colours: exact")
