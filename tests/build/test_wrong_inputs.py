"""Every fault gets one clear error: where, what was got, what was expected, what to do."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from rayseg.engine import LocalReporter, fit
from rayseg.engine.history import History
from rayseg.errors import CheckpointError, ConfigError, RaysegError
from rayseg.load import load_config
from tests.build.faults import ALL
from tests.build.small import built, checked
from tests.build.wrong import Wrong


def _start(error: type[RaysegError], overrides: dict[str, Any], directory: Path) -> None:
    experiment = checked(overrides, directory)
    assert error is not ConfigError, "a wrong config must not reach the loop"
    fit(experiment.fit)


@pytest.mark.parametrize("wrong", ALL, ids=[wrong.name for wrong in ALL])
def test_a_fault_gets_one_error_that_says_where_what_and_what_to_do(wrong: Wrong, tmp_path: Path) -> None:
    overrides = wrong.overrides(tmp_path) if callable(wrong.overrides) else wrong.overrides
    with pytest.raises(RaysegError) as caught:
        _start(wrong.error, overrides, tmp_path)
    assert type(caught.value) is wrong.error
    if isinstance(caught.value, ConfigError):
        assert [problem.path for problem in caught.value.problems] == [wrong.path], str(caught.value)
    for part in wrong.says:
        assert part in str(caught.value)


def test_there_are_forty_and_each_is_told_apart() -> None:
    assert len(ALL) >= 40
    assert len({wrong.name for wrong in ALL}) == len(ALL)


def test_a_config_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=re.escape(str(tmp_path / "camvid.yaml"))) as caught:
        load_config(tmp_path / "camvid.yaml")
    assert len(caught.value.problems) == 1


def test_scores_that_cannot_be_written_are_told_as_such(tmp_path: Path) -> None:
    (tmp_path / "full").write_text("not a directory")
    with pytest.raises(CheckpointError, match=r"cannot write the scores.*change tracking.storage"):
        History(tmp_path / "full" / "run" / "metrics.jsonl").record(1, {"val/mIoU": 0.5})


def test_storage_that_fails_during_a_run_is_named(tmp_path: Path) -> None:
    (tmp_path / "full").write_text("not a directory")
    experiment = built()
    experiment.fit.reporter = LocalReporter(tmp_path / "full" / "run")
    with pytest.raises(CheckpointError, match=r"cannot write (a checkpoint|the scores).*change tracking.storage"):
        fit(experiment.fit)
