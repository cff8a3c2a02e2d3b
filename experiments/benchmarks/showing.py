"""What was found, for people: tables in Markdown and a picture of the ratios. The form is that of ``measuring.py``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

#: Headings of what is measured; other names are read as they are.
HEADINGS = {
    "cpu_ms": "CPU time",
    "wall_ms": "wall time",
    "gpu_ms": "GPU time",
    "cpu_ratio": "times faster (CPU)",
    "wall_ratio": "times faster (wall)",
    "gpu_ratio": "times faster",
    "peak_bytes": "extra memory",
    "peak_ratio": "times smaller",
    "exp_passes": "passes of exp",
    "made_bytes": "tensors made",
}
#: A ratio up to which bars have a scale that begins at 0.
_LARGE = 6.0
UNITS = {"ms": (1.0, "ms"), "s": (1.0, "s"), "bytes": (2**20, "MiB")}


def table(found: Mapping[str, Any]) -> str:
    """The rows as Markdown; a column for each thing that one of them holds."""
    names = list(dict.fromkeys(name for row in found["rows"] for name in row))
    lines = [f"| {' | '.join(HEADINGS.get(name, _readable(name)) for name in names)} |", "|" + " --- |" * len(names)]
    lines += [f"| {' | '.join(_cell(name, row.get(name)) for name in names)} |" for row in found["rows"]]
    return "\n".join(lines)


def _readable(name: str) -> str:
    what, _, unit = name.rpartition("_")
    return (what if what and unit in UNITS else name).replace("_", " ")


def _cell(name: str, value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        low, middle, high = (_number(each) for each in value)
        return middle if low == high else f"**{middle}** ({low} to {high})"
    if isinstance(value, bool | str):
        return str(value)
    scale, unit = UNITS.get(name.rpartition("_")[2], (1.0, ""))
    return f"{_number(value / scale)} {unit}".strip()


def _number(value: float) -> str:
    """Three digits, no exponent for what people read as it is."""
    if isinstance(value, int) or abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.3g}" if abs(value) >= 0.001 or value == 0 else f"{value:.1e}"


def goals_table(goals: Sequence[Mapping[str, Any]]) -> str:
    """Goals as Markdown."""
    lines = ["| measure | goal | measured | |", "| --- | --- | --- | --- |"]
    for each in goals:
        measured = "no run yet" if each["measured"] is None else _number(each["measured"])
        met = "" if each["measured"] is None else ("met" if each["met"] else "**not met**")
        lines.append(f"| {each['what']} | {each['goal'].replace('>=', '≥').replace('<=', '≤')} | {measured} | {met} |")
    return "\n".join(lines)


def plot(found: Mapping[str, Any], file: Path, what: Sequence[str] = ("cpu_ratio", "peak_ratio")) -> None:
    """Bars of ratios by way, one picture for each of ``what`` that rows hold, one colour for each case.

    Of rows with several numbers of threads, those with the first are shown; of cases, those compared with the same way.
    """
    from matplotlib.figure import Figure  # noqa: PLC0415  for the picture only

    rows = [row for row in found["rows"] if row.get("threads") == found["rows"][0].get("threads")]
    what = [name for name in what if any(name in row for row in rows)]
    cases = list(dict.fromkeys(row["case"] for row in rows))
    first = rows[0]["way"]
    cases = [case for case in cases if next(row["way"] for row in rows if row["case"] == case) == first]
    rows = [row for row in rows if row["case"] in cases]
    width = max(5.0, max(1.1, 0.34 * len(cases)) * len({row["way"] for row in rows}))
    figure = Figure(figsize=(width * len(what), 3.6), layout="constrained")
    for axis, name in zip(figure.subplots(1, len(what), squeeze=False)[0], what, strict=True):
        ways = list(dict.fromkeys(row["way"] for row in rows if name in row))
        for shift, case in enumerate(cases):
            held = {row["way"]: row[name] for row in rows if row["case"] == case and name in row}
            middles = [value[1] if isinstance(value, list) else value for value in held.values()]
            places = [ways.index(way) + (shift - (len(cases) - 1) / 2) * 0.8 / len(cases) for way in held]
            bars = axis.bar(places, middles, width=0.76 / len(cases), label=case)
            axis.bar_label(bars, fmt="%.3g", fontsize=7)
        axis.set_xticks(range(len(ways)), ways, rotation=20 if len(ways) > 4 else 0)
        if axis.get_ylim()[1] > _LARGE:
            axis.set_yscale("log")
        axis.margins(y=0.15)
        axis.set_title(f"{HEADINGS.get(name, _readable(name))}, against {first}")
        axis.legend(frameon=False, fontsize=8)
    figure.savefig(file, dpi=110)
