"""Class names and colours as a copy of mmsegmentation lists them: what ``rayseg/data/classes.json`` was made with.

::

    python tests/data/mmseg_classes.py SITE_PACKAGES/mmseg > rayseg/data/classes.json    # mmsegmentation 1.2.2

The sources are parsed, not imported: nothing else of the package needs to be there.
"""

from __future__ import annotations

import ast
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = ["classes_of", "defaults_of", "text_of"]

#: Layout -> module and class of mmseg.datasets.
SOURCES = {
    "ade20k": ("ade", "ADE20KDataset"),
    "chase_db1": ("chase_db1", "ChaseDB1Dataset"),
    "cityscapes": ("cityscapes", "CityscapesDataset"),
    "coco_stuff10k": ("coco_stuff", "COCOStuffDataset"),
    "coco_stuff164k": ("coco_stuff", "COCOStuffDataset"),
    "drive": ("drive", "DRIVEDataset"),
    "hrf": ("hrf", "HRFDataset"),
    "isaid": ("isaid", "iSAIDDataset"),
    "loveda": ("loveda", "LoveDADataset"),
    "mapillary_v1": ("mapillary", "MapillaryDataset_v1"),
    "mapillary_v2": ("mapillary", "MapillaryDataset_v2"),
    "pascal_context": ("pascal_context", "PascalContextDataset"),
    "pascal_context_59": ("pascal_context", "PascalContextDataset59"),
    "pascal_voc": ("voc", "PascalVOCDataset"),
    "pascal_voc_aug": ("voc", "PascalVOCDataset"),
    "potsdam": ("potsdam", "PotsdamDataset"),
    "stare": ("stare", "STAREDataset"),
    "vaihingen": ("isprs", "ISPRSDataset"),
}


def _class(package: Path, layout: str) -> ast.ClassDef:
    module, name = SOURCES[layout]
    tree = ast.parse((package / "datasets" / f"{module}.py").read_text(encoding="utf-8"))
    return next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name)


def classes_of(package: Path, layout: str) -> dict[str, list[int]]:
    """Name -> RGB, in the order of the labels."""
    meta = next(node.value for node in _class(package, layout).body if isinstance(node, ast.Assign))
    assert isinstance(meta, ast.Call)
    own: dict[str, Any] = {str(each.arg): ast.literal_eval(each.value) for each in meta.keywords}
    found = dict(zip(own["classes"], own["palette"], strict=True))
    assert len(found) == len(own["classes"]), f"{layout}: names are not unique"
    return found


def defaults_of(package: Path, layout: str) -> dict[str, Any]:
    """Arguments of the data set with their defaults."""
    functions = (node for node in _class(package, layout).body if isinstance(node, ast.FunctionDef))
    arguments = next(node.args for node in functions if node.name == "__init__")
    names = [each.arg for each in arguments.args[-len(arguments.defaults) :]]
    return dict(zip(names, map(ast.literal_eval, arguments.defaults), strict=True))


def text_of(package: Path) -> str:
    """The JSON text: a list of names and colours once, by the first layout that has it, and for the others its name."""
    return json.dumps(dict(_unique(package)), indent=1) + "\n"


def _unique(package: Path) -> Iterator[tuple[str, Any]]:
    known: dict[str, str] = {}
    for layout in SOURCES:
        classes = {name: "#{:02x}{:02x}{:02x}".format(*colour) for name, colour in classes_of(package, layout).items()}
        first = known.setdefault(json.dumps(classes), layout)
        yield layout, classes if first == layout else first


if __name__ == "__main__":
    sys.stdout.write(text_of(Path(sys.argv[1])))
