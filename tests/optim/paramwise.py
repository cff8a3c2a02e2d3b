"""The rules of the 1.x default constructor, written down straight, and what they are as ours."""

from __future__ import annotations

import re
from typing import Any

from torch import nn

from rayseg.optim import Rule

#: Parameter's name -> learning rate, decay, other settings.
Settings = dict[str, tuple[float, float, dict[str, Any]]]


def by_the_constructor(model: nn.Module, paramwise: dict[str, Any], *, lr: float, weight_decay: float) -> Settings:
    """Custom keys first, the longest of them; else norm, bias, depth-wise, flat: the first that is given."""
    keys = sorted(sorted(paramwise["custom_keys"]), key=len, reverse=True)
    found: Settings = {}
    for prefix, module in model.named_modules():
        is_norm = isinstance(module, (nn.modules.batchnorm._NormBase, nn.GroupNorm, nn.LayerNorm))
        is_depthwise = isinstance(module, nn.Conv2d) and module.in_channels == module.groups
        for leaf, parameter in module.named_parameters(recurse=False):
            if not parameter.requires_grad:
                continue
            name = f"{prefix}.{leaf}" if prefix else leaf
            key = next((key for key in keys if key in f"{prefix}.{leaf}"), None)
            if key is not None:
                own = dict(paramwise["custom_keys"][key])
                multipliers = own.pop("lr_mult", 1.0), own.pop("decay_mult", 1.0)
                found[name] = (lr * multipliers[0], weight_decay * multipliers[1], own)
                continue
            own_lr = lr
            if leaf == "bias" and not is_norm and paramwise["bias_lr_mult"] is not None:
                own_lr = lr * paramwise["bias_lr_mult"]
            cases = [
                (is_norm, "norm_decay_mult"),
                (leaf == "bias", "bias_decay_mult"),
                (is_depthwise, "dwconv_decay_mult"),
                (parameter.ndim == 1, "flat_decay_mult"),
            ]
            given = (paramwise[option] for holds, option in cases if holds and paramwise[option] is not None)
            found[name] = (own_lr, weight_decay * next(given, 1.0), {})
    return found


def as_rules(paramwise: dict[str, Any]) -> dict[str, Rule]:
    """The same as ours: exclusive keys first and final, then what would come last there, because here the later one wins."""
    keys = sorted(sorted(paramwise["custom_keys"]), key=len, reverse=True)
    rules: dict[str, Rule] = {}
    for number, key in enumerate(keys):
        own = dict(paramwise["custom_keys"][key])
        multipliers = own.pop("lr_mult", 1.0), own.pop("decay_mult", 1.0)
        rules[f"key{number}"] = Rule(re.escape(key), None, *multipliers, settings=own, final=True)
    bias = paramwise["bias_decay_mult"]
    wanted = {
        "flat": Rule(kind="flat", decay_mult=paramwise["flat_decay_mult"]),
        "depthwise": Rule(kind="depthwise", decay_mult=paramwise["dwconv_decay_mult"]),
        "bias": Rule(kind="bias", decay_mult=bias, lr_mult=paramwise["bias_lr_mult"]),
        "norm_bias": Rule(match=r"(^|\.)bias$", kind="norm", decay_mult=bias),
        "norm": Rule(kind="norm", decay_mult=paramwise["norm_decay_mult"]),
    }
    return rules | {name: rule for name, rule in wanted.items() if (rule.lr_mult, rule.decay_mult) != (None, None)}
