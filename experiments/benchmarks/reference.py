"""MMSegmentation's own classes, from a directory with mmsegmentation 1.2, mmengine and mmcv-lite.

OpenCV has no threads of its own, as in MMSegmentation's configs (``opencv_num_threads=0``): they would count as CPU time.
"""

from __future__ import annotations

import sys
import types
import warnings
from importlib import import_module
from importlib.machinery import ModuleSpec
from typing import Any


def mmseg(directory: str, module: str) -> Any:
    """A module of it, such as ``mmseg.models.losses``; its compiled operators are absent, and nothing here calls them."""
    if directory not in sys.path:
        sys.path.append(directory)
    vars(import_module("mmcv"))["__version__"] = "2.1.0"  # of mmcv-lite, later ones are refused
    if "mmcv._ext" not in sys.modules:
        operators = types.ModuleType("mmcv._ext")
        operators.__spec__ = ModuleSpec("mmcv._ext", None)
        vars(operators)["__getattr__"] = lambda name: name and None
        sys.modules["mmcv._ext"] = operators
    import_module("cv2").setNumThreads(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return import_module(module)
