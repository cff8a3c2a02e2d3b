"""The page of a search's trials side by side is a convenience: a store that refuses it costs no search."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from rayseg.errors import TrackingError
from rayseg.launch.searching import _share_view
from rayseg.space import choice

pytestmark = pytest.mark.ray


def test_a_store_that_refuses_the_page_is_told_of_and_the_search_goes_on() -> None:
    said: list[str] = []

    def refuse(_view: Any) -> str:
        raise TrackingError("experiment streets at http://tracker: cannot keep the view (PERMISSION_DENIED)")

    request: Any = SimpleNamespace(space={"optim.lr": choice([0.1])}, name="ohem", metric="val/mIoU", mode="max")
    records: Any = SimpleNamespace(share_view=refuse)
    terminal: Any = SimpleNamespace(say=said.append)
    assert _share_view(records, "4f2a", request, None, terminal) is None
    assert len(said) == 1
    assert "PERMISSION_DENIED" in said[0]
