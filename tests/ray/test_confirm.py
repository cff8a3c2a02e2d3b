"""A sweep that is confirmed: which runs are trained, what is concluded, what is kept."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

import rayseg
from rayseg.config import ExperimentConfig
from rayseg.errors import ConfigError, RaysegError
from rayseg.launch import Confirmation, SweepResult
from rayseg.space import Space, choice

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_cluster")]
Tiny = Callable[..., ExperimentConfig]
SPACE: Space = {"hooks.told.kind": choice(["gain", "same", "noise", "fails"])}
RULES: dict[str, Any] = {"top": 3, "seeds": 2, "max_seeds": 3, "smallest": 0.02}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("told")


@pytest.fixture(scope="module")
def base(tiny: Tiny, folder: Path) -> ExperimentConfig:
    told = {"type": "tests.ray.parts:Told", "folder": str(folder)}
    return tiny(
        "belief",
        **{
            "hooks.told": told,
            "train.steps": 2,
            "eval.every": 2,
            "scaling": {"max_failures": 0, "cpus_per_worker": 2, "gpu": False},
            "tracking.pictures": 0,
        },
    )


@pytest.fixture(scope="module")
def found(ray_cluster: None, base: ExperimentConfig) -> SweepResult:
    """A search, then a confirmation of which a process dies, then the same call again."""
    asked: dict[str, Any] = {"searcher": "grid", "scheduler": None, "max_concurrent": 1, "confirm": RULES}
    with pytest.raises(RaysegError, match=r"1 of 8 runs died \(confirm-.*-seed1: .*call it again, and they go on"):
        rayseg.sweep(base, SPACE, **asked)
    return rayseg.sweep(base, SPACE, **asked)


@pytest.fixture(scope="module")
def told(found: SweepResult) -> Confirmation:
    assert found.confirmation is not None
    return found.confirmation


def _kinds(found: SweepResult) -> dict[str, str]:
    return {row["trial"]: row["hooks.told.kind"] for row in found.table if row["trial"] != "baseline"}


def test_verdicts_come_from_seeds_that_the_search_has_not_seen(found: SweepResult, told: Confirmation) -> None:
    kinds = _kinds(found)
    by_kind = {kinds[each.name]: each for each in told.candidates}
    assert {kind: each.verdict for kind, each in by_kind.items()} == {
        "fails": "failed",
        "gain": "better",
        "noise": "not distinguishable",
    }
    assert [kinds[each.name] for each in told.candidates] == ["fails", "gain", "noise"]
    assert by_kind["fails"].fault == "seed 2: DataError: images/7.png: cannot be read; restore it"
    gain, noise = by_kind["gain"].difference, by_kind["noise"].difference
    assert gain is not None
    assert noise is not None
    assert (gain.pairs, noise.pairs) == (2, 3)
    assert [gain.mean, noise.mean] == pytest.approx([0.10005, -0.01 / 3])
    assert {(row["recipe"] == "baseline", row["seed"]) for row in told.runs} == {
        (is_baseline, seed) for is_baseline in (True, False) for seed in (1, 2, 3)
    }


def test_no_run_is_trained_twice_but_the_one_that_died(found: SweepResult, folder: Path) -> None:
    starts = Counter(tuple(path.name.split("-")[:2]) for path in folder.iterdir())
    assert {name: count for name, count in starts.items() if count != 1} == {("gain", "1"): 2, ("same", "0"): 2}
    seeds = {kind: sorted(int(seed) for own, seed in starts if own == kind) for kind in ("same", "gain", "noise", "fails")}
    assert seeds == {"same": [0, 1, 2, 3], "gain": [0, 1, 2], "noise": [0, 1, 2, 3], "fails": [0, 1, 2]}


def test_pairs_begin_alike(told: Confirmation) -> None:
    """Told's scores say nothing of the networks: their losses do, and without a difference in recipe they are the same."""
    rows = {(row["recipe"], row["seed"]): row for row in told.runs if row["fault"] is None}
    for (recipe, seed), row in rows.items():
        assert row["val/loss"] == rows["baseline", seed]["val/loss"], (recipe, seed)
    assert len({row["val/loss"] for row in rows.values()}) == 3


def test_the_test_split_is_scored_once_for_every_run_that_counts(found: SweepResult, told: Confirmation) -> None:
    images = sorted(path.name for path in (told.directory / "images").iterdir())
    assert len(images) == 2 * (3 + 2 + 3)
    kinds = _kinds(found)
    tested = [row["recipe"] for row in told.runs if row.get("test/mIoU") is not None]
    assert Counter(kinds.get(name, name) for name in tested) == {"baseline": 3, "gain": 2, "noise": 3}
    with np.load(told.directory / "images" / images[0]) as file:
        assert file["counts"].shape == (10, 3, len(file["class_names"]))
    better = next(each for each in told.candidates if each.verdict == "better")
    assert better.test is not None
    assert [better.test.mean, better.images["test"]["mIoU"].mean] == pytest.approx([0.0, 0.0])


