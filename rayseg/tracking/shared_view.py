"""How MLflow's page of runs shows a search: its trials by score, parallel coordinates of what was searched, bars by class.

MLflow keeps named views of that page as tags of the experiment; its menu *Views* lists them, and an address opens one. A view
is JSON, deflated and in base64, as the pages of MLflow 3.17 write it. Pages that do not know it show all runs, as they are.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from rayseg.tracking.naming import clean_names

__all__ = ["VIEW_TAG", "SweepView", "view_text"]

#: Before the key of a view, in the name of its tag.
VIEW_TAG = "mlflow.sharedViewState."
#: Of a tag of an experiment.
_MAX_CHARS = 5000
#: Classes with a bar chart, as long as the tag is not too long; all have a curve.
_CLASSES = (24, 8, 0)
_PREFIX = "val/IoU/"


@dataclass(frozen=True)
class SweepView:
    """What a view of a search shows.

    Args:
        name: in the menu.
        parent_run_id: of the search; its trials are shown.
        metric: to sort by, and on the last axis of the parallel coordinates.
        mode: whether more or less of it is better.
        others: further objectives, on axes of their own, and each against the metric.
        params: names of parameters, one axis each.
        metrics: of the trials, as far as they are known; those of classes get bars.
    """

    name: str
    parent_run_id: str
    metric: str
    mode: Literal["max", "min"]
    others: Sequence[str] = ()
    params: Sequence[str] = ()
    metrics: Sequence[str] = ()

    def state(self, most_classes: int) -> dict[str, Any]:
        """The page, in MLflow's words; a section that has the name of metrics gets their curves, too.

        Args:
            most_classes: that have bars.

        Example:
            >>> view = SweepView("ohem", "4f2a", "val/mIoU", "max", params=["Searched/lr"], metrics=["val/IoU/sky"])
            >>> [chart["type"] for chart in view.state(24)["compareRunCharts"]]
            ['PARALLEL', 'BAR', 'LINE', 'BAR']
        """
        classes = [name for name in clean_names(self.metrics).values() if name.startswith(_PREFIX)][:most_classes]
        (metric, *others), params = clean_names([self.metric, *self.others]).values(), list(clean_names(self.params).values())
        charts = [
            _chart("PARALLEL", "recipes", 100, selectedParams=params, selectedMetrics=[*others, metric], showAllRuns=True),
            _chart("BAR", "recipes", 20, metricKey=metric),
            *(_chart("SCATTER", "recipes", 100, xaxis=_axis(other), yaxis=_axis(metric)) for other in others),
            _chart("LINE", "val", 20, metricKey=metric, **_LINE),
            *(_chart("BAR", "val/IoU", 20, metricKey=name) for name in classes),
        ]
        columns = [f"metrics.`{name}`" for name in (metric, *others)] + [f"params.`{name}`" for name in params]
        return {
            "searchFilter": f"tags.`mlflow.parentRunId` = '{self.parent_run_id}' and tags.`rayseg.kind` = 'trial'",
            "orderByKey": f"metrics.`{metric}`",
            "orderByAsc": self.mode == "min",
            "selectedColumns": [*columns, "tags.`rayseg.ended`"],
            "runsHiddenMode": "SHOW_ALL",
            "compareRunCharts": [{**chart, "uuid": f"rayseg-{index}"} for index, chart in enumerate(charts)],
            "compareRunSections": [_section(*each) for each in (("recipes", 2, 400), ("val", 3, 320), ("val/IoU", 3, 320))],
            "isAccordionReordered": True,
        }


def view_text(view: SweepView, made_ms: int) -> str | None:
    """A view as the value of its tag, without axes where it has too many of them; None where even that is too long.

    Args:
        view: to be kept.
        made_ms: now, milliseconds since 1970.

    Example:
        >>> text = view_text(SweepView("ohem", "4f2a", "val/mIoU", "max"), 0)
        >>> json.loads(text)["name"], json.loads(text)["state"][:8]
        ('ohem', 'deflate;')
    """
    for shown in (view, replace(view, params=())):
        for most_classes in _CLASSES:
            plain = json.dumps(shown.state(most_classes), separators=(",", ":")).encode()
            packed = f"deflate;{base64.b64encode(zlib.compress(plain, 9)).decode()}"
            text = json.dumps({"name": view.name, "createdAt": made_ms, "updatedAt": made_ms, "state": packed})
            if len(text) <= _MAX_CHARS:
                return text
    return None


_LINE = {
    "xAxisKey": "step",
    "xAxisScaleType": "linear",
    "scaleType": "linear",
    "yAxisKey": "metric",
    "yAxisExpressions": [],
    "range": {},
    "lineSmoothness": 0,
    "useGlobalXaxisKey": True,
    "useGlobalLineSmoothing": True,
}


def _chart(kind: str, section: str, most_runs: int, **own: Any) -> dict[str, Any]:
    """One that MLflow does not replace when it finds new metrics."""
    return {
        "type": kind,
        "metricSectionId": section,
        "runsCountToCompare": most_runs,
        "deleted": False,
        "isGenerated": False,
        **own,
    }


def _axis(metric: str) -> dict[str, str]:
    return {"key": metric, "type": "METRIC"}


def _section(name: str, columns: int, height_px: int) -> dict[str, Any]:
    return {
        "uuid": name,
        "name": name,
        "columns": columns,
        "cardHeight": height_px,
        "display": True,
        "deleted": False,
        "isReordered": True,
        "isGenerated": False,
    }
