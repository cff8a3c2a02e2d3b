"""``rayseg predict``: masks of pictures, as files."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rayseg.build import Trained, load_trained, predict
from rayseg.cli.output import say, table
from rayseg.config import parse_assignments
from rayseg.errors import ConfigError, DataError, Problem
from rayseg.tracking import colorize, default_palette

__all__ = ["run"]

_SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
_OPACITY = 0.5
#: Keys of a config on which a prediction depends.
_ASKED = (
    *(f"data.{key}" for key in ("class_names", "dataset", "mean", "std", "train_split")),
    *(f"eval.{key}" for key in ("batch_size", "crop_size", "mode", "resize", "stride", "tta")),
    "model",
    "scaling.gpu",
)


def run(args: Namespace) -> int:
    """Write ``OUT/NAME.png`` for every picture, and say which value is which class.

    Raises:
        RaysegError: what was wrong with the checkpoint or a picture.
    """
    places, overrides = _split(args.images)
    pictures = _named(places)
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
    idle = [key for key in overrides if not key.startswith(_ASKED)]
    if idle:
        message = f"is not used in a prediction; used are {', '.join(_ASKED)}"
        raise ConfigError([Problem(key, message) for key in idle], "the command line")
    if not places:
        raise DataError("no pictures; name files or a folder of them beside the overrides")
    return places, overrides


def _named(words: Sequence[str]) -> dict[str, Path]:
    """Name of the mask, without suffix, to picture; those of a folder keep their place below it.

    Raises:
        DataError: nothing there, or two pictures whose masks would have one name.
    """
    pictures: dict[str, Path] = {}
    for word in words:
        for path, root in _found(Path(word).expanduser()):
            name = path.relative_to(root).with_suffix("").as_posix()
            if pictures.setdefault(name, path) != path:
                raise DataError(
                    f"{path} and {pictures[name]}: both masks would be {name}.png; predict them into two directories"
                )
    return pictures


def _found(place: Path) -> Iterator[tuple[Path, Path]]:
    """Each picture at a place, with the folder that its name is relative to."""
    if place.is_file():
        yield place, place.parent
        return
    found = sorted(path for path in place.rglob("*") if path.suffix.lower() in _SUFFIXES)
    if not found:
        what = "no pictures in this folder" if place.is_dir() else "no such file or folder"
        raise DataError(f"{place}: {what}; name files that end in {', '.join(sorted(_SUFFIXES))}, or a folder of them")
    yield from ((path, place) for path in found)


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
