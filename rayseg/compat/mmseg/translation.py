"""A config of MMSegmentation as a config of ours, and everything of it that cannot be one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any, NamedTuple

from rayseg.compat.mmseg.accumulating import in_steps
from rayseg.compat.mmseg.heads import head_recipe
from rayseg.compat.mmseg.optimizing import optimizing
from rayseg.compat.mmseg.pictures import pictures
from rayseg.compat.mmseg.running import run_length, running
from rayseg.compat.mmseg.schedulers import schedules
from rayseg.compat.mmseg.sections import Generation, Report, Section
from rayseg.compat.mmseg.starting import pretrained, resuming
from rayseg.compat.mmseg.unread import KEYS
from rayseg.errors import Problem

__all__ = ["Translation", "translate"]

_OLD = {"checkpoint_config", "data", "evaluation", "log_config", "lr_config", "optimizer_config", "runner"}
_NEW = {"default_hooks", "default_scope", "optim_wrapper", "param_scheduler", "train_dataloader", "val_evaluator"}
#: What changes no number of a run, or belongs to testing alone.
# fmt: off
_SILENT = frozenset(
    {
        "auto_scale_lr", "cudnn_benchmark", "data_preprocessor", "default_scope", "device", "dist_params", "env_cfg",
        "experiment_name", "find_unused_parameters", "gpu_ids", "launcher", "log_level", "log_processor", "sync_bn", "test_cfg",
        "test_dataloader", "test_evaluator", "test_pipeline", "train_pipeline", "tta_model", "tta_pipeline", "val_cfg",
        "visualizer",
    }
)
# fmt: on
_MOVED = "stands inside decode_head, where nothing reads it; move it one level up, to model.auxiliary_head (the example of the "
_BATCH_NORMS = {"BN", "BatchNorm2d", "SyncBN", "SyncBatchNorm"}
#: Arguments of a network that say what is so anyway.
_PLAIN = {
    "frozen_stages": (-1,),
    "init_cfg": (None,),
    "norm_eval": (False,),
    "pretrained": (None,),
}


class Translation(NamedTuple):
    """What became of a config.

    Args:
        tree: of our config.
        lost: what cannot be carried, each with the key of ours that stands in for it when it is written, or None.
        notes: known traps that were met and are carried.
    """

    tree: dict[str, Any]
    lost: tuple[tuple[Problem, str | None], ...]
    notes: tuple[str, ...]


def translate(config: Mapping[str, Any], name: str = "") -> Translation:
    """A config of MMSegmentation in our words, with the arithmetic of the generation that it is written for.

    Args:
        config: as :func:`read_mmseg_config` gives it.
        name: of its file, which says how many GPUs it is for.

    Example:
        >>> found = translate({"optimizer": {"type": "SGD", "lr": 0.01}, "lr_config": {"policy": "poly", "min_lr": 1e-4}})
        >>> found.tree["schedule"], found.lost
        ({'type': 'poly', 'power': 1.0, 'floor': 0.01}, ())
    """
    report = Report(_generation(config))
    root = Section(config, "", report)
    imports = root.section("custom_imports").values.get("imports") or []
    modules = [imports] if isinstance(imports, str) else list(imports)
    total, by_epoch = None, False
    with report.reading("train_cfg, runner"):
        total, by_epoch = run_length(root)
    model = root.section("model")
    backbone = str((model.values.get("backbone") or {}).get("type"))
    resuming(root, PurePath(name).name)
    with report.reading("data, train_dataloader, val_dataloader"):
        pictures(root, model.section("data_preprocessor"), PurePath(name).name)
    if model.values:
        with report.reading("model"):
            _model(model)
    with report.reading("optim_wrapper, optimizer, optimizer_config"):
        optimizing(root, modules, backbone)
    with report.reading("param_scheduler, lr_config"):
        schedules(root, total, by_epoch)
    with report.reading("default_hooks, custom_hooks, val_evaluator, evaluation, log_config, workflow"):
        running(root, total, by_epoch, modules)
    in_steps(report)
    named = repr(report.config)
    for module in (each for each in modules if f"{each}:" not in named):
        report.note("custom_imports", f"{module} is not imported: nothing of it is named in what is carried")
    for key in sorted(KEYS & set(root.values) - _SILENT):
        if root.values[key] not in (None, False, {}, []):
            report.note(key, f"MMSegmentation {report.generation} does not read it, so it is not carried; remove it")
    return Translation(_nested(report.config), tuple(report.lost), tuple(report.notes))


def _generation(config: Mapping[str, Any]) -> Generation:
    if "default_scope" in config or "train_dataloader" in config:
        return "1.x"
    return "0.x" if _OLD & set(config) or not _NEW & set(config) else "1.x"


def _model(model: Section) -> None:
    config = model.report.config
    if isinstance(model.values.get("decode_head"), list | tuple):
        model.lose("decode_head", "is a list: cascades of heads are not here yet; write model: {type: ...}", "model")
        model.report.lose("model.decode_head", "has the losses of a cascade; write losses, and heads", "losses")
        return
    main = model.section("decode_head")
    if "auxiliary_head" in main:
        main.lose("auxiliary_head", _MOVED + "tutorial on ignoring a label has this slip)")
    written = model.take("auxiliary_head")
    listed = [] if written is None else [written] if isinstance(written, dict) else list(written)
    names = ["auxiliary"] if isinstance(written, dict) else [f"auxiliary_{index}" for index in range(len(listed))]
    recipe = head_recipe(main)
    config |= {"losses": recipe["losses"]} if recipe["losses"] else {}
    config |= {"sampling": recipe["sampling"]} if recipe["sampling"] else {}
    _ignored(main, None)
    heads = []
    for name, each in zip(names, listed, strict=True):
        head = Section(each, "model.auxiliary_head" + ("" if len(listed) == 1 else f".{name[-1]}"), model.report)
        own = head_recipe(head)
        everything = {"type": "all_pixels"} if recipe["sampling"] else None
        spec = {"weight": 1.0, "losses": own["losses"], "sampling": own["sampling"] or everything, "target": _target(head)}
        config[f"heads.{name}"] = {key: value for key, value in spec.items() if value is not None}
        _ignored(head, name)
        heads.append(head)
    _network(model, main, heads, isinstance(written, dict))


def _target(head: Section) -> dict[str, Any] | None:
    """What a head of STDC learns: where details are."""
    if head.values.get("type") != "STDCHead":
        return None
    return {"type": "stdc_detail", "raw_labels": True, "threshold": float(head.take("boundary_threshold", 0.1))}


def _ignored(head: Section, name: str | None) -> None:
    label = head.take("ignore_index", 255)
    if label != 255:
        message = f"{label} is a class: its pixels are in no loss, and scores count them; write ignore_classes: [its name]"
        head.lose("ignore_index", message, "ignore_classes" if name is None else f"heads.{name}.ignore_index")


def _network(model: Section, main: Section, heads: list[Section], one: bool) -> None:
    from rayseg.models import BACKBONES, DECODE_HEADS  # noqa: PLC0415  needs tensors

    _testing(model.section("test_cfg"))
    kind, backbone = model.take("type"), model.section("backbone")
    pretrained(model, backbone)
    model.drop("train_cfg", *(key for key in ("init_cfg", "pretrained") if model.values.get(key) is None))
    parts = [_part(part) for part in (backbone, main, *heads)]
    tables = [BACKBONES, *(DECODE_HEADS for _ in (main, *heads))]
    unknown = [str(part.get("type")) for part, table in zip(parts, tables, strict=True) if part.get("type") not in table]
    if unknown or kind != "EncoderDecoder":
        what = ", ".join(unknown or [str(kind)])
        model.report.lose("model", f"{what}: there is no such network here yet; write model: {{type: ...}}", "model")
        return
    others = {"auxiliary_head": parts[2] if one else parts[2:]} if heads else {}
    model.report.config["model"] = {"type": "mmseg", "backbone": parts[0], "decode_head": parts[1], **others}
    model.finish(instead="model")


def _testing(test: Section) -> None:
    if test.take("mode", "whole") == "slide":
        test.report.config["eval.mode"] = "slide"
        for key in ("crop_size", "stride"):
            size = test.take(key)
            if isinstance(size, int | list | tuple):
                test.report.config[f"eval.{key}"] = [size, size] if isinstance(size, int) else list(size)
            else:
                test.lose(key, f"expected a number or two, got {size!r}; mode='slide' needs it", f"eval.{key}")
    test.drop("crop_size", "stride")
    test.finish(instead="eval.mode")


def _part(part: Section) -> dict[str, Any]:
    """Arguments of a network, without those that say what is so anyway; which norms there are is said by model.norm."""
    _norm(part)
    if "backbone_cfg" in part:
        inner = part.section("backbone_cfg")
        pretrained(inner)
        part.values["backbone_cfg"] = _part(inner)
    return {key: _plain(value) for key, value in part.values.items() if value not in _PLAIN.get(key, ())}


def _norm(part: Section) -> None:
    """Of batch norms only their numbers are the network's."""
    norm = part.values.get("norm_cfg")
    if not isinstance(norm, dict) or norm.get("type") not in _BATCH_NORMS or not norm.get("requires_grad", True):
        return
    part.drop("norm_cfg")
    if norm["type"] in {"BN", "BatchNorm2d"}:
        part.report.note("model", "norms are not synchronised there; model.norm: batch does the same")
    if numbers := {key: value for key, value in norm.items() if key not in {"type", "requires_grad"}}:
        part.values["norm_cfg"] = numbers


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list | tuple) else value


def _nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted keys as a tree; names of hooks and heads are single keys."""
    tree: dict[str, Any] = {}
    for key, value in flat.items():
        *sections, last = key.split(".")
        node = tree
        for section in sections:
            node = node.setdefault(section, {})
        node[last] = _plain(value)
    return tree
