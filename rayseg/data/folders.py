"""Images and masks as files: the layouts of known data sets, and any pair of directories."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rayseg.data._decode import decode_image, decode_mask
from rayseg.data._layouts import LAYOUTS, LayoutName, Part, colours_of
from rayseg.data._pairs import Pair, find_pairs
from rayseg.data.dataset import Palette
from rayseg.data.labels import label_table
from rayseg.data.picture import Picture, encoded_picture
from rayseg.errors import DataError
from rayseg.types import Sample

__all__ = ["FolderSegmentation"]


class FolderSegmentation:
    """One split of a data set in directories; subdirectories are searched too.

    The mask of an image has the same path below its directory, with ``mask_suffix`` in the place of ``image_suffix``.

    Args:
        split: name of the split; it replaces ``{split}`` in ``images``, ``masks`` and ``listing``.
        root: the directory that holds both.
        images: directory of the images below ``root``; None: the layout's.
        masks: directory of the masks below ``root``; None: the layout's.
        image_suffix: end of the image files' names, such as ``.jpg``; None: the layout's.
        mask_suffix: end of the mask files' names; None: the layout's.
        listing: file below ``root`` with the names of the split's images, one a line, without suffix; None: the layout's, if it
            has one, else all images that are there.
        classes: class names in the order of the labels; None: the layout's (``pairs`` has none).
        palette: one RGB triple per class; None: the layout's, where it has a colour for every class.
        reduce_zero_label: label 0 means: not labelled, and every other is one less; None: the layout's.
        label_map: label after that, by number or by the layout's name -> number, name in ``classes``, or null for void.
        ignore_index: the void label of both; in an experiment ``data.ignore_index``.
        layout: a known data set's directories, suffixes, classes and colours; ``pairs``: ``train/`` and ``trainannot/`` unless
            told, without class names.

    Attributes:
        root: the directory that holds images and masks.
        class_names: one name per class.
        palette: one RGB triple per class, or None.

    Raises:
        DataError: unknown layout, missing directories, images without masks, no images, or a map of labels that are not there.

    Example:
        >>> FolderSegmentation("val", root="/nowhere", layout="camvid")
        Traceback (most recent call last):
        rayseg.errors.DataError: folders val: no directory /nowhere/val, /nowhere/valannot; expected images in ...
    """

    def __init__(  # noqa: PLR0913
        self,
        split: str,
        *,
        root: str,
        images: str | None = None,
        masks: str | None = None,
        image_suffix: str | None = None,
        mask_suffix: str | None = None,
        listing: str | None = None,
        classes: Sequence[str] | None = None,
        palette: Sequence[Sequence[int]] | None = None,
        reduce_zero_label: bool | None = None,
        label_map: Mapping[str, str | int | None] | None = None,
        ignore_index: int = 255,
        layout: LayoutName = "pairs",
    ) -> None:
        if layout not in LAYOUTS:
            raise DataError(f"folders {split}: no layout {layout!r}; expected one of {', '.join(LAYOUTS)}")
        chosen = LAYOUTS[layout]
        self.root = Path(root).expanduser()
        self._split = split
        self._image_suffix = image_suffix or chosen.image_suffix
        self._mask_suffix = mask_suffix or chosen.mask_suffix
        known = colours_of(layout)
        self.class_names, self.palette = _classes_of(split, known, classes, palette)
        self._table = label_table(
            f"folders {split}",
            reduce_zero_label=chosen.reduce_zero_label if reduce_zero_label is None else reduce_zero_label,
            label_map=label_map,
            old_names=tuple(known),
            names=self.class_names,
            ignore_index=ignore_index,
        )
        told = Part(images or chosen.part.images, masks or chosen.part.masks, listing or chosen.part.listing)
        more = chosen.more.get(split) if told == chosen.part else None
        name = chosen.splits.get(split, split)
        self._pairs = [pair for part in (told, more) if part is not None for pair in self._found(part, name)]

    def __len__(self) -> int:
        """Number of images."""
        return len(self._pairs)

    def __getitem__(self, index: int) -> Sample:
        """Image and mask number ``index``, in the order of their names."""
        if not 0 <= index < len(self):
            raise IndexError(f"folders {self._split}: no image {index}; there are {len(self)}")
        image = self._pairs[index].image
        return Sample(decode_image(_bytes(image), str(image)), self.mask(index), str(image))

    def picture(self, index: int) -> Picture:
        """Image and mask number ``index``; parts of the image can be decoded alone."""
        image = self._pairs[index].image
        return encoded_picture(_bytes(image), self.mask(index), str(image))

    def mask(self, index: int) -> NDArray[np.uint8]:
        """Mask number ``index`` alone."""
        path = self._pairs[index].mask
        mask = decode_mask(_bytes(path), str(path))
        return mask if self._table is None else self._table[mask]

    def image_bytes(self, index: int) -> bytes:
        """The image as it is encoded."""
        return _bytes(self._pairs[index].image)

    def digest(self) -> str:
        """Digest of names, sizes of the images and contents of the masks; it does not depend on where they lie."""
        digest = hashlib.blake2b(b"" if self._table is None else self._table.tobytes(), digest_size=16)
        for pair in self._pairs:
            mask = hashlib.blake2b(_bytes(pair.mask)).digest()
            digest.update(f"{pair.stem}|{pair.image.stat().st_size}|".encode() + mask)
        return digest.hexdigest()

    def _found(self, part: Part, split: str) -> list[Pair]:
        images, masks = (self.root / place.format(split=split) for place in (part.images, part.masks))
        listing = None if part.listing is None else self.root / part.listing.format(split=split)
        return find_pairs(f"folders {self._split}", images, masks, self._image_suffix, self._mask_suffix, listing)


def _classes_of(
    split: str,
    known: Mapping[str, tuple[int, int, int]],
    classes: Sequence[str] | None,
    palette: Sequence[Sequence[int]] | None,
) -> tuple[tuple[str, ...], Palette | None]:
    """Class names and palette: what was asked for, else the layout's."""
    if classes is None and not known:
        raise DataError(f"folders {split}: no class names; give classes, in the order of the labels")
    names = tuple(known if classes is None else classes)
    if palette is not None:
        return names, tuple((r, g, b) for r, g, b in palette)
    return names, tuple(known[name] for name in names) if all(name in known for name in names) else None


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error}); put the file back, or start again without it") from error
