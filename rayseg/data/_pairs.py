"""Images in one directory and their masks in another."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from rayseg.errors import DataError

__all__ = ["Pair", "find_pairs"]

_NAMED_AT_MOST = 5


class Pair(NamedTuple):
    """An image and its mask; the stem is what their paths below their directories have in common."""

    stem: str
    image: Path
    mask: Path


def find_pairs(where: str, images: Path, masks: Path, image_suffix: str, mask_suffix: str, listing: Path | None) -> list[Pair]:
    """The mask of an image has the same path below its directory, with the other suffix.

    Args:
        where: what is read, for the errors.
        images: directory; subdirectories are searched too.
        masks: directory.
        image_suffix: end of the images' names.
        mask_suffix: end of the masks' names.
        listing: file with the stems that are wanted, one a line; None: every image must have a mask, and every mask an image.

    Returns:
        In the order of the stems.

    Raises:
        DataError: a directory, an image, a mask or the listing is not there.
    """
    absent = [str(root) for root in (images, masks) if not root.is_dir()]
    if absent:
        raise DataError(
            f"{where}: no directory {', '.join(absent)}; expected images in {images} and masks in {masks}: "
            "set root, images, masks or layout"
        )
    have_image, have_mask = _stems(images, image_suffix), _stems(masks, mask_suffix)
    if not have_image:
        raise DataError(f"{where}: no file *{image_suffix} in {images}; set image_suffix or images")
    wanted = have_image | have_mask if listing is None else _listed(where, listing)
    without = [str(masks / f"{stem}{mask_suffix}") for stem in sorted(wanted - have_mask)]
    orphans = [str(images / f"{stem}{image_suffix}") for stem in sorted(wanted - have_image)]
    if without or orphans:
        raise DataError(
            f"{where}: {len(without)} of {len(wanted & have_image)} images have no mask and {len(orphans)} of "
            f"{len(wanted & have_mask)} masks no image; missing: {_some(without + orphans)}. "
            f"Add the files, or set image_suffix and mask_suffix{'' if listing is None else f', or correct {listing}'}"
        )
    return [Pair(stem, images / f"{stem}{image_suffix}", masks / f"{stem}{mask_suffix}") for stem in sorted(wanted)]


def _listed(where: str, listing: Path) -> set[str]:
    try:
        lines = listing.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise DataError(f"{where}: {listing} cannot be read ({error.strerror}); it lists the images: set listing") from error
    stems = {line.strip() for line in lines} - {""}
    if not stems:
        raise DataError(f"{where}: {listing} lists no images; expected one name a line, without suffix: set listing")
    return stems


def _stems(root: Path, suffix: str) -> set[str]:
    """Paths below ``root`` of the files that end with ``suffix``, without it."""
    return {path.relative_to(root).as_posix()[: -len(suffix)] for path in root.rglob(f"*{suffix}")}


def _some(names: Sequence[str]) -> str:
    more = len(names) - _NAMED_AT_MOST
    return ", ".join(names[:_NAMED_AT_MOST]) + (f" and {more} more" if more > 0 else "")
