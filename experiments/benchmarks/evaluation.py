"""What scoring costs: classes of pixels to counts, and logits at a quarter of the size to counts.

``labels`` counts what was taken for what, given the class of each pixel: the ``IoUMetric`` of MMSegmentation, the plain way in
torch, and C++ with labels of eight bytes and of one. ``logits`` upsamples, takes the largest and counts. Counts must be equal,
to the pixel. One thread, and all; CPU time, and wall time:

    python experiments/benchmarks/evaluation.py --reference /path/to/packages --out evaluation.json --png evaluation.png
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from blocks import VOID, batch
from measuring import Row, arguments, finish, goal, result, rows_of, turns
from reference import mmseg
from torch import Tensor

from rayseg.kernels import StripScoring, compiled_scoring, confusion, confusion_counts, confusion_of_logits

#: Images, classes, height, width, stride.
CASES = {"streets": (2, 19, 1024, 2048, 4), "camvid": (8, 11, 360, 480, 4), "ade": (2, 150, 512, 512, 4)}
SMOKE = {"smoke": (1, 5, 64, 96, 4)}
#: Least ratios to MMSegmentation, over all cases.
LABELS, LOGITS = 40.0, 14.0
#: A byte that no label has.
ABSENT = 0xA7

Count = Callable[[], Tensor]


def classes_of(logits: Tensor, labels: Tensor) -> Tensor:
    """The class of each pixel, ``(N, H, W)`` int64."""
    return F.interpolate(logits, size=tuple(labels.shape[1:]), mode="bilinear", align_corners=False).argmax(1)


def of_mmseg(reference: str, predicted: Callable[[], Tensor], labels: Tensor, classes: int) -> Count:
    """Its three histograms of each image; they give the diagonal and both margins of the counts, ``(3, C)``."""
    metric = mmseg(reference, "mmseg.evaluation.metrics").IoUMetric

    def count() -> Tensor:
        found = [metric.intersect_and_union(*pair, classes, VOID) for pair in zip(predicted(), labels, strict=True)]
        intersection, _, prediction, truth = (torch.stack(each).sum(0) for each in zip(*found, strict=True))
        return torch.stack([intersection, prediction, truth]).long()

    return count


def in_torch(prediction: Tensor, labels: Tensor, classes: int) -> Tensor:
    """``confusion_counts`` without C++."""
    library, confusion._in_use[:] = list(confusion._in_use), []  # noqa: SLF001  the plain way is what it is compared with
    try:
        return confusion_counts(prediction, labels, classes, VOID)
    finally:
        confusion._in_use[:] = library  # noqa: SLF001


def fused(logits: Tensor, labels: Tensor, scoring: Any) -> Tensor:
    """Counts straight from the logits."""
    found = confusion_of_logits(logits, labels, ignore_index=VOID, scoring=scoring)
    assert found is not None
    return found.counts


def read(*tensors: Tensor) -> Count:
    """The bytes of both, looked at by the C library for one that is not there: what only reading them costs."""
    find = ctypes.CDLL(None).memchr
    find.restype = ctypes.c_void_p

    def look() -> Tensor:
        found = [find(ctypes.c_void_p(each.data_ptr()), ABSENT, ctypes.c_size_t(each.nbytes)) for each in tensors]
        assert found == [None] * len(tensors), "a byte is there that should not be"
        return torch.empty(0)

    return look


def agree(ways: dict[str, Count]) -> None:
    """Every way counts the same; of MMSegmentation's what it counts."""
    found = {way: count() for way, count in ways.items() if way != "only read"}
    counts = found["plain"]
    for way, other in found.items():
        expected = torch.stack([counts.diagonal(), counts.sum(0), counts.sum(1)]) if way == "mmseg" else counts
        assert torch.equal(other, expected), f"{way} counts otherwise"


def ways_of(what: str, case: tuple[int, ...], reference: str | None) -> dict[str, Count]:
    """What is compared, by name."""
    logits, labels = batch(case)
    classes, scoring = case[1], compiled_scoring()
    if what == "labels":
        prediction = classes_of(logits, labels)
        bytes_of = prediction.to(torch.uint8), labels.to(torch.uint8)
        ways: dict[str, Count] = {"plain": lambda: in_torch(prediction, labels, classes)}
        if scoring is not None:
            ways["fused"] = lambda: confusion_counts(prediction, labels, classes, VOID)
            ways["fused, uint8"] = lambda: confusion_counts(*bytes_of, classes, VOID)
            ways["only read"] = read(prediction, labels)
        predicted: Callable[[], Tensor] = lambda: prediction  # noqa: E731
    else:
        predicted = lambda: classes_of(logits, labels)  # noqa: E731
        ways = {"plain": lambda: in_torch(predicted(), labels, classes)}
        ways["strips"] = lambda: fused(logits, labels, StripScoring())
        if scoring is not None:
            ways["fused"] = lambda: fused(logits, labels, scoring)
    if reference:
        ways = {"mmseg": of_mmseg(reference, predicted, labels, classes), **ways}
    return ways


def measured(case_name: str, case: tuple[int, ...], reference: str | None, rounds: int) -> list[Row]:
    """Rows of both."""
    rows: list[Row] = []
    for what in ("labels", "logits"):
        ways = ways_of(what, case, reference)
        agree(ways)
        rows += rows_of(f"{case_name}, {what}", turns(ways, rounds, 3 if what == "labels" else 1))
    return rows


def goals(rows: list[Row]) -> list[dict[str, Any]]:
    """The least ratio over all cases."""
    found = []
    for what, way, least, words in (
        ("labels", "fused", LABELS, "counting given classes of eight bytes"),
        ("labels", "fused, uint8", LABELS, "counting given classes of one byte"),
        ("logits", "fused", LOGITS, "upsampling, largest and counting"),
    ):
        ratios = [row["cpu_ratio"][1] for row in rows if row["case"].endswith(what) and row["way"] == way]
        if ratios and any(row["way"] == "mmseg" for row in rows):
            found.append(
                goal(f"evaluation: {words} against MMSegmentation, least of {len(ratios)} cases", min(ratios), least=least)
            )
    return found


def main() -> None:
    """Measure with one thread and with all."""
    options = arguments(__doc__).parse_args()
    rows: list[Row] = []
    for threads in sorted({1, len(os.sched_getaffinity(0))}):
        torch.set_num_threads(threads)
        for name, case in (SMOKE if options.smoke else CASES).items():
            rows += measured(name, case, options.reference, 1 if options.smoke else options.rounds)
    reached = [] if options.smoke else goals([row for row in rows if row["threads"] == 1])
    finish(result("evaluation", rows, reached), options)


if __name__ == "__main__":
    main()
