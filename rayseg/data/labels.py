"""Labels in the files to labels of the classes: one table of 256 numbers, looked up pixel by pixel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from rayseg.errors import DataError

__all__ = ["label_table"]

_LABELS = 256


def label_table(
    where: str,
    *,
    reduce_zero_label: bool = False,
    label_map: Mapping[str, str | int | None] | None = None,
    old_names: Sequence[str] = (),
    names: Sequence[str] = (),
    ignore_index: int = 255,
) -> NDArray[np.uint8] | None:
    """What each label of a file becomes; None where every label stays as it is.

    First zero is reduced, as MMSegmentation does it: 0 becomes void, 255 void too, and every other label is one less. Then the
    map is applied, to all labels at once; labels that it does not name stay.

    Args:
        where: what is read, for the errors.
        reduce_zero_label: 0 means: not labelled.
        label_map: label after the reduction, as a number in text or as one of ``old_names`` -> a number, one of ``names``, or
            None for void.
        old_names: of the classes in the files.
        names: of the classes that come out.
        ignore_index: the void label.

    Returns:
        ``(256,)`` uint8, to be indexed with a mask.

    Raises:
        DataError: the map names a class that there is not, a label twice, or a number outside 0..255.

    Example:
        >>> table = label_table(
        ...     "a", reduce_zero_label=True, label_map={"truck": "car"}, old_names=["car", "truck"], names=["car"]
        ... )
        >>> table[np.array([0, 1, 2, 255], np.uint8)].tolist()
        [255, 0, 0, 255]
    """
    table = np.arange(_LABELS, dtype=np.uint8)
    if reduce_zero_label:
        table = np.concatenate([[ignore_index], table[:-2], [ignore_index]]).astype(np.uint8)
    if label_map is not None:
        table = _mapped(where, label_map, old_names, names, ignore_index)[table]
    return None if np.array_equal(table, np.arange(_LABELS)) else table


def _mapped(
    where: str, label_map: Mapping[str, str | int | None], old_names: Sequence[str], names: Sequence[str], ignore_index: int
) -> NDArray[np.uint8]:
    table = np.arange(_LABELS, dtype=np.uint8)
    done: dict[int, str] = {}
    for key, value in label_map.items():
        old = _number(where, key, old_names, "classes in the files")
        if old in done:
            raise DataError(f"{where}: label_map says two things about label {old}: {done[old]!r} and {key!r}; remove one")
        done[old] = key
        table[old] = ignore_index if value is None else _number(where, value, names, "classes")
    return table


def _number(where: str, label: str | int, names: Sequence[str], what: str) -> int:
    """A label from its name or its number."""
    if isinstance(label, str) and label in names:
        return list(names).index(label)
    try:
        number = int(label)
    except ValueError:
        number = -1
    if isinstance(label, bool) or not 0 <= number < _LABELS:
        shown = f"one of the {what}: {', '.join(names)}" if names else f"there are no names of {what}"
        raise DataError(f"{where}: label_map has {label!r}; expected a number 0..255, or {shown}")
    return number
