"""The loss path on a GPU, for ``loss.py --device cuda``: right first, then what it moves, what that must take, what it takes.

``error`` is that of the gradient against the plain way in float64; ``repeats`` whether a second step has the same bits.
``moved`` are the bytes of all tensors that operations read and write, views left out, counted where they are called; those of
the kernels in Triton are worked out. ``floor`` is how long the card needs for what cannot be avoided, at the bandwidth of a
large copy in the same run: the logits and labels read in both directions, the loss of each pixel written and read, the gradient
written. ``floors`` is how many times as long a way takes. ``graph`` is Triton's way as a CUDA graph.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import torch
from measuring import Row, goal, ratios, spread
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

Step = Callable[[Tensor, Tensor], Tensor]
#: Against MMSegmentation, eager: times as fast, times less memory; against torch.compile: times as fast.
LEAST = {"mmseg": 20.0, "memory": 30.0, "compiled": 6.0}
#: Of a gradient against float64; bfloat16 rounds each of its elements once.
TOLERANCE = {torch.float32: 5e-5, torch.bfloat16: 4e-3}
COPY_BYTES = 1 << 30


class _Moved(TorchDispatchMode):
    """Counts the bytes that operations read and write."""

    def __init__(self) -> None:
        super().__init__()
        self.num_bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        if not func.is_view and not func._schema.name.startswith(("aten::empty", "aten::detach")):  # noqa: SLF001  torch's own
            tensors = [each for each in tree_leaves((args, kwargs, found)) if isinstance(each, Tensor)]
            self.num_bytes += sum(each.numel() * each.element_size() for each in tensors)
        return found


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


def moved_bytes(way: str, step: Step, logits: Tensor, labels: Tensor) -> int:
    """Of one step."""
    with _Moved() as counted:
        gradient_of(step, logits, labels)
    return counted.num_bytes + (kernel_bytes(logits, labels) if way == "triton" else 0)


def clock_ms(run: Callable[[], object], device: torch.device) -> float:
    """How long the GPU is at it, launches included where these are slower; wall time elsewhere."""
    if device.type != "cuda":
        began = time.perf_counter()
        run()
        return (time.perf_counter() - began) * 1e3
    began, ended = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    torch.cuda.synchronize()
    began.record()
    run()
    ended.record()
    ended.synchronize()
    return float(began.elapsed_time(ended))


def bytes_per_ms(device: torch.device) -> float:
    """Bandwidth of a large copy: read and written."""
    source = torch.zeros(COPY_BYTES if device.type == "cuda" else 1 << 20, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return 2 * source.numel() / min(clock_ms(lambda: target.copy_(source), device) for _ in range(10))


def peak_bytes(run: Callable[[], object], device: torch.device) -> int:
    """Most memory of the allocator that a step takes beyond what was there; 0 where there is none to ask."""
    if device.type != "cuda":
        return 0
    torch.cuda.synchronize()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    run()
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated() - before


def captured(run: Callable[[], object]) -> Callable[[], object]:
    """The same as a CUDA graph."""
    apart = torch.cuda.Stream()
    apart.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(apart):
        for _ in range(3):
            run()
    torch.cuda.current_stream().wait_stream(apart)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        run()
    return graph.replay


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
    taken: dict[str, list[float]] = {way: [] for way in runs}
    for _ in range(rounds):
        for way, run in runs.items():
            taken[way].append(min(clock_ms(run, device) for _ in range(5 if device.type == "cuda" else 1)))
    floor_ms = compulsory_bytes(logits, labels) / bytes_per_ms(device)
    return [_row(case, way, taken, known, floor_ms) for way in runs]


def _row(case: str, way: str, taken: Mapping[str, list[float]], known: Mapping[str, Row], floor_ms: float) -> Row:
    first, middle = next(iter(taken)), spread(taken[way])[1]
    row = {"case": case, "way": way, "gpu_ms": middle, "gpu_ratio": ratios(taken[first], taken[way]), **known[way]}
    if known[way].get("peak_bytes") and known[first]["peak_bytes"]:
        row["peak_ratio"] = known[first]["peak_bytes"] / known[way]["peak_bytes"]
    return {**row, "floor_ms": floor_ms, "floors": middle / floor_ms}


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
