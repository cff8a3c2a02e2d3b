"""Images and masks from Arrow files as ``rayseg data convert`` writes them, mapped into memory: nothing is copied or cached."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from rayseg.data._cache import cache_directory, file_digest
from rayseg.data._rows import COLUMNS, column_of, files_of, mask_of, names_in, palette_in, picture_of_row, sample_of_row
from rayseg.data.picture import Picture
from rayseg.errors import DataError
from rayseg.types import Sample

__all__ = ["ArrowSegmentation"]


class ArrowSegmentation:
    """One split of a directory of Arrow files.

    Args:
        split: name of the split.
        path: directory with ``<split>.arrow`` or ``<split>-*.arrow``; columns ``name``, ``image``, ``mask``.
        classes: class names in the order of the labels; None: those of the schema (``classes``, a JSON list).
        palette: one RGB triple per class; None: those of the schema (``palette``), where the names are too.

    Attributes:
        root: the directory.
        class_names: one name per class.
        palette: one RGB triple per class, or None.

    Raises:
        DataError: no such file, some of them missing, no rows, missing columns, or no class names.

    Example:
        >>> ArrowSegmentation("train", path="/nowhere")
        Traceback (most recent call last):
        rayseg.errors.DataError: arrow train: no file /nowhere/train.arrow (or train-*.arrow); rayseg data convert writes them
    """

    def __init__(
        self,
        split: str,
        *,
        path: str,
        classes: Sequence[str] | None = None,
        palette: Sequence[Sequence[int]] | None = None,
    ) -> None:
        self._where = f"arrow {split}"
        self.root = Path(path).expanduser()
        self._files = files_of(self.root, split, ".arrow")
        if not self._files:
            whole = self.root / f"{split}.arrow"
            raise DataError(f"{self._where}: no file {whole} (or {split}-*.arrow); rayseg data convert writes them")
        self._opened: tuple[int, Any] | None = None
        metadata = self._table().schema.metadata or {}
        names = names_in(metadata) if classes is None else tuple(classes)
        if names is None:
            raise DataError(f"{self._where}: no class names in {self._files[0]}; give classes, in the order of the labels")
        self.class_names = names
        self.palette = palette_in(metadata) if classes is None else None
        if palette is not None:
            self.palette = tuple((r, g, b) for r, g, b in palette)

    def __len__(self) -> int:
        """Number of rows."""
        return int(self._table().num_rows)

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
        """Digest of the files' content."""
        digests = [file_digest(path, cache_directory()) for path in self._files]
        return hashlib.blake2b("|".join(digests).encode(), digest_size=16).hexdigest()

    def __getstate__(self) -> dict[str, Any]:
        """Everything but the open files: each process maps its own."""
        return {**self.__dict__, "_opened": None}

    def _table(self) -> Any:
        if self._opened is None or self._opened[0] != os.getpid():
            self._opened = (os.getpid(), self._map())
        return self._opened[1]

    def _map(self) -> Any:
        tables = [_mapped(path) for path in self._files]
        missing = [name for name in COLUMNS if name not in tables[0].column_names]
        if missing:
            have = ", ".join(tables[0].column_names)
            raise DataError(f"{self._files[0]}: no column {', '.join(missing)}; it has {have}; expected {', '.join(COLUMNS)}")
        table = pa.concat_tables(tables)
        if table.num_rows == 0:
            raise DataError(f"{self._where}: no rows in {self._files[0]}; expected at least one image: check path and split")
        return table


def _mapped(path: Path) -> Any:
    try:
        return pa.ipc.open_file(pa.memory_map(str(path))).read_all()
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(f"{path}: not a whole Arrow file ({error}); convert the split again") from error
