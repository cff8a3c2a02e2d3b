"""What benchmarks share: ways that take turns, their spread, memory, the machine, and one form for what was found.

A benchmark compares ways to do the same in one process. In each round every way has its turn, so that what else the machine
does meets all of them alike; what counts is the ratio of a round, to the first way, and of these the median and the quartiles.
What was found is a file of JSON, of which ``page.py`` makes the tables of the documentation::

    {
        "name": "loss",
        "date": "2026-11-21",
        "machine": "...",
        "device": "cpu",
        "versions": {"torch": "2.15.0"},
        "rows": [{"case": "streets", "way": "mmseg", "threads": 1, "cpu_ms": 1189.9, "cpu_ratio": [1, 1, 1]}, ...],
        "goals": [{"what": "...", "goal": ">= 25", "measured": 39.9, "met": true}],
    }

A row may hold anything else by a name that says its unit; three numbers are lower quartile, median and upper quartile.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from showing import goals_table, plot, table

from rayseg.kernels.compiler import instruction_set

Row = dict[str, Any]
Run = Callable[[], object]


@dataclass
class Taken:
    """Seconds of each round."""

    cpu_s: list[float] = field(default_factory=list)
    wall_s: list[float] = field(default_factory=list)


def turns(ways: Mapping[str, Run], rounds: int, repeats: int = 1) -> dict[str, Taken]:
    """Time of each way in each round: of its fastest repeat.

    Args:
        ways: name -> what is run.
        rounds: in each of which every way has its turn.
        repeats: how often every way runs in a round: as often as the others, or it would have the better of more tries.
    """
    taken = {way: Taken() for way in ways}
    for _ in range(rounds):
        for way, run in ways.items():
            each = [_once(run) for _ in range(repeats)]
            taken[way].cpu_s.append(min(cpu for cpu, _ in each))
            taken[way].wall_s.append(min(wall for _, wall in each))
    return taken


def _once(run: Run) -> tuple[float, float]:
    cpu, wall = time.process_time(), time.perf_counter()
    run()
    return time.process_time() - cpu, time.perf_counter() - wall


def spread(values: Sequence[float]) -> list[float]:
    """Lower quartile, median, upper quartile."""
    if len(values) < 2:
        return [values[0]] * 3
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return [low, middle, high]


def ratios(first: Sequence[float], other: Sequence[float]) -> list[float]:
    """How many times less the other takes, round by round: quartiles."""
    return spread([mine / theirs for mine, theirs in zip(first, other, strict=True)])


def rows_of(case: str, taken: Mapping[str, Taken], more: Mapping[str, Mapping[str, Any]] | None = None) -> list[Row]:
    """One row for each way, with its ratio to the first.

    Args:
        case: what was done.
        taken: of :func:`turns`.
        more: name of a way -> what else is known of it, such as ``{"peak_bytes": 123}``.
    """
    first = next(iter(taken.values()))
    return [
        {
            "case": case,
            "way": way,
            "threads": torch.get_num_threads(),
            "cpu_ms": statistics.median(each.cpu_s) * 1e3,
            "cpu_ratio": ratios(first.cpu_s, each.cpu_s),
            "wall_ms": statistics.median(each.wall_s) * 1e3,
            "wall_ratio": ratios(first.wall_s, each.wall_s),
            **(more or {}).get(way, {}),
        }
        for way, each in taken.items()
    ]


def goal(what: str, measured: float | None, *, least: float | None = None, most: float | None = None) -> dict[str, Any]:
    """A goal, and whether what was measured meets it; None was not measured."""
    assert (least is None) != (most is None), "a goal is a least or a most"
    met = measured is not None and (measured >= least if least is not None else measured <= (most or 0.0))
    return {"what": what, "goal": f">= {least:g}" if least is not None else f"<= {most:g}", "measured": measured, "met": met}


def growth_bytes(run: Run) -> int:
    """How much the largest size of this process grows while something runs (Linux)."""
    before = _status_bytes("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    run()
    return _status_bytes("VmHWM") - before


def _status_bytes(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) * 1024


def result(name: str, rows: Sequence[Row], goals: Sequence[Mapping[str, Any]] = (), device: str = "cpu") -> dict[str, Any]:
    """What was found, with where and when.

    Args:
        name: of the result; its file is ``results/NAME.json``.
        rows: of the table.
        goals: of :func:`goal`.
        device: ``cpu`` or ``cuda``.
    """
    versions = {"python": platform.python_version(), "torch": torch.__version__}
    for package in ("triton", "ray", "mmsegmentation") if device == "cuda" else ("ray",):
        versions |= {package: metadata.version(package)} if _is_installed(package) else {}
    head = {"name": name, "date": time.strftime("%Y-%m-%d"), "machine": machine(device), "device": device}
    return {**head, "versions": versions, "rows": list(rows), "goals": list(goals)}


def _is_installed(package: str) -> bool:
    try:
        return bool(metadata.version(package))
    except metadata.PackageNotFoundError:
        return False


def machine(device: str = "cpu") -> str:
    """The card, or processor, instruction set and number of cores that this process may use."""
    if device == "cuda":
        return torch.cuda.get_device_name()
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
    return f"{model} ({instruction_set()}, {len(os.sched_getaffinity(0))} cores)"


def arguments(description: str | None) -> argparse.ArgumentParser:
    """The flags that benchmarks share."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reference", help="directory with mmsegmentation 1.2, mmengine and mmcv-lite")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path, help="file for the JSON; results/NAME.json is what the documentation shows")
    parser.add_argument("--png", type=Path, help="file for the picture")
    parser.add_argument("--smoke", action="store_true", help="tiny, once: whether it runs and the ways agree")
    return parser


def finish(found: Mapping[str, Any], options: argparse.Namespace, **plotted: Any) -> None:
    """Print the tables; write the files that were asked for."""
    print(f"{found['machine']}, {found['date']}\n\n{table(found)}")
    if found["goals"]:
        print(f"\n{goals_table(found['goals'])}")
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(_rounded(found), indent=1) + "\n", encoding="utf-8")
    if options.png:
        plot(found, options.png, **plotted)


def _rounded(value: Any) -> Any:
    """Four digits of fractions: the others are noise."""
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, Mapping):
        return {key: _rounded(each) for key, each in value.items()}
    return [_rounded(each) for each in value] if isinstance(value, list) else value
