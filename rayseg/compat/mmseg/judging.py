"""Test pipelines: what is done to an image before it is judged."""

from __future__ import annotations

from typing import Any

from rayseg.compat.mmseg.sections import Section

__all__ = ["judging"]

_SILENT = {
    "Collect", "ImageToTensor", "LoadAnnotations", "LoadImageFromFile", "Normalize", "PackSegInputs", "RandomFlip",
}  # fmt: skip


def judging(judge: Section) -> None:
    """``eval.resize`` and ``eval.tta`` from the pipeline of a validation set, which counts as read.

    Source: ``Resize`` of both generations, ``MultiScaleFlipAug`` of 0.x.

    Args:
        judge: the dict of the dataset.

    Example:
        >>> from rayseg.compat.mmseg.sections import Report
        >>> report = Report("1.x")
        >>> pipeline = [{"type": "Resize", "scale": (2048, 512), "keep_ratio": True}]
        >>> judging(Section({"pipeline": pipeline}, "val_dataloader.dataset", report))
        >>> report.config
        {'eval.resize': [512, 2048]}
    """
    for index, written in enumerate(judge.take("pipeline") or ()):
        _step(Section(written, f"{judge.path}.pipeline.{index}", judge.report))


def _step(section: Section) -> None:
    kind = str(section.take("type"))
    if kind == "MultiScaleFlipAug":
        _views(section)
    elif kind == "Resize":
        if not section.take("keep_ratio", section.report.generation == "0.x"):
            section.lose(
                "keep_ratio", "images are fitted into a box, and keep their proportions; write eval.resize", "eval.resize"
            )
        _box(section, section.take("scale", section.take("img_scale")))
        section.finish(f"{kind} is not carried with it; write eval.resize", "eval.resize")
    elif kind not in _SILENT:
        section.lose("type", f"{kind!r} is not done before images are judged; write eval.resize to go without", "eval.resize")


def _views(section: Section) -> None:
    """Each step once for every view; flips are done by the views, not by RandomFlip."""
    config = section.report.config
    _box(section, section.take("img_scale"))
    ratios, flip = section.take("img_ratios"), section.take("flip", False)
    if ratios is not None:
        config["eval.tta.scales"] = [float(each) for each in ([ratios] if isinstance(ratios, int | float) else ratios)]
    if flip:
        config["eval.tta.flip"] = True
    if flip and section.values.get("flip_direction", "horizontal") != "horizontal":
        section.lose("flip_direction", "images are flipped left and right only; write eval.tta.flip", "eval.tta.flip")
    for index, written in enumerate(section.take("transforms") or ()):
        _step(Section(written, f"{section.path}.transforms.{index}", section.report))
    section.drop("flip_direction")
    section.finish(instead="eval.resize")


def _box(section: Section, scale: Any) -> None:
    if isinstance(scale, list | tuple) and len(scale) == 2 and all(isinstance(side, int) for side in scale):
        section.report.config["eval.resize"] = sorted(scale)
    elif scale is not None:
        section.lose("scale", f"{scale!r} is not one box of two sides; write eval.resize", "eval.resize")