def test_what_stands_runs_as_it_is_and_is_what_the_search_did_not_choose(found: SweepResult, told: Confirmation) -> None:
    kinds = _kinds(found)
    assert (kinds[found.best_name], kinds[told.standing]) == ("fails", "gain")
    stands = rayseg.load_config(found.directory / "confirmed.yaml")
    assert stands == told.config
    assert stands.hooks["told"].kwargs["kind"] == "gain"


def test_the_page_is_made_again_from_the_files(found: SweepResult, told: Confirmation) -> None:
    page = found.directory / "report.html"
    before = page.read_text(encoding="utf-8")
    page.unlink()
    assert rayseg.launch.report(found.directory) == page
    assert page.read_text(encoding="utf-8") == before
    assert f"Confirmed: {told.standing} is better" in before


def test_runs_are_children_of_the_sweep_and_verdicts_are_on_it(found: SweepResult, told: Confirmation, mlflow: Any) -> None:
    parent = mlflow.get_run(found.run_id)
    assert parent.info.status == "FINISHED"
    assert parent.data.tags["rayseg.confirmed"] == told.standing
    assert parent.data.metrics[f"confirm/{told.standing}/difference"] == pytest.approx(0.10005)
    assert {"confirmed.yaml", "confirm", "report.html"} <= {each.path for each in mlflow.list_artifacts(found.run_id)}
    runs = mlflow.search_runs([parent.info.experiment_id], f"tags.`mlflow.parentRunId` = '{found.run_id}'")
    confirmed = [run for run in runs if run.data.tags["rayseg.kind"] == "confirm"]
    assert Counter(run.info.status for run in confirmed) == {"FINISHED": 9, "FAILED": 1}
    assert Counter(run.data.tags["rayseg.seed"] for run in confirmed) == {"1": 4, "2": 4, "3": 2}
    assert len(runs) - len(confirmed) == len(found.table)


def test_a_confirmation_that_has_ended_returns_its_result(
    found: SweepResult, told: Confirmation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rayseg.launch.confirming.connect", lambda: pytest.fail("Ray was asked"))
    (found.directory / "report.html").write_text("as a search that went on leaves it: not confirmed")
    again = rayseg.confirm(found.directory, **RULES)
    assert (str(again), again.candidates, again.config) == (str(told), told.candidates, told.config)
    assert (told.directory / "confirmation.txt").read_text() == f"{told}\n"
    assert json.loads((told.directory / "confirmation.json").read_text())["standing"] == told.standing
    assert f"Confirmed: {told.standing} is better than the baseline" in (found.directory / "report.html").read_text()
    assert pq.read_table(told.directory / "runs.parquet").num_rows == 10


def test_code_that_changed_between_its_runs_is_told(found: SweepResult, told: Confirmation) -> None:
    path = told.directory / "provenance.json"
    one = path.read_text()
    assert not told.changed
    try:
        path.write_text(json.dumps(json.loads(one) * 2))
        assert "CAUTION: code, packages or data changed" in str(rayseg.confirm(found.directory, **RULES))
    finally:
        path.write_text(one)


def test_to_ask_until_the_answer_pleases_is_refused(found: SweepResult) -> None:
    with pytest.raises(ConfigError, match=r"begun with max_seeds 3, now 9; put it back, or remove"):
        rayseg.confirm(found.directory, **{**RULES, "max_seeds": 9})


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"confirm": {"tops": 1}}, r"confirm.tops: unknown; it knows top, seeds, max_seeds, smallest"),
        ({"confirm": {"top": 0, "smallest": -1.0}}, r"2 problems in sweep\n.*confirm.top: got 0.*\n.*confirm.smallest: got -1"),
        ({"confirm": {"seeds": 6, "max_seeds": 5}}, r"confirm.max_seeds: got 5; give a whole number, at least 6"),
        ({"confirm": {"seeds": 1}}, r"confirm.seeds: got 1; give a whole number, at least 2"),
        ({"confirm": {}, "metric": "train/loss"}, r"metric: .*validation split, got 'train/loss'"),
    ],
)
def test_bad_numbers_are_refused_before_ray_is_asked(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch, more: dict[str, Any], told: str
) -> None:
    monkeypatch.setattr("rayseg.launch.searching.connect", lambda: pytest.fail("Ray was asked"))
    with pytest.raises(ConfigError, match=told):
        rayseg.sweep(tiny("numbers"), {"optim.lr": choice([1e-2])}, **more)


def test_a_test_split_that_cannot_be_opened_is_refused_before_the_search(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rayseg.launch.searching.connect", lambda: pytest.fail("Ray was asked"))
    base = tiny("no-test", **{"data.test_split": "testing"})
    with pytest.raises(ConfigError, match=r"data.test_split: .*set data.test_split to null to confirm without one"):
        rayseg.sweep(base, {"optim.lr": choice([1e-2])}, confirm={})


def test_what_is_no_sweep_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"is no sweep; name its directory"):
        rayseg.confirm(tmp_path)
