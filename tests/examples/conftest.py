"""What examples and experiments share."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session")
def ray_cpus() -> int:
    """Two trials at a time: a third process takes longer to start than all the trials of a smoke test to run."""
    return 2
