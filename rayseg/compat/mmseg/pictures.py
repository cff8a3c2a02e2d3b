"""Datasets, transforms and the batch."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePath
from types import MappingProxyType
from typing import Any

from rayseg.compat.mmseg.judging import judging
from rayseg.compat.mmseg.sections import Report, Section

__all__ = ["pictures"]

#: Data sets by type: the layout here, and where its training images lie there.
_LAYOUTS: Mapping[tuple[str, str], str] = MappingProxyType(
    {
        ("ADE20KDataset", "images/training"): "ade20k",
        ("COCOStuffDataset", "images/train2014"): "coco_stuff10k",
        ("COCOStuffDataset", "images/train2017"): "coco_stuff164k",
        ("ChaseDB1Dataset", "images/training"): "chase_db1",
        ("CityscapesDataset", "leftImg8bit/train"): "cityscapes",
        ("DRIVEDataset", "images/training"): "drive",
        ("HRFDataset", "images/training"): "hrf",
        ("ISPRSDataset", "img_dir/train"): "vaihingen",
        ("LoveDADataset", "img_dir/train"): "loveda",
        ("PascalContextDataset", "JPEGImages"): "pascal_context",
        ("PascalContextDataset59", "JPEGImages"): "pascal_context_59",
        ("PascalVOCDataset", "JPEGImages"): "pascal_voc",
        ("PotsdamDataset", "img_dir/train"): "potsdam",
        ("STAREDataset", "images/training"): "stare",
        ("iSAIDDataset", "img_dir/train"): "isaid",
    }
)
_SILENT = {"Collect", "DefaultFormatBundle", "ImageToTensor", "LoadAnnotations", "LoadImageFromFile", "PackSegInputs"}
#: GPUs of a config whose name does not say how many.
_GPUS = 4


def pictures(root: Section, preprocessor: Section, name: str) -> None:
    """``data`` and ``train.batch_size``; their sections of the config count as read.

    The batch is that of all GPUs, whose number is in the file's name (``4xb2``, ``8x2``), or else 4, as in MMSegmentation's own
    files.

    Args:
        root: the config.
        preprocessor: ``model.data_preprocessor`` of 1.x.
        name: of the file.

    Example:
        >>> from rayseg.compat.mmseg.sections import Report
        >>> report = Report("0.x")
        >>> pictures(Section({"data": {"samples_per_gpu": 2}}, "", report), Section(None, "", report), "pspnet_8x2_40k.py")
        >>> report.config["train.batch_size"]
        16
    """
    report, data = root.report, root.section("data")
    train, val = root.section("train_dataloader"), root.section("val_dataloader")
    per_gpu, workers = _loader(data, train)
    if per_gpu is not None:
        report.images_of_gpu = int(per_gpu)
        report.config["train.batch_size"] = int(per_gpu) * _gpus(name, report)
    if workers is not None:
        report.config["data.num_workers"] = int(workers)
    _preprocessing(preprocessor)
    learn, judge = _innermost(data, train, "train"), _innermost(data, val, "val")
    if learn is not None:
        pipeline = learn.take("pipeline") or root.values.get("train_pipeline") or ()
        reduced = _transforms(pipeline, f"{learn.path}.pipeline", report)
        _dataset(learn, judge, reduced=reduced)
    if judge is not None:
        judging(judge)
    for section in (train, val, data):
        section.drop(
            "dataset", "train", "val", "test", "sampler", "persistent_workers", "collate_fn", "pin_memory", "drop_last"
        )
        section.drop("batch_size", "num_workers", "batch_sampler", "train_dataloader", "val_dataloader", "test_dataloader")
        section.finish(instead="data")


def _loader(data: Section, train: Section) -> tuple[int | None, int | None]:
    per_gpu = train.take("batch_size", data.take("samples_per_gpu"))
    return per_gpu, train.take("num_workers", data.take("workers_per_gpu"))


def _gpus(name: str, report: Report) -> int:
    found = re.search(r"(?:^|[_-])(\d+)xb\d+", name) or re.search(r"(?:^|_)(\d{1,2})x\d{1,2}(?=_)(?!_\d+k_\w+\.py)", name)
    if found is not None:
        return int(found[1])
    message = f"images of one GPU; the name of the file does not say how many there are, so {_GPUS}: see train.batch_size"
    report.note("samples_per_gpu" if report.generation == "0.x" else "train_dataloader.batch_size", message)
    return _GPUS


def _innermost(data: Section, loader: Section, split: str) -> Section | None:
    """The dataset below its wrappers; repeating changes no step of a run that counts steps."""
    old = split in data
    written, path = (
        (data.values.get(split), f"data.{split}") if old else (loader.values.get("dataset"), f"{loader.path}.dataset")
    )
    while isinstance(written, dict) and written.get("type") == "RepeatDataset":
        written, path = written.get("dataset"), f"{path}.dataset"
    if isinstance(written, dict) and written.get("type") == "ConcatDataset":
        return _augmented_voc(Section(written, path, data.report))
    if isinstance(written, list | tuple):
        data.report.lose(path, "several datasets as one are not carried; write data.dataset", _DATASET)
        return None
    return None if written is None else Section(written, path, data.report)


def _augmented_voc(several: Section) -> Section | None:
    """VOC's two lists as one dataset, as 0.x writes it."""
    parts = several.values.get("datasets") or [{}]
    if len(parts) == 2 and all(part.get("type") == "PascalVOCDataset" for part in parts):
        listed = [part.get("ann_file") for part in parts]
        return Section({**parts[0], "ann_file": listed}, several.path, several.report)
    several.report.lose(several.path, "several datasets as one are not carried; write data.dataset", _DATASET)
    return None


