"""What a searcher is told of a trial that has ended, and which trials it hands out when its process was killed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import ray
from rayseg.engine.checkpoint import write_checkpoint
from rayseg.engine.history import History
from rayseg.engine.plan import Plan
from rayseg.errors import ConfigError
from rayseg.launch.breeding import Breeder
from rayseg.launch.ending import make_scheduler
from rayseg.launch.ledger import Ledger
from rayseg.launch.lineage import read_lineage
from rayseg.launch.population import Population, PopulationRules
from rayseg.launch.search import _trials
from rayseg.launch.searchers import AskedSearch
from rayseg.launch.trial import trial_directory
from rayseg.space import Asker, FlatSpace, Listed, OptunaAsker, log_uniform, uniform

pytestmark = pytest.mark.ray
TOTAL = 6


class _Told:
    """An asker that keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, int | None]] = []

    def ask(self) -> tuple[int, dict[str, Any]]:
        """Always the same."""
        return 0, {}

    def tell(self, number: int, scores: Any, *, step: int | None = None) -> None:  # noqa: ARG002
        """Keep it."""
        self.told.append((scores, step))


class _Begun:
    """What a scheduler wants of a trial."""

    trial_id = "tune calls it so"
    config = {"point": {"trial": "new"}}  # noqa: RUF012


def _search(directory: Path, then: Asker, *, metrics: tuple[str, ...] = ("val/mIoU",), num_trials: int = 9) -> AskedSearch:
    first, ledger = {"baseline": True}, Ledger(str(directory), "tune")
    search = AskedSearch(first, then, metrics, "max", TOTAL, ledger, range(num_trials))
    search.go_on()
    return search


def _point(search: AskedSearch, trial_id: str) -> dict[str, Any]:
    suggested = search.suggest(trial_id)
    assert isinstance(suggested, dict), suggested
    point: dict[str, Any] = suggested["point"]
    return point


def _own(directory: Path, point: dict[str, Any]) -> Path:
    return directory / f"{directory.name}-{point['trial']}"


@pytest.mark.parametrize(
    ("files", "step", "told"),
    [
        ({}, 6, ([0.5, 2.0], None)),
        ({}, 3, ([0.5, 4.0], 3)),
        ({"stopped.txt": "early_stopping"}, 3, ([0.5, 4.0], None)),
        ({"fault.txt": "DataError: the loss is not finite"}, 3, (None, 3)),
        ({"spans.jsonl": '{"began": 1}\n{"began": 5}\n{"ended": 9}\n'}, 6, (None, None)),  # its process died once
    ],
)
def test_an_end_is_told_as_the_table_has_it(tmp_path: Path, files: dict[str, str], step: int, told: Any) -> None:
    asker = _Told()
    search = _search(tmp_path, asker, metrics=("val/mIoU", "perf/step_s"))
    search.suggest("t0")
    place = _own(tmp_path, _point(search, "t1"))
    History(place / "metrics.jsonl").record(step, {"val/mIoU": 0.5})
    spans = "".join(f"{json.dumps(each)}\n" for each in ({"began": 1.0}, {"ended": 13.0}))
    for name, text in ({"spans.jsonl": spans} | files).items():
        (place / name).write_text(text)
    search.on_trial_complete("t0", {"val/mIoU": 0.9, "step": TOTAL})
    search.on_trial_complete("t1", {"val/mIoU": 0.5, "step": step, "time_total_s": 99.0})
    assert asker.told == [told]


