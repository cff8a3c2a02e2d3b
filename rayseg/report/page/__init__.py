"""A sweep on one HTML page that needs nothing else: no script, no font, no picture from elsewhere."""

from __future__ import annotations

from rayseg.report.page.classes import classes
from rayseg.report.page.curves import curves
from rayseg.report.page.importance import importance
from rayseg.report.page.leaderboard import leaderboard
from rayseg.report.page.lineage import lineage
from rayseg.report.page.markup import tag, text
from rayseg.report.page.origin import origin
from rayseg.report.page.parallel import parallel
from rayseg.report.page.pictures import pictures
from rayseg.report.page.style import STYLE
from rayseg.report.page.tradeoff import tradeoff
from rayseg.report.page.verdict import confirmation_section, facts, verdict
from rayseg.report.records import SweepRecords

__all__ = ["render_report", "verdict"]

#: A browser then fetches nothing, whatever a name in the records contains.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def render_report(records: SweepRecords) -> str:
    """The page of a sweep.

    What is not there is said in place of its section. The text is a function of the records alone.

    Args:
        records: of the sweep.

    Returns:
        An HTML document.

    Example:
        >>> page = render_report(SweepRecords("recipes", "val/mIoU", "max", {}, []))
        >>> page[:15], "No trial has a score." in page
        ('<!doctype html>', True)
    """
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name_="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        tag("title", text(f"{records.name}: sweep report")),
        tag("style", STYLE),
    )
    top = [tag("h1", text(f"Sweep {records.name}")), tag("p", text(verdict(records)), class_="verdict"), facts(records)]
    linked = [tag("a", text(name), href=url, title=url, target="_blank", rel="noopener") for name, url in records.links.items()]
    top += [tag("p", "In MLflow: ", ", ".join(linked), class_="note later")] if linked else []
    parts = (confirmation_section, leaderboard, lineage, tradeoff, curves, parallel, importance, classes, pictures, origin)
    body = tag("body", tag("main", *top, *(part(records) for part in parts)))
    return f"<!doctype html>\n{tag('html', head, body, lang='en')}\n"
