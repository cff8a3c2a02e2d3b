"""Data sets: their wrappers, their directories, several of them as one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Any, NamedTuple

from rayseg.compat.mmseg.folders import Folders, folders_of
from rayseg.compat.mmseg.sections import Section

__all__ = ["DATASET", "dataset", "sources"]

DATASET = "data.dataset"
_SPLITS = ("train", "val")


class _Written(NamedTuple):
    value: Any
    path: str


def sources(data: Section, loader: Section, split: str) -> list[Section]:
    """The dicts of the data sets that a split consists of, below their wrappers, in order; they do not count as read.

    Source: ``build_dataset`` of MMSegmentation 0.30, ``ConcatDataset`` and ``RepeatDataset`` of both generations.

    Args:
        data: ``data`` of 0.x.
        loader: ``train_dataloader`` or ``val_dataloader`` of 1.x.
        split: train or val.

    Example:
        >>> from rayseg.compat.mmseg.sections import Report
        >>> report = Report("0.x")
        >>> data = Section(
        ...     {"train": {"type": "RepeatDataset", "dataset": {"type": "A", "img_dir": ["b", "c"]}}}, "data", report
        ... )
        >>> [each.values["img_dir"] for each in sources(data, Section(None, "", report), "train")]
        ['b', 'c']
    """
    old = split in data
    written = (
        _Written(data.values.get(split), f"data.{split}")
        if old
        else _Written(loader.values.get("dataset"), f"{loader.path}.dataset")
    )
    return [Section(each.value, each.path, data.report) for each in _unwrapped(written, data)]


def _unwrapped(written: _Written, data: Section) -> Iterator[_Written]:
    """Repeating changes no step of a run that counts steps."""
    value, path = written
    if isinstance(value, list | tuple):
        for index, each in enumerate(value):
            yield from _unwrapped(_Written(each, f"{path}.{index}"), data)
        return
    kind = value.get("type") if isinstance(value, Mapping) else None
    if kind == "RepeatDataset":
        if "train.epochs" in data.report.config and data.report.config["train.epochs"] and value.get("times", 1) != 1:
            message = f"{value['times']} passes are one epoch there; remove it, and multiply the epochs and their intervals"
            data.report.lose(f"{path}.times", message, DATASET)
        yield from _unwrapped(_Written(value.get("dataset"), f"{path}.dataset"), data)
    elif kind == "ConcatDataset":
        yield from _unwrapped(_Written(value.get("datasets") or (), f"{path}.datasets"), data)
    elif isinstance(value, Mapping) and "dataset" in value:
        message = f"{kind} around a data set is not carried; write data.dataset, and what it does as data.transforms"
        data.report.lose(f"{path}.type", message, DATASET)
    elif value is not None:
        yield from _each_directory(value, path)


def _each_directory(value: Any, path: str) -> Iterator[_Written]:
    """Lists of directories and of files are data sets, one after the other."""
    keys = ("img_dir", "ann_dir", "split", "ann_file")
    listed = {key: each for key in keys if isinstance(each := value.get(key), list | tuple)} if isinstance(value, dict) else {}
    for index in range(max(map(len, listed.values()), default=0)):
        yield _Written({**value, **{key: each[index] for key, each in listed.items() if index < len(each)}}, path)
    if not listed:
        yield _Written(value, path)


def dataset(learn: Sequence[Section], judge: Sequence[Section], *, reduced: bool) -> None:
    """``data.dataset``: one where training and validation lie alike, else each a part of its splits; all count as read.

    Args:
        learn: of the training split.
        judge: of the validation split.
        reduced: label 0 is taken out while annotations are loaded.

    Example:
        >>> from rayseg.compat.mmseg.sections import Report
        >>> report = Report("0.x")
        >>> written = {"type": "CityscapesDataset", "data_root": "a", "img_dir": "leftImg8bit/train", "ann_dir": "gtFine/train"}
        >>> dataset([Section(written, "data.train", report)], [], reduced=False)
        >>> report.config["data.dataset"]
        {'type': 'folders', 'layout': 'cityscapes', 'root': 'a'}
    """
    found = [
        (split, section, folders_of(section, split, reduced=reduced))
        for split, sections in zip(_SPLITS, (learn, judge), strict=True)
        for section in sections
    ]
    whole = [(split, section, folders) for split, section, folders in found if folders is not None]
    if not whole or len(whole) < len(found):
        return
    report = whole[0][1].report
    by_split = {split: [folders for each, _, folders in whole if each == split] for split in _SPLITS}
    if one := _alike(by_split["train"], by_split["val"]):
        report.config[DATASET] = one
        return
    names: dict[str, dict[str, Any]] = {}
    for split, section, folders in whole:
        names[_free(PurePath(folders.images).parts or (split,), names)] = {**folders.spec(split), "splits": [split]}
        if not judge:
            report.note(section.path, "validation has no data here; give a part for it")
    report.config[DATASET] = {"type": "concat", "parts": names}


def _alike(learn: Sequence[Folders], judge: Sequence[Folders]) -> dict[str, Any] | None:
    """One set of directories for both splits."""
    if _is_augmented_voc(learn):
        return {**learn[0].spec("train"), "layout": "pascal_voc_aug"}
    if len(learn) != 1 or len(judge) > 1:
        return None
    return (
        learn[0].spec("train") if not judge and learn[0].is_usual("train") else learn[0].with_other(judge[0]) if judge else None
    )


def _is_augmented_voc(learn: Sequence[Folders]) -> bool:
    lists = [PurePath(each.listing or "").name for each in learn]
    return lists == ["train.txt", "aug.txt"] and all(each.layout == "pascal_voc" for each in learn)


def _free(parts: Sequence[str], taken: Mapping[str, Any]) -> str:
    """A name that says where the images lie."""
    name = "_".join(part for part in parts if part not in {"/", "."}).replace(".", "_") or "images"
    return name if name not in taken else f"{name}_{len(taken)}"
