"""Pictures that words of the command line name."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from glob import glob
from pathlib import Path

from rayseg.errors import DataError

__all__ = ["PICTURES", "named_pictures"]

#: Endings of picture files, in lower case.
PICTURES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})


def named_pictures(words: Sequence[str], suffixes: Collection[str] = PICTURES) -> dict[str, Path]:
    """Name without suffix to picture: files, patterns such as ``'streets/*.jpg'``, and folders, where names keep their place.

    Args:
        words: as they were typed.
        suffixes: endings of the files that are taken out of a folder, in lower case.

    Raises:
        DataError: nothing there, or two pictures whose masks would have one name.
    """
    pictures: dict[str, Path] = {}
    for word in words:
        for path, root in _found(Path(word).expanduser(), suffixes):
            name = path.relative_to(root).with_suffix("").as_posix()
            if pictures.setdefault(name, path) != path:
                raise DataError(
                    f"{path} and {pictures[name]}: both masks would be {name}.png; predict them into two directories"
                )
    return pictures


def _found(place: Path, suffixes: Collection[str]) -> Iterator[tuple[Path, Path]]:
    """Each picture at a place, with the folder that its name is relative to."""
    if place.is_file():
        yield place, place.parent
        return
    if place.is_dir():
        found = sorted(path for path in place.rglob("*") if path.suffix.lower() in suffixes)
        what = "no pictures in this folder"
    else:
        found = sorted(Path(path) for path in glob(str(place), recursive=True) if Path(path).is_file())  # noqa: PTH207
        what = "no such file or folder"
    if not found:
        raise DataError(f"{place}: {what}; name files that end in {', '.join(sorted(suffixes))}, or a folder of them")
    yield from ((path, place if place.is_dir() else path.parent) for path in found)
