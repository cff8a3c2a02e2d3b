"""What the sweep was made of: its space, its best recipe, code, data, packages."""

from __future__ import annotations

import json

from rayseg.report.page.markup import section, table, tag, text
from rayseg.report.records import SweepRecords

__all__ = ["origin"]


def origin(records: SweepRecords) -> str:
    """Folded lists; what is not known is said.

    Args:
        records: of the sweep.

    Example:
        >>> "optim.lr" in origin(SweepRecords("s", "val/mIoU", "max", {"optim.lr": "0 to 1"}, []))
        True
    """
    rows = [
        tag("tr", tag("td", text(key), class_="name"), tag("td", text(dimension), class_="words"))
        for key, dimension in records.space.items()
    ]
    searched = table([tag("th", "searched key", class_="name"), tag("th", "values", class_="words")], rows)
    recipe = _folded("Best recipe of the search (best.yaml)", records.best_config or "not kept")
    known = json.dumps(records.origin, indent=2, default=str, ensure_ascii=False) if records.origin else "not kept"
    return section("Origin", searched, recipe, _folded("Seed, data, code and packages (provenance.json)", known))


def _folded(title: str, content: str) -> str:
    return tag("details", tag("summary", text(title)), tag("pre", text(content), tabindex=0))
