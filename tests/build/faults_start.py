"""What users get wrong in what a run starts from and what is frozen, and what is said about each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from rayseg.models import small_unet
from tests.build.wrong import Wrong

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
