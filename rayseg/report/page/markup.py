"""Elements of a page: text is escaped here and nowhere else."""

from __future__ import annotations

import html
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["absent", "nice_ticks", "number", "section", "signed", "table", "tag", "text"]

_VOID = ("img", "meta")


def text(value: object) -> str:
    """A value as text of the page.

    Args:
        value: anything; what would be markup is not.

    Example:
        >>> text("<b>")
        '&lt;b&gt;'
    """
    return html.escape(str(value), quote=True)


def tag(name: str, /, *inside: str, **attributes: object) -> str:
    """An element.

    Args:
        name: of the element.
        inside: markup; pass what people wrote through :func:`text` first.
        attributes: escaped here; ``_`` ends a Python keyword and stands for ``-``; None is left out.

    Example:
        >>> tag("td", text("a & b"), class_="name", title='"'), tag("img", alt="")
        ('<td class="name" title="&quot;">a &amp; b</td>', '<img alt="">')
    """
    given = {key.rstrip("_").replace("_", "-"): value for key, value in attributes.items() if value is not None}
    opened = "".join(f' {key}="{text(value)}"' for key, value in given.items())
    return f"<{name}{opened}>" if name in _VOID else f"<{name}{opened}>{''.join(inside)}</{name}>"


def table(head: Sequence[str], rows: Sequence[str], **attributes: object) -> str:
    """A table that scrolls by itself where it is wider than the page.

    Args:
        head: cells of the heading, markup.
        rows: rows, markup.
        attributes: of the table.

    Example:
        >>> table([tag("th", "a")], [tag("tr", tag("td", "1"))]).count("<tr>")
        2
    """
    inner = tag("table", tag("thead", tag("tr", *head)), tag("tbody", *rows), **attributes)
    return tag("div", inner, class_="wide", tabindex=0)


def section(title: str, *inside: str, note: str | None = None) -> str:
    """A section with its heading and a line that says how to read it.

    Args:
        title: of the section.
        inside: markup.
        note: plain text.

    Example:
        >>> section("Curves", "...", note="by step")
        '<section><h2>Curves</h2><p class="note">by step</p>...</section>'
    """
    said = [] if note is None else [tag("p", text(note), class_="note")]
    return tag("section", tag("h2", text(title)), *said, *inside)


def absent(title: str, why: str) -> str:
    """A section that has nothing to show, and why.

    Args:
        title: of the section.
        why: plain text.

    Example:
        >>> absent("Pictures", "none were kept")
        '<section><h2>Pictures</h2><p class="absent">none were kept</p></section>'
    """
    return tag("section", tag("h2", text(title)), tag("p", text(why), class_="absent"))


def number(value: Any) -> str:
    """A number in few digits, text as it is, a part of a config by its type and arguments, other values as JSON.

    Args:
        value: of a cell; None is a dash.

    Example:
        >>> number(0.0123456), number(None), number(3), number("ohem"), number({"type": "dice", "power": 2})
        ('0.01235', '–', '3', 'ohem', 'dice power=2')
    """
    if value is None:
        return "–"
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping) and "type" in value:
        return " ".join([str(value["type"]), *(f"{key}={number(own)}" for key, own in value.items() if key != "type")])
    return f"{value:.4g}" if isinstance(value, float) else json.dumps(value, default=str)


def signed(value: float, digits: int = 4) -> str:
    """A difference with its sign.

    Args:
        value: the difference.
        digits: after the point.

    Example:
        >>> signed(0.01), signed(-0.5, 1), signed(-0.00001)
        ('+0.0100', '−0.5', '0.0000')
    """
    shown = f"{abs(value):.{digits}f}"
    return shown if float(shown) == 0 else f"{'+' if value > 0 else '−'}{shown}"


def nice_ticks(low: float, high: float, count: int = 5) -> list[float]:
    """About ``count`` round numbers within a range.

    Args:
        low: end of the range.
        high: the other end, larger.
        count: how many, about.

    Example:
        >>> nice_ticks(0.13, 0.42)
        [0.15, 0.2, 0.25, 0.3, 0.35, 0.4]
    """
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(size * power for size in (1, 2, 5, 10) if size * power >= 0.999 * rough)
    step = step / 2 if (high - low) / step < 3 else step
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [float(f"{index * step:.10g}") for index in range(first, last + 1)]
