"""What scoring costs on a GPU: logits at a quarter of the size to the confusion matrix, beside torchvision's reference.

``torchvision`` is the ``ConfusionMatrix`` of its reference for training: logits upsampled, the largest, ``bincount`` of the
labelled pixels, which the host waits for. ``plain`` upsamples too and waits for nothing, ``triton`` has no logits at full size.
Pixels whose two best classes differ by a rounding may be counted otherwise; ``differs`` is their share, and more than a few are
an error.

``floor`` is what reading logits and labels takes at the bandwidth of a large copy in the same run:

    python experiments/benchmarks/evaluation_cuda.py --out experiments/benchmarks/results/evaluation_cuda.json

Without a card ``--smoke`` runs a tiny case under Triton's interpreter.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

import torch
from blocks import VOID, batch
from card import bytes_per_ms, peak_bytes, rows_of_turns, turns_on
from evaluation import CASES, classes_of, of_mmseg
from measuring import Row, arguments, finish, goal, result
from torch import Tensor

from rayseg.kernels import TritonScoring, confusion_counts, confusion_of_logits

SMOKE = {"smoke": (1, 3, 8, 16, 4)}
LEAST, DIFFERS = 10.0, 1e-4

Count = Callable[[], Tensor]


def torchvisions(logits: Tensor, labels: Tensor, classes: int) -> Tensor:
    """``ConfusionMatrix.update`` of ``references/segmentation/utils.py``."""
    truth, prediction = labels.flatten(), classes_of(logits, labels).flatten()
    known = (truth >= 0) & (truth < classes)
    return torch.bincount(classes * truth[known] + prediction[known], minlength=classes**2).reshape(classes, classes)


def in_triton(logits: Tensor, labels: Tensor) -> Tensor:
    """Counts straight from the logits."""
    found = confusion_of_logits(logits, labels, ignore_index=VOID, scoring=TritonScoring(logits.device.type))
    assert found is not None
    return found.counts


def ways_of(logits: Tensor, labels: Tensor, reference: str | None) -> dict[str, Count]:
    """What is compared, by name."""
    classes = logits.shape[1]
    ways: dict[str, Count] = {"torchvision": lambda: torchvisions(logits, labels, classes)}
    if reference:
        ways["mmseg"] = of_mmseg(reference, lambda: classes_of(logits, labels), labels, classes)
    ways["plain"] = lambda: confusion_counts(classes_of(logits, labels), labels, classes, VOID)
    return {**ways, "triton": lambda: in_triton(logits, labels)}


def rows(case: str, ways: Mapping[str, Count], logits: Tensor, labels: Tensor, rounds: int) -> list[Row]:
    """A row for each way, ratios to the first; all take turns."""
    device, first = logits.device, next(iter(ways))
    expected, pixels = ways[first](), labels.numel()
    known: dict[str, dict[str, Any]] = {}
    for way, count in ways.items():
        found = count().to(device)
        one = torch.stack([expected.diagonal(), expected.sum(0), expected.sum(1)]) if way == "mmseg" else expected
        differs = int((found - one).abs().sum()) / 2 / pixels
        assert differs < DIFFERS, f"{case}, {way}: {differs:.1e} of the pixels are counted otherwise"
        known[way] = {"differs": differs, "peak_bytes": peak_bytes(count, device)}
    compulsory = logits.numel() * logits.element_size() + pixels * labels.element_size()
    return rows_of_turns(case, turns_on(device, ways, rounds), known, compulsory / bytes_per_ms(device))


def main() -> None:
    """Measure, and write what was found."""
    options = arguments(__doc__).parse_args()
    if not torch.cuda.is_available():
        if not options.smoke:
            raise SystemExit("no CUDA device; --smoke runs a tiny case under Triton's interpreter")
        os.environ["TRITON_INTERPRET"] = "1"
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    found: list[Row] = []
    for name, case in (SMOKE if options.smoke else CASES).items():
        logits, labels = (each.to(device) for each in batch(case))
        found += rows(name, ways_of(logits, labels, options.reference), logits, labels, 1 if options.smoke else options.rounds)
    reached = [
        goal(f"scores on a GPU, {row['case']}: triton against torchvision's reference", row["gpu_ratio"][1], least=LEAST)
        for row in found
        if row["way"] == "triton" and device.type == "cuda" and not options.smoke
    ]
    finish(result("evaluation_cuda", found, reached, device.type), options, what=("gpu_ratio", "peak_ratio"))


if __name__ == "__main__":
    main()
