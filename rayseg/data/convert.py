"""Any data set to Parquet, to keep and exchange, or to memory-mapped Arrow, to train from.

A split becomes files of so many images each. Every file is written whole or not at all, and its checksum is kept in a manifest
beside it; so what was interrupted goes on with the first file that is missing or damaged. Images that lie encoded somewhere
keep their bytes; others become PNGs, and so do masks for exchange. Files to train from have masks that are quick to read and,
of each JPEG, the places at which reading can go on. Each is decoded again and compared before it is written.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from rayseg.data._cache import content_digest, write_atomically
from rayseg.data._decode import decode_image, decode_mask, encode_png
from rayseg.data._masks import packed
from rayseg.data._rows import COLUMNS, FAST_VERSION, PLACES, places_of
from rayseg.data._shortcuts import shortcut
from rayseg.data._workers import default_workers, map_in_order
from rayseg.data.dataset import Dataset, Palette, check_sample
from rayseg.errors import DataError

__all__ = ["Converted", "Format", "convert_split"]

Format = Literal["parquet", "arrow"]

#: Name, image and mask, and of files to train from the places in the image.
Row = tuple[str | bytes | None, ...]
#: Rows that are in memory at a time.
_BATCH_ROWS = 16


@dataclass(frozen=True)
class Converted:
    """What a split became.

    Args:
        files: in order.
        images: in all of them.
        num_bytes: of all of them.
        num_kept: files that were there already, with the right checksum.
    """

    files: tuple[Path, ...]
    images: int
    num_bytes: int
    num_kept: int


@runtime_checkable
class _HasRoot(Protocol):
    """A data set whose samples are named by paths below a directory."""

    @property
    def root(self) -> Path: ...


@dataclass(frozen=True)
class _Encode:
    """Index -> name, image and mask as bytes, checked and compared."""

    dataset: Dataset
    num_classes: int
    ignore_index: int
    form: Format

    def __call__(self, index: int) -> Row:
        sample = self.dataset[index]
        check_sample(sample, self.num_classes, self.ignore_index)
        encoded = shortcut(self.dataset, "image_bytes", instead_of="__getitem__")
        image: bytes = encode_png(sample.image) if encoded is None else encoded(index)
        mask = encode_png(sample.mask) if self.form == "parquet" else packed(sample.mask)
        same = np.array_equal(decode_image(image, sample.name), sample.image)
        if not same or not np.array_equal(decode_mask(mask, sample.name), sample.mask):
            raise DataError(
                f"{sample.name}: does not come back as it was given; expected the same pixels each time it is read: "
                "see to it that the data set is no function of chance, and that image_bytes is this image"
            )
        row = (self._short(sample.name), image, mask)
        return row if self.form == "parquet" else (*row, places_of(image, sample.image))

    def _short(self, name: str) -> str:
        """Below the root, so that a file does not say where it was made."""
        if isinstance(self.dataset, _HasRoot) and Path(name).is_relative_to(self.dataset.root):
            return Path(name).relative_to(self.dataset.root).as_posix()
        return name


def convert_split(
    dataset: Dataset,
    split: str,
    out: Path,
    *,
    form: Format,
    ignore_index: int = 255,
    class_names: Sequence[str] | None = None,
    palette: Palette | None = None,
    images_per_file: int = 512,
    num_workers: int | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Converted:
    """Write a split as ``<split>-00000-of-00003.parquet`` and so on, which the data sets ``parquet`` and ``arrow`` read.

    Args:
        dataset: the split, without transforms.
        split: its name in the files' names.
        out: directory; files of other splits may lie there too.
        form: ``parquet`` or ``arrow``.
        ignore_index: the void label.
        class_names: C names; None: the data set's.
        palette: one RGB triple per class; None: the data set's, where there is one for every class.
        images_per_file: images in one file.
        num_workers: encoding processes; None: as many as there are cores, for a data set that is worth it.
        on_progress: called with the number of images that are done, and of all.

    Raises:
        DataError: a sample is not what the contract says, the directory holds another conversion of this split, or it
            cannot be written.

    Example:
        >>> import tempfile
        >>> from rayseg.data import ArrowSegmentation, SyntheticStreets
        >>> out = Path(tempfile.mkdtemp())
        >>> done = convert_split(SyntheticStreets("val", length=3), "val", out, form="arrow", images_per_file=2)
        >>> [path.name for path in done.files], len(ArrowSegmentation("val", path=str(out)))
        (['val-00000-of-00002.arrow', 'val-00001-of-00002.arrow'], 3)
    """
    names = tuple(class_names or dataset.class_names)
    chunks = [range(len(dataset))[first : first + images_per_file] for first in range(0, len(dataset), images_per_file)]
    files = [out / f"{split}-{number:05}-of-{len(chunks):05}.{form}" for number in range(len(chunks))]
    schema = _schema(palette or dataset.palette, names, ignore_index, form)
    source = {"data": dataset.digest(), "per_file": images_per_file, **_text(schema.metadata)}
    manifest = _Manifest(out / f"{split}.{form}.json", source)
    _require_own(out, split, form, files)
    todo = [(file, chunk) for file, chunk in zip(files, chunks, strict=True) if not manifest.has(file)]
    workers = default_workers(sum(len(chunk) for _, chunk in todo)) if num_workers is None else num_workers
    encode = _Encode(dataset, len(names), ignore_index, form)
    rows = map_in_order(encode, (index for _, chunk in todo for index in chunk), workers)
    told = _Told(len(dataset) - sum(len(chunk) for _, chunk in todo), len(dataset), on_progress)
    try:
        for file, chunk in todo:
            _write(file, schema, form, told.counted(islice(rows, len(chunk))))
            manifest.add(file)
    except OSError as error:
        raise DataError(
            f"{out}: cannot be written ({error.strerror or error}); make room, or choose another directory"
        ) from error
    finally:
        rows.close()
    sizes = sum(file.stat().st_size for file in files)
    return Converted(tuple(files), len(dataset), sizes, len(files) - len(todo))


@dataclass
class _Told:
    """Passes rows on and tells how many there were."""

    done: int
    total: int
    on_progress: Callable[[int, int], None] | None

    def counted(self, rows: Iterator[Row]) -> Iterator[Row]:
        for row in rows:
            yield row
            self.done += 1
            if self.on_progress is not None:
                self.on_progress(self.done, self.total)


class _Manifest:
    """What a conversion was made of, and the checksum of each of its files.

    Raises:
        DataError: the file that is there tells of another conversion.
    """

    def __init__(self, path: Path, source: dict[str, Any]) -> None:
        self._path = path
        self._known: dict[str, Any] = {"source": source, "files": {}}
        if path.is_file():
            found = _parsed(path)
            if found.get("source") != source:
                known = found.get("source", {})
                changed = [key for key in {**source, **known} if known.get(key) != source.get(key)]
                raise DataError(
                    f"{path}: tells of another conversion ({', '.join(changed)} differ); delete it and its files, "
                    "or choose another directory"
                )
            self._known = found

    def has(self, file: Path) -> bool:
        """Whether a file is there as it was written."""
        return file.is_file() and self._known["files"].get(file.name) == content_digest(file)

    def add(self, file: Path) -> None:
        """Note a file's checksum (BLAKE2b, 16 bytes, of what is on the disk)."""
        self._known["files"][file.name] = content_digest(file)
        text = json.dumps(self._known, indent=1)
        write_atomically(self._path, lambda draft: draft.write_text(text, encoding="utf-8"))


