"""What a search left, read again."""

from __future__ import annotations

import json
from pathlib import Path

from rayseg.config import ExperimentConfig, write_yaml
from rayseg.launch.summary import read_summary


def test_a_search_that_an_earlier_version_ended_is_read(tmp_path: Path) -> None:
    write_yaml(ExperimentConfig(), tmp_path / "best.yaml")
    kept = {"best_metrics": {"val/mIoU": 0.4}, "best_step": 9, "best_name": "baseline", "table": [], "run_id": None}
    (tmp_path / "summary.json").write_text(json.dumps({**kept, "seconds": 1.0, "metric": "val/mIoU", "searched": ["optim.lr"]}))
    found = read_summary(tmp_path)
    assert found is not None
    assert (found.searched, found.others, found.use) == (("optim.lr",), (), None)
