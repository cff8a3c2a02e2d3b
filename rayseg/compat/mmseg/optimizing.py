"""Optimizer, parameter groups, clipping and precision."""

from __future__ import annotations

import re
from typing import Any

from rayseg.compat.mmseg.accumulating import accumulation
from rayseg.compat.mmseg.layers import LAYER_CONSTRUCTORS, layer_groups
from rayseg.compat.mmseg.sections import Section

__all__ = ["optimizing"]

_DEFAULT_CONSTRUCTORS = {None, "DefaultOptimizerConstructor", "DefaultOptimWrapperConstructor"}
_HALF = {"Fp16OptimizerHook", "GradientCumulativeFp16OptimizerHook"}
#: Custom keys that published config files have, and that no parameter of the backbone is called by.
_WITHOUT_EFFECT = {"MixVisionTransformer": frozenset({"pos_block"})}
_OURS = {"SGD": "sgd", "Adam": "adam", "AdamW": "adamw"}


def optimizing(root: Section, modules: list[str], backbone: str = "") -> None:
    """``optim``, and what of ``train`` belongs to a step; their sections of the config count as read.

    Source: the default optimizer constructors of mmcv 1.7 and MMEngine 0.10.

    Args:
        root: the config.
        modules: of ``custom_imports``.
        backbone: type of the network's, by which rates that fall with the depth know its layers.

    Example:
        >>> from rayseg.compat.mmseg.sections import Report
        >>> report = Report("0.x")
        >>> optimizing(Section({"optimizer": {"type": "SGD", "lr": 0.01, "momentum": 0.9}}, "", report), [])
        >>> report.config["optim"]
        {'type': 'sgd', 'lr': 0.01, 'weight_decay': 0.0, 'momentum': 0.9}
    """
    wrapper = root.section("optim_wrapper")
    top = root.section("optimizer")
    own = wrapper.section("optimizer") if "optimizer" in wrapper else top
    paramwise = wrapper.section("paramwise_cfg") if wrapper.values.get("paramwise_cfg") else own.section("paramwise_cfg")
    wrapper.drop("paramwise_cfg")
    constructor = wrapper.take("constructor") or own.take("constructor")
    groups = _constructed(paramwise, constructor, backbone)
    if own.values:
        root.report.config["optim"] = _optimizer(own, modules)
    if groups:
        root.report.config["optim.groups"] = groups
    _wrapper(wrapper)
    if root.report.generation == "0.x":
        _optimizer_config(root)


def _constructed(paramwise: Section, constructor: str | None, backbone: str) -> dict[str, dict[str, Any]]:
    """Rules of the constructor that is named."""
    if constructor in LAYER_CONSTRUCTORS:
        return layer_groups(paramwise, str(constructor), backbone)
    if constructor not in _DEFAULT_CONSTRUCTORS:
        place = paramwise.path.removesuffix("paramwise_cfg") + "constructor"
        message = f"{constructor!r} is not carried; write optim.constructor: {{type: 'module:function'}}, or layer_decay"
        paramwise.report.lose(place, message, "optim.constructor")
        paramwise.values.clear()
    return _groups(paramwise, backbone)


def _optimizer(own: Section, modules: list[str]) -> dict[str, Any]:
    kind = own.take("type")
    if kind is None:
        own.lose("type", "is missing; write the optimizer's, such as SGD", "optim")
    spec = {
        "type": _OURS.get(str(kind)) or (f"{modules[0]}:{kind}" if len(modules) == 1 else kind or "sgd"),
        "lr": own.take("lr", 1e-3),
        "weight_decay": float(own.take("weight_decay", 0.01 if kind == "AdamW" else 0.0)),
    }
    spec |= {key: list(value) if isinstance(value, tuple) else value for key, value in own.values.items()}
    return spec


