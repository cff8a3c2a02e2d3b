"""One row of a table of images: encoded bytes to a sample. What the tables of Parquet and Arrow share."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rayseg.data._decode import decode_image, decode_mask
from rayseg.data._jpeg import jpeg_places, jpeg_region
from rayseg.data._masks import packed
from rayseg.data.dataset import Palette
from rayseg.data.picture import Picture, encoded_picture
from rayseg.errors import DataError
from rayseg.types import Sample

__all__ = [
    "COLUMNS",
    "FAST_VERSION",
    "PLACES",
    "column_of",
    "files_of",
    "mask_of",
    "names_in",
    "palette_in",
    "picture_of_row",
    "places_of",
    "quick_mask",
    "sample_of_row",
]

#: ``name`` is text, the others are encoded bytes.
COLUMNS = ("name", "image", "mask")
#: Of an image that is a JPEG, where reading can go on in it; files of before have no such column.
PLACES = "places"
#: Of files with packed masks and places, in their metadata; older files, which have neither, are read too.
FAST_VERSION = "2"
_PART = re.compile(r"-(\d{5})-of-(\d{5})$")


def sample_of_row(table: Any, index: int, where: str) -> Sample:
    """Row number ``index``, decoded."""
    if not 0 <= index < table.num_rows:
        raise IndexError(f"{where}: no image {index}; there are {table.num_rows}")
    name = table["name"][index].as_py()
    image, mask = (column_of(table, index, column, where) for column in ("image", "mask"))
    return Sample(decode_image(image, name), decode_mask(mask, name), name)


def picture_of_row(table: Any, index: int, where: str) -> Picture:
    """Row number ``index``, its image undecoded where it can be decoded in parts."""
    if not 0 <= index < table.num_rows:
        raise IndexError(f"{where}: no image {index}; there are {table.num_rows}")
    places = table[PLACES][index].as_buffer() if PLACES in table.column_names else None
    name = table["name"][index].as_py()
    return encoded_picture(column_of(table, index, "image", where), mask_of(table, index, where), name, places)


def quick_mask(data: Any | None) -> bytes | None:
    """A mask that is quick to read; one that cannot be decoded stays as it is, for the error to come when it is asked for."""
    try:
        return None if data is None else packed(decode_mask(data, ""))
    except DataError:
        return bytes(data)  # type: ignore[arg-type]


def places_of(image: bytes, pixels: NDArray[np.uint8]) -> bytes | None:
    """Where reading can go on in an image; None where its parts are not, to the bit, those of its pixels ``(H, W, 3)``."""
    places = jpeg_places(image)
    if places is None:
        return None
    height, width, _ = pixels.shape
    same = np.array_equal(jpeg_region(image, places, (0, height, 0, width)), pixels)  # type: ignore[arg-type]
    return places if same else None


def mask_of(table: Any, index: int, where: str) -> NDArray[np.uint8]:
    """Mask of row number ``index`` alone."""
    return decode_mask(column_of(table, index, "mask", where), table["name"][index].as_py())


def column_of(table: Any, index: int, column: str, where: str) -> Any:
    """Encoded bytes of an image or a mask, without a copy.

    Raises:
        DataError: the row has none.
    """
    data = table[column][index].as_buffer()
    if data is None:
        raise DataError(f"{table['name'][index].as_py()}: row {index} of {where} has no {column}; remove it")
    return data


def names_in(metadata: dict[bytes, bytes]) -> tuple[str, ...] | None:
    """Class names of a schema; a last name at ``ignore_index`` is the void label and is left out."""
    if b"classes" not in metadata:
        return None
    names = json.loads(metadata[b"classes"])
    has_void = metadata.get(b"ignore_index", b"").decode() == str(len(names) - 1)
    return tuple(map(str, names[:-1] if has_void else names))


def palette_in(metadata: dict[bytes, bytes]) -> Palette | None:
    """Colours of a schema."""
    return tuple((r, g, b) for r, g, b in json.loads(metadata[b"palette"])) if b"palette" in metadata else None


def files_of(root: Path, split: str, suffix: str) -> list[Path]:
    """``<split><suffix>``, else every ``<split>-*<suffix>``, sorted by name.

    Raises:
        DataError: the names say ``-00002-of-00007``, and not all of them are there.
    """
    whole = root / f"{split}{suffix}"
    if whole.is_file():
        return [whole]
    files = sorted(root.glob(f"{split}-*{suffix}"))
    _require_all(root, split, files, suffix)
    return files


def _require_all(root: Path, split: str, files: Sequence[Path], suffix: str) -> None:
    parts = [(int(found[1]), int(found[2])) for path in files if (found := _PART.search(path.name.removesuffix(suffix)))]
    total = max((of for _, of in parts), default=0)
    if parts and sorted(parts) != [(number, total) for number in range(total)]:
        raise DataError(
            f"{root}: split {split!r} is not whole, {len(parts)} of its {total} files are there; run the command that writes "
            "them again, or fetch the others"
        )