def test_a_trial_that_was_begun_before_a_kill_goes_on_under_its_name_and_none_is_proposed_again(tmp_path: Path) -> None:
    """The driver dies between any two calls of Tune's; the searcher of the next process has what this one has given."""
    pytest.importorskip("optuna")

    def trained(kill: bool) -> list[dict[str, Any]]:
        place = tmp_path / f"killed-{kill}" / "ohem"
        place.mkdir(parents=True)
        given: dict[str, dict[str, Any]] = {}
        search = _search(place, OptunaAsker({"optim.lr": uniform(0.0, 1.0)}, ["max"], 0))
        for number in range(8):
            search = _search(place, OptunaAsker({"optim.lr": uniform(0.0, 1.0)}, ["max"], 0)) if kill else search
            point = _point(search, f"t{number}")
            if kill:  # before Tune has seen it; then once more, in the middle of its training
                assert point["trial"] not in given
                search = _search(place, OptunaAsker({"optim.lr": uniform(0.0, 1.0)}, ["max"], 0))
                assert _point(search, f"again{number}") == point
            History(_own(place, point) / "metrics.jsonl").record(TOTAL, {"val/mIoU": point.get("optim.lr", 0.5)})
            given[point["trial"]] = point
            search.on_trial_complete(f"again{number}" if kill else f"t{number}")
        return list(given.values())

    whole = trained(kill=False)
    assert trained(kill=True) == whole
    assert [each["trial"] for each in whole] == ["baseline", *(f"8ea03_{number:05d}" for number in range(1, 8))]
    assert len({each.get("optim.lr") for each in whole}) == 8


def test_an_end_that_was_written_before_a_kill_is_told_to_the_searcher_after_it(tmp_path: Path) -> None:
    search = _search(tmp_path, _Told(), num_trials=2)
    points = [_point(search, trial_id) for trial_id in ("t0", "t1")]
    for point in points:
        History(_own(tmp_path, point) / "metrics.jsonl").record(TOTAL, {"val/mIoU": 0.5})
        Ledger(str(tmp_path), "tune").end(point["trial"])
    again = _search(tmp_path, _Told(), num_trials=2)
    assert again.over
    assert again.suggest("t2") == again.FINISHED
    assert again._then.told == [([0.5], None)]  # type: ignore[attr-defined]


def test_checkpoints_that_tune_would_write_over_are_in_the_directory_of_a_trial_that_goes_on(tmp_path: Path) -> None:
    point = _point(_search(tmp_path, Listed([])), "t0")
    ledger = Ledger(str(tmp_path), "tune")
    History(_own(tmp_path, point) / "metrics.jsonl").record(6, {"val/mIoU": 0.5})
    (_own(tmp_path, point) / "fault.txt").write_text("CheckpointError: the disk is full")  # and then its driver was killed
    for number, step in enumerate((3, 6, 9)):
        write_checkpoint(ledger.place("baseline") / f"checkpoint_{number:06d}", {}, {"config.yaml": ""}, step=step)
    (ledger.place("baseline") / "checkpoint_000002" / "manifest.json").unlink()
    assert _point(_search(tmp_path, Listed([])), "t1") == point
    assert not list(ledger.place("baseline").glob("checkpoint_*"))
    own = _own(tmp_path, point) / "checkpoints"
    assert sorted(each.name for each in own.iterdir()) == ["step_00000003", "step_00000006"]
    assert _trials(ledger)[0].checkpoint == own / "step_00000006"
    assert _trials(ledger)[0].fault is None, "which may have been mended: it is seen again otherwise"


def test_a_search_that_was_moved_when_it_had_ended_grows_where_it_lies_now(tmp_path: Path) -> None:
    """The searcher, the scheduler and the table look into no directory that was."""
    pytest.importorskip("optuna")
    was, now = tmp_path / "was" / "ohem", tmp_path / "now" / "ohem"
    was.mkdir(parents=True)
    space: FlatSpace = {"optim.lr": uniform(0.0, 1.0)}
    search = _search(was, OptunaAsker(space, ["max"], 0), num_trials=5)
    for number in range(4):
        point = _point(search, f"t{number}")
        for step in (1, 2, 3):
            History(_own(was, point) / "metrics.jsonl").record(step, {"val/mIoU": 0.5})
        if number < 3:  # the last one's end was not written any more
            search.on_trial_complete(f"t{number}")
    was.parent.rename(now.parent)
    told = _Told()
    again = _search(now, told, num_trials=5)
    assert _point(again, "t3") == point
    again._then = told
    again.on_trial_complete("t3")
    assert told.told == [([0.5], 3)]
    assert {each.directory for each in _trials(again._ledger)} == {_own(now, each) for each in again._given.values()}
    for scheduler in ("asha", "median"):
        judge: Any = make_scheduler(scheduler, Plan(total_steps=9, eval_every=1), None, str(now))
        judge.set_search_properties("val/mIoU", "max")
        new = _Begun()
        judge.on_trial_add(None, new)
        assert any(judge.on_trial_result(None, new, {"step": step, "val/mIoU": 0.1}) == "STOP" for step in (1, 2, 3))


