"""What was sampled is what was built, and what was not is noticed."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rayseg.build import Experiment, applied_values, check_applied
from rayseg.errors import ConfigError
from tests.build.small import DICE, built

AUXILIARY = {"model": {"type": "two_heads"}, "heads.auxiliary": {"losses": {"dice": DICE}, "weight": 0.3}}
GROUPS = {"optim.groups": {"head": {"match": "classifier", "lr_mult": 2.0}, "norm": {"kind": "norm", "decay_mult": 1.0}}}
MERGED = {
    "optim.groups": {name: {"kind": name[:-1].replace("biase", "bias"), "decay_mult": 0.0} for name in ("norms", "biases")}
}
OWN_STEPS = {
    "optim": {"type": "own_steps", "lr": None, "weight_decay": 0.0, "a": 0.1, "b": 2, "c": "sign"},
    "schedule": {"type": "constant"},
}
ENCODERS = r"backbone\.stages\.(\d+)"
WARMUP = {"schedule.warmup": {"length": 5}}
OHEM = {"sampling": {"type": "ohem"}}
RAMP = {"sampling": {"type": "ohem", "schedule": {"min_kept": {"from": 1.0, "to": 0.1, "end": {"steps": 9}}}}}
RULE = {"losses.ce.class_weight": {"type": "median_frequency"}}
PART = {"type": "synthetic", "size": [32, 32], "length": 2, "seed": 1}
JOINED = {"data.dataset": {"type": "concat", "parts": {"one": PART, "two": PART}}}
CROP = {"data.transforms.crop": {"type": "random_crop", "size": [16, 16]}}
STOPPING = {"hooks.stop": {"type": "early_stopping"}}

STEPS = {"type": "step", "every": {"epochs": 1}}
PHASES = {"phases": {"warm": {"type": "linear", "start": 0.5, "end": 1.0, "length": 1}, "rest": {"type": "poly"}}}
SCHEDULER = {"type": "torch.optim.lr_scheduler:StepLR", "step_size": 1}

#: What the recipe needs, and what is sampled over it.
SAMPLED: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {"seed": 3}),
    ({}, {"train.kernels": "strips"}),
    (JOINED, {"data.dataset.parts.one.length": 5, "data.dataset.parts.two.seed": 7}),
    ({}, {"train.kernels": "plain"}),
    ({}, {"optim.lr": 0.0123, "optim.weight_decay": 0.07, "optim.betas": [0.8, 0.9]}),
    ({"optim": {"type": "sgd"}}, {"optim.lr": 0.1, "optim.momentum": 0.9, "optim.nesterov": True}),
    ({}, {"optim.type": "adam"}),
    ({"optim": {"type": "sgd"}}, {"optim.foreach": True, "optim.fused": False}),
    (
        {"optim": {"type": "sgd", "momentum": 0.9}, "optim.groups": {"n": {"kind": "norm", "settings": {"momentum": 0.5}}}},
        {"optim.momentum": 0.8, "optim.groups.n.settings.momentum": 0.6},
    ),
    (MERGED, {"optim.groups.norms.decay_mult": 0.5, "optim.groups.biases.decay_mult": 0.5, "optim.lr": 0.02}),
    ({"optim.constructor": {"type": "by_depth"}, **GROUPS}, {"optim.constructor.ratio": 0.3, "optim.lr": 0.02}),
    (
        {"optim.constructor": {"type": "by_depth"}, "model.depth": 2},
        {"optim.constructor": {"type": "layer_decay", "rate": 0.7, "blocks": ENCODERS, "by": "stage"}, "optim.lr": 0.02},
    ),
    (OWN_STEPS, {"optim.a": 0.3, "optim.b": 7}),
    ({}, GROUPS),
    ({}, {"optim.groups.head": {"match": "classifier", "lr_mult": 10.0}}),
    (GROUPS, {"optim.groups.head": None, "optim.groups.norm.kind": "flat"}),
    (GROUPS, {"optim.groups.head.match": "decode_head", "optim.groups.head.final": True}),
    (GROUPS, {"optim.groups.head.lr_mult": 10, "optim.groups.norm.decay_mult": 0.0, "optim.lr": 0.03}),
    (
        {},
        {"losses.ce.weight": 0.4, "losses.ce.label_smoothing": 0.1, "losses.ce.normalize": "valid", "losses.ce.scope": "rank"},
    ),
    ({}, {"losses.dice": {**DICE, "weight": 3, "smooth": 2.0, "classes": "all"}}),
    ({}, {"losses": {"dice": DICE}}),
    (
        {"model.detail": True, "heads.detail": {"target": {"type": "stdc_detail"}, "losses": {"own": {"type": "boundary"}}}},
        {
            "heads.detail.target.threshold": 0.2,
            "heads.detail.target.raw_labels": True,
            "heads.detail.losses.own.divide_by": "all",
            "heads.detail.losses.own.class_weight": [1.0, 3.0],
        },
    ),
    (
        {"model.detail": True, "heads.detail": {"target": {"type": "boundaries"}, "losses": {"own": {"type": "lovasz_hinge"}}}},
        {"heads.detail.target.width": 2, "heads.detail.losses.own.per_image": True},
    ),
    ({"losses.own": {"type": "lovasz"}}, {"losses.own.classes": [0, 2], "losses.own.per_image": True}),
    ({"losses.own": {"type": "dice_mmseg_0x"}}, {"losses.own.smooth": 0.5, "losses.own.exponent": 1.5}),
    ({"losses.own": {"type": "dice_mmseg_1x"}}, {"losses.own.activation": "softmax", "losses.own.naive": True}),
    ({"losses.own": {"type": "focal_tversky"}}, {"losses.own.gamma": 2.0, "losses.own.divide_by": "classes"}),
    ({"losses.dice": DICE}, {"losses.dice": None, "losses.ce.normalize": None}),
    ({"losses.own": {"type": "topo", "strength": 1.0}}, {"losses.own.strength": 0.7}),
    ({"losses.own": {"type": "pair"}}, {"losses.own.strength": 0.7, "losses.own.type": "pair"}),
    ({}, {"losses.ce.class_weight": [0.1 * number for number in range(9)]}),
    ({"losses.ce.class_weight": {"car": 1.0}}, {"losses.ce.class_weight.car": 3.3}),
    ({}, {"losses.ce.class_weight": {"car": 3.3, "sign": 5}}),
    (RULE, {"losses.ce.class_weight.power": 0.5, "losses.ce.class_weight.clip": 4, "losses.ce.class_weight.normalize": True}),
    (RULE, {"losses.ce.class_weight.type": "enet"}),
    (AUXILIARY, {"heads.auxiliary.weight": 0.2, "heads.auxiliary.losses.dice.smooth": 0.5, "heads.auxiliary.ignore_index": 99}),
    ({"model": {"type": "two_heads"}, "heads.auxiliary": {}}, {"losses.ce.weight": 2.0, "heads.auxiliary.losses": None}),
    ({**AUXILIARY, **OHEM}, {"heads.auxiliary.target": {"type": "edges", "width": 2}}),
    (OHEM, {"sampling.thresh": 0.6, "sampling.min_kept": 100, "sampling.scope": "rank", "sampling.start": 7}),
    (OHEM, {"sampling": None}),
    (OHEM, {"sampling.by": "loss", "sampling.type": "top_k", "sampling": {"type": "top_k", "ratio": 0.3}}),
    (OHEM, {"sampling.schedule.min_kept": {"from": 1.0, "to": 0.2, "begin": 1, "end": {"epochs": 2}, "shape": "cosine"}}),
    (RAMP, {"sampling.schedule.min_kept.to": 0.3, "sampling.schedule.min_kept.from": 0.9, "sampling.thresh": None}),
    (RAMP, {"sampling.schedule.min_kept.begin": 2, "sampling.schedule.min_kept.end": {"steps": 7}}),
    (RAMP, {"sampling.schedule.min_kept.end.steps": 7, "sampling.schedule.min_kept.shape": "exp"}),
    (RAMP, {"sampling.schedule.min_kept": None, "sampling.min_kept": 0.3}),
    ({"model": {"type": "two_heads"}, "heads.auxiliary": {}, **RAMP}, {"heads.auxiliary.sampling": {"type": "all_pixels"}}),
    ({}, {"sampling": {"type": "ohem", "min_kept": 0.2, "start": {"epochs": 1.5}}}),
    ({}, {"schedule.power": 0.7, "schedule.floor": 0.01}),
    ({}, {"schedule": {"type": "cosine", "floor": 0.1}}),
    (WARMUP, {"schedule.warmup.type": "exp", "schedule.warmup.ratio": 0.2, "schedule.warmup.length": 9, "schedule.power": 2}),
    ({"schedule.warmup": {"length": {"steps": 5}}}, {"schedule.warmup.length.steps": 11}),
    (WARMUP, {"schedule.warmup": None}),
    ({"schedule.momentum": {"type": "poly"}}, {"schedule.momentum.floor": 0.5}),
    ({"schedule": STEPS}, {"schedule.every": {"epochs": 2}, "schedule.gamma": 0.3}),
    ({"schedule": STEPS}, {"schedule": {"type": "step", "milestones": [{"epochs": 1}, 5], "by_epoch": True}}),
    ({"schedule": STEPS}, {"schedule.every.epochs": 3}),
    (
        {"schedule": PHASES},
        {"schedule.phases.warm.start": 0.2, "schedule.phases.warm.length": 3, "schedule.phases.rest.power": 2},
    ),
    ({"schedule": PHASES, "schedule.momentum": {"warmup": {"length": 2}}}, {"schedule.momentum.warmup.ratio": 0.8}),
    ({"schedule": {"type": "plateau"}}, {"schedule.factor": 0.5, "schedule.patience": 3, "schedule.monitor": "val/mAcc"}),
    ({"schedule": SCHEDULER}, {"schedule.gamma": 0.5, "schedule.step_size": {"epochs": 1}}),
    ({"schedule": {"type": "lambda", "function": "tests.build.small:halved"}}, {"schedule.every": 7}),
    ({}, {"train.batch_size": 4, "train.steps": 17, "train.precision": "bf16", "train.clip_norm": 1.5, "train.clip_value": 2}),
    ({"train.precision": "fp16", "train.clip_norm": 1.0}, {"train.loss_scale": 512.0, "train.clip_norm_type": "inf"}),
    ({}, {"train": {"precision": "fp16", "loss_scale": "dynamic", "clip_norm": 2.0, "clip_norm_type": 1.0}}),
    ({"train.ema": {}}, {"train.ema.decay": 0.99, "train.ema.warmup": 3.0}),
    ({"train.ema": {}}, {"train.ema.gamma": 50.0, "train.ema.every": 2, "train.ema.start": 1, "train.ema.buffers": "average"}),
    ({"train.swa": {"start": 1}}, {"train.swa.start": 2, "train.swa.every": {"steps": 3}, "train.swa.batches": 7}),
    ({}, {"train.ema": {"decay": 0.9}, "train.micro_batch": 1, "train.log_every": 3}),
    ({}, {"train": {"epochs": 3, "batch_size": 2}}),
    (CROP, {"data.transforms.crop.size": (24, 24), "data.transforms.crop.cat_max_ratio": 0.9}),
    (CROP, {"data.transforms.crop": None, "data.transforms.flip": {"type": "random_flip", "prob": 0.2}}),
    ({"data.transforms.colour": {"type": "photometric"}}, {"data.colours": "affine"}),
    (
        {},
        {
            "data.dataset.length": 6,
            "data.dataset.noise": 0.5,
            "data.mean": [1.0, 2.0, 3.0],
            "data.std": [4.0, 5.0, 6.0],
            "data.pad_size": [40, 40],
        },
    ),
    ({}, {"model.width": 8, "model.dropout": 0.1, "model.norm": "group"}),
    ({}, {"model.norm": "auto"}),
    ({}, {"eval.every": 2, "eval.batch_size": 3, "eval.at_end": False, "checkpoint.every": {"epochs": 1}}),
    (
        {"eval.mode": "slide", "eval.crop_size": [16, 16], "eval.stride": [8, 8]},
        {"eval.crop_size": [24, 16], "eval.stride": [16, 12], "eval.tta.scales": [0.5, 1.0], "eval.tta.flip": True},
    ),
    ({}, {"eval.metrics": ["mFscore", "mBoundaryIoU"], "eval.beta": 2.0, "eval.boundary_ratio": 0.1}),
    ({}, {"eval.resize": [48, 40]}),
    ({}, {"eval.tta": {"scales": [1.0, 1.5], "flip": True}}),
    (STOPPING, {"hooks.stop.patience": 3, "hooks.stop.min_delta": 0.01, "hooks.stop.threshold": 0.9, "hooks.stop.mode": "min"}),
    ({**STOPPING, "hooks.other": {"type": "early_stopping"}}, {"hooks.stop.priority": "HIGH", "hooks.other.priority": 20}),
    ({}, {"checkpoint.best": "val/loss", "checkpoint.mode": "min", "checkpoint.optimizer": "newest"}),
]


_BUILT: dict[str, Experiment] = {}


def built_once(recipe: dict[str, Any]) -> Experiment:
    """The experiment of a recipe, which reading does not change."""
    text = repr(recipe)
    if text not in _BUILT:
        _BUILT[text] = built(recipe)
    return _BUILT[text]


@pytest.mark.parametrize(("recipe", "sampled"), SAMPLED, ids=[", ".join(sampled) for _, sampled in SAMPLED])
def test_what_was_sampled_is_found_in_what_was_built(recipe: dict[str, Any], sampled: dict[str, Any]) -> None:
    check_applied(built(recipe, sampled), sampled)


#: Sampled values that are those of the recipe.
UNCHANGED = {
    ("losses.own.type", "pair"),
    ("losses.ce.normalize", None),
    ("heads.auxiliary.losses", None),
    ("model.norm", "auto"),
}
CHANGES = [
    (recipe, key, value)
    for recipe, sampled in SAMPLED
    for key, value in sampled.items()
    if not isinstance(value, str | None) or (key, value) not in UNCHANGED
]


@pytest.mark.parametrize(
    ("recipe", "key", "value"), CHANGES, ids=[f"{key}-{number}" for number, (_, key, _) in enumerate(CHANGES)]
)
def test_a_value_that_was_dropped_on_the_way_is_noticed(recipe: dict[str, Any], key: str, value: Any) -> None:
    """The experiment is built without the sampled value: every leaf that differs from what was built is named."""
    with pytest.raises(ConfigError) as caught:
        check_applied(built_once(recipe), {key: value})
    assert all(problem.path == key or problem.path.startswith(f"{key}.") for problem in caught.value.problems)


def test_the_error_names_what_was_sampled_what_was_built_and_every_key() -> None:
    experiment = built({"optim.lr": 0.01})
    with pytest.raises(ConfigError) as caught:
        check_applied(experiment, {"optim.lr": 0.02, "losses.ce.weight": 1.0, "seed": 4, "tracking.name": "a"})
    assert [problem.path for problem in caught.value.problems] == ["optim.lr", "seed", "tracking.name"]
    assert "optim.lr: 0.02 was sampled, but 0.01 was built" in str(caught.value)
    assert "tracking.name: cannot be read back" in str(caught.value)


@pytest.mark.parametrize(
    "key",
    ["losses.focal.weight", "optim.momentum", "optim.groups.head.lr_mult", "model.wdith", "heads.x.weight", "scaling.workers",
     "sampling.thresh", "data.train_split", "train", "train.stepz", "schedule.warmup.slope", "", "checkpoint.keep"],
)  # fmt: skip
def test_what_cannot_be_read_back_is_refused_by_name(key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_applied(built_once(WARMUP), {key: 1})
    assert [problem.path for problem in caught.value.problems] == [key]


def test_values_are_read_from_the_objects_and_not_from_the_config() -> None:
    experiment = built({**GROUPS, **RULE, **WARMUP, "optim.lr": 0.02})
    optimizer, heads = experiment.fit.state.optimizer, experiment.fit.mix.heads
    term = heads["main"].terms["ce"]
    keys = ["optim.lr", "losses.ce.weight", "losses.ce.class_weight.power", "schedule.warmup.ratio", "train.steps"]
    check_applied(experiment, {"optim.lr": 0.02, "losses.ce.weight": 1.0, "losses.ce.class_weight.power": 1.0})
    optimizer.param_groups[0]["initial_lr"] = 0.05
    assert term.class_weight is not None
    doubled = replace(term, weight=2.0, class_weight=2 * term.class_weight)
    heads["main"] = replace(heads["main"], terms={"ce": doubled})
    with pytest.raises(ConfigError, match="not those that 'median_frequency' makes") as caught:
        applied_values(experiment, keys)
    assert [problem.path for problem in caught.value.problems] == ["optim.lr", "losses.ce.class_weight.power"]
    assert applied_values(experiment, ["losses.ce.weight", "train.steps"]) == {"losses.ce.weight": 2.0, "train.steps": 2}


def test_what_a_rule_selects_is_proved_by_the_members_of_the_groups() -> None:
    experiment = built(GROUPS)
    group = experiment.fit.state.optimizer.param_groups[0]
    group["param_names"] = group["param_names"][1:]
    with pytest.raises(ConfigError, match="do not have the parameters that the rules select"):
        check_applied(experiment, {"optim.groups.head.match": "classifier"})


def test_arguments_reach_what_keeps_no_record_of_them() -> None:
    """A model, a data set and a module are asked for what their arguments do."""
    own = {"losses.own": {"type": "topo", "strength": 0.7}, "optim.groups.head": {"match": "classifier", "lr_mult": 3.0}}
    experiment = built({"model.width": 6, "data.dataset.length": 7, "train.ema": {"decay": 0.9}, **own})
    state = experiment.fit.state
    assert state.model.get_parameter("backbone.stem.0.weight").shape[0] == 6
    assert len(experiment.data.train) == len(experiment.data.val) == 7
    assert getattr(experiment.fit.mix.heads["main"].terms["own"].loss, "factor", None) == 0.7
    assert {group["name"]: group["lr"] / 0.001 for group in state.optimizer.param_groups} == {"default": 1.0, "head": 3.0}
    assert experiment.fit.batches is experiment.stream


def test_a_transform_ignores_what_the_data_ignore() -> None:
    experiment = built(CROP, {"data.ignore_index": 99, "data.dataset.ignore_index": 99})
    key = "data.transforms.crop.ignore_index"
    assert applied_values(experiment, [key]) == {key: 99}


def test_true_is_not_one() -> None:
    with pytest.raises(ConfigError, match="seed: true was sampled, but 1 was built"):
        check_applied(built({"seed": 1}), {"seed": True})


def test_a_multiplier_that_has_no_effect_is_refused() -> None:
    rules = {"head": {"match": "classifier", "lr_mult": 5.0, "decay_mult": 2.0}, "all": {"match": "", "lr_mult": 1.0}}
    experiment = built({"optim.groups": rules, "optim.weight_decay": 0.0})
    for key in ("optim.groups.head.lr_mult", "optim.groups.head.decay_mult"):
        with pytest.raises(ConfigError, match="later rules override it, or its base is 0"):
            applied_values(experiment, [key])


def test_defaults_are_read_back_too() -> None:
    experiment = built({**OHEM, **GROUPS})
    assert applied_values(experiment, ["sampling.thresh", "schedule.power", "model.depth", "losses.ce.class_weight"]) == {
        "sampling.thresh": 0.7,
        "schedule.power": 0.9,
        "model.depth": 1,
        "losses.ce.class_weight": None,
    }
    assert applied_values(experiment, ["optim.groups.head.lr_mult"]) == {"optim.groups.head.lr_mult": 2.0}


@settings(max_examples=15, deadline=None)
@given(lr=st.floats(1e-6, 1.0), decay=st.floats(1e-6, 1.0), mult=st.floats(1e-3, 1e3), weight=st.floats(0, 100))
def test_any_floats_are_read_back_exactly(lr: float, decay: float, mult: float, weight: float) -> None:
    sampled = {"optim.lr": lr, "optim.weight_decay": decay, "optim.groups.head.lr_mult": mult, "losses.ce.weight": weight}
    experiment = built({**GROUPS, **sampled})
    check_applied(experiment, sampled)
    with pytest.raises(ConfigError, match="1 problem"):
        check_applied(experiment, {**sampled, "optim.lr": math.nextafter(lr, 2.0)})
