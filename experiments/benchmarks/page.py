"""Puts what was measured into the documentation: every block between these two lines is made of ``results/NAME.json``.

::

    <!-- measured: NAME -->
    <!-- end -->

The name ``goals`` stands for the goals of all results. Where nothing was measured the block says so. Benchmarks write such a
file by ``--out experiments/benchmarks/results/NAME.json``; after that:

    python experiments/benchmarks/page.py
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from showing import goals_table, table

ROOT = Path(__file__).resolve().parents[2]
RESULTS = Path(__file__).parent / "results"
PAGES = (*sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "docs" / "zh").glob("*.md")))
BLOCK = re.compile(r"(?<=^<!-- measured: )(\w+)( -->\n).*?(?=^<!-- end -->$)", re.MULTILINE | re.DOTALL)


def results() -> dict[str, dict[str, Any]]:
    """What was found, by name."""
    return {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in sorted(RESULTS.glob("*.json"))}


def shown(name: str, found: Mapping[str, Mapping[str, Any]]) -> str:
    """A block's text."""
    if name == "goals":
        return goals_table([goal for each in found.values() for goal in each["goals"]])
    if name not in found:
        return f"No run has filled this table (`results/{name}.json`) yet."
    each = found[name]
    versions = ", ".join(f"{package} {version}" for package, version in each["versions"].items())
    return f"{table(each)}\n\nMeasured on {each['date']} on {each['machine']}; {versions}."


def filled(text: str, found: Mapping[str, Mapping[str, Any]]) -> str:
    """A page with its blocks filled."""
    return BLOCK.sub(lambda block: f"{block[1]}{block[2]}\n{shown(block[1], found)}\n\n", text)


def main() -> None:
    """Fill all pages."""
    found = results()
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        if filled(text, found) != text:
            page.write_text(filled(text, found), encoding="utf-8")
            print(page.relative_to(ROOT))


if __name__ == "__main__":
    main()
