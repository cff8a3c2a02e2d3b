"""Transforms, normalisation and the batch."""

from __future__ import annotations

import re
from typing import Any

from rayseg.compat.mmseg.judging import judging
from rayseg.compat.mmseg.sections import Report, Section
from rayseg.compat.mmseg.sets import DATASET, dataset, sources

__all__ = ["pictures"]

_SILENT = {"Collect", "DefaultFormatBundle", "ImageToTensor", "LoadAnnotations", "LoadImageFromFile", "PackSegInputs"}
#: GPUs of a config whose name does not say how many.
_GPUS = 4
_SHUFFLED = "an epoch has every image once, in an order of its own; remove it"


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
    _tested(root, data, val)
    learn, judge = sources(data, train, "train"), sources(data, val, "val")
    if learn:
        pipelines = [each.take("pipeline") for each in learn]
        reduced = _transforms(pipelines[0] or root.values.get("train_pipeline") or (), f"{learn[0].path}.pipeline", report)
        if pipelines[0] and "data.mean" not in report.config:
            where = "model.data_preprocessor" if report.generation == "1.x" else f"{learn[0].path}.pipeline"
            report.config |= {"data.mean": [0.0, 0.0, 0.0], "data.std": [1.0, 1.0, 1.0]}
            report.note(where, "nothing is normalised there, so neither here: the network gets 0 to 255")
        if any(each != pipelines[0] for each in pipelines):
            report.lose(f"{learn[-1].path}.pipeline", "differs from that of another data set; one is for all here", DATASET)
    if judge:
        judging(judge[0])
    if learn:
        dataset(learn, judge, reduced=reduced)
    _order(train.section("sampler"))
    for section in (train, val, data):
        section.drop(
            "dataset", "train", "val", "test", "sampler", "persistent_workers", "collate_fn", "pin_memory", "drop_last"
        )
        section.drop("batch_size", "num_workers", "batch_sampler", "train_dataloader", "val_dataloader", "test_dataloader")
        section.finish(instead="data")


def _tested(root: Section, data: Section, val: Section) -> None:
    """Data that are for testing alone are no part of a run."""
    old = "val" in data
    new = (val.values.get("dataset"), root.section("test_dataloader").values.get("dataset"))
    judged, tested = (data.values.get("val"), data.values.get("test")) if old else new
    if isinstance(tested, dict) and isinstance(judged, dict) and _where(tested) != _where(judged):
        message = (
            "other data than those of validation are not carried: rayseg eval CHECKPOINT data.dataset={...} scores on them"
        )
        root.report.note("data.test" if old else "test_dataloader.dataset", message)


def _where(data: dict[str, Any]) -> dict[str, Any]:
    """A data set without how its images are made ready."""
    return {key: value for key, value in data.items() if key not in {"pipeline", "test_mode"}}


def _loader(data: Section, train: Section) -> tuple[int | None, int | None]:
    """Images of a GPU, and workers; ``data.train_dataloader`` of 0.x goes before ``data``."""
    own = data.section("train_dataloader")
    sizes = [section.take(key) for key in ("samples_per_gpu", "workers_per_gpu") for section in (own, data)]
    own.expect("shuffle", (True,), _SHUFFLED)
    own.drop("persistent_workers", "pin_memory", "drop_last")
    own.finish(instead="data")
    per_gpu, workers = (next((each for each in pair if each is not None), None) for pair in (sizes[:2], sizes[2:]))
    return train.take("batch_size", per_gpu), train.take("num_workers", workers)


def _order(sampler: Section) -> None:
    """In which order images come: all of them once in an epoch, anew in each."""
    sampler.expect("type", ("InfiniteSampler", "DefaultSampler"), f"is not carried: {_SHUFFLED}")
    sampler.expect("shuffle", (True,), f"is not carried: {_SHUFFLED}")
    sampler.drop("seed", "round_up")
    sampler.finish()


def _gpus(name: str, report: Report) -> int:
    found = re.search(r"(?:^|[_-])(\d+)xb\d+", name) or re.search(r"(?:^|_)(\d{1,2})x\d{1,2}(?=_)(?!_\d+k_\w+\.py)", name)
    if found is not None:
        return int(found[1])
    message = f"images of one GPU; the name of the file does not say how many there are, so {_GPUS}: see train.batch_size"
    report.note("samples_per_gpu" if report.generation == "0.x" else "train_dataloader.batch_size", message)
    return _GPUS


def _preprocessing(section: Section) -> None:
    config = section.report.config
    for key in ("mean", "std"):
        if section.values.get(key) is not None:
            config[f"data.{key}"] = [float(value) for value in section.take(key)]
    if section.values.get("size") is not None:
        config["data.pad_size"] = list(section.take("size"))
    if section.values and not section.take("bgr_to_rgb", True):
        section.lose("bgr_to_rgb", "images are RGB here; a model that wants BGR is wrapped by your own", "model")
    _padding(section)
    own = "is not carried: what it does to images is written as data.transforms.NAME: {type: 'module:name'}"
    section.expect("type", ("SegDataPreProcessor",), own, "data.transforms")
    for key in ("size_divisor", "test_cfg"):
        section.expect(key, (), "is not carried: images are padded to data.pad_size in training, and not at all to be judged")
    section.drop("size", "mean", "std")
    section.finish()


def _padding(section: Section) -> None:
    """Padding is void."""
    section.expect("pad_val", (0, (0, 0, 0), [0, 0, 0]), "is not carried: padding is 0 after normalisation, the mean colour")
    message = (
        "is not carried: padding is no label here, as with 255; there its pixels would be learned as that class; remove it"
    )
    section.expect("seg_pad_val", (255,), message)


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
        _padding(section)
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
