"""What users get wrong: forty configs and inputs and more, and what is said about each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from rayseg.data import SyntheticStreets, permutation
from rayseg.errors import DataError, NonFiniteLossError
from rayseg.models import small_unet
from tests.build.region_faults import REGIONS
from tests.build.sampling_faults import SAMPLERS
from tests.build.small import AUXILIARY, DICE, folders
from tests.build.wrong import Wrong, ce, crop, loss

STOP: dict[str, Any] = {"type": "early_stopping", "threshold": 0.9}


def own_steps(**own: Any) -> dict[str, Any]:
    """An optimizer without rate and decay."""
    optim = {"type": "own_steps", "weight_decay": 0.0, "a": 0.1, "b": 2, "c": "sign", **own}
    return {"optim": optim, "schedule": {"type": "constant"}}


def constructor(**own: Any) -> dict[str, Any]:
    return {"optim.constructor": own}


MISTYPED = [
    Wrong("a section", {"trian.steps": 3}, "trian", ("has no key 'trian'", "it takes seed, data, model", "mean 'train'")),
    Wrong("a key of a section", {"train.stepz": 3}, "train.stepz", ("'train' has no key 'stepz'", "Did you mean 'steps'")),
    Wrong("a key of the top", {"lr": 0.1}, "lr", ("has no key 'lr'", "Did you mean 'optim.lr'")),
    Wrong(
        "a loss argument", {"losses.dice": {**DICE, "smoth": 1.0}}, "losses.dice.smoth", ("it takes smooth,", "mean 'smooth'")
    ),
    Wrong("a transform argument", crop(sise=[8, 8]), "data.transforms.crop.sise", ("it takes size,", "mean 'size'")),
    Wrong("a model argument", {"model.widht": 8}, "model.widht", ("it takes width, depth", "mean 'width'")),
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
STEP_LR = {"type": "torch.optim.lr_scheduler:StepLR", "step_size": 1}
ONE_CYCLE_LR = {"type": "torch.optim.lr_scheduler:OneCycleLR", "max_lr": 0.1, "total_steps": 2}
PLATEAU = {"type": "plateau", "patience": 1}
SGD = {"type": "sgd", "lr": 0.1, "momentum": 0.9}


def schedule(says: str, path: str, *parts: str, momentum: Any = None, steps: Any = 2, **own: Any) -> Wrong:
    """A fault of the schedule, with an optimizer that has momentum."""
    moved = {} if momentum is None else {"momentum": momentum}
    where = ".".join(each for each in ("schedule", path) if each)
    return Wrong(says, {"optim": SGD, "train.steps": steps, "schedule": {**own, **moved}}, where, parts)


SCHEDULES = [
    schedule(
        "a warm-up of the whole run", "warmup.length", "2 steps in a run of 2", "give less", type="poly", warmup={"length": 2}
    ),
    schedule(
        "a milestone after the end", "milestones", "step 9 is not in a run", "leave it out", type="step", milestones=[1, 9]
    ),
    schedule("a period after the end", "every", "4 of 2 steps", "never change", type="step", every={"epochs": 2}),
    schedule("periods that end early", "periods", "end after 1 of 2 steps", "give more", type="cosine_restarts", periods=[1]),
    schedule("a period too many", "periods", "the last one begins at step 2", type="cosine_restarts", periods=[1, 1, 4]),
    schedule("one period that is not over", "periods", "no restart", "use cosine", type="cosine_restarts", periods=5),
    schedule("a rise that is not over", "up", "4 of 2 steps", "never be reached", type="triangular", peak=2.0, up=4),
    schedule("cycles without steps", "cycles", "a step to rise", "fewer", type="cyclic", cycles=2),
    schedule("half a length", "every", "is no length", "got {'epochs': -1}", type="step", every={"epochs": -1}),
    schedule("both ways to fall", "milestones", "exactly one of", type="step", milestones=[1], every=1),
    schedule("phases and a type", "", "has phases, and type 'poly' besides", type="poly", phases={"a": {"type": "poly"}}),
    schedule("phases without a length", "", "'a' has no length", phases={"a": {"type": "poly"}, "b": {"type": "poly"}}),
    schedule(
        "a phase after the end",
        "phases.b",
        "begins at step 3 of 2",
        "shorten",
        phases={"a": {"type": "linear", "length": 3}, "b": {"type": "poly"}},
    ),
    schedule(
        "an argument of a phase",
        "phases.a.powr",
        "'poly' has no parameter",
        "mean 'power'",
        phases={"a": {"type": "poly", "powr": 2}},
    ),
    schedule("epochs in a run of one", "by_epoch", "not longer than one epoch", type="poly", by_epoch=True),
    schedule("a schedule that is a number", "", "gives float, expected a function", type="number"),
    schedule(
        "a scheduler's argument",
        "step_sise",
        "'torch.optim.lr_scheduler:StepLR' has no",
        "mean 'step_size'",
        **{**STEP_LR, "step_sise": 1},
    ),
    schedule("a scheduler that fails", "", "raised ZeroDivisionError", **{**STEP_LR, "step_size": 0}),
    schedule(
        "a scheduler that wants scores",
        "type",
        "needs a score",
        "built-in 'plateau'",
        type="torch.optim.lr_scheduler:ReduceLROnPlateau",
    ),
    schedule(
        "a scheduler that ends before the run",
        "",
        "Tried to step 3 times",
        "run over the whole training on an optimizer with one group",
        steps=4,
        **ONE_CYCLE_LR,
    ),
    schedule("a scheduler for momentum", "momentum.type", "sets rates", "one_cycle", type="poly", momentum=STEP_LR),
    schedule(
        "momentum moved twice", "momentum", "moves momentum too", "cycle_momentum", momentum={"type": "poly"}, **ONE_CYCLE_LR
    ),
    schedule("a phase that moves momentum", "phases.a", "which a phase cannot", phases={"a": ONE_CYCLE_LR}),
    schedule("steps for a function of epochs", "by_epoch", "takes an epoch", "set this to true", type="adjust"),
    schedule(
        "steps where epochs are counted",
        "step_size",
        "counts whole epochs",
        by_epoch=True,
        **{**STEP_LR, "step_size": {"steps": 2}},
    ),
    schedule(
        "a function that is not there", "function", "cannot import 'my_parts_'", type="lambda", function="my_parts_:halved"
    ),
    schedule("a plateau in a phase", "phases.a.type", "stands alone", phases={"a": PLATEAU}),
    schedule("a plateau of momentum", "momentum.type", "stands alone", type="poly", momentum=PLATEAU),
    schedule(
        "a plateau of no metric",
        "monitor",
        "no metric is called 'val/miou'",
        "mean 'val/mIoU'",
        **PLATEAU,
        monitor="val/miou",
        steps=8,
    ),
    schedule("a plateau the wrong way", "mode", "a larger val/loss is not better", **PLATEAU, monitor="val/loss", steps=8),
    schedule("a plateau that cannot fall", "patience", "only 2 evaluations", "eval.every", steps=3, **PLATEAU),
    schedule("a momentum that stays", "momentum", "nothing would change", type="poly", momentum={"type": "constant"}),
    schedule(
        "a momentum above 1",
        "momentum",
        "at step 0 of 2 it is 1.8",
        "must not exceed 1",
        type="poly",
        momentum={"type": "linear", "start": 2.0, "end": 1.0},
    ),
]
COMBINATIONS = [
    Wrong(
        "a sampler that starts after the run",
        {"sampling": {"type": "ohem", "min_kept": 0.1, "start": {"steps": 2}}},
        "sampling.start",
        ("step 2 of 2", "never be used", "give less"),
    ),
    Wrong(
        "an evaluation after the run",
        {"eval.every": 3, "eval.at_end": False},
        "eval.every",
        ("3 of 2 steps", "no evaluation", "set eval.at_end"),
    ),
    Wrong(
        "windows without a mode",
        {"eval.crop_size": [16, 16]},
        "eval",
        ("crop_size: given, but mode is whole", "set mode to slide"),
    ),
    Wrong(
        "a mode without windows",
        {"eval.mode": "slide", "eval.crop_size": [16, 16]},
        "eval",
        ("slide needs crop_size and stride", "[64, 64] and [42, 42]"),
    ),
    Wrong(
        "windows that leave pixels out",
        {"eval": {"mode": "slide", "crop_size": [16, 16], "stride": [16, 17]}},
        "eval",
        ("stride [16, 17] is more than crop_size [16, 16]", "left out", "give at most that"),
    ),
    Wrong(
        "windows that the model cannot see",
        {"model": {"type": "blocks"}, "eval": {"mode": "slide", "crop_size": [12, 16], "stride": [12, 16]}},
        "eval.crop_size",
        ("raised RuntimeError", "12 x 16", "Kernel size"),
    ),
    Wrong(
        "a setting of a score that is not taken", {"eval.beta": 2.0}, "eval.beta", ("is of mFscore", "metrics is mIoU", "add")
    ),
    Wrong("a border without a score", {"eval.boundary_ratio": 0.01}, "eval.boundary_ratio", ("is of mBoundaryIoU", "remove")),
    Wrong("a border without a width", {"eval.boundary_ratio": 0.0}, "eval.boundary_ratio", ("must be more than 0, got 0.0",)),
    Wrong("an evaluation in a box without a side", {"eval.resize": [512]}, "eval.resize.1", ("is missing",)),
    Wrong(
        "windows that are too large for a model of resized images",
        {"model": {"type": "blocks"}, "eval": {"mode": "slide", "crop_size": [32, 32], "stride": [32, 32], "resize": [12, 12]}},
        "eval.crop_size",
        ("raised RuntimeError", "12 x 12"),
    ),
    Wrong("no views", {"eval.tta.scales": []}, "eval.tta.scales", ("must be a list of 1 items, got 0",)),
    Wrong("a view without pixels", {"eval.tta.scales": [1.0, 0.0]}, "eval.tta.scales.1", ("must be more than 0, got 0.0",)),
    Wrong(
        "failures without what a run needs to go on",
        {"checkpoint.optimizer": "none", "scaling.workers": 1},
        "checkpoint.optimizer",
        ("scaling.max_failures lets a run go on", "set that to 0, or say newest"),
    ),
    Wrong("two averages", {"train.ema": {}, "train.swa": {"start": 1}}, "train", ("ema and swa are both set", "to null")),
    Wrong("an average that starts after the run", {"train.swa": {"start": 3}}, "train.swa.start", ("step 3 of 2", "give less")),
    Wrong("an average that stays a copy", {"train.ema": {"start": 2}}, "train.ema.start", ("step 2 of 2", "would be a copy")),
    Wrong("a loss scale without fp16", {"train.loss_scale": 512}, "train", ("is for precision fp16", "it is fp32: remove it")),
    Wrong("the type of no norm", {"train.clip_norm_type": "inf"}, "train", ("clip_norm limits, and that is null", "give it")),
    Wrong("steps and epochs", {"train.epochs": 2}, "train", ("exactly one of 'steps' and 'epochs'", "steps=2, epochs=2.0")),
    Wrong(
        "normalize on dice", loss("dice", normalize="valid"), "losses.own.normalize", ("function of class sums", "remove it")
    ),
    Wrong(
        "sampling without a loss that listens",
        {**loss("dice"), "sampling": {"type": "ohem"}},
        "sampling",
        ("no loss term takes pixel weights (terms: own)", "add a per-pixel loss or remove it"),
    ),
    Wrong(
        "sampling with a loss of sums that does not listen",
        {**loss("pair"), "sampling": {"type": "ohem"}},
        "sampling",
        ("no loss term takes pixel weights (terms: own)",),
    ),
    Wrong("a head that the model lacks", {"heads.aux": {}}, "heads.aux", ("no such head; it has main", "Remove it")),
    Wrong("a head without a recipe", AUXILIARY, "heads.auxiliary", ("is missing", "add heads.auxiliary: {}")),
    Wrong("the main head twice", {"heads.main": {}}, "heads.main", ("described by 'losses' and 'sampling'", "move them")),
    Wrong("an unknown metric", {"checkpoint.best": "val/miou"}, "checkpoint.best", ("known: val/mIoU", "mean 'val/mIoU'")),
    Wrong("the smallest score", {"checkpoint.mode": "min"}, "checkpoint.mode", ("a smaller val/mIoU is not better", "max")),
    Wrong("the largest loss", {"checkpoint.best": "val/loss"}, "checkpoint.mode", ("a larger val/loss is not better", "min")),
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
    Wrong("a class that is ignored", {"data.ignore_index": 3}, "data.ignore_index", ("3 is class 'sidewalk'", "9 or more")),
    Wrong("an ignored class that is none", {"ignore_classes": ["skye"]}, "ignore_classes", ("no class 'skye'", "mean 'sky'")),
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
    Wrong("class weights of another number", ce(class_weight=[1, 2]), "losses.ce.class_weight", ("2 weights for 9 classes",)),
    Wrong("weights of an unknown class", ce(class_weight={"cat": 2}), "losses.ce.class_weight.cat", ("no such class", "'car'")),
    Wrong(
        "class weights that cannot reach the loss", loss("pair", class_weight=[1] * 9), "losses.own.class_weight", ("add the",)
    ),
    Wrong(
        "as many pixels kept as there are",
        {**crop(), "sampling": {"type": "ohem", "min_kept": 256}},
        "sampling.min_kept",
        ("16x16 = 256 pixels", "would keep every pixel", "a fraction such as 0.1"),
    ),
    Wrong("fewer images than workers", {"scaling.workers": 3}, "train.batch_size", ("2 images for 3 workers", "at least 3")),
    Wrong(
        "a worker without an image",
        {"scaling.workers": 3, "train.batch_size": 7, "train.micro_batch": 1},
        "train.micro_batch",
        ("leaves some of 3 workers without an image", "use fewer workers"),
    ),
    Wrong("a scalar over all workers", loss("scalar"), "losses.own", ("returned a scalar", "say 'scope: rank'")),
    Wrong("a loss of another shape", loss("small_map"), "losses.own", ("returned (2, 8)", "expected (2, 8, 8)")),
    Wrong("a loss without a gradient", loss("detached"), "losses.own", ("has no gradient", "without detach")),
    Wrong("weights of nothing", ce(class_weight=[0] * 9), "losses.ce.class_weight", ("every weight is 0", "give a class")),
    Wrong(
        "weights by name of nothing",
        ce(class_weight=dict.fromkeys(SyntheticStreets("train").class_names, 0)),
        "losses.ce.class_weight",
        ("give a class",),
    ),
    Wrong(
        "a data set without all that is asked of one",
        {"data.dataset": {"type": "nameless"}},
        "data.dataset",
        ("'nameless' gives Nameless, which has no palette, digest; add what is missing",),
    ),
    Wrong(
        "terms of weight 0",
        {**AUXILIARY, "losses.ce.weight": 0.0, "heads.auxiliary": {}},
        "losses",
        ("every term has weight 0",),
    ),
    Wrong("a loss with parameters", loss("learned"), "losses.own", ("(scale) that nothing would train", "register_buffer")),
    Wrong("a hook from a function", {"hooks.h": {"type": "makes_silent"}}, "hooks.h", ("would never be called",)),
    Wrong(
        "a metric that nothing gives",
        {"hooks.h": {**STOP, "monitor": "val/miou"}},
        "hooks.h.mode",
        ("say max or min", "'val/miou' is better is not known"),
    ),
    Wrong(
        "a class that is not there",
        {"hooks.h": {**STOP, "monitor": "val/IoU/kar"}},
        "hooks.h.monitor",
        ("no metric is called 'val/IoU/kar'", "mean 'val/IoU/car'"),
    ),
    Wrong(
        "a patience longer than the run",
        {"hooks.h": {"type": "early_stopping", "patience": 2}, "eval.every": 1, "train.steps": 3},
        "hooks.h.patience",
        ("only 2 evaluations come before the last step", "eval.every", "remove the hook"),
    ),
    Wrong("no patience", {"hooks.h": {**STOP, "patience": 0}}, "hooks.h.patience", ("must be 1 or more, got 0",)),
    Wrong("an unknown hook", {"hooks.h": {"type": "early_stoping"}}, "hooks.h.type", ("mean 'early_stopping'",)),
    Wrong(
        "a priority that is none",
        {"hooks.h": {**STOP, "priority": "FIRST"}},
        "hooks.h.priority",
        ("HIGHEST, VERY_HIGH", "or a whole number from 0 to 100", "got 'FIRST'"),
    ),
    Wrong("a hook that refuses", {"hooks.h": {"type": "refusing", "every": 3}}, "hooks.h", ("must be even, got 3",)),
    Wrong(
        "a layer that is not used, with two workers",
        {"model": {"type": "pooled", "idle": True}, "scaling.workers": 2},
        "model",
        ("2 trainable parameters take no part in its output (idle.weight, idle.bias)", "freeze them"),
    ),
    Wrong(
        "a batch norm over a single value",
        {"model": {"type": "pooled"}, "train.micro_batch": 1},
        "model",
        ("fails on a single image", "larger train.batch_size or train.micro_batch"),
    ),
    Wrong("a colour too few", {"data.palette": [[0, 0, 0]] * 8}, "data.palette", ("8 colours for 9 classes (sky,", "or null")),
    Wrong("two classes of one name", {"data.class_names": [*"abcdefgh", "a"]}, "data.class_names", ("got 'a' more than once",)),
]


#: The last image of the first epoch: check does not come so far.
LAST = int(permutation(0, 0, 12)[-1])


def corrupt_jpeg(root: Path) -> dict[str, Any]:
    config = folders(root / "data")
    (root / "data" / "train" / f"{LAST:02}.jpg").write_bytes(b"\xff\xd8\xff\xe0 this was an image")
    return {**config, "train.steps": 6}


def masked(number: int, size: tuple[int, int], label: int) -> Callable[[Path], dict[str, Any]]:
    """A training set with one mask of this size and label."""

    def write(root: Path) -> dict[str, Any]:
        config = folders(root / "data")
        Image.fromarray(np.full(size, label, np.uint8)).save(root / "data" / "trainannot" / f"{number:02}.png")
        return {**config, "train.steps": 6}

    return write


def no_files(root: Path) -> dict[str, Any]:
    return folders(root / "data", sizes=())


def storage_below_a_file(root: Path) -> dict[str, Any]:
    (root / "notes").write_text("not a directory")
    return {"tracking.storage": str(root / "notes" / "runs")}


def labelled(**own: Any) -> Callable[[Path], dict[str, Any]]:
    """Folders with more to say about their labels or their files."""

    def write(root: Path) -> dict[str, Any]:
        config = folders(root / "data")
        return {"data.dataset": {**config["data.dataset"], **own}}

    return write


MISSING = "torchvision_lraspp_mobilenet_v3_large"
FILES = [
    Wrong(
        "no Parquet file",
        lambda root: {"data.dataset": {"type": "parquet", "path": f"{root}/x.parquet"}},
        "data.dataset",
        ("no file", "x.parquet"),
    ),
    Wrong(
        "no folder",
        lambda root: {"data.dataset": {"type": "folders", "root": f"{root}/x", "layout": "camvid"}},
        "data.dataset",
        ("no directory", "set root"),
    ),
    Wrong(
        "a layout that there is not",
        labelled(layout="cityscape"),
        "data.dataset.layout",
        ("'cityscape'",),
    ),
    Wrong(
        "a label map to a class that there is not",
        labelled(label_map={"1": "truck"}),
        "data.dataset",
        ("label_map has 'truck'", "one of the classes: road, car"),
    ),
    Wrong(
        "a listing that is not there",
        labelled(listing="{split}.txt"),
        "data.dataset",
        ("train.txt cannot be read", "set listing"),
    ),
    Wrong("no split of this name", {"data.val_split": "valid"}, "data.val_split", ("no split 'valid'", "train, val, test")),
    Wrong(
        "no weights",
        {"model": {"type": MISSING, "pretrained_backbone": "weights.pth"}},
        "model",
        ("'weights.pth' is neither a file",),
    ),
    Wrong("no images", no_files, "data.dataset", ("no file *.jpg in", "set image_suffix")),
    Wrong("a data set of length 0", {"data.dataset": {"type": "nothing"}}, "data.dataset", ("split 'train' has no images",)),
    Wrong("a label out of range", masked(0, (32, 32), 7), "data.train_split", ("train/00.jpg", "labels 7; expected 0..1")),
    Wrong(
        "a mask of another size",
        masked(0, (32, 16), 1),
        "data.train_split",
        ("train/00.jpg", "32x32 px and mask 32x16", "export the mask"),
    ),
    Wrong(
        "images of several sizes",
        lambda root: folders(root, sizes=[(32, 32), (32, 48)] * 4),
        "data.pad_size",
        ("32x32, 32x48", "add a random_crop"),
    ),
    Wrong(
        "images larger than the padding",
        lambda root: {**folders(root, sizes=[(32, 32), (32, 48)] * 4), "data.pad_size": [40, 40]},
        "data.pad_size",
        ("40x40, 40x48",),
    ),
    Wrong(
        "a transform that fails",
        {"data.transforms.x": {"type": "broken_transform"}},
        "data.transforms.x",
        ("raised KeyError: 'gamma'",),
    ),
    Wrong("storage that is a file", storage_below_a_file, "tracking.storage", ("notes is a file", "expected a directory")),
    Wrong("a corrupt JPEG", corrupt_jpeg, "", (".jpg", "cannot be decoded"), DataError),
    Wrong("a late label out of range", masked(LAST, (32, 32), 7), "", (".jpg", "labels 7; expected 0..1"), DataError),
    Wrong(
        "a loss that becomes NaN",
        {**loss("late_nan"), "train.steps": 6},
        "",
        ("the loss is not finite", "Lower optim.lr"),
        NonFiniteLossError,
    ),
]
BACKBONE = {"match": "^backbone", "until": None}
FREEZING = [
    Wrong(
        "a frozen pattern that matches nothing",
        {"freeze.body": {"match": "^bakbone"}},
        "freeze.body",
        ("'^bakbone' is in none of the 6 names; first names: backbone.stem.0.weight", "Did you mean 'backbone'"),
    ),
    Wrong("a frozen pattern that is none", {"freeze.body": {"match": "(back"}}, "freeze.body", ("no regular expression",)),
    Wrong("everything frozen", {"freeze.all": {"match": "."}}, "freeze", ("every one of the 5 trainable parameters", "leave")),
    Wrong(
        "released after the run",
        {"freeze.body": {**BACKBONE, "until": 2}},
        "freeze.body.until",
        ("step 2 of 2", "never be released", "null"),
    ),
    Wrong(
        "a group of frozen parameters",
        {"freeze.body": BACKBONE, "optim.groups.slow": {"match": "^backbone", "lr_mult": 0.1}},
        "optim.groups.slow",
        ("'freeze' holds for the whole run", "release them"),
    ),
]


def starting(state: dict[str, torch.Tensor] | None = None, **own: Any) -> Callable[[Path], dict[str, Any]]:
    """The small network's own weights in a file, or other ones."""

    def write(root: Path) -> dict[str, Any]:
        torch.save(small_unet(9, width=4, depth=1).state_dict() if state is None else state, root / "weights.pth")
        return {"init": {"checkpoint": str(root / "weights.pth"), **own}}

    return write