def _parsed(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return {}
    return found


def _require_own(out: Path, split: str, form: Format, files: Sequence[Path]) -> None:
    """What a data set would read besides, or instead."""
    others = {*out.glob(f"{split}-*.{form}"), *out.glob(f"{split}.{form}")} - set(files)
    if others:
        shown = ", ".join(sorted(path.name for path in others)[:3])
        raise DataError(f"{out}: holds other files of split {split!r} ({shown}); delete them, or choose another directory")


def _text(metadata: Mapping[bytes, bytes]) -> dict[str, str]:
    return {key.decode(): value.decode() for key, value in metadata.items()}


def _schema(palette: Palette | None, names: Sequence[str], ignore_index: int, form: Format) -> Any:
    metadata = {"classes": json.dumps(list(names)), "ignore_index": str(ignore_index)}
    if palette is not None and len(palette) == len(names):
        metadata["palette"] = json.dumps(palette)
    columns = [(COLUMNS[0], pa.string()), *((name, pa.large_binary()) for name in COLUMNS[1:])]
    if form == "arrow":
        columns.append((PLACES, pa.large_binary()))
        metadata["version"] = FAST_VERSION
    return pa.schema(columns, metadata=metadata)


def _write(file: Path, schema: Any, form: Format, rows: Iterator[Row]) -> None:
    def fill(draft: Path) -> None:
        with (
            pq.ParquetWriter(draft, schema, compression="none")
            if form == "parquet"
            else pa.ipc.new_file(draft, schema) as writer
        ):
            for batch in _batches(schema, rows):
                writer.write_batch(batch)

    write_atomically(file, fill)


def _batches(schema: Any, rows: Iterator[Row]) -> Generator[Any, None, None]:
    while batch := list(islice(rows, _BATCH_ROWS)):
        yield pa.record_batch(
            [pa.array(column, field.type) for column, field in zip(zip(*batch, strict=True), schema, strict=True)],
            schema=schema,
        )
