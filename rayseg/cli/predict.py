"""``rayseg predict``: masks of pictures, as files."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rayseg.build import Trained, load_trained, predict
from rayseg.cli.asked import PREDICTION_KEYS, require_used
from rayseg.cli.output import say, table
from rayseg.cli.pictures import named_pictures
from rayseg.config import parse_assignments
from rayseg.errors import DataError
from rayseg.tracking import colorize, default_palette

__all__ = ["run"]

_OPACITY = 0.5


def run(args: Namespace) -> int:
    """Write ``OUT/NAME.png`` for every picture, and say which value is which class.

    Raises:
        RaysegError: what was wrong with the checkpoint or a picture.
    """
    places, overrides = _split(args.images)
    pictures = named_pictures(places)
    trained = load_trained(args.checkpoint, overrides=overrides)
    palette = list(trained.palette or default_palette(len(trained.class_names)))
    shares = np.zeros(256)
    for name, mask in zip(pictures, predict(trained, pictures.values()), strict=True):
        target = Path(args.out) / f"{name}.png"
        _write_mask(target, mask, palette)
        if args.overlay:
            _write_overlay(target.with_name(f"{target.stem}_overlay.png"), pictures[name], mask, palette)
        shares += np.bincount(mask.ravel(), minlength=256) / mask.size / len(pictures)
    say(table(_legend(trained, palette, shares)))
    say(f"\n{len(pictures)} {'mask' if len(pictures) == 1 else 'masks'} in {args.out}")
    return 0


def _split(words: Sequence[str]) -> tuple[list[str], dict[str, Any]]:
    """Pictures, and what changes how the model is asked; a file whose name has ``=`` in it is a picture.

    Raises:
        ConfigError: a key that says nothing about predictions.
        DataError: there are only keys.
    """
    places = [word for word in words if "=" not in word or Path(word).expanduser().exists()]
    overrides = parse_assignments(word for word in words if word not in places)
    require_used(overrides, PREDICTION_KEYS, "a prediction")
    if not places:
        raise DataError("no pictures; name files or a folder of them beside the overrides")
    return places, overrides


def _write_mask(target: Path, mask: NDArray[np.uint8], palette: Sequence[Sequence[int]]) -> None:
    """A PNG whose values are class indices, shown in the colours of the classes."""
    picture = Image.fromarray(mask)
    picture.putpalette([level for colour in palette for level in colour])
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        picture.save(target)
    except OSError as error:
        raise DataError(f"{target}: cannot be written ({error.strerror or error}); choose another --out") from error


def _write_overlay(target: Path, picture: Path, mask: NDArray[np.uint8], palette: Sequence[Sequence[int]]) -> None:
    colours = Image.fromarray(colorize(mask, palette, ignore_index=255))
    with Image.open(picture) as opened:
        Image.blend(opened.convert("RGB"), colours, _OPACITY).save(target)


def _legend(trained: Trained, palette: Sequence[Sequence[int]], shares: NDArray[np.float64]) -> list[list[str]]:
    rows = [
        [str(index), "#{:02x}{:02x}{:02x}".format(*palette[index]), f"{100 * shares[index]:.1f} %", name]
        for index, name in enumerate(trained.class_names)
    ]
    return [["value", "colour", "pixels", "class"], *rows]
