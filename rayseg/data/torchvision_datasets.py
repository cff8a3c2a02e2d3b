"""Data sets of torchvision, and of anybody else who writes them that way: ``dataset[index] -> (image, mask)`` as pictures."""

from __future__ import annotations

import hashlib
import importlib
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rayseg.data._layouts import LayoutName, colours_of
from rayseg.data.dataset import Palette
from rayseg.data.labels import label_table
from rayseg.errors import DataError
from rayseg.types import Sample

__all__ = ["TorchvisionSegmentation"]

#: What a class may call its split.
_SPLITS = ("image_set", "split")
_TRANSFORMS = ("transform", "target_transform", "transforms")
#: Lists of files that a data set of torchvision keeps, the images first.
_FILE_LISTS = ("images", "_images", "masks", "targets", "_segs")


@dataclass(frozen=True)
class _Known:
    """What is to be said to a class of torchvision to get label pictures, and whose labels they are."""

    layout: LayoutName
    options: Mapping[str, Any] = field(default_factory=dict)


_KNOWN: Mapping[str, _Known] = {
    "VOCSegmentation": _Known("pascal_voc"),
    "SBDataset": _Known("pascal_voc", {"mode": "segmentation"}),
    "Cityscapes": _Known("cityscapes", {"target_type": "semantic"}),
}


class TorchvisionSegmentation:
    """One split of a data set whose items are pairs of pictures.

    ``VOCSegmentation``, ``SBDataset`` and ``Cityscapes`` bring their class names and colours, Cityscapes its train ids too.

    Args:
        split: what the class is given as ``image_set`` or ``split``.
        dataset: a class of ``torchvision.datasets``, or an import path, such as ``my_data:Fields``.
        root: its directory.
        options: its other arguments, such as ``{year: "2007"}``.
        classes: class names in the order of the labels; None: the known ones.
        palette: one RGB triple per class; None: the known ones, where there is a colour for every class.
        reduce_zero_label: label 0 means: not labelled, and every other is one less.
        label_map: label after that, by number or by the known name -> number, name in ``classes``, or null for void.
        ignore_index: the void label; in an experiment ``data.ignore_index``.

    Attributes:
        root: the directory.
        class_names: one name per class.
        palette: one RGB triple per class, or None.

    Raises:
        DataError: no such class, options that it does not take, no class names, or what the class itself complains about.

    Example:
        >>> TorchvisionSegmentation("train", dataset="VOCSegmentation", root="/nowhere")
        Traceback (most recent call last):
        rayseg.errors.DataError: VOCSegmentation train: Dataset not found or corrupted. ...
    """

    def __init__(
        self,
        split: str,
        *,
        dataset: str,
        root: str,
        options: Mapping[str, Any] | None = None,
        classes: Sequence[str] | None = None,
        palette: Sequence[Sequence[int]] | None = None,
        reduce_zero_label: bool = False,
        label_map: Mapping[str, str | int | None] | None = None,
        ignore_index: int = 255,
    ) -> None:
        self._where = f"{dataset} {split}"
        self.root = Path(root).expanduser()
        made_by = _class_of(self._where, dataset)
        known = _KNOWN.get(made_by.__name__) if made_by.__module__.startswith("torchvision.") else None
        colours = {} if known is None else colours_of(known.layout)
        if classes is None and not colours:
            raise DataError(f"{self._where}: no class names; give classes, in the order of the labels")
        self.class_names = tuple(colours if classes is None else classes)
        self.palette = _palette(self.class_names, colours, palette)
        self._table = label_table(
            self._where,
            reduce_zero_label=reduce_zero_label,
            label_map=label_map,
            old_names=tuple(colours),
            names=self.class_names,
            ignore_index=ignore_index,
        )
        if known is not None and known.layout == "cityscapes":
            self._table = _from_ids(made_by, self._table, ignore_index)
        given = {**({} if known is None else known.options), **(options or {})}
        self._dataset = _made(self._where, made_by, self.root, split, given)

    def __len__(self) -> int:
        """Number of items."""
        return len(self._dataset)

    def __getitem__(self, index: int) -> Sample:
        """Item number ``index``."""
        if not 0 <= index < len(self):
            raise IndexError(f"{self._where}: no image {index}; there are {len(self)}")
        name = self._name(index)
        image, target = self._dataset[index]
        mask = _labels(target, name)
        return Sample(_pixels(image, name), mask if self._table is None else self._table[mask], name)

    def digest(self) -> str:
        """Digest of the files: names and sizes of the images, contents of the masks; without lists of files, of all labels."""
        digest = hashlib.blake2b(b"" if self._table is None else self._table.tobytes(), digest_size=16)
        lists = [name for name in _FILE_LISTS if isinstance(getattr(self._dataset, name, None), list)]
        for name in lists:
            is_mask = name != lists[0]
            for path in _paths(getattr(self._dataset, name)):
                digest.update(f"{path.name}|{path.stat().st_size}|".encode() + (path.read_bytes() if is_mask else b""))
        if len(lists) < 2:
            for index in range(len(self)):
                digest.update(self[index].mask.tobytes())
        return digest.hexdigest()

    def _name(self, index: int) -> str:
        images = getattr(self._dataset, "images", None)
        return str(images[index]) if isinstance(images, list) else f"{self._where} {index}"


