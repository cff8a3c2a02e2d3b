"""What is imported, and how."""

from __future__ import annotations

import gc

import pytest

from rayseg.imports import importing


def fail() -> None:
    """As an import does."""
    with importing(), importing():
        assert not gc.isenabled()
        raise ModuleNotFoundError


@pytest.mark.parametrize("collects", [True, False])
def test_no_garbage_is_looked_for_while_something_is_imported_and_then_as_before(collects: bool) -> None:
    before = gc.isenabled()
    (gc.enable if collects else gc.disable)()
    try:
        with pytest.raises(ModuleNotFoundError):
            fail()
        assert gc.isenabled() == collects
    finally:
        (gc.enable if before else gc.disable)()
