"""How the recipe of a population's winner changed over the steps."""

from __future__ import annotations

from rayseg.report.page.markup import number, section, table, tag, text
from rayseg.report.records import SweepRecords
from rayseg.report.table import shortest_endings

__all__ = ["lineage"]


def lineage(records: SweepRecords) -> str:
    """A row per recipe that made the weights of the first; nothing where recipes did not change while trials ran.

    Args:
        records: of the sweep.

    Example:
        >>> parts = [{"from": 0, "until": 9, "run": "m1", "score": 0.5, "recipe": {"optim.lr": 0.1}}]
        >>> "<td>0 to 9</td>" in lineage(SweepRecords("s", "val/mIoU", "max", {"optim.lr": "0 to 1"}, [], schedule=parts))
        True
        >>> lineage(SweepRecords("s", "val/mIoU", "max", {}, []))
        ''
    """
    if not records.schedule:
        return ""
    names = shortest_endings(list(records.space))
    head = [tag("th", "steps"), tag("th", "run", class_="name"), tag("th", text(f"{records.metric} at their end"))]
    head += [tag("th", text(name), title=f"{key}: {records.space[key]}") for key, name in names.items()]
    rows = [
        tag(
            "tr",
            tag("td", f"{part['from']} to {part['until']}"),
            tag("td", text(part["run"]), class_="name"),
            tag("td", "–" if part["score"] is None else f"{part['score']:.4f}"),
            *(tag("td", text(number(part["recipe"].get(key)))) for key in records.space),
        )
        for part in records.schedule
    ]
    note = (
        "At a comparison the worst members go on with the weights of the best and a recipe near theirs. schedule.yaml has this."
    )
    return section("The best recipe by step", table(head, rows), note=note)
