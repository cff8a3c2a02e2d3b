"""``rayseg predict``: masks of pictures and videos, as files."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from itertools import tee
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rayseg.build import Trained, load_trained, predict
from rayseg.cli.asked import PREDICTION_KEYS, require_used
from rayseg.cli.output import say, table
from rayseg.cli.pictures import PICTURES, named_pictures
from rayseg.config import parse_assignments
from rayseg.data import VIDEOS, frame_rate, require_video, video_frames, video_writer
from rayseg.errors import ConfigError, DataError, Problem
from rayseg.tracking import default_palette, legend, overlay

__all__ = ["run"]

_OPACITY = 0.5
_VOID = 255
_LEGEND_PX = 240
_GAP_PX = 8
Pixels = NDArray[np.uint8]


def run(args: Namespace) -> int:
    """Write ``OUT/NAME.png`` for every picture and ``OUT/NAME/`` for every video, and say which value is which class.

    Raises:
        RaysegError: what was wrong with the checkpoint, a picture or a video.
    """
    if args.legend and not args.overlay:
        raise ConfigError([Problem("--legend", "is put below overlays, and there are none; add --overlay")], "the command line")
    places, overrides = _split(args.images)
    found = named_pictures(places, PICTURES | VIDEOS)
    if any(_is_video(path) for path in found.values()):
        require_video()
    trained = load_trained(args.checkpoint, overrides=overrides)
    palette = [tuple(colour) for colour in trained.palette or default_palette(len(trained.class_names))]
    drawing = _Drawing(trained, palette, args.overlay, args.legend)
    counts = [drawing.video(path, Path(args.out) / name) for name, path in found.items() if _is_video(path)]
    pictures = {name: path for name, path in found.items() if not _is_video(path)}
    counts += [drawing.pictures(pictures, Path(args.out))] if pictures else []
    shares, number = (sum(each) for each in zip(*counts, strict=True))
    say(table(_rows(trained, palette, shares / max(number, 1))))
    say(f"\n{number} {'mask' if number == 1 else 'masks'} in {args.out}")
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


def _is_video(path: Path) -> bool:
    return path.suffix.lower() in VIDEOS


@dataclass(frozen=True)
class _Drawing:
    """What is written of each image: its mask, and perhaps the classes over it, with a legend below."""

    trained: Trained
    palette: Sequence[tuple[int, ...]]
    overlay: bool
    legend: bool

    def pictures(self, paths: dict[str, Path], out: Path) -> tuple[NDArray[np.float64], int]:
        """Masks ``OUT/NAME.png``; the sum of the shares of each value, and the number of masks."""
        total = np.zeros(256)
        for (name, path), mask in zip(paths.items(), predict(self.trained, paths.values()), strict=True):
            target = out / f"{name}.png"
            self._write_mask(target, mask)
            if self.overlay:
                with Image.open(path) as opened:
                    drawn = self._over(np.asarray(opened.convert("RGB"), np.uint8), mask)
                Image.fromarray(drawn).save(target.with_name(f"{target.stem}_overlay.png"))
            total += _shares(mask)
        return total, len(paths)

    def video(self, path: Path, out: Path) -> tuple[NDArray[np.float64], int]:
        """Masks ``OUT/NAME/00000000.png`` of frames, and ``OUT/NAME_overlay.mp4``; as for pictures."""
        total, number = np.zeros(256), 0
        frames, again = tee(video_frames(path))
        with _written(out.with_name(f"{out.name}_overlay.mp4"), path) if self.overlay else nullcontext() as write:
            for frame, mask in zip(again, predict(self.trained, frames), strict=True):
                self._write_mask(out / f"{number:08d}.png", mask)
                if write is not None:
                    write(self._over(frame, mask))
                total += _shares(mask)
                number += 1
        return total, number

    def _over(self, image: Pixels, mask: Pixels) -> Pixels:
        drawn = overlay(image, mask, self.palette, _VOID, _OPACITY)
        if not self.legend:
            return drawn
        width = max(drawn.shape[1], _LEGEND_PX)
        drawn = np.pad(drawn, ((0, _GAP_PX), (0, width - drawn.shape[1]), (0, 0)), constant_values=255)
        return np.concatenate([drawn, legend(self.trained.class_names, self.palette, width)])

    def _write_mask(self, target: Path, mask: Pixels) -> None:
        """A PNG whose values are class indices, shown in the colours of the classes."""
        picture = Image.fromarray(mask)
        picture.putpalette([level for colour in self.palette for level in colour])
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            picture.save(target)
        except OSError as error:
            raise DataError(f"{target}: cannot be written ({error.strerror or error}); choose another --out") from error


@contextmanager
def _written(target: Path, like: Path) -> Iterator[Callable[[Pixels], None]]:
    target.parent.mkdir(parents=True, exist_ok=True)
    with video_writer(target, frame_rate(like)) as write:
        yield write


def _shares(mask: Pixels) -> NDArray[np.float64]:
    return np.bincount(mask.ravel(), minlength=256) / mask.size


def _rows(trained: Trained, palette: Iterable[Sequence[int]], shares: NDArray[np.float64]) -> list[list[str]]:
    rows = [
        [str(index), "#{:02x}{:02x}{:02x}".format(*colour), f"{100 * shares[index]:.1f} %", name]
        for index, (name, colour) in enumerate(zip(trained.class_names, palette, strict=True))
    ]
    return [["value", "colour", "pixels", "class"], *rows]
