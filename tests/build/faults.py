"""What users get wrong: every area together, and what is mistyped, misnamed or out of range in any of them."""

from __future__ import annotations

from tests.build.faults_combinations import COMBINATIONS
from tests.build.faults_files import FILES
from tests.build.faults_losses import LOSSES
from tests.build.faults_optim import OPTIMIZERS
from tests.build.faults_regions import REGIONS
from tests.build.faults_sampling import SAMPLERS
from tests.build.faults_schedules import SCHEDULES
from tests.build.faults_start import FREEZING, STARTING
from tests.build.small import DICE
from tests.build.wrong import Wrong, ce, crop, joined, loss

#: A part of the data set that :func:`joined` makes.
PART = "data.dataset.parts.own"
MISTYPED = [
    Wrong("a section", {"trian.steps": 3}, "trian", ("has no key 'trian'", "it takes seed, data, model", "mean 'train'")),
    Wrong("a key of a section", {"train.stepz": 3}, "train.stepz", ("'train' has no key 'stepz'", "Did you mean 'steps'")),
    Wrong("a key of the top", {"lr": 0.1}, "lr", ("has no key 'lr'", "Did you mean 'optim.lr'")),
    Wrong(
        "a loss argument", {"losses.dice": {**DICE, "smoth": 1.0}}, "losses.dice.smoth", ("it takes smooth,", "mean 'smooth'")
    ),
    Wrong("a transform argument", crop(sise=[8, 8]), "data.transforms.crop.sise", ("it takes size,", "mean 'size'")),
    Wrong("a model argument", {"model.widht": 8}, "model.widht", ("it takes width, depth", "mean 'width'")),
    Wrong("an argument of a part of the data", joined(lenght=8), f"{PART}.lenght", ("'synthetic' has no", "mean 'length'")),
    Wrong("a data set argument", {"data.dataset.lenght": 8}, "data.dataset.lenght", ("'synthetic' has no", "mean 'length'")),
    Wrong("an optimizer argument", {"optim.momentun": 0.9}, "optim.momentun", ("'adamw' has no parameter", "it takes betas")),
    Wrong("a schedule argument", {"schedule.powr": 2}, "schedule.powr", ("it takes power, floor", "mean 'power'")),
    Wrong(
        "a sampler argument", {"sampling": {"type": "ohem", "tresh": 0.7}}, "sampling.tresh", ("thresh, min_kept", "'thresh'")
    ),
    Wrong(
        "an argument of a class weight rule",
        ce(class_weight={"type": "median_frequency", "powr": 0.5}),
        "losses.ce.class_weight.powr",
        ("it takes power, clip, normalize", "mean 'power'"),
    ),
    Wrong("a hook's method", {"hooks.h": {"type": "silent"}}, "hooks.h", ("would never be called", "before_step, after_step")),
    Wrong("below a name that is not there", {"losses.dice.weight": 3}, "losses.dice", ("'losses' has ce", "give it whole")),
]
NAMES = [
    Wrong("an unknown loss", loss("dyce"), "losses.own.type", ("unknown name 'dyce'", "cross_entropy, ", "mean 'dice'")),
    Wrong("an unknown part of the data", joined(type="synthetc"), f"{PART}.type", ("unknown name", "mean 'synthetic'")),
    Wrong("an unknown model", {"model": {"type": "small_net"}}, "model.type", ("unknown name", "mean 'small_unet'")),
    Wrong("an unknown optimizer", {"optim.type": "adamww"}, "optim.type", ("known: adam, adamw, sgd", "mean 'adamw'")),
    Wrong("an unknown module", loss("my_losses_:topo"), "losses.own.type", ("cannot import 'my_losses_'", "on every worker")),
    Wrong("an unknown attribute", {"schedule": {"type": "math:cosh_"}}, "schedule.type", ("no 'cosh_'", "mean 'cosh'")),
    Wrong("nothing to call", {"schedule": {"type": "math:pi"}}, "schedule.type", ("is of type float", "function or a class")),
    Wrong("null for a list", crop(size=None), "data.transforms.crop.size", ("got None", "expected tuple[int, int]")),
    Wrong("a required argument left out", loss("topo"), "losses.own.strength", ("is missing", "'topo' needs it")),
]
VALUES = [
    Wrong("an argument that rayseg gives", ce(args={"nll": 1}), "losses.ce.nll", ("rayseg passes 'nll'", "remove it here")),
    Wrong("no parts of the data", {"data.dataset": {"type": "concat"}}, "data.dataset.parts", ("{NAME: {type", "got None")),
    Wrong("a split that is no name", joined(splits=3), f"{PART}.splits", ("names of splits, such as [train]", "got 3")),
    Wrong("a split without data", joined(splits=["train"]), "data.val_split", ("no part belongs to this split", "parts: own")),
    Wrong("text for a number", {"optim.lr": "fast"}, "optim.lr", ("must be a number", "got 'fast'")),
    Wrong("text for a number in a loss", loss("dice", smooth="1"), "losses.own.smooth", ("got '1'", "expected float")),
    Wrong("a negative rate", {"optim.lr": -1}, "optim.lr", ("must be more than 0", "got -1")),
    Wrong("a list for a number", {"train.steps": [3]}, "train.steps", ("must be a whole number", "got [3]")),
    Wrong("a norm that is none", {"train.clip_norm_type": "two"}, "train.clip_norm_type", ("above 0, or inf", "got 'two'")),
    Wrong("a scale that is none", {"train.loss_scale": -1}, "train.loss_scale", ("above 0, or dynamic", "got -1")),
    Wrong("NaN", {"optim.lr": float("nan")}, "optim.lr", ("must be a finite number", "got nan")),
    Wrong("a value that the loss refuses", loss("dice", power=3), "losses.own.power", ("must be 1 or 2", "got 3")),
    Wrong("a value that the transform refuses", crop(cat_max_ratio=2.0), "data.transforms.crop.cat_max_ratio", ("at most 1",)),
    Wrong("a value that the schedule refuses", {"schedule.floor": 2.0}, "schedule.floor", ("from 0 to 1", "got 2.0")),
    Wrong("a value that the model refuses", {"model.width": 0}, "model.width", ("must be at least 1", "got 0")),
    Wrong(
        "a value that the class weight rule refuses",
        ce(class_weight={"type": "effective_number", "beta": 2.0}),
        "losses.ce.class_weight.beta",
        ("from 0 to below 1", "got 2.0"),
    ),
    Wrong("a negative multiplier", {"schedule": {"type": "negative"}}, "schedule", ("step 1 of 2 is -0.5", "0 or more")),
    Wrong("a fraction above 1", {"sampling": {"type": "ohem", "min_kept": 1.5}}, "sampling.min_kept", ("from 0 to 1", "1.5")),
]
ALL = [
    *MISTYPED,
    *NAMES,
    *VALUES,
    *SAMPLERS,
    *REGIONS,
    *SCHEDULES,
    *OPTIMIZERS,
    *COMBINATIONS,
    *FILES,
    *FREEZING,
    *STARTING,
    *LOSSES,
]
