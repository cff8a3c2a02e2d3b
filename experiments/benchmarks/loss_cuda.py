"""The loss path on a GPU, for ``loss.py --device cuda``: right first, then what it moves, what that must take, what it takes.

``error`` is that of the gradient against the plain way in float64; ``repeats`` whether a second step has the same bits.
``moved`` are the bytes of all tensors that operations read and write, views left out, counted where they are called; those of
the kernels in Triton are worked out. ``floor`` is how long the card needs for what cannot be avoided, at the bandwidth of a
large copy in the same run: the logits and labels read in both directions, the loss of each pixel written and read, the gradient
written. ``floors`` is how many times as long a way takes; ``instructions`` how long the arithmetic takes at the card's full
clock, which for the fused loss is longer. ``graph`` is Triton's way as a CUDA graph.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from card import bytes_per_ms, captured, counted_bytes, peak_bytes, rows_of_turns, turns_on
from measuring import Row, goal
from torch import Tensor

Step = Callable[[Tensor, Tensor], Tensor]
#: Against MMSegmentation, eager: times as fast, times less memory; against torch.compile: times as fast.
LEAST = {"mmseg": 20.0, "memory": 30.0, "compiled": 6.0}
#: Of a gradient against float64; bfloat16 rounds each of its elements once.
TOLERANCE = {torch.float32: 5e-5, torch.bfloat16: 4e-3}


def gradient_of(step: Step, logits: Tensor, labels: Tensor) -> Tensor:
    """A step, forward and backward; nothing is read back."""
    return torch.autograd.grad(step(logits, labels), logits)[0]


def compulsory_bytes(logits: Tensor, labels: Tensor) -> int:
    """What any way must move that sees the logits at their own stride."""
    low, full = logits.numel() * logits.element_size(), labels.numel()
    return 3 * low + 2 * full * labels.element_size() + 2 * full * 4


def kernel_bytes(logits: Tensor, labels: Tensor) -> int:
    """What the kernels in Triton read and write: logits and labels twice, two values of each pixel twice, the gradient."""
    low, full = logits.numel(), labels.numel()
    of_gradient = 4 * low * (1 + 2)  # zeros, then added to
    return 2 * low * logits.element_size() + 2 * full * labels.element_size() + full * 4 * (2 + 2) + of_gradient


def instructions_ms(logits: Tensor, labels: Tensor) -> float:
    """What the arithmetic of the fused loss takes at least, at the card's clock: the larger of exponentials and the rest.

    Two exponentials for each class of each pixel, of which a multiprocessor makes 16 in a cycle, and some 26 instructions, of
    which it makes 128 (NVIDIA's tables of throughput for compute capability 8.0 and 9.0).
    """
    card = torch.cuda.get_device_properties(logits.device)
    per_ms = card.multi_processor_count * card.clock_rate  # in kHz
    return max(2 / 16, 26 / 128) * logits.shape[1] * labels.numel() / per_ms


def moved_bytes(way: str, step: Step, logits: Tensor, labels: Tensor) -> int:
    """Of one step."""
    return counted_bytes(lambda: gradient_of(step, logits, labels)) + (kernel_bytes(logits, labels) if way == "triton" else 0)


def rows_on(case: str, steps: Mapping[str, Step], plain: Step, logits: Tensor, labels: Tensor, rounds: int) -> list[Row]:
    """A row for each way, ratios to the first; all take turns.

    Args:
        case: what was done.
        steps: way -> loss of logits and labels.
        plain: the loss in float64.
        logits: ``(N, C, h, w)`` on the device, a leaf.
        labels: ``(N, H, W)`` there.
        rounds: in each of which every way has its turn, five times.
    """
    device, precise = logits.device, logits.detach().double().requires_grad_()
    reference = gradient_of(plain, precise, labels)
    runs: dict[str, Callable[[], object]] = {}
    known: dict[str, dict[str, Any]] = {}
    for way, step in steps.items():
        first = gradient_of(step, logits, labels)
        error = float((first.double() - reference).norm() / reference.norm())
        assert error < TOLERANCE[logits.dtype], f"{case}, {way}: the gradient differs by {error:.1e}"
        repeats = torch.equal(first, gradient_of(step, logits, labels))
        runs[way] = lambda step=step: gradient_of(step, logits, labels)  # type: ignore[misc]
        known[way] = {"error": error, "repeats": repeats, "peak_bytes": peak_bytes(runs[way], device)}
        if way != "compiled":
            known[way]["moved_bytes"] = moved_bytes(way, step, logits, labels)
    if device.type == "cuda" and "triton" in runs:
        runs["graph"], known["graph"] = captured(runs["triton"]), {}
    instructions = {"instructions_ms": instructions_ms(logits, labels)} if device.type == "cuda" else {}
    known = {way: {**each, **instructions} for way, each in known.items()}
    floor_ms = compulsory_bytes(logits, labels) / bytes_per_ms(device)
    return rows_of_turns(case, turns_on(device, runs, rounds), known, floor_ms)


def goals_on(rows: list[Row]) -> list[dict[str, Any]]:
    """Of the case of a table, for Triton's way; those whose peers were not run are left out."""
    case, by_way = rows[0]["case"], {row["way"]: row for row in rows}
    triton = by_way["triton"]
    found = [goal(f"loss on a GPU, {case}: triton repeats to the bit", float(triton["repeats"]), least=1.0)]
    for peer in ("mmseg", "compiled"):
        if peer in by_way:
            ratio = by_way[peer]["gpu_ms"] / triton["gpu_ms"]
            found.append(goal(f"loss on a GPU, {case}: triton against {peer}, time", ratio, least=LEAST[peer]))
    if "mmseg" in by_way:
        found.append(goal(f"loss on a GPU, {case}: triton against mmseg, memory", triton["peak_ratio"], least=LEAST["memory"]))
    return found
