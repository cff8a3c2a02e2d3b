"""Names of a config file that nothing reads: MMSegmentation passes over them in silence."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any

from rayseg.compat.mmseg.expressions import Variables
from rayseg.errors import Problem

__all__ = ["KEYS", "near_misses", "unread", "unread_options"]

#: Names at the top level of a config file that MMSegmentation 0.x or 1.x reads.
# fmt: off
KEYS = frozenset(
    {
        "auto_resume", "auto_scale_lr", "checkpoint_config", "cudnn_benchmark", "custom_hooks", "custom_imports",
        "data", "data_preprocessor", "default_hooks", "default_scope", "device", "dist_params", "env_cfg",
        "evaluation", "experiment_name", "find_unused_parameters", "fp16", "gpu_ids", "hooks", "launcher",
        "load_from", "log_config", "log_level", "log_processor", "lr_config", "model", "momentum_config",
        "optim_wrapper", "optimizer", "optimizer_config", "param_scheduler", "randomness", "resume", "resume_from",
        "runner", "seed", "sync_bn", "test_cfg", "test_dataloader", "test_evaluator", "test_pipeline", "total_epochs",
        "total_iters", "train_cfg", "train_dataloader", "train_pipeline", "tta_model", "tta_pipeline", "val_cfg",
        "val_dataloader", "val_evaluator", "vis_backends", "visualizer", "work_dir", "workflow",
    }
)
# fmt: on
#: Variables of its own config files, and the keys that a user means by them: of 1.x and of 0.x.
_MEANT: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "data_preprocessor": ("model.data_preprocessor", "data"),
        "data_root": ("train_dataloader.dataset.data_root", "data.train.data_root"),
        "dataset_type": ("train_dataloader.dataset.type", "data.train.type"),
        "norm_cfg": ("model.backbone.norm_cfg", "model.backbone.norm_cfg"),
        "optimizer": ("optim_wrapper.optimizer", "optimizer"),
        "test_pipeline": ("val_dataloader.dataset.pipeline", "data.val.pipeline"),
        "train_pipeline": ("train_dataloader.dataset.pipeline", "data.train.pipeline"),
    }
)


def near_misses(tree: Mapping[str, Any], used: set[str]) -> list[Problem]:
    """Names that nothing reads and that are nearly those of a section.

    Args:
        tree: what the file gives.
        used: names that its expressions read.

    Example:
        >>> print(near_misses({"models": {}}, set())[0])
        models: nothing reads it, and MMSegmentation would not say so; did you mean 'model'?
    """
    found = []
    for key, value in tree.items():
        close = get_close_matches(key, KEYS, n=1, cutoff=0.85)
        if close and key not in KEYS | used and isinstance(value, dict | list):
            found.append(Problem(key, f"nothing reads it, and MMSegmentation would not say so; did you mean {close[0]!r}?"))
    return found


def unread(own: Variables, base: Mapping[str, Any], tree: Mapping[str, Any]) -> list[str]:
    """Variables that a file gives another value than its bases, and does not read: what the bases made of theirs stays.

    Args:
        own: what the file assigns.
        base: what its bases give.
        tree: both.

    Example:
        >>> own = Variables()
        >>> own["data_root"] = "mine"
        >>> base = {"data_root": "theirs", "train_dataloader": {"dataset": {"data_root": "theirs"}}}
        >>> unread(own, base, {**base, **own})
        ['data_root: nothing in this file reads it, so it changes nothing; write train_dataloader.dataset.data_root']
    """
    changed = [key for key, value in own.items() if key in base and key not in own.used and value != base[key]]
    return [
        f"{key}: nothing in this file reads it, so it changes nothing{_meant(key, tree)}" for key in changed if _idle(key, tree)
    ]


def unread_options(options: Mapping[str, Any], tree: Mapping[str, Any]) -> list[Problem]:
    """Options that change a variable, after all that reads it has been read, or a name that nothing reads.

    Args:
        options: dotted key to value.
        tree: what the file gives.

    Example:
        >>> print(unread_options({"modle.type": "A"}, {"model": {}})[0])
        modle.type: nothing reads it; did you mean 'model'?
    """
    found = []
    for option in options:
        key = option.partition(".")[0]
        close = get_close_matches(key, KEYS, n=1, cutoff=0.6)
        if key in tree and _idle(key, tree):
            message = f"changes a variable of the file, whose value has been read before{_meant(key, tree)}"
            found.append(Problem(option, message))
        elif key not in KEYS | set(tree):
            found.append(Problem(option, "nothing reads it" + (f"; did you mean {close[0]!r}?" if close else "; remove it")))
    return found


def _idle(key: str, tree: Mapping[str, Any]) -> bool:
    """Whether it is a mere variable: what the name stands for is written elsewhere."""
    if key not in KEYS or key.endswith("_pipeline"):
        return True
    node: Any = tree
    path = _MEANT[key][not _is_new(tree)] if key in _MEANT else key
    for part in path.split("."):
        node = node.get(part) if isinstance(node, Mapping) else None
    return path != key and node is not None


def _meant(key: str, tree: Mapping[str, Any]) -> str:
    return f"; write {_MEANT[key][not _is_new(tree)]}" if key in _MEANT else "; write what shall have it"


def _is_new(tree: Mapping[str, Any]) -> bool:
    return "train_dataloader" in tree or "optim_wrapper" in tree
