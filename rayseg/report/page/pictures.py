"""The same validation images under the baseline and the best recipes."""

from __future__ import annotations

import base64

from rayseg.report.page.markup import absent, section, tag, text
from rayseg.report.records import ShownImage, SweepRecords

__all__ = ["pictures"]

_TITLE = "Validation pictures"


def pictures(records: SweepRecords) -> str:
    """A row of pictures per image: itself over its labels, then each recipe's prediction over its errors.

    Args:
        records: of the sweep.

    Example:
        >>> shown = ShownImage(b"1", b"2", {"baseline": (b"3", b"4")})
        >>> pictures(SweepRecords("s", "val/mIoU", "max", {}, [], images=[shown])).count("<img")
        4
    """
    if not records.images:
        return absent(_TITLE, f"none: {records.images_fault or 'the search kept none'}")
    note = "Above: image, then predictions. Below: labels, then wrong pixels in red; dark is not labelled. One run each."
    return section(_TITLE, *(_row(index, shown) for index, shown in enumerate(records.images)), note=note)


def _row(index: int, shown: ShownImage) -> str:
    tiles = [_figure(f"image {index + 1}, labels", shown.image, shown.labels)]
    tiles += [_figure(name, *two) for name, two in shown.recipes.items()]
    return tag("div", *tiles, class_="picture")


def _figure(caption: str, above: bytes, below: bytes) -> str:
    drawn = [tag("img", src=_address(png), alt=alt) for png, alt in ((above, caption), (below, f"{caption}, below"))]
    return tag("figure", *drawn, tag("figcaption", text(caption)))


def _address(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"
