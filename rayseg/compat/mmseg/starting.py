"""Weights that a run begins with: a file, or a name of a hub whose file torch has kept."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from types import MappingProxyType

from rayseg.compat.mmseg.sections import Section

__all__ = ["begin_with", "pretrained", "resuming"]

#: Where MMEngine fetches what a hub calls so; ``mmcls://`` has others.
_PLACES: Mapping[str, str] = MappingProxyType(
    {
        "open-mmlab": "https://download.openmmlab.com/pretrain/third_party",
        "mmcls": "https://download.openmmlab.com/mmclassification/v0",
    }
)
#: Files by the names that MMSegmentation's own config files use.
_FILES: Mapping[str, str] = MappingProxyType(
    {
        "mmcls://mobilenet_v2": "mobilenet_v2/mobilenet_v2_batch256_imagenet_20200708-3b2dc3af.pth",
        "open-mmlab://contrib/mobilenet_v3_large": "mobilenet_v3_large-bc2c3fd3.pth",
        "open-mmlab://contrib/mobilenet_v3_small": "mobilenet_v3_small-47085aa1.pth",
        "open-mmlab://msra/hrnetv2_w18": "hrnetv2_w18-00eb2006.pth",
        "open-mmlab://msra/hrnetv2_w18_small": "hrnetv2_w18_small-b5a04e21.pth",
        "open-mmlab://msra/hrnetv2_w48": "hrnetv2_w48-d2186c55.pth",
        "open-mmlab://resnest101": "resnest101_d2-f3b931b2.pth",
        "open-mmlab://resnet101_v1c": "resnet101_v1c-e67eebb6.pth",
        "open-mmlab://resnet18_v1c": "resnet18_v1c-b5776b93.pth",
        "open-mmlab://resnet50_v1c": "resnet50_v1c-2cccc1ad.pth",
    }
)
_BACKBONE = r"^backbone\."
_WITHOUT = "or init=null to begin with random weights"
_ALL = "init='{checkpoint: FILE}'"
_OF_BACKBONE = "init='{checkpoint: FILE, only: ^backbone}'"


def pretrained(*parts: Section) -> None:
    r"""``init`` from ``pretrained`` and ``init_cfg`` of a network and its backbone, which count as read with what they name.

    A path is carried as it is: whether the file is there is looked at before a run. A name of a hub, or a URL, is the file of
    that name which torch keeps (``torch.hub.get_dir()``), where it is there; nothing is fetched. Only the backbone takes of it.

    Args:
        parts: sections that may name weights.

    Example:
        >>> from rayseg.compat.mmseg.sections import Report
        >>> report = Report("1.x")
        >>> pretrained(Section({"pretrained": "weights/mit_b0.pth"}, "model", report))
        >>> report.config["init"]
        {'checkpoint': 'weights/mit_b0.pth', 'only': '^backbone\\.'}
    """
    for part in parts:
        named = part.values.get("init_cfg")
        by_dict = isinstance(named, Mapping) and named.get("type") == "Pretrained"
        source = part.values.get("pretrained") or (named.get("checkpoint") if by_dict and named else None)
        if source is None:
            continue
        key = "pretrained" if part.values.get("pretrained") else "init_cfg"
        begun = part.report.config.get("init")
        if begun is not None and begun.get("only") is None:
            part.report.note(f"{part.path}.{key}", f"the weights of load_from take the place of those of {source}")
        elif begun is not None:
            part.lose(key, f"{source!r} is one file more, and a run begins with one; write init", "init")
        elif found := begin_with(part, key, str(source)):
            prefix = str(named.get("prefix") or "").rstrip(".") if by_dict and named else ""
            renamed = {"rename": {rf"^{re.escape(prefix)}\.": "backbone."}} if prefix not in {"", "backbone"} else {}
            part.report.config["init"] = {"checkpoint": found, "only": _BACKBONE, **renamed}
        part.drop(key)


def begin_with(section: Section, key: str, source: str) -> str | None:
    """The file that weights are read from; None, and noted as lost, where this machine has none.

    Args:
        section: that names them.
        key: under which.
        source: a path, a name of a hub (``torchvision://resnet50``) or a URL.

    Example:
        >>> from rayseg.compat.mmseg.sections import Report
        >>> begin_with(Section({}, "", Report("0.x")), "load_from", "work_dirs/pspnet/latest.pth")
        'work_dirs/pspnet/latest.pth'
    """
    hub, mark, name = source.partition("://")
    if not mark:
        return source
    own = _ALL if key == "load_from" else _OF_BACKBONE
    place = source if hub in {"http", "https"} else _place(hub, name)
    if place is None:
        section.lose(key, f"{source!r} is not fetched; write {own}, {_WITHOUT}", "init")
        return None
    from torch.hub import get_dir  # noqa: PLC0415  needs tensors

    kept = Path(get_dir()) / "checkpoints"
    file = kept / PurePosixPath(place).name
    if file.is_file():
        section.report.note(f"{section.path}.{key}".lstrip("."), f"{source} is {file}, which torch has kept")
        return str(file)
    message = f"{source!r} is not fetched, and {kept} has no {file.name}: download {place} there, "
    section.lose(key, f"{message}write {own}, {_WITHOUT}", "init")
    return None


def _place(hub: str, name: str) -> str | None:
    hub = {"openmmlab": "open-mmlab", "modelzoo": "torchvision"}.get(hub, hub)
    if hub == "torchvision":
        return _place_of_torchvision(name)
    file = _FILES.get(f"{hub}://{name}")
    return None if file is None else f"{_PLACES[hub]}/{file}"


def _place_of_torchvision(name: str) -> str | None:
    """Of the first weights that torchvision published under a name, which are those that MMEngine means."""
    from torchvision.models import get_model_weights  # noqa: PLC0415  needs tensors

    try:
        weights = list(get_model_weights(name))
    except ValueError:
        return None
    return str(weights[0].url) if weights else None


def resuming(root: Section, name: str) -> None:
    """``init`` from ``load_from``, ``tracking.name`` where a run shall go on; these keys count as read. Call it first.

    Args:
        root: the config.
        name: of its file, which MMSegmentation calls the run by.

    Example:
        >>> from rayseg.compat.mmseg.sections import Report
        >>> report = Report("1.x")
        >>> resuming(Section({"resume": True, "load_from": None}, "", report), "pspnet_4xb2.py")
        >>> report.config
        {'tracking.name': 'pspnet_4xb2'}
    """
    config, start = root.report.config, root.take("load_from")
    resume, again = root.take("resume_from"), [key for key in ("resume", "auto_resume") if root.take(key)]
    if resume is not None or (again and start is not None):
        key = "resume_from" if resume is not None else "resume"
        message = f"{resume or start!r} has no state that a run could go on from here: write {_ALL} to begin with its "
        root.lose(key, message + "weights, or init=null tracking.name=NAME to go on with that run of rayseg", "init")
    elif again and not name:
        root.lose(again[0], "a run goes on by its name: write tracking.name, the same in the same storage", "tracking.name")
    elif again:
        config["tracking.name"] = name.removesuffix(".py")
    elif start is not None and (file := begin_with(root, "load_from", str(start))):
        config["init"] = {"checkpoint": file}
