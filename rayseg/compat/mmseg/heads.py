"""Losses and samplers of heads, with the normalisers of their generation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from rayseg.compat.mmseg.sections import Section

__all__ = ["head_recipe"]

Term = dict[str, Any]


def head_recipe(head: Section) -> dict[str, Any]:
    """``losses`` and ``sampling`` of a head, which count as read.

    Source: ``BaseDecodeHead.losses`` of MMSegmentation 0.30 and 1.2.

    Args:
        head: the dict of a decode or auxiliary head.

    Returns:
        ``{"losses": name -> term, "sampling": spec or None}``.

    Example:
        >>> from rayseg.compat.mmseg.sections import Report
        >>> head = Section({"loss_decode": {"type": "CrossEntropyLoss", "avg_non_ignore": True}}, "head", Report("1.x"))
        >>> head_recipe(head)["losses"]
        {'ce': {'type': 'cross_entropy', 'normalize': 'valid', 'weight': 1.0}}
    """
    written = head.take("loss_decode", {"type": "CrossEntropyLoss"})
    listed = list(written) if isinstance(written, list | tuple) else [written]
    sampling = _sampler(head.section("sampler")) if head.values.get("sampler") else head.take("sampler")
    losses: dict[str, Term] = {}
    for index, each in enumerate(listed):
        path = f"{head.path}.loss_decode" + (f".{index}" if isinstance(written, list | tuple) else "")
        name, term, own_sampling = _term(Section(each, path, head.report))
        if own_sampling is not None and len(listed) > 1:
            head.report.lose(path, "OhemCrossEntropy beside other losses: pixels are chosen for all of them here", "sampling")
        if term is not None:
            losses[_free(name, losses)] = term
        sampling = own_sampling or sampling
    return {"losses": losses, "sampling": sampling}


def _free(name: str, taken: Mapping[str, Any]) -> str:
    count = sum(1 for each in taken if each == name or each.startswith(f"{name}_"))
    return f"{name}_{count + 1}" if count else name


def _sampler(section: Section) -> dict[str, Any] | None:
    kind = section.take("type")
    if kind != "OHEMPixelSampler":
        section.lose("type", f"{kind!r} is no sampler known here; write sampling: {{type: 'module:name'}}", "sampling")
        return None
    found = _ohem(section.take("thresh"), section.take("min_kept", 100_000), "image")
    section.finish()
    return found


def _ohem(thresh: float | None, min_kept: int, per: str) -> dict[str, Any]:
    return {"type": "ohem_mmseg", "thresh": thresh, "min_kept": min_kept, "per": per, "scope": "rank"}


def _term(section: Section) -> tuple[str, Term | None, dict[str, Any] | None]:
    """Name, term and, for the one loss that has its own, sampling."""
    kind = section.take("type")
    if kind not in _LOSSES:
        section.lose("type", f"{kind!r} is no loss known here; write losses.NAME: {{type: 'module:name'}}", "losses")
        return str(kind), None, None
    name, translate = _LOSSES[kind]
    name = section.take("loss_name", f"loss_{name}")
    if "loss" not in name:
        section.lose("loss_name", f"{name!r} does not contain 'loss', so there the term is logged and not trained; rename it")
    if section.take("reduction", "mean") != "mean" and kind != "LovaszLoss":
        section.lose("reduction", "only the mean is carried; write losses yourself", "losses")
    weight = float(section.take("loss_weight", 1.0))
    sampling = (
        _ohem(section.take("thres", 0.7), section.take("min_kept", 100_000), "batch") if kind == "OhemCrossEntropy" else None
    )
    term = {**translate(section), "weight": weight}
    section.finish(f"{kind} of {section.report.generation} is not carried with it; remove it")
    return name.removeprefix("loss_"), {"type": term.pop("type"), **term}, sampling


def _class_weight(section: Section) -> dict[str, Any]:
    weight = section.take("class_weight")
    return {} if weight is None else {"class_weight": list(weight) if isinstance(weight, list | tuple) else weight}


def _cross_entropy(section: Section) -> Term:
    sigmoid, mean_of_labelled = section.take("use_sigmoid", False), section.take("avg_non_ignore", False)
    if section.take("use_mask", False):
        section.lose("use_mask", "the loss of masks is not there; write losses yourself", "losses")
    if sigmoid:
        if section.take("class_weight") is not None:
            section.lose("class_weight", "is a pos_weight of the wrong shape there; write losses.ce.pos_weight", "losses")
        return {"type": "binary_cross_entropy", "normalize": "valid" if mean_of_labelled else "all"}
    weights = _class_weight(section)
    if weights and section.report.generation == "1.x":
        trap = "1.x fails where a label is 255 (it looks up the weight of class 255); here such a pixel has no weight"
        section.report.note(f"{section.path}.class_weight", trap)
        normalize = "weights" if mean_of_labelled else "all_weights"
    else:
        normalize = "valid" if mean_of_labelled else "all"
    return {"type": "cross_entropy", "normalize": normalize, **weights}


def _ohem_cross_entropy(section: Section) -> Term:
    _ignored(section, "ignore_label")
    return {"type": "cross_entropy", "normalize": "kept", **_class_weight(section)}


def _dice(section: Section) -> Term:
    _ignored(section, "ignore_index")
    if section.report.generation == "0.x":
        own = {"smooth": float(section.take("smooth", 1)), "exponent": float(section.take("exponent", 2))}
        return {"type": "dice_mmseg_0x", **own, **_class_weight(section)}
    activation = "sigmoid" if section.take("use_sigmoid", True) else "softmax"
    activation = activation if section.take("activate", True) else "none"
    own = {"naive": section.take("naive_dice", False), "eps": float(section.take("eps", 1e-3))}
    return {"type": "dice_mmseg_1x", "activation": activation, **own}


def _ignored(section: Section, key: str) -> None:
    if section.take(key, 255) != 255:
        section.lose(key, "a term has no ignored label of its own; write data.ignore_index or ignore_classes", "losses")


def _focal(section: Section) -> Term:
    section.drop("use_sigmoid")
    if section.values.get("class_weight") is None:
        section.drop("class_weight")
    alpha = section.take("alpha", 0.5)
    own = {"gamma": float(section.take("gamma", 2.0)), "alpha": list(alpha) if isinstance(alpha, list | tuple) else alpha}
    return {"type": "sigmoid_focal", "normalize": "all", **own}


def _tversky(section: Section) -> Term:
    _ignored(section, "ignore_index")
    own = {"alpha": section.take("alpha", 0.3), "beta": section.take("beta", 0.7), "smooth": float(section.take("smooth", 1))}
    return {"type": "tversky", **own, "classes": "all", "per_image": True, "divide_by": "classes", **_class_weight(section)}


def _lovasz(section: Section) -> Term:
    if section.take("loss_type", "multi_class") != "multi_class":
        section.lose("loss_type", "the binary form is lovasz_hinge here; write losses yourself", "losses")
    classes, per_image = section.take("classes", "present"), section.take("per_image", False)
    classes = list(classes) if isinstance(classes, tuple) else classes
    return {"type": "lovasz", "classes": classes, "per_image": per_image, "divide_by": "classes", **_class_weight(section)}


_LOSSES: Mapping[str, tuple[str, Callable[[Section], Term]]] = MappingProxyType(
    {
        "CrossEntropyLoss": ("ce", _cross_entropy),
        "DiceLoss": ("dice", _dice),
        "FocalLoss": ("focal", _focal),
        "LovaszLoss": ("lovasz", _lovasz),
        "OhemCrossEntropy": ("ohem", _ohem_cross_entropy),
        "TverskyLoss": ("tversky", _tversky),
    }
)
