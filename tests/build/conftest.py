"""What the tests of the builder share."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Label counts are kept with the test, not with the user."""
    monkeypatch.setenv("RAYSEG_CACHE", str(tmp_path / "cache"))