def _groups(paramwise: Section, backbone: str) -> dict[str, dict[str, Any]]:
    """Rules whose outcome is that of the constructor: the longest custom key alone; else kinds, the first that applies."""
    keys = paramwise.section("custom_keys")
    _leave_out(keys, backbone)
    groups: dict[str, dict[str, Any]] = {}
    for key in sorted(sorted(keys.values), key=len, reverse=True):
        settings = dict(keys.values[key])
        rule = {"lr_mult": float(settings.pop("lr_mult", 1.0)), "decay_mult": float(settings.pop("decay_mult", 1.0))}
        named = re.sub(r"\W+", "_", key).strip("_") or f"group_{len(groups)}"
        groups[named if named not in groups else f"{named}_{len(groups)}"] = {
            "match": re.escape(key).replace(r"\-", "-"), **rule, **({"settings": settings} if settings else {}), "final": True
        }  # fmt: skip
    kinds = {
        "flat": {"decay_mult": paramwise.take("flat_decay_mult")},
        "bias": {"lr_mult": paramwise.take("bias_lr_mult"), "decay_mult": paramwise.take("bias_decay_mult")},
        "depthwise": {"decay_mult": paramwise.take("dwconv_decay_mult")},
        "norm": {"decay_mult": paramwise.take("norm_decay_mult")},
    }
    # A later rule overrides: in 1.x the bias of a depthwise convolution is a bias, in 0.x it is depthwise.
    order = (
        ("flat", "bias", "depthwise", "norm") if paramwise.report.generation == "0.x" else ("flat", "depthwise", "bias", "norm")
    )
    for kind in order:
        rule = {name: float(value) for name, value in kinds[kind].items() if value is not None}
        if rule:
            groups[f"kind_{kind}"] = {"kind": kind, **rule}
    paramwise.drop("bypass_duplicate")
    paramwise.finish(instead="optim.groups")
    return groups


def _leave_out(keys: Section, backbone: str) -> None:
    """Custom keys of published files that do nothing there; any other one that matches nothing is a fault of the experiment."""
    for key in _WITHOUT_EFFECT.get(backbone, frozenset()) & set(keys.values):
        keys.drop(key)
        keys.report.note(
            f"{keys.path}.{key}", f"no parameter of {backbone} is called so; it does nothing there, and is left out"
        )


def _wrapper(wrapper: Section) -> None:
    kind = wrapper.take("type", "OptimWrapper")
    if kind == "AmpOptimWrapper":
        half = "bf16" if wrapper.take("dtype") == "bfloat16" else "fp16"
        _precision(wrapper, half)
    elif kind != "OptimWrapper":
        wrapper.lose("type", f"{kind!r} is not carried; OptimWrapper and AmpOptimWrapper are")
    _clip(wrapper.section("clip_grad"))
    accumulation(wrapper, "accumulative_counts")
    wrapper.finish()


def _optimizer_config(root: Section) -> None:
    section = root.section("optimizer_config")
    kind = section.take("type", "OptimizerHook")
    half = root.section("fp16")
    if kind in _HALF or "loss_scale" in half:
        _precision(section if "loss_scale" in section else half, "fp16")
    elif kind not in {"OptimizerHook", "GradientCumulativeOptimizerHook"}:
        section.lose("type", f"{kind!r} is not carried; write a hook")
    _clip(section.section("grad_clip"))
    accumulation(section, "cumulative_iters")
    section.drop("detect_anomalous_params", "distributed")
    half.finish()
    section.finish()


def _precision(section: Section, half: str) -> None:
    config, scale = section.report.config, section.take("loss_scale", "dynamic")
    config["train.precision"] = half
    if isinstance(scale, dict):
        section.report.note(f"{section.path}.loss_scale", "the scale is dynamic, and starts where torch's starts")
        scale = "dynamic"
    if half == "fp16":
        config["train.loss_scale"] = scale if scale == "dynamic" else float(scale)


def _clip(section: Section) -> None:
    config, kind = section.report.config, section.take("type", "norm")
    if "max_norm" in section:
        config["train.clip_norm"] = float(section.take("max_norm"))
        config["train.clip_norm_type"] = float(section.take("norm_type", 2))
    if kind == "value" and "clip_value" in section:
        config["train.clip_value"] = float(section.take("clip_value"))
    section.drop("error_if_nonfinite")
    section.finish()