def _class_of(where: str, path: str) -> Callable[..., Any]:
    module, _, name = path.rpartition(":")
    try:
        found: Any = getattr(importlib.import_module(module or "torchvision.datasets"), name, None)
    except ImportError as error:
        raise DataError(
            f"{where}: {module} cannot be imported ({error}); expected an import path such as my_data:Fields"
        ) from error
    if not callable(found):
        raise DataError(f"{where}: {module or 'torchvision.datasets'} has no {name!r}; known here: {', '.join(_KNOWN)}")
    return found  # type: ignore[no-any-return]


def _made(where: str, made_by: Callable[..., Any], root: Path, split: str, options: Mapping[str, Any]) -> Any:
    """The data set, its arguments checked against its signature."""
    takes = inspect.signature(made_by).parameters
    splits = [name for name in _SPLITS if name in takes]
    if not splits:
        raise DataError(f"{where}: takes neither {' nor '.join(_SPLITS)}; wrap it in a data set of your own")
    own = [name for name in takes if name not in {"root", splits[0], *_TRANSFORMS}]
    wrong = [name for name in options if name not in own]
    if wrong:
        raise DataError(
            f"{where}: options has {', '.join(wrong)}; it takes {', '.join(own) or 'none'} "
            "(transforms belong to data.transforms)"
        )
    try:
        return made_by(root=str(root), **{splits[0]: split}, **options)
    except (RuntimeError, ValueError, OSError, ImportError, TypeError) as error:
        raise DataError(f"{where}: {error}") from error


def _palette(
    names: Sequence[str], colours: Mapping[str, tuple[int, int, int]], given: Sequence[Sequence[int]] | None
) -> Palette | None:
    if given is not None:
        return tuple((r, g, b) for r, g, b in given)
    return tuple(colours[name] for name in names) if all(name in colours for name in names) else None


def _from_ids(made_by: Any, table: NDArray[np.uint8] | None, ignore_index: int) -> NDArray[np.uint8]:
    """``(256,)``: label id -> what the table makes of its train id, as the class lists them; what is not trained is void."""
    ids = np.full(256, ignore_index, np.uint8)
    for each in made_by.classes:
        if 0 <= each.id < 256 and 0 <= each.train_id < 255:
            ids[each.id] = each.train_id if table is None else table[each.train_id]
    return ids


def _pixels(image: Any, name: str) -> NDArray[np.uint8]:
    if not isinstance(image, Image.Image):
        raise DataError(f"{name}: image is {type(image).__name__}; expected a PIL picture: give no transforms to the data set")
    return np.array(image.convert("RGB"), dtype=np.uint8)


def _labels(target: Any, name: str) -> NDArray[np.uint8]:
    if not isinstance(target, Image.Image) or target.mode not in {"1", "L", "P"}:
        got = f"mode {target.mode}" if isinstance(target, Image.Image) else type(target).__name__
        raise DataError(
            f"{name}: mask is {got}; expected a PIL picture of class indices, 8-bit grey or palette: "
            "set the options that give the segmentation"
        )
    return np.array(target, dtype=np.uint8)


def _paths(entries: Sequence[Any]) -> Iterator[Path]:
    """Paths in a list, or in lists in it."""
    for entry in entries:
        if isinstance(entry, list | tuple):
            yield from _paths(entry)
        else:
            yield Path(entry)
