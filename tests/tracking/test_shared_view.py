"""How MLflow's page of runs shows a search: what is in the tag that MLflow reads."""

from __future__ import annotations

import base64
import json
import zlib
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from rayseg.tracking import SweepView, view_text, view_url

NAMES = st.lists(
    st.text(st.characters(codec="utf-8", categories=["L", "N"]), min_size=1, max_size=24), max_size=60, unique=True
)


def state_of(text: str) -> dict[str, Any]:
    """As MLflow's pages read it."""
    kept = json.loads(text)["state"]
    assert kept.startswith("deflate;")
    state: dict[str, Any] = json.loads(zlib.decompress(base64.b64decode(kept.removeprefix("deflate;"))))
    return state


@settings(max_examples=15, deadline=None)
@given(NAMES, NAMES)
def test_a_view_fits_into_a_tag_without_axes_where_there_are_too_many(classes: list[str], keys: list[str]) -> None:
    view = SweepView(
        "any", "4f2a", "val/mIoU", "max", (), [f"Searched/{key}" for key in keys], [f"val/IoU/{name}" for name in classes]
    )
    text = view_text(view, 7)
    assert text is not None
    assert len(text) <= 5000
    state = state_of(text)
    assert {chart["metricSectionId"] for chart in state["compareRunCharts"]} <= {
        each["uuid"] for each in state["compareRunSections"]
    }
    assert len({chart["uuid"] for chart in state["compareRunCharts"]}) == len(state["compareRunCharts"])
    axes = state["compareRunCharts"][0]["selectedParams"]
    assert axes == [f"Searched/{key}" for key in keys] or (axes == [] and len(keys) > 20)
    bars = [chart["metricKey"] for chart in state["compareRunCharts"] if chart["type"] == "BAR"][1:]
    assert bars == [f"val/IoU/{name}" for name in classes][: len(bars)]


def test_trials_of_the_search_come_in_the_order_of_their_scores() -> None:
    view = SweepView("ohem", "4f2a", "val/loss", "min", ["val/mIoU"], ["Searched/lr"])
    text = view_text(view, 7)
    assert text is not None
    assert json.loads(text) | {"state": ""} == {"name": "ohem", "createdAt": 7, "updatedAt": 7, "state": ""}
    state = state_of(text)
    assert (state["orderByKey"], state["orderByAsc"]) == ("metrics.`val/loss`", True)
    assert state["searchFilter"] == "tags.`mlflow.parentRunId` = '4f2a' and tags.`rayseg.kind` = 'trial'"
    assert state["compareRunCharts"][0]["selectedMetrics"] == ["val/mIoU", "val/loss"]
    (scatter,) = [chart for chart in state["compareRunCharts"] if chart["type"] == "SCATTER"]
    assert (scatter["xaxis"]["key"], scatter["yaxis"]["key"]) == ("val/mIoU", "val/loss")
    assert state["selectedColumns"][:3] == ["metrics.`val/loss`", "metrics.`val/mIoU`", "params.`Searched/lr`"]


def test_metrics_and_parameters_are_called_as_mlflow_calls_them() -> None:
    text = view_text(SweepView("ohem", "4f2a", "val/IoU/a & b", "max", (), ["Searched/x+"], ["val/IoU/c & d"]), 7)
    assert text is not None
    parallel, first, _, second = state_of(text)["compareRunCharts"]
    assert (parallel["selectedParams"], first["metricKey"]) == (["Searched/x_"], "val/IoU/a _ b")
    assert second["metricKey"] == "val/IoU/c _ d"


def test_an_address_of_a_view_has_no_password_and_a_database_is_served_here() -> None:
    asked = "/#/experiments/2/runs?viewStateShareKey=4f2a&"
    assert view_url("https://me:secret@tracker/", "2", "4f2a").startswith(f"https://me:***@tracker{asked}")
    assert view_url("sqlite:////data/mlflow.db", "2", "4f2a").startswith(f"http://127.0.0.1:5000{asked}")
