"""The same validation images under several checkpoints of a sweep, small; kept, so that a report is made again cheaply.

::

    NAME/pictures/shown.json            recipes in their order, how many images, why there are none
    NAME/pictures/0-image.png           and 0-labels.png
    NAME/pictures/0-RECIPE.png          its prediction, and 0-RECIPE-wrong.png
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rayseg.build import Components, Trained, load_trained, open_split, predict
from rayseg.report import ShownImage
from rayseg.tracking import colorize, default_palette, encode_png, wrong_pixels
from rayseg.types import Sample

__all__ = ["keep_shown", "read_shown", "show_images"]

#: Of a picture on the page.
_WIDTH_PX = 320
Pixels = NDArray[np.uint8]


def show_images(checkpoints: Mapping[str, str], count: int, components: Components) -> list[ShownImage]:
    """Predict the first validation images with each checkpoint.

    Args:
        checkpoints: recipe -> directory; one at least.
        count: of images, or as many as there are.
        components: name -> callable given by value.

    Raises:
        RaysegError: a checkpoint or the data cannot be opened.
    """
    trained = {name: load_trained(path, components=components) for name, path in checkpoints.items()}
    first = next(iter(trained.values()))
    dataset, _ = open_split(first.config, first.config.data.val_split, components)
    samples = [dataset[index] for index in range(min(count, len(dataset)))]
    masks = {name: predict(each, [sample.image for sample in samples]) for name, each in trained.items()}
    return [_shown(sample, {name: next(found) for name, found in masks.items()}, first) for sample in samples]


def _shown(sample: Sample, masks: Mapping[str, Pixels], trained: Trained) -> ShownImage:
    palette, void = trained.palette or default_palette(len(trained.class_names)), trained.config.data.ignore_index
    image, labels = _small(sample.image), _small(sample.mask)
    recipes = {}
    for name, mask in masks.items():
        small = _small(mask)
        wrong = wrong_pixels(image, labels, small, void)
        recipes[name] = (encode_png(colorize(small, palette, void)), encode_png(wrong))
    return ShownImage(encode_png(image), encode_png(colorize(labels, palette, void)), recipes)


def _small(pixels: Pixels) -> Pixels:
    """Labels by their nearest pixel; what is small already stays."""
    height, width = pixels.shape[:2]
    if width <= _WIDTH_PX:
        return pixels
    how = Image.Resampling.BOX if pixels.ndim == 3 else Image.Resampling.NEAREST
    return np.asarray(Image.fromarray(pixels).resize((_WIDTH_PX, max(1, round(height * _WIDTH_PX / width))), how), np.uint8)


def keep_shown(directory: Path, images: list[ShownImage], fault: str | None) -> None:
    """Write the files; ``shown.json`` last.

    Args:
        directory: of the sweep.
        images: to keep.
        fault: why there are none.
    """
    folder = directory / "pictures"
    folder.mkdir(exist_ok=True)
    for name, png in _files(images):
        (folder / name).write_bytes(png)
    recipes = list(images[0].recipes) if images else []
    staged = folder / ".shown.json"
    staged.write_text(json.dumps({"recipes": recipes, "images": len(images), "fault": fault}), encoding="utf-8")
    staged.replace(folder / "shown.json")


def _files(images: list[ShownImage]) -> Iterator[tuple[str, bytes]]:
    for index, shown in enumerate(images):
        yield f"{index}-image.png", shown.image
        yield f"{index}-labels.png", shown.labels
        for name, (prediction, wrong) in shown.recipes.items():
            yield f"{index}-{name}.png", prediction
            yield f"{index}-{name}-wrong.png", wrong


def read_shown(directory: Path) -> tuple[list[ShownImage], str | None]:
    """What :func:`keep_shown` wrote: images, and why there are none.

    Args:
        directory: of the sweep.
    """
    folder = directory / "pictures"
    if not (folder / "shown.json").is_file():
        return [], None
    kept = json.loads((folder / "shown.json").read_text(encoding="utf-8"))

    def read(index: int, name: str) -> bytes:
        return (folder / f"{index}-{name}.png").read_bytes()

    images = [
        ShownImage(
            read(index, "image"),
            read(index, "labels"),
            {name: (read(index, name), read(index, f"{name}-wrong")) for name in kept["recipes"]},
        )
        for index in range(kept["images"])
    ]
    return images, kept["fault"]
