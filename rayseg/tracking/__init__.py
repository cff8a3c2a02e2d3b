"""Recording runs: text and JSON lines, MLflow, TensorBoard, Weights & Biases, pictures.

What needs mlflow or tensorboard loads on first use, so that ``import rayseg.tracking`` stays light.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from rayseg.tracking.access import Access, access_of, authorization
from rayseg.tracking.buffer import MlflowTracker, StoreLike
from rayseg.tracking.charts import confusion_picture, curves_picture
from rayseg.tracking.owner import owner_is_alive, owner_tags, source_tags
from rayseg.tracking.pictures import colorize, contact_sheet, default_palette, encode_png, panel, wrong_pixels
from rayseg.tracking.runs import StoredRun
from rayseg.tracking.shared_view import SweepView, view_text
from rayseg.tracking.sheet import legend, overlay, tiled
from rayseg.tracking.text import TextTracker, metrics_line, read_history
from rayseg.tracking.tracker import NullTracker, RunStatus, Tracker, TrackerGroup
from rayseg.tracking.ui import compare_url, curves_url, link_line, run_url, ui_command, view_url
from rayseg.tracking.uri import check_reachable, resolve_uri, sqlite_path, without_password
from rayseg.tracking.wandb import WandbTracker

if TYPE_CHECKING:
    from rayseg.tracking.mlflow import MlflowStore
    from rayseg.tracking.tensorboard import TensorBoardTracker

__all__ = [
    "Access",
    "MlflowStore",
    "MlflowTracker",
    "NullTracker",
    "RunStatus",
    "StoreLike",
    "StoredRun",
    "SweepView",
    "TensorBoardTracker",
    "TextTracker",
    "Tracker",
    "TrackerGroup",
    "WandbTracker",
    "access_of",
    "authorization",
    "check_reachable",
    "colorize",
    "compare_url",
    "confusion_picture",
    "contact_sheet",
    "curves_picture",
    "curves_url",
    "default_palette",
    "encode_png",
    "legend",
    "link_line",
    "metrics_line",
    "overlay",
    "owner_is_alive",
    "owner_tags",
    "panel",
    "read_history",
    "resolve_uri",
    "run_url",
    "source_tags",
    "sqlite_path",
    "tiled",
    "ui_command",
    "view_text",
    "view_url",
    "without_password",
    "wrong_pixels",
]


#: Loaded when they are asked for: importing what they need takes seconds.
_LAZY = {"MlflowStore": "rayseg.tracking.mlflow", "TensorBoardTracker": "rayseg.tracking.tensorboard"}


def __getattr__(name: str) -> Any:
    """Load a store or a tracker when it is asked for."""
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_LAZY[name]), name)
