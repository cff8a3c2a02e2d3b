"""What a search left, read again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rayseg.config import ExperimentConfig, write_yaml
from rayseg.engine.history import History
from rayseg.errors import ConfigError
from rayseg.launch import report
from rayseg.launch.summary import read_summary


def test_a_search_that_an_earlier_version_ended_is_read(tmp_path: Path) -> None:
    write_yaml(ExperimentConfig(), tmp_path / "best.yaml")
    kept = {"best_metrics": {"val/mIoU": 0.4}, "best_step": 9, "best_name": "baseline", "run_id": None}
    kept |= {"table": [{"trial": "baseline", "directory": "/elsewhere/old/old-baseline"}]}
    (tmp_path / "summary.json").write_text(json.dumps({**kept, "seconds": 1.0, "metric": "val/mIoU", "searched": ["optim.lr"]}))
    History(tmp_path / "old-baseline" / "metrics.jsonl").record(9, {"val/mIoU": 0.4})
    found = read_summary(tmp_path)
    assert found is not None
    assert (found.searched, found.others, found.use) == (("optim.lr",), (), None)
    assert found.table[0]["directory"] == str(tmp_path / "old-baseline"), "it was moved"
    assert found.curves() == {"baseline": [(9, {"val/mIoU": 0.4})]}


def test_a_page_is_made_of_a_search_that_has_ended_only(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is no sweep; name its directory"):
        report(tmp_path)
    (tmp_path / "sweep.json").write_text("{}")
    with pytest.raises(ConfigError, match="was not ended; call it again first"):
        report(tmp_path)
