"""What cannot stand together in one config, and what is said about each."""

from __future__ import annotations

from typing import Any

from rayseg.data import SyntheticStreets
from tests.build.small import AUXILIARY
from tests.build.wrong import Wrong, ce, crop, loss

STOP: dict[str, Any] = {"type": "early_stopping", "threshold": 0.9}
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
    Wrong("a class that is ignored", {"data.ignore_index": 3}, "data.ignore_index", ("3 is class 'sidewalk'", "9 or more")),
    Wrong("an ignored class that is none", {"ignore_classes": ["skye"]}, "ignore_classes", ("no class 'skye'", "mean 'sky'")),
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
    Wrong(
        "workers that share a GPU",
        {"scaling.gpu": 0.5, "scaling.workers": 2},
        "scaling.gpu",
        ("0.5, but 2 workers of one run cannot share a GPU", "give one worker, or write true"),
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
    Wrong(
        "a class more than the data have colours",
        {"data.class_names": [*"abcdefghij"]},
        "data.palette",
        ("the data set has 9 colours for 10 classes (a, b,", "give one for each"),
    ),
    Wrong("two classes of one name", {"data.class_names": [*"abcdefgh", "a"]}, "data.class_names", ("got 'a' more than once",)),
]
