"""What users get wrong about losses of overlap, Lovász losses, edge maps and heads for them, and what is said about each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.build.wrong import Wrong, loss


def detail(target: Mapping[str, Any] | None = None, loss: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """A head for edges."""
    made = {"type": "stdc_detail", **(target or {})}
    return {"model.detail": True, "heads.detail": {"target": made, "losses": {"own": loss or {"type": "boundary"}}}}


REGIONS = [
    Wrong("a loss of sums without per_image", loss("no_per_image"), "losses.own", ("from_sums and no per_image", "add per_im")),
    Wrong("an activation", loss("dice", activation="relu"), "losses.own.activation", ("got 'relu'",)),
    Wrong("a gamma of 0", loss("focal_tversky", gamma=0), "losses.own.gamma", ("must be above 0",)),
    Wrong("no classes", loss("lovasz", classes=[]), "losses.own.classes", ("'present', 'all' or a list of different",)),
    Wrong("a class twice", loss("lovasz", classes=[1, 1]), "losses.own.classes", ("a list of different classes, got (1, 1)",)),
    Wrong("a class that lovasz lacks", loss("lovasz", classes=[9]), "losses.own.classes", ("for 9 classes", "from 0 to 8")),
    Wrong("a hinge of nine classes", loss("lovasz_hinge"), "losses.own", ("9 channels", "two classes")),
    Wrong("normalize on lovasz", loss("lovasz", normalize="kept"), "losses.own.normalize", ("one value per pixel", "remove")),
    Wrong("an exponent of 0", loss("dice_mmseg_0x", exponent=0), "losses.own.exponent", ("must be above 0",)),
    Wrong("edges of nine classes", loss("boundary"), "losses.own", ("9 channels", "two classes")),
    Wrong("a threshold of 1", detail(target={"threshold": 1}), "heads.detail.target.threshold", ("below 1, got 1",)),
    Wrong("an unknown target of a head", detail(target={"type": "stdc"}), "heads.detail.target.type", ("boundaries, stdc",)),
    Wrong("a width of 0", detail(target={"type": "boundaries", "width": 0}), "heads.detail.target.width", ("at least 1",)),
    Wrong(
        "edges where 0 means void",
        {**detail(), "heads.detail.ignore_index": 0},
        "heads.detail.target.ignore_index",
        ("needs for its own", "such as ignore_index: 255"),
    ),
    Wrong(
        "class weights of the masks on edges",
        detail(loss={"type": "boundary", "class_weight": [1.0] * 9}),
        "heads.detail.losses.own.class_weight",
        ("9 weights, and head 'detail' has 2 classes", "with 2 weights"),
    ),
    *(
        Wrong(
            f"class weights of the data's classes on edges, {kind}",
            detail(loss={"type": "boundary", "class_weight": weights}),
            "heads.detail.losses.own.class_weight",
            ("speaks of the classes of the data, and 'stdc_detail' makes two of its own", "with two numbers"),
        )
        for kind, weights in {"by name": {"sky": 2.0}, "by a rule": {"type": "enet"}}.items()
    ),
    Wrong(
        "a class weight for one class",
        detail(loss={"type": "dice_flat", "class_weight": [1, 2]}),
        "heads.detail.losses.own.class_weight",
        ("would change nothing", "use the softmax"),
    ),
    Wrong("a negative eps", loss("dice_mmseg_1x", eps=-1), "losses.own.eps", ("must not be negative",)),
]
