"""Trials that share decoded samples: nothing is decoded twice, scores are the same, nothing stays."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

import rayseg
from rayseg.config import ExperimentConfig
from rayseg.data import SyntheticStreets, keeping_room
from rayseg.space import choice
from rayseg.types import Sample

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_cluster")]
Tiny = Callable[..., ExperimentConfig]


class Counted(SyntheticStreets):
    """Writes a line for each sample that is made."""

    def __init__(self, split: str, *, log: str, size: tuple[int, int]) -> None:
        super().__init__(split, length=4, size=size)
        self._split_name, self._log = split, Path(log)

    def __getitem__(self, index: int) -> Sample:
        with self._log.open("a", encoding="utf-8") as file:
            file.write(f"{self._split_name} {index}\n")
        return super().__getitem__(index)


def left_in_memory() -> set[str]:
    return {path.name for path in keeping_room()[0].glob("*rayseg-*")}


def run(tiny: Tiny, name: str, folder: Path, **own: object) -> tuple[ExperimentConfig, Path]:
    log = folder / f"{name}.txt"
    dataset = {"type": "tests.ray.test_kept:Counted", "log": str(log)}
    own = {"data.dataset": dataset, "train.steps": 6, "eval.every": {"steps": 3}, "tracking.pictures": 0, **own}
    return tiny(name, **own), log


def decoded(log: Path) -> Counter[str]:
    """Besides the first of each split, which is looked at whenever a data set is opened."""
    return Counter(line for line in log.read_text().splitlines() if not line.endswith(" 0"))


def test_no_trial_decodes_what_another_has_decoded(tiny: Tiny, tmp_path: Path) -> None:
    before = left_in_memory()
    tables = []
    for name, cache in (("kept-not", False), ("kept-auto", "auto")):
        config, log = run(tiny, name, tmp_path, **{"data.cache": cache})
        found = rayseg.sweep(config, {"optim.lr": choice([1e-2, 2e-2])}, searcher="grid", max_concurrent=1)
        tables.append([row["val/loss"] for row in found.table])
        log.rename(log.with_suffix(".log"))
    assert tables[0] == tables[1]
    without, once = (decoded(tmp_path / f"{name}.log") for name in ("kept-not", "kept-auto"))
    again = {**{f"train {index}": 17 for index in (1, 2, 3)}, **{f"val {index}": 5 for index in (1, 2, 3)}}
    assert without - once == Counter(again)  # 18 epochs and 6 evaluations; each image is decoded once
    assert left_in_memory() == before