@pytest.mark.parametrize("word", ["none", "torn", "whole"])
def test_a_trial_whose_process_died_for_good_has_failed_whatever_tune_left_of_it(tmp_path: Path, word: str) -> None:
    search, ledger = _search(tmp_path, Listed([])), Ledger(str(tmp_path), "tune")
    History(_own(tmp_path, _point(search, "t0")) / "metrics.jsonl").record(3, {"val/mIoU": 0.9})
    ledger.place("baseline").mkdir(parents=True)
    text = ray.cloudpickle.dumps(RuntimeError("out of memory"))
    if word != "none":
        (ledger.place("baseline") / "error.pkl").write_bytes(text if word == "whole" else text[:9])
    search.on_trial_complete("t0", error=True)
    (died,) = _trials(ledger)
    assert died.fault == ("RuntimeError: out of memory" if word == "whole" else "its process died, and left no word")
    assert _search(tmp_path, Listed([]), num_trials=1).over, "it is not run again"
    more = AskedSearch(None, Listed([]), ("val/mIoU",), "max", TOTAL, ledger, range(1))
    more.go_on(failed_too=True)
    assert _point(more, "t1") == died.point, "but in a confirmation"
    assert _trials(ledger)[0].fault is None


def test_trials_of_an_earlier_version_are_not_run_again_in_silence(tmp_path: Path) -> None:
    (tmp_path / "tune").mkdir()
    (tmp_path / "tune" / "tuner.pkl").touch()
    with pytest.raises(ConfigError, match=r"tracking.name: .* of an earlier version .*; choose another name"):
        Ledger(str(tmp_path), "tune")


def test_a_population_whose_driver_is_killed_at_every_call_is_the_same_population(tmp_path: Path) -> None:
    """Once before Tune has seen a segment, once when the end of one is written and what it means is not."""
    rules = PopulationRules("pbt", 3, 3, TOTAL, 0.5, 0.0, "max", 0)
    space: FlatSpace = {"optim.lr": log_uniform(0.1, 10.0)}

    def bred(kill: bool) -> list[dict[str, Any]]:
        place = tmp_path / f"killed-{kill}" / "bred"
        place.mkdir(parents=True)
        ledger = Ledger(str(place), "tune")

        def begun() -> Breeder:
            population = Population(rules, space, [{"optim.lr": 1.0}, {"optim.lr": 2.0}])
            breeder = Breeder(population, {"baseline": True}, ledger, "val/mIoU", grouped=False)
            breeder.go_on()
            return breeder

        breeder = begun()
        for number in range(5):
            suggested: Any = breeder.suggest(f"t{number}")
            if kill:
                breeder = begun()
                assert breeder.suggest(f"t{number}") == suggested
            point = suggested["point"]
            until = point["segment"]["until"] if "segment" in point else TOTAL
            History(trial_directory(place, point) / "metrics.jsonl").record(until, {"val/mIoU": point.get("optim.lr", 0.0)})
            write_checkpoint(ledger.place(point["trial"]) / "checkpoint_000000", {}, {"config.yaml": ""}, step=until)
            if kill and "segment" in point:
                ledger.end(point["trial"])
                breeder = begun()
                assert breeder.suggest(f"t{number}") == suggested
            breeder.on_trial_complete(f"t{number}")
        assert begun().over
        ended = _trials(ledger)
        assert [each.checkpoint is not None and not each.unfinished for each in ended] == [True] * 5
        return read_lineage(place)

    whole = bred(kill=False)
    assert bred(kill=True) == whole
    assert [(each["run"], each["donor"], each["trial"]) for each in whole] == [
        ("m1", None, "m1-part0"),
        ("m2", None, "m2-part0"),
        ("m1-3", "m2", "m1-3-part1"),
        ("m2", None, "m2-part1"),
    ]
