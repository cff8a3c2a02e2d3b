from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from rayseg.tracking import resolve_uri

if TYPE_CHECKING:
    from rayseg.tracking import MlflowStore


@pytest.fixture(scope="session")
def store_uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    """One SQLite store for all tests: making its schema takes seconds."""
    return resolve_uri(f"sqlite:///{tmp_path_factory.mktemp('store')}/mlflow.db", "unused")


@pytest.fixture
def store(store_uri: str, request: pytest.FixtureRequest) -> MlflowStore:
    """A store with an experiment of its own."""
    from rayseg.tracking import MlflowStore

    return MlflowStore(store_uri, request.node.name)
