"""What users get wrong in optimizers, their groups and constructors, and what is said about each."""

from __future__ import annotations

from typing import Any

from tests.build.wrong import Wrong


def own_steps(**own: Any) -> dict[str, Any]:
    """An optimizer without rate and decay."""
    optim = {"type": "own_steps", "weight_decay": 0.0, "a": 0.1, "b": 2, "c": "sign", **own}
    return {"optim": optim, "schedule": {"type": "constant"}}


def constructor(**own: Any) -> dict[str, Any]:
    return {"optim.constructor": own}


OPTIMIZERS = [
    Wrong(
        "a fused optimizer that is not there",
        {"optim.type": "rmsprop", "train.speed.fused_optimizer": True},
        "train.speed.fused_optimizer",
        ("'rmsprop' has no argument 'fused'", "write false or auto"),
    ),
    Wrong(
        "a fused optimizer, and optim says how",
        {"optim": {"type": "adamw", "lr": 1e-3, "foreach": True}, "train.speed.fused_optimizer": True},
        "train.speed.fused_optimizer",
        ("optim says it too (foreach)", "remove one of the two"),
    ),
    Wrong(
        "momentum for an optimizer without it",
        {"optim.type": "adagrad", "schedule.momentum": {"type": "poly"}},
        "schedule.momentum",
        ("'adagrad' has neither momentum nor betas", "remove it"),
    ),
    Wrong(
        "momentum that is 0",
        {"optim.type": "sgd", "schedule.momentum": {"type": "poly"}},
        "schedule.momentum",
        ("SGD has no momentum to schedule", "set optim.momentum"),
    ),
    Wrong(
        "weight decay for an optimizer without it", {"optim.type": "rprop"}, "optim.weight_decay", ("'rprop' takes none", "0")
    ),
    Wrong(
        "a decay multiplier for an optimizer without it",
        {"optim.type": "rprop", "optim.weight_decay": 0.0, "optim.groups.norm": {"kind": "norm", "decay_mult": 0.0}},
        "optim.groups.norm.decay_mult",
        ("'rprop' takes no weight decay", "remove it"),
    ),
    Wrong(
        "a setting that the optimizer lacks",
        {"optim.groups.n": {"kind": "norm", "settings": {"momentun": 0.5}}, "optim.type": "sgd"},
        "optim.groups.n.settings.momentun",
        ("no such argument", "Did you mean 'momentum'"),
    ),
    Wrong(
        "a setting that the optimizer refuses",
        {"optim.groups.n": {"kind": "norm", "settings": {"betas": [2.0, 0.9]}}},
        "optim.groups.n.settings",
        ("Invalid beta parameter", "correct them"),
    ),
    Wrong(
        "a setting of another type",
        {"optim.groups.n": {"kind": "norm", "settings": {"betas": 0.9}}},
        "optim.groups.n.settings.betas",
        ("got 0.9", "expected tuple"),
    ),
    Wrong(
        "a rate among the settings",
        {"optim.groups.n": {"kind": "norm", "settings": {"lr": 0.9}}},
        "optim.groups.n.settings.lr",
        ("a multiple of optim.lr", "set lr_mult"),
    ),
    Wrong("no rate", {"optim.lr": None}, "optim.lr", ("null, but 'adamw' takes", "give one")),
    Wrong("a rate for an optimizer without", own_steps(), "optim.lr", ("'own_steps' takes no 'lr'", "set it to null")),
    Wrong(
        "a multiplier for an optimizer without a rate",
        own_steps(lr=None, groups={"n": {"kind": "norm", "lr_mult": 0.5}}),
        "optim.groups.n.lr_mult",
        ("takes no learning rate", "remove it"),
    ),
    Wrong(
        "a schedule for an optimizer without a rate",
        {**own_steps(lr=None), "schedule": {"type": "poly"}},
        "schedule",
        ("has no learning rate to change", "type: constant"),
    ),
    Wrong("an optimizer with a closure", {"optim.type": "LBFGS"}, "optim.type", ("'LBFGS' computes the loss several", "sgd")),
    Wrong("an optimizer of sparse gradients", {"optim.type": "sparse_adam"}, "optim.type", ("unknown name", "known: adam")),
    Wrong(
        "an optimizer of sparse gradients by its path",
        {"optim": {"type": "torch.optim:SparseAdam", "weight_decay": 0.0}},
        "optim.type",
        ("cannot take a plain step", "dense gradients"),
    ),
    Wrong("an optimizer of matrices", {"optim.type": "muon"}, "optim", ("refuses these", "2D parameters", "another optimizer")),
    Wrong("an argument that torch refuses", {"optim.betas": [2.0, 0.9]}, "optim", ("Invalid beta parameter", "correct")),
    Wrong("no optimizer", {"optim": {"type": "builtins:dict", "lr": 1.0}}, "optim", ("refuses these",)),
    Wrong(
        "a constructor's argument",
        constructor(type="layer_decay", rate=0.5, blocks=r"encoders\.(\d+)", steem=None),
        "optim.constructor.steem",
        ("it takes rate, blocks, stem, by", "mean 'stem'"),
    ),
    Wrong(
        "layers that are not there",
        constructor(type="layer_decay", rate=0.5, blocks=r"lairs\.(\d+)"),
        "optim.constructor.blocks",
        ("matched none of the", "first names: backbone"),
    ),
    Wrong(
        "a state that no checkpoint gives back",
        {"optim": {"type": "tests.build.small:Remembers"}},
        "optim",
        ("collections.deque", "keep tensors and plain values"),
    ),
    Wrong("a constructor that forgets", constructor(type="half"), "optim.constructor", ("in no group", "exactly one group")),
    Wrong(
        "a constructor with a setting of its own",
        constructor(type="scaled"),
        "optim.constructor",
        ("have 'lr_scale', of which 'adamw' knows nothing",),
    ),
    Wrong(
        "a pattern that matches nothing",
        {"optim.groups.head": {"match": "clasifier", "lr_mult": 10}},
        "optim.groups.head",
        ("'clasifier' matched none of the", "first names: backbone", "Did you mean 'classifier'"),
    ),
    Wrong(
        "a pattern that is none",
        {"optim.groups.head": {"match": "head(", "lr_mult": 10}},
        "optim.groups.head",
        ("'head(' is no regular expression", "unterminated"),
    ),
]
