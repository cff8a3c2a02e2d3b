"""Images and masks as files: the layouts of CamVid and Cityscapes, and any pair of directories."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from rayseg.data._decode import decode_image, decode_mask
from rayseg.data.dataset import Palette
from rayseg.errors import DataError
from rayseg.types import Sample

__all__ = ["FolderSegmentation"]

_NAMED_AT_MOST = 5


@dataclass(frozen=True)
class _Layout:
    images: str
    masks: str
    image_suffix: str
    mask_suffix: str
    classes: dict[str, tuple[int, int, int]] | None = None


_CAMVID = {
    "Sky": (128, 128, 128),
    "Building": (128, 0, 0),
    "Pole": (192, 192, 128),
    "Road": (128, 64, 128),
    "Pavement": (60, 40, 222),
    "Tree": (128, 128, 0),
    "SignSymbol": (192, 128, 128),
    "Fence": (64, 64, 128),
    "Car": (64, 0, 128),
    "Pedestrian": (64, 64, 0),
    "Bicyclist": (0, 128, 192),
}
_CITYSCAPES = {
    "road": (128, 64, 128),
    "sidewalk": (244, 35, 232),
    "building": (70, 70, 70),
    "wall": (102, 102, 156),
    "fence": (190, 153, 153),
    "pole": (153, 153, 153),
    "traffic light": (250, 170, 30),
    "traffic sign": (220, 220, 0),
    "vegetation": (107, 142, 35),
    "terrain": (152, 251, 152),
    "sky": (70, 130, 180),
    "person": (220, 20, 60),
    "rider": (255, 0, 0),
    "car": (0, 0, 142),
    "truck": (0, 0, 70),
    "bus": (0, 60, 100),
    "train": (0, 80, 100),
    "motorcycle": (0, 0, 230),
    "bicycle": (119, 11, 32),
}
_LAYOUTS = {
    "pairs": _Layout("{split}", "{split}annot", ".png", ".png"),
    "camvid": _Layout("{split}", "{split}annot", ".png", ".png", _CAMVID),
    "cityscapes": _Layout(
        "leftImg8bit/{split}", "gtFine/{split}", "_leftImg8bit.png", "_gtFine_labelTrainIds.png", _CITYSCAPES
    ),
}


class FolderSegmentation:
    """One split of a data set in directories; subdirectories are searched too.

    The mask of an image has the same path below its directory, with ``mask_suffix`` in the place of ``image_suffix``.

    Args:
        split: name of the split; it replaces ``{split}`` in ``images`` and ``masks``.
        root: the directory that holds both.
        images: directory of the images below ``root``; None: the layout's.
        masks: directory of the masks below ``root``; None: the layout's.
        image_suffix: end of the image files' names, such as ``.jpg``; None: the layout's.
        mask_suffix: end of the mask files' names; None: the layout's.
        classes: class names in the order of the labels; None: the layout's (``pairs`` has none).
        palette: one RGB triple per class; None: the layout's, when the classes are too.
        layout: ``camvid`` (SegNet's copy: ``train/``, ``trainannot/``), ``cityscapes`` (``leftImg8bit/``, ``gtFine/`` with
            ``labelTrainIds``), or ``pairs``: directories as in ``camvid`` unless told, without class names.

    Raises:
        DataError: unknown layout, missing directories, images without masks, or no images.

    Example:
        >>> FolderSegmentation("val", root="/nowhere", layout="camvid")
        Traceback (most recent call last):
        rayseg.errors.DataError: folders val: no directory /nowhere/val, /nowhere/valannot; expected images in ...
    """

    def __init__(
        self,
        split: str,
        *,
        root: str,
        images: str | None = None,
        masks: str | None = None,
        image_suffix: str | None = None,
        mask_suffix: str | None = None,
        classes: Sequence[str] | None = None,
        palette: Sequence[Sequence[int]] | None = None,
        layout: Literal["pairs", "camvid", "cityscapes"] = "pairs",
    ) -> None:
        if layout not in _LAYOUTS:
            raise DataError(f"folders {split}: no layout {layout!r}; expected one of {', '.join(_LAYOUTS)}")
        chosen = _LAYOUTS[layout]
        base = self._root = Path(root).expanduser()
        self._split = split
        self._image_root = base / (images or chosen.images).format(split=split)
        self._mask_root = base / (masks or chosen.masks).format(split=split)
        self._image_suffix = image_suffix or chosen.image_suffix
        self._mask_suffix = mask_suffix or chosen.mask_suffix
        self._class_names, self._palette = _classes_of(split, chosen, classes, palette)
        self._stems = self._paired_stems()

    @property
    def root(self) -> Path:
        """The directory that holds images and masks."""
        return self._root

    @property
    def class_names(self) -> tuple[str, ...]:
        """One name per class."""
        return self._class_names

    @property
    def palette(self) -> Palette | None:
        """One RGB triple per class, or None."""
        return self._palette

    def __len__(self) -> int:
        """Number of images."""
        return len(self._stems)

    def __getitem__(self, index: int) -> Sample:
        """Image and mask number ``index``, in the order of their names."""
        if not 0 <= index < len(self):
            raise IndexError(f"folders {self._split}: no image {index}; there are {len(self)}")
        image, mask = self._paths(self._stems[index])
        return Sample(decode_image(_bytes(image), str(image)), decode_mask(_bytes(mask), str(mask)), str(image))

    def mask(self, index: int) -> NDArray[np.uint8]:
        """Mask number ``index`` alone."""
        path = self._paths(self._stems[index])[1]
        return decode_mask(_bytes(path), str(path))

    def digest(self) -> str:
        """Digest of names, sizes of the images and contents of the masks; it does not depend on where they lie."""
        digest = hashlib.blake2b(digest_size=16)
        for stem in self._stems:
            image, mask = self._paths(stem)
            digest.update(f"{stem}|{image.stat().st_size}|".encode() + hashlib.blake2b(_bytes(mask)).digest())
        return digest.hexdigest()

    def _paths(self, stem: str) -> tuple[Path, Path]:
        return self._image_root / f"{stem}{self._image_suffix}", self._mask_root / f"{stem}{self._mask_suffix}"

    def _paired_stems(self) -> tuple[str, ...]:
        absent = [str(root) for root in (self._image_root, self._mask_root) if not root.is_dir()]
        if absent:
            raise DataError(
                f"folders {self._split}: no directory {', '.join(absent)}; expected images in {self._image_root} and masks in "
                f"{self._mask_root}: set root, images, masks or layout"
            )
        images, masks = _stems(self._image_root, self._image_suffix), _stems(self._mask_root, self._mask_suffix)
        if not images:
            raise DataError(
                f"folders {self._split}: no file *{self._image_suffix} in {self._image_root}; set image_suffix or images"
            )
        self._require_pairs(images, masks)
        return tuple(sorted(images))

    def _require_pairs(self, images: set[str], masks: set[str]) -> None:
        without = [str(self._paths(stem)[1]) for stem in sorted(images - masks)]
        orphans = [str(self._paths(stem)[0]) for stem in sorted(masks - images)]
        if without or orphans:
            raise DataError(
                f"folders {self._split}: {len(without)} of {len(images)} images have no mask and {len(orphans)} of "
                f"{len(masks)} masks no image; missing: {_some(without + orphans)}. "
                "Add the files, or set image_suffix and mask_suffix"
            )


def _classes_of(
    split: str, layout: _Layout, classes: Sequence[str] | None, palette: Sequence[Sequence[int]] | None
) -> tuple[tuple[str, ...], Palette | None]:
    """Class names and palette: what was asked for, else the layout's."""
    named = layout.classes or {}
    if classes is None and not named:
        raise DataError(f"folders {split}: no class names; give classes, in the order of the labels")
    colours: Palette | None = None
    if palette is not None:
        colours = tuple((r, g, b) for r, g, b in palette)
    elif classes is None:
        colours = tuple(named.values())
    return tuple(named if classes is None else classes), colours


def _stems(root: Path, suffix: str) -> set[str]:
    """Paths below ``root`` of the files that end with ``suffix``, without it."""
    return {path.relative_to(root).as_posix()[: -len(suffix)] for path in root.rglob(f"*{suffix}")}


def _some(names: Sequence[str]) -> str:
    more = len(names) - _NAMED_AT_MOST
    return ", ".join(names[:_NAMED_AT_MOST]) + (f" and {more} more" if more > 0 else "")


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error}); put the file back, or start again without it") from error
