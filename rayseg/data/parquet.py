"""Images and masks from Parquet: turned once into memory-mapped Arrow in a local cache, then read at random.

Columns: ``name`` (text), ``image`` (JPEG or PNG bytes), ``mask`` (8-bit palette or grey PNG bytes), and ``split`` where one
file holds several. The cache is keyed by content, so that a copy of the files elsewhere finds the same entry.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from rayseg.data._cache import cache_directory, cached_json, file_digest, write_atomically
from rayseg.data._jpeg import jpeg_places
from rayseg.data._rows import (
    COLUMNS,
    FAST_VERSION,
    PLACES,
    column_of,
    files_of,
    mask_of,
    names_in,
    palette_in,
    picture_of_row,
    quick_mask,
    sample_of_row,
)
from rayseg.data.picture import Picture
from rayseg.errors import DataError
from rayseg.types import Sample

__all__ = ["ParquetSegmentation"]

_VERSION = "2"
_BATCH_ROWS = 64
_VOID_LABEL = 255


class ParquetSegmentation:
    """One split of a Parquet data set.

    Args:
        split: name of the split.
        path: a directory with ``<split>.parquet`` or ``<split>-*.parquet``; or a file pattern, in which ``{split}`` stands
            for the split. Without ``{split}`` in the pattern, the rows whose ``split`` column says so are taken.
        classes: class names in the order of the labels. None: those that the file's schema metadata names (``classes``, a
            JSON list; a last name at ``ignore_index`` is the void label and is left out), else ``class_0``, ``class_1``, ...
            up to the largest label below 255.
        palette: one RGB triple per class. None: those of the metadata (``palette``), where the names are too.
        cache: directory for the Arrow files; None: ``$RAYSEG_CACHE``, else ``~/.cache/rayseg``.

    Attributes:
        root: the directory of the first file.
        class_names: one name per class.
        palette: one RGB triple per class, or None.

    Raises:
        DataError: no such file, no rows, or missing columns.

    Example:
        >>> ParquetSegmentation("train", path="/nowhere")
        Traceback (most recent call last):
        rayseg.errors.DataError: parquet train: no file /nowhere/train.parquet ...
    """

    def __init__(
        self,
        split: str,
        *,
        path: str,
        classes: Sequence[str] | None = None,
        palette: Sequence[Sequence[int]] | None = None,
        cache: str | None = None,
    ) -> None:
        self._split = split
        self._where = f"parquet {split}"
        self._cache = cache_directory(cache)
        self._files = _matching_files(split, path)
        self.root = self._files[0].parent
        self._filter = split if not Path(path).expanduser().is_dir() and "{split}" not in path else None
        self._digest = _digest_of(self._files, self._filter, self._cache)
        self._opened: tuple[int, Any] | None = None
        self._length: int = self._table().num_rows
        self.class_names = tuple(classes) if classes is not None else self._found_names()
        self.palette = palette_in(self._table().schema.metadata or {}) if classes is None else None
        if palette is not None:
            self.palette = tuple((r, g, b) for r, g, b in palette)

    def __len__(self) -> int:
        """Number of rows of this split."""
        return self._length

    def __getitem__(self, index: int) -> Sample:
        """Row number ``index``, decoded."""
        return sample_of_row(self._table(), index, self._where)

    def picture(self, index: int) -> Picture:
        """Row number ``index``; parts of its image can be decoded alone."""
        return picture_of_row(self._table(), index, self._where)

    def mask(self, index: int) -> NDArray[np.uint8]:
        """Mask of row number ``index`` alone."""
        return mask_of(self._table(), index, self._where)

    def image_bytes(self, index: int) -> bytes:
        """The image as it is encoded."""
        return bytes(column_of(self._table(), index, "image", self._where))

    def digest(self) -> str:
        """Digest of the files' content and of the split that is taken from them."""
        return self._digest

    def __getstate__(self) -> dict[str, Any]:
        """Everything but the open file: each process maps its own."""
        return {**self.__dict__, "_opened": None}

    def _table(self) -> Any:
        if self._opened is None or self._opened[0] != os.getpid():
            self._opened = (os.getpid(), self._map())
        return self._opened[1]

    def _map(self) -> Any:
        path = self._cache / "arrow" / f"{self._digest}.{FAST_VERSION}.arrow"
        if not path.exists():
            self._make(path)
        try:
            table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
        except pa.ArrowInvalid as error:
            raise DataError(f"{path}: not a whole Arrow file ({error}); delete it, and it is made anew") from error
        if table.num_rows == 0:
            files = ", ".join(map(str, self._files[:3]))
            raise DataError(f"parquet {self._split}: no rows in {files}; expected at least one image: check path and split")
        return table

    def _make(self, path: Path) -> None:
        try:
            write_atomically(path, lambda draft: _convert(self._files, self._filter, draft))
        except pa.ArrowException as error:
            files = ", ".join(map(str, self._files[:3]))
            raise DataError(
                f"parquet {self._split}: {files} cannot be turned into Arrow ({error}); expected whole Parquet files with text "
                "in 'name' and bytes in 'image' and 'mask'"
            ) from error

    def _found_names(self) -> tuple[str, ...]:
        named = names_in(self._table().schema.metadata or {})
        if named is not None:
            return named
        path = self._cache / "labels" / f"{self._digest}.json"
        return tuple(f"class_{label}" for label in range(cached_json(path, self._largest_label) + 1))

    def _largest_label(self) -> int:
        masks = (self.mask(index) for index in range(len(self)))
        return max(int(mask[mask != _VOID_LABEL].max(initial=0)) for mask in masks)


