"""What users get wrong about losses, targets, one-channel heads and teachers, and what is said about each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rayseg.data import SyntheticStreets
from tests.build.small import AUXILIARY, folders, trained_checkpoint
from tests.build.wrong import Wrong, ce, loss

STREETS = SyntheticStreets("train").class_names
HERE, NOTEBOOK = __name__, "tests.build.notebook_losses"


def listed(pixels: Tensor, image_pixels: Tensor) -> list[float]:
    """A rule of class weights that gives no tensor."""
    return [1.0] * len(pixels)


def negative(pixels: Tensor, image_pixels: Tensor) -> Tensor:
    """A rule of class weights that turns the loss around."""
    return -torch.ones(len(pixels))


def taught_by(root: Path, **changes: Any) -> dict[str, Any]:
    """A teacher of nine classes, and what differs from it."""
    return {**loss("distillation", checkpoint=str(trained_checkpoint(root / "teacher"))), **changes}


def of_its_batch(logits: Tensor, target: Tensor, *, ignore_index: int, nll: Tensor) -> Tensor:
    """A loss that divides by itself what the mix divides."""
    return nll / (target != ignore_index).sum()


def number(logits: Tensor, target: Tensor, *, ignore_index: int) -> float:
    return float(logits.detach().sum())


def of_images(logits: Tensor, target: Tensor, *, ignore_index: int) -> tuple[Tensor, Tensor]:
    """Sums of each image, which are those of a class with from_sums."""
    return logits.square().sum((1, 2, 3)), (target != ignore_index).sum((1, 2))


def counted(logits: Tensor, target: Tensor, *, ignore_index: int) -> tuple[Tensor, int]:
    return logits.square().sum(), int((target != ignore_index).sum())


def three(logits: Tensor, target: Tensor, *, ignore_index: int) -> tuple[Tensor, ...]:
    return logits.sum(), logits.square().sum(), logits.abs().sum()


LOSSES = [
    Wrong(
        "kernels for losses that have none",
        {**loss("lovasz"), "train.kernels": "strips"},
        "train.kernels",
        ("strips, but no head can be computed so", "the loss 'own' needs logits at full size", "write auto or plain"),
    ),
    Wrong("one channel for nine classes", {"model.binary": True}, "model.binary", ("tells two classes apart, and the", "9;")),
    Wrong(
        "a model with one channel for nine classes",
        {"model": {"type": "always_one_channel"}},
        "model",
        ("gives 1 channels for 9 classes", "one channel is for two classes"),
    ),
    Wrong("an exponent below 0", loss("focal", gamma=-1.0), "losses.own.gamma", ("must be 0 or more, got -1.0",)),
    Wrong(
        "weights of another number of classes",
        loss("focal", alpha=[1.0, 2.0]),
        "losses.own.alpha",
        ("2 numbers for 9 classes", "give one for each"),
    ),
    Wrong(
        "a weight of yes below 0",
        loss("binary_cross_entropy", pos_weight=-2.0),
        "losses.own.pos_weight",
        ("must be numbers from 0 on",),
    ),
    Wrong("smoothing above 1", ce(label_smoothing=1.5), "losses.ce.label_smoothing", ("must be from 0 to 1, got 1.5",)),
    Wrong(
        "a rule that gives a list",
        ce(class_weight={"type": f"{HERE}:listed"}),
        "losses.ce.class_weight",
        ("gives list; expected a tensor (9,) of finite",),
    ),
    Wrong(
        "a rule that gives weights below 0",
        ce(class_weight={"type": f"{HERE}:negative"}),
        "losses.ce.class_weight",
        ("gives (9,) [-1.0, ", "numbers, 0 or more"),
    ),
    Wrong(
        "a loss that is divided by what its worker holds",
        loss(f"{HERE}:of_its_batch"),
        "losses.own",
        ("2 images give", "one by one, so the number of workers would matter", "or say scope: rank"),
    ),
    *(
        Wrong(
            f"a loss that returns {says}", loss(f"{HERE}:{name}"), "losses.own", (f"a loss returned {says}; expected a tensor",)
        )
        for name, says in {
            "number": "float",
            "of_images": "a tuple of ((2,), (2,))",
            "counted": "a tuple of ((), int)",
            "three": "a tuple of ((), (), ())",
        }.items()
    ),
    Wrong("a power of nothing", loss("hausdorff", power=0.0), "losses.own.power", ("must be above 0",)),
    Wrong("an unknown target", ce(target="one_hott"), "losses.ce.target.type", ("known: one_hot", "mean 'one_hot'")),
    Wrong(
        "a mistyped argument of a target",
        ce(target={"type": "smooth_borders", "widht": 5}),
        "losses.ce.target.widht",
        ("it takes width", "mean 'width'"),
    ),
    Wrong(
        "a value that the target refuses",
        ce(target={"type": "smooth_borders", "width": 4}),
        "losses.ce.target.width",
        ("must be an odd number of px", "got 4"),
    ),
    Wrong("a target for Dice", loss("dice", target="one_hot"), "losses.own.target", ("takes no other target; remove it",)),
    Wrong("a target for Hausdorff", loss("hausdorff", target="one_hot"), "losses.own.target", ("is a function of labels",)),
    Wrong(
        "a target of another shape",
        ce(target=f"{NOTEBOOK}:ranks"),
        "losses.ce.target",
        ("is (2, 8, 8) torch.float32; expected floating point (2, 9, 8, 8)", "belong to a head"),
    ),
    Wrong(
        "a notebook's loss over all workers",
        loss(f"{NOTEBOOK}:my_loss", target="one_hot"),
        "losses.own",
        ("returned a scalar", "say 'scope: rank'"),
    ),
    Wrong(
        "a notebook's loss that would take void for a class",
        lambda root: {
            **folders(root / "data"),
            "model.binary": True,
            **loss(f"{NOTEBOOK}:DiceLoss", scope="rank"),
        },
        "losses.own",
        ("has no argument 'ignore_index'", "write target: one_hot"),
    ),
    Wrong(
        "a loss of torch that takes void for a class",
        loss("torch.nn:CrossEntropyLoss", scope="rank", ignore_index=8),
        "losses.own.ignore_index",
        ("got 8, but the label of void is 255 here", "set it to that"),
    ),
    Wrong("a teacher that is not there", loss("distillation", checkpoint="/no/teacher"), "losses.own", ("no such directory",)),
    Wrong("a teacher left out", loss("distillation"), "losses.own.checkpoint", ("is missing", "'distillation' needs it")),
    Wrong(
        "a teacher of other classes",
        lambda root: {**taught_by(root), **folders(root / "data")},
        "losses.own",
        ("the teacher's logits are (2, 9, ", "the student's (2, 2, ", "a teacher of the same data"),
    ),
    Wrong(
        "a teacher of images that were normalised otherwise",
        lambda root: taught_by(root, **{"data.std": [1.0, 1.0, 1.0]}),
        "losses.own",
        ("the teacher was trained on images with mean [123.675,", "std [1.0, 1.0, 1.0]", "set data.mean and data.std"),
    ),
    Wrong(
        "a rule for a head that ignores a class",
        {
            **AUXILIARY,
            "heads.auxiliary": {
                "ignore_index": 3,
                "losses": {"ce": {"type": "cross_entropy", "class_weight": {"type": "median_frequency"}}},
            },
        },
        "heads.auxiliary.losses.ce.class_weight",
        ("counts 'sidewalk' too", "use ignore_classes"),
    ),
    Wrong(
        "a teacher of the same classes in another order",
        lambda root: taught_by(root, **{"data.class_names": ["road", "sky", *STREETS[1:2], *STREETS[3:]]}),
        "losses.own",
        ("the teacher's classes are sky, building, road,", "here they are road, sky,", "of the same classes in their order"),
    ),
    Wrong(
        "a temperature of 0",
        lambda root: {
            "losses": {"own": {**taught_by(root)["losses"]["own"], "temperature": 0.0}},
        },
        "losses.own.temperature",
        ("must be above 0, got 0.0",),
    ),
]
