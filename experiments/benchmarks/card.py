"""What benchmarks on a GPU share: its clock and rates, bytes moved, memory, graphs. Without one they run by the CPU's clock."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import torch
from measuring import Row, ratios, spread
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

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


def flops_per_ms(device: torch.device) -> float:
    """Rate of a large product of matrices in bfloat16."""
    side = 8192 if device.type == "cuda" else 128
    one = torch.ones(side, side, dtype=torch.bfloat16, device=device)
    return 2 * side**3 / min(clock_ms(lambda: one @ one, device) for _ in range(10))


def counted_bytes(run: Callable[[], object]) -> int:
    """What operations read and write; views, and kernels that torch does not know, are left out."""
    with _Moved() as counted:
        run()
    return counted.num_bytes


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


def turns_on(device: torch.device, ways: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Milliseconds of each way in each round: of its fastest repeat, of which a card gets five."""
    taken: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way, run in ways.items():
            taken[way].append(min(clock_ms(run, device) for _ in range(5 if device.type == "cuda" else 1)))
    return taken


def rows_of_turns(
    case: str, taken: Mapping[str, list[float]], known: Mapping[str, Mapping[str, Any]], floor_ms: float
) -> list[Row]:
    """A row for each way: its ratios to the first, and how many times as long as the floor it takes.

    Args:
        case: what was done.
        taken: of :func:`turns_on`.
        known: way -> what else is known of it, such as ``{"peak_bytes": 123}``.
        floor_ms: how long the card needs for what cannot be avoided.
    """
    first = next(iter(taken))
    found: list[Row] = []
    for way, each in taken.items():
        row = {
            "case": case,
            "way": way,
            "gpu_ms": spread(each)[1],
            "gpu_ratio": ratios(taken[first], each),
            **known.get(way, {}),
        }
        if row.get("peak_bytes") and known[first]["peak_bytes"]:
            row["peak_ratio"] = known[first]["peak_bytes"] / row["peak_bytes"]
        found.append({**row, "floor_ms": floor_ms, "floors": row["gpu_ms"] / floor_ms})
    return found


def captured(run: Callable[[], object]) -> Callable[[], object]:
    """The same as a CUDA graph, after three runs; without a card, itself."""
    if not torch.cuda.is_available():
        return run
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