def torn(root: Path) -> dict[str, Any]:
    (root / "step_00000002").mkdir()
    (root / "step_00000002" / "model.pt").write_bytes(b"")
    return {"init": {"checkpoint": str(root / "step_00000002")}}


WIDER = small_unet(9, width=8, depth=1).state_dict()
STARTING = [
    Wrong("no file to start from", {"init": {"checkpoint": "no.pth"}}, "init.checkpoint", ("no.pth: no such file", "worker")),
    Wrong("a torn checkpoint to start from", torn, "init.checkpoint", ("not a checkpoint, or a torn one", "another one")),
    Wrong("a bucket to start from", {"init": {"checkpoint": "s3://a/b"}}, "init.checkpoint", ("copy it here first",)),
    Wrong(
        "weights of another width",
        starting(WIDER),
        "init.skip",
        ("5 tensors of", "backbone.stem.0.weight (8, 3, 3, 3) in the file, (4, 3, 3, 3) here", "skip these by a pattern"),
    ),
    Wrong(
        "weights of another network",
        starting({"fc.weight": torch.zeros(3)}),
        "init.checkpoint",
        ("nothing of", "it has fc.weight; the model has backbone.stem.0.weight", "use rename or only"),
    ),
    Wrong("nothing left to load", starting(skip="."), "init.checkpoint", ("would be loaded",)),
    Wrong("a pattern of weights that is nowhere", starting(skip="heed"), "init.skip", ("'heed' is in none of the",)),
    Wrong("only what is nowhere", starting(only="^bakbone"), "init.only", ("Did you mean 'backbone'?",)),
    Wrong("a name that is nowhere", starting(rename={"^encoder": "backbone"}), "init.rename", ("'^encoder' is in none",)),
    Wrong("a replacement that is none", starting(rename={"^backbone": "\\2"}), "init.rename", ("invalid group reference",)),
    Wrong("two names that become one", starting(rename={"weight|bias": "x"}), "init.rename", ("would both be called",)),
    Wrong(
        "weights that are not all there",
        starting({"backbone.stem.0.weight": torch.zeros(4, 3, 3, 3)}, strict=True),
        "init.strict",
        ("tensors of the model are not in", "backbone.stem.1.weight", "rename or skip them"),
    ),
]
ALL = [*MISTYPED, *NAMES, *VALUES, *SAMPLERS, *REGIONS, *SCHEDULES, *COMBINATIONS, *FILES, *FREEZING, *STARTING]
