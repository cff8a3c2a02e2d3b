"""Pictures that words of the command line name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from rayseg.errors import DataError

__all__ = ["PICTURES", "named_pictures"]

#: Endings of picture files, in lower case.
PICTURES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})


def named_pictures(words: Sequence[str]) -> dict[str, Path]:
    """Name without suffix to picture, of files and folders; those of a folder keep their place below it.

    Raises:
        DataError: nothing there, or two pictures whose masks would have one name.
    """
    pictures: dict[str, Path] = {}
    for word in words:
        for path, root in _found(Path(word).expanduser()):
            name = path.relative_to(root).with_suffix("").as_posix()
            if pictures.setdefault(name, path) != path:
                raise DataError(
                    f"{path} and {pictures[name]}: both masks would be {name}.png; predict them into two directories"
                )
    return pictures


def _found(place: Path) -> Iterator[tuple[Path, Path]]:
    """Each picture at a place, with the folder that its name is relative to."""
    if place.is_file():
        yield place, place.parent
        return
    found = sorted(path for path in place.rglob("*") if path.suffix.lower() in PICTURES)
    if not found:
        what = "no pictures in this folder" if place.is_dir() else "no such file or folder"
        raise DataError(f"{place}: {what}; name files that end in {', '.join(sorted(PICTURES))}, or a folder of them")
    yield from ((path, place) for path in found)
