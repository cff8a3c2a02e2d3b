"""What MLflow is told of a run."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from rayseg.config import ExperimentConfig
from rayseg.launch.records import open_record
from rayseg.tracking.owner import source_tags


class Noting:
    """A store that remembers how a run was started."""

    def __init__(self) -> None:
        self.params: dict[str, Any] = {}
        self.owner: dict[str, str] = {}

    def start_run(self, _: str, *, params: dict[str, Any], owner: dict[str, str], **_others: Any) -> str:
        self.params, self.owner = params, owner
        return "run7"

    def log_artifact(self, run_id: str, path: str, data: bytes) -> None:
        """Nothing."""


def test_searched_values_stand_before_all_others_and_are_not_made_up(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("")
    config = ExperimentConfig().with_({"losses.dice": {"type": "dice"}, "optim.lr": 0.02})
    store, searched = Noting(), ["optim.lr", "losses.dice", "sampling.thresh"]
    assert open_record(store, config, tmp_path, searched=searched) == "run7"  # type: ignore[arg-type]
    first = {"Searched/lr": 0.02, "Searched/dice": "dice"}  # there is no sampling
    assert dict(list(store.params.items())[:2]) == first
    assert sorted(store.params)[:2] == sorted(first)  # MLflow sorts them
    assert store.params["optim.lr"] == 0.02
    assert store.owner.items() >= source_tags(sys.argv).items()
