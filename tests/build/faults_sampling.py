"""What users get wrong about samplers, and what is said about it."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from tests.build.small import AUXILIARY
from tests.build.wrong import Wrong, loss


def ohem(**own: Any) -> dict[str, Any]:
    return {"sampling": {"type": "ohem", **own}}


def ramp(name: str = "min_kept", *, first: float = 1.0, **own: Any) -> dict[str, Any]:
    return ohem(schedule={name: {"from": first, "to": 0.1, **own}})


def nothing(logits: Tensor, target: Tensor, *, ignore_index: int) -> None:
    """A sampler that forgets to return."""


def minus(logits: Tensor, target: Tensor, *, ignore_index: int) -> Tensor:
    """A sampler that turns the loss around."""
    return -(target != ignore_index).float()


KEPT = "sampling.schedule.min_kept"
SAMPLERS = [
    Wrong("ranking by a word", ohem(by="size"), "sampling.by", ("got 'size'", "'nll', 'loss'")),
    Wrong(
        "ranking by a loss that no term tells",
        {**loss("weighted_pair"), **ohem(by="loss")},
        "sampling.by",
        ("loss ranks pixels by what they add", "no loss term tells that", "add a term with one value per pixel"),
    ),
    Wrong(
        "MMSegmentation's ranking by a loss that no term tells",
        {**loss("weighted_pair"), "sampling": {"type": "ohem_mmseg", "min_kept": 9}},
        "sampling.thresh",
        ("null ranks pixels by what they add", "no loss term tells that"),
    ),
    Wrong("every pixel by a share", ohem(min_kept=1.0), "sampling.min_kept", ("1.0 keeps every pixel", "remove the sampler")),
    Wrong("every pixel by a ratio", {"sampling": {"type": "top_k", "ratio": 1.0}}, "sampling.ratio", ("keeps every pixel",)),
    Wrong(
        "every pixel of a batch",
        {"sampling": {"type": "ohem_mmseg", "thresh": 0.7, "per": "batch"}},
        "sampling.min_kept",
        ("100000 of 2 x 32x32 = 1024 pixels", "give fewer"),
    ),
    Wrong("a schedule of no argument", ramp("min_keep"), "sampling.schedule.min_keep", ("it takes thresh", "mean 'min_kept'")),
    Wrong("a schedule of a word", ramp("by"), "sampling.schedule.by.from", ("got 1.0", "expected")),
    Wrong(
        "a schedule of what rayseg gives", ramp("nll"), "sampling.schedule.nll", ("has no argument 'nll'", "it takes thresh")
    ),
    Wrong("a schedule and a constant", ohem(**ramp()["sampling"], min_kept=0.2), KEPT, ("0.2 is given", "keep one")),
    Wrong("a schedule that ends out of range", ramp(to=1.5), f"{KEPT}.to", ("from 0 to 1, got 1.5",)),
    Wrong("a schedule that begins out of range", ramp(first=-0.5), f"{KEPT}.from", ("from 0 to 1, got -0.5",)),
    Wrong(
        "a schedule from every pixel, as a count",
        ramp(first=1024, to=10),
        f"{KEPT}.from",
        ("32x32 = 1024 pixels", "a fraction such as 0.1"),
    ),
    Wrong("a count that becomes a fraction", ramp(first=100), KEPT, ("from 100 to 0.1", "write both with a dot")),
    Wrong("a schedule that begins at its end", ramp(begin=2), f"{KEPT}.begin", ("step 2 is not before the end, step 2",)),
    Wrong("a schedule that ends after the run", ramp(end=3), f"{KEPT}.end", ("step 3 of 2", "null for the run's end")),
    Wrong(
        "a schedule that is over before the sampler starts",
        {**ohem(**ramp(end=3)["sampling"], start=4), "train.steps": 9},
        f"{KEPT}.end",
        ("the sampler starts at step 4: 0.1 is all that is used", "write sampling.min_kept: 0.1"),
    ),
    Wrong(
        "a sampler of nothing",
        {"sampling": {"type": f"{__name__}:nothing"}},
        "sampling",
        ("gives NoneType; expected a tensor",),
    ),
    Wrong(
        "weights below 0", {"sampling": {"type": f"{__name__}:minus"}}, "sampling", ("down to -1.0; expected numbers, 0 or",)
    ),
    Wrong("a power of a straight line", ramp(power=2.0), KEPT, ("belongs to the shape poly", "remove it")),
    Wrong("a geometric way to nothing", ramp(to=0.0, shape="exp"), f"{KEPT}.shape", ("exp needs both ends above 0",)),
    Wrong(
        "a start of no sampler",
        {"sampling": {"type": "all_pixels", "start": 1}},
        "sampling.start",
        ("every pixel counts before and after it", "remove it"),
    ),
    Wrong(
        "the sampler of another head that starts after the run",
        {**AUXILIARY, "heads.auxiliary": {"sampling": {"type": "top_k", "start": 2}}},
        "heads.auxiliary.sampling.start",
        ("step 2 of 2", "never be used"),
    ),
]