def _dataset(learn: Section, judge: Section | None, *, reduced: bool) -> None:
    kind = str(learn.take("type"))
    root = PurePath(str(learn.take("data_root", ".")))
    prefix = learn.take("data_prefix") or {}
    images = str(learn.take("img_dir", prefix.get("img_path"))).rstrip("/")
    layout = _LAYOUTS.get((kind, images))
    if layout == "pascal_voc" and isinstance(learn.values.get("split", learn.values.get("ann_file")), list):
        layout = "pascal_voc_aug"
    if layout is None:
        message = f"{kind} with its images in {root / images} is not carried; write data.dataset: {{type: folders, ...}}"
        learn.lose("type", message, _DATASET)
    else:
        zero = {"reduce_zero_label": True} if learn.take("reduce_zero_label", False) or reduced else {}
        learn.report.config[_DATASET] = {"type": "folders", "layout": layout, "root": str(root), **zero}
    if judge is not None and judge.values.get("type", kind) != kind:
        judge.lose("type", f"is not the data set of the training ({kind}), and both are one here; write data.dataset", _DATASET)
    learn.drop("ann_dir", "split", "ann_file", "img_suffix", "seg_map_suffix", "reduce_zero_label")
    learn.finish(instead=_DATASET)


_DATASET = "data.dataset"


def _preprocessing(section: Section) -> None:
    config = section.report.config
    for key in ("mean", "std"):
        if section.values.get(key) is not None:
            config[f"data.{key}"] = [float(value) for value in section.take(key)]
    if section.values.get("size") is not None:
        config["data.pad_size"] = list(section.take("size"))
    if section.values and not section.take("bgr_to_rgb", True):
        section.lose("bgr_to_rgb", "images are RGB here; a model that wants BGR is wrapped by your own", "model")
    if section.take("pad_val", 0) != 0:
        section.lose("pad_val", "padding is 0 after normalisation, the mean colour", "data.pad_size")
    section.drop("type", "seg_pad_val", "size", "mean", "std", "size_divisor", "test_cfg")
    section.finish()


def _transforms(pipeline: Any, path: str, report: Report) -> bool:
    """``data.transforms``; whether label 0 is taken out while annotations are loaded."""
    found: dict[str, dict[str, Any]] = {}
    reduced = False
    for index, written in enumerate(pipeline):
        section = Section(written, f"{path}.{index}", report)
        kind = str(section.take("type"))
        reduced |= kind == "LoadAnnotations" and bool(section.take("reduce_zero_label", False))
        spec = None if _is_setting(kind, section) else _transform(kind, section)
        section.finish(f"{kind} is not carried with it; write data.transforms yourself", "data.transforms")
        if spec is not None:
            found[spec["type"] if spec["type"] not in found else f"{spec['type']}_{index}"] = spec
    report.config["data.transforms"] = found
    return reduced


def _is_setting(kind: str, section: Section) -> bool:
    """Whether a step is no transform here, but a setting of the data, or nothing to say."""
    if kind == "Normalize":
        section.report.config |= {f"data.{key}": [float(value) for value in section.take(key)] for key in ("mean", "std")}
        if not section.take("to_rgb", True):
            section.lose("to_rgb", "images are RGB here; a model that wants BGR is wrapped by your own", "model")
    elif kind == "Pad" and "size" in section:
        section.report.config["data.pad_size"] = list(section.take("size"))
        section.drop("pad_val", "seg_pad_val")
    elif kind in _SILENT:
        section.drop("imdecode_backend", "backend_args", "to_float32", "keys", "meta_keys")
    else:
        return False
    return True


def _transform(kind: str, section: Section) -> dict[str, Any] | None:
    take = section.take
    match kind:
        case "Resize" | "RandomResize" if not isinstance(section.values.get("img_scale"), list):
            scale = take("img_scale") or take("scale")
            size = {"scale": [scale[1], scale[0]]} if scale else {}
            ratio = [float(each) for each in take("ratio_range") or (1, 1)]
            keep = {"keep_ratio": take("keep_ratio", kind == "Resize" and section.report.generation == "0.x")}
            return {"type": "random_resize", **size, "ratio_range": ratio, **keep}
        case "RandomCrop":
            size, most = take("crop_size"), float(take("cat_max_ratio", 1.0))
            return {"type": "random_crop", "size": [size, size] if isinstance(size, int) else list(size), "cat_max_ratio": most}
        case "RandomFlip" if section.values.get("direction", "horizontal") == "horizontal":
            section.drop("direction")
            return {"type": "random_flip", "prob": float(take("prob", take("flip_ratio", 0.5)))}
        case "PhotoMetricDistortion":
            names = ("brightness_delta", "contrast_range", "saturation_range", "hue_delta")
            return {"type": "photometric", **{key: take(key) for key in names if key in section}}
    section.values.clear()
    section.lose("type", f"{kind!r} is not carried; write data.transforms.NAME: {{type: 'module:name'}}", "data.transforms")
    return None