def _matching_files(split: str, path: str) -> list[Path]:
    """The files of a split, sorted by name."""
    root = Path(path).expanduser()
    if root.is_dir():
        files = files_of(root, split, ".parquet")
        wanted = f"{root / f'{split}.parquet'} (or {split}-*.parquet beside it)"
    else:
        pattern = Path(str(root).replace("{split}", split))
        is_directory = "." not in pattern.name
        files = sorted(pattern.parent.glob(pattern.name))
        wanted = f"{pattern / f'{split}.parquet'} (there is no such directory)" if is_directory else str(pattern)
    if not files:
        raise DataError(f"parquet {split}: no file {wanted}; give the directory or a file pattern as data.dataset.path")
    return files


def _digest_of(files: Sequence[Path], only: str | None, cache: Path) -> str:
    parts = [_VERSION, only or "", *(file_digest(path, cache) for path in files)]
    return hashlib.blake2b("|".join(parts).encode(), digest_size=16).hexdigest()


def _convert(files: Sequence[Path], only: str | None, draft: Path) -> None:
    """Write the rows of a split as Arrow IPC."""
    metadata = pq.read_schema(files[0]).metadata or {}
    kept = {key: value for key, value in metadata.items() if key in {b"classes", b"ignore_index", b"palette"}}
    binary = [(name, pa.large_binary()) for name in (*COLUMNS[1:], PLACES)]
    schema = pa.schema([(COLUMNS[0], pa.string()), *binary], metadata={**kept, b"version": FAST_VERSION.encode()})
    with pa.ipc.new_file(str(draft), schema) as writer:
        for path in files:
            for batch in _batches(path, only):
                writer.write_batch(_fast(batch, schema))


def _fast(batch: Any, schema: Any) -> Any:
    """The rows with what training reads faster."""
    names, images, masks = (batch[name].cast(schema.field(name).type) for name in COLUMNS)
    packed_masks = [quick_mask(mask.as_buffer()) for mask in masks]
    places = [None if image.as_buffer() is None else jpeg_places(image.as_buffer()) for image in images]
    quick = [pa.array(column, pa.large_binary()) for column in (packed_masks, places)]
    return pa.record_batch([names, images, *quick], schema=schema)


def _batches(path: Path, only: str | None) -> Iterator[Any]:
    """Record batches with the three columns, of the rows of one split."""
    needed = (*COLUMNS, "split") if only is not None else COLUMNS
    with pq.ParquetFile(path) as file:
        have = file.schema_arrow.names
        missing = [name for name in needed if name not in have]
        if missing:
            raise DataError(f"{path}: no column {', '.join(missing)}; it has {', '.join(have)}; expected {', '.join(needed)}")
        for batch in file.iter_batches(_BATCH_ROWS, columns=list(needed), use_threads=False):
            yield batch if only is None else batch.filter(pc.equal(batch["split"], only))
