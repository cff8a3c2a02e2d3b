"""One data set of MMSegmentation as directories: which layout it has here, and where it differs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from types import MappingProxyType
from typing import Any

from rayseg.compat.mmseg.sections import Section

__all__ = ["Folders", "folders_of"]

#: Data sets by type: the layouts here that have their classes; of several, the one whose training images lie there.
_LAYOUTS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "ADE20KDataset": {"": "ade20k"},
        "BDD100KDataset": {"": "cityscapes"},
        "COCOStuffDataset": {"images/train2014": "coco_stuff10k", "images/test2014": "coco_stuff10k", "": "coco_stuff164k"},
        "ChaseDB1Dataset": {"": "chase_db1"},
        "CityscapesDataset": {"": "cityscapes"},
        "DRIVEDataset": {"": "drive"},
        "DarkZurichDataset": {"": "cityscapes"},
        "HRFDataset": {"": "hrf"},
        "ISPRSDataset": {"": "vaihingen"},
        "LoveDADataset": {"": "loveda"},
        "MapillaryDataset_v1": {"": "mapillary_v1"},
        "MapillaryDataset_v2": {"": "mapillary_v2"},
        "NightDrivingDataset": {"": "cityscapes"},
        "PascalContextDataset": {"": "pascal_context"},
        "PascalContextDataset59": {"": "pascal_context_59"},
        "PascalVOCDataset": {"": "pascal_voc"},
        "PotsdamDataset": {"": "potsdam"},
        "STAREDataset": {"": "stare"},
        "iSAIDDataset": {"": "isaid"},
    }
)
#: Suffixes of images and masks by type, where they are not the layout's.
_SUFFIXES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "BDD100KDataset": (".jpg", ".png"),
        "DarkZurichDataset": ("_rgb_anon.png", "_gt_labelTrainIds.png"),
        "NightDrivingDataset": ("_leftImg8bit.png", "_gtCoarse_labelTrainIds.png"),
        "REFUGEDataset": (".png", ".png"),
    }
)
#: Classes of data sets that have no layout here.
_CLASSES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "FaceOccludedDataset": ("background", "face"),
        "REFUGEDataset": ("background", " Optic Cup", "Optic Disc"),
        "SynapseDataset": (
            "background", "aorta", "gallbladder", "left_kidney", "right_kidney", "liver", "pancreas", "spleen", "stomach",
        ),
    }
)  # fmt: skip
_GENERAL = ("CustomDataset", "BaseSegDataset")
_PAIRS = "pairs"


@dataclass(frozen=True)
class Folders:
    """Where a split of a data set lies, and what its labels mean.

    Args:
        layout: the one here that it is nearest to.
        root: directory of all.
        images: directory of the images.
        masks: directory of the masks.
        listing: file that names the images; None: all that are there.
        suffixes: of images and masks.
        labels: arguments about classes and labels.
    """

    layout: str
    root: str
    images: str
    masks: str
    listing: str | None
    suffixes: tuple[str, str]
    labels: Mapping[str, Any] = field(default_factory=dict)

    def spec(self, split: str) -> dict[str, Any]:
        """Our data set of this split alone."""
        own = {key: value for key, value in self._places().items() if value != self.usual(split)[key]}
        return {**self._start(), **own, **self.labels}

    def is_usual(self, split: str) -> bool:
        """Whether it lies where its layout has this split."""
        return self._places() == self.usual(split)

    def with_other(self, val: Folders) -> dict[str, Any] | None:
        """Our data set of which this is the training split and the other the validation split; None: they lie otherwise."""
        own: dict[str, str] = {}
        here, there = self.usual("train"), val.usual("val")
        ours, theirs = self._places(), val._places()
        for key, value in ours.items():
            other = theirs[key]
            if (value, other) == (here[key], there[key]):
                continue
            if value is None or other is None:
                return None
            template = value.replace(self._name("train"), "{split}")
            if template == other.replace(self._name("val"), "{split}") and "suffix" not in key:
                own[key] = template
            elif value == other:
                own[key] = value
            else:
                return None
        same = (self.layout, self.root, self.labels) == (val.layout, val.root, val.labels)
        return {**self._start(), **own, **self.labels} if same else None

    def _start(self) -> dict[str, Any]:
        return {"type": "folders", **({} if self.layout == _PAIRS else {"layout": self.layout}), "root": self.root}

    def _places(self) -> dict[str, str | None]:
        suffixes = dict(zip(("image_suffix", "mask_suffix"), self.suffixes, strict=True))
        return {"images": self.images, "masks": self.masks, "listing": self.listing, **suffixes}

    def usual(self, split: str) -> dict[str, str | None]:
        """Where its layout has a split."""
        part, layout, name = _layout(self.layout).part, _layout(self.layout), self._name(split)
        listing = None if part.listing is None else part.listing.format(split=name)
        suffixes = {"image_suffix": layout.image_suffix, "mask_suffix": layout.mask_suffix}
        return {
            "images": part.images.format(split=name),
            "masks": part.masks.format(split=name),
            "listing": listing,
            **suffixes,
        }

    def _name(self, split: str) -> str:
        return str(_layout(self.layout).splits.get(split, split))


def _layout(name: str) -> Any:
    from rayseg.data import LAYOUTS  # noqa: PLC0415  needs arrays

    return LAYOUTS[name]  # type: ignore[index]


def folders_of(section: Section, split: str, *, reduced: bool) -> Folders | None:
    """Directories and labels of a data set, which counts as read; None, and noted as lost, where its classes are not known.

    Args:
        section: the dict.
        split: train or val.
        reduced: label 0 is taken out while annotations are loaded.
    """
    kind, take = str(section.take("type")), section.take
    prefix = section.section("data_prefix")
    images = str(take("img_dir", prefix.take("img_path")) or "").rstrip("/")
    masks = str(take("ann_dir", prefix.take("seg_map_path")) or "").rstrip("/")
    prefix.finish("nothing reads it; the directories are img_path and seg_map_path", "data.dataset")
    listing = take("split") or take("ann_file") or None
    root = str(PurePath(str(take("data_root") or ".")))
    known = _LAYOUTS.get(kind, {})
    layout = known.get(images, known.get("", _PAIRS))
    section.drop("test_mode", "backend_args", "file_client_args", "serialize_data", "lazy_init", "max_refetch", "pipeline")
    labels = _labels(section, kind, layout, reduced=reduced)
    usual = _SUFFIXES.get(kind) or ((".jpg", ".png") if layout == _PAIRS else None)
    usual = usual or (_layout(layout).image_suffix, _layout(layout).mask_suffix)
    suffixes = (take("img_suffix", usual[0]), take("seg_map_suffix", usual[1]))
    section.finish(instead="data.dataset")
    if labels is None:
        where = PurePath(root) / images
        message = (
            f"{kind} with its images in {where} is not carried; write data.dataset: {{type: folders, root: ..., classes: ...}}"
        )
        section.lose("type", message, "data.dataset")
        return None
    places = Folders(layout, root, "", "", None, suffixes).usual(split)
    if layout != _PAIRS:
        images, masks = images or str(places["images"]), masks or str(places["masks"])
    return Folders(layout, root, images, masks, listing or places["listing"], suffixes, labels)


def _labels(section: Section, kind: str, layout: str, *, reduced: bool) -> dict[str, Any] | None:
    """Classes, colours and what becomes of labels; None where nothing says which classes there are."""
    about = section.take("metainfo") or {}
    classes, palette = section.take("classes", about.get("classes")), section.take("palette", about.get("palette"))
    if section.take("ignore_index", 255) != 255:
        section.lose("ignore_index", "is that of all data here; write data.ignore_index", "data.ignore_index")
    own: dict[str, Any] = {}
    if layout == _PAIRS:
        named = classes or _CLASSES.get(kind)
        if named is None or not (kind in _GENERAL or kind in _CLASSES):
            return None
        own["classes"] = list(named)
    elif classes is not None:
        own |= _fewer(list(classes), layout)
    if palette is not None:
        own["palette"] = [list(colour) for colour in palette]
    zero = section.take("reduce_zero_label")
    if (zero or reduced) or (zero is False and _layout(layout).reduce_zero_label):
        own["reduce_zero_label"] = bool(zero or reduced)
    return own


def _fewer(classes: list[str], layout: str) -> dict[str, Any]:
    """Of a known data set only some classes: the others are not labelled."""
    from rayseg.data import colours_of  # noqa: PLC0415  needs arrays

    known = list(colours_of(layout))  # type: ignore[arg-type]
    if classes == known:
        return {}
    return {"classes": classes, "label_map": {name: name if name in classes else None for name in known}}
