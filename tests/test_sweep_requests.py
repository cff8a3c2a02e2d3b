"""What a search refuses before it starts: words and numbers that nothing reads, and a baseline of another length."""

from __future__ import annotations

import importlib
import json
import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from torch import Tensor, nn

import rayseg
from rayseg.errors import ConfigError, TrackingError
from rayseg.launch.alone import alone
from rayseg.launch.budget import Budget
from rayseg.launch.confirmation import ConfirmRequest, _same_confirmation
from rayseg.launch.recipes import Recipe
from rayseg.launch.request import SweepRequest, preflight
from rayseg.launch.run import prepare_directory
from rayseg.launch.same import as_many_as_before, same_search
from rayseg.launch.summary import has_ended
from rayseg.launch.sweeping import _as_many_as_there_are
from rayseg.space import Rule, choice, log_uniform, ohem, require, uniform, when
from rayseg.testing import tiny_experiment

#: What no type checker allows, and people write.
POINT_ONE: Any = 0.1
TWO_HOURS: Any = "2h"


def _request(storage: Path, **changed: Any) -> SweepRequest:
    base = tiny_experiment(**{"tracking.storage": str(storage), "tracking.name": "asked"})
    request = SweepRequest(
        base, {"optim.lr": log_uniform(1e-4, 1e-2)}, "val/mIoU", "max", 2, "random", "asha", {}, None, None, {}
    )
    return replace(request, **changed)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"searcher": "tpe"}, "searcher: got 'tpe'; expected one of random, grid, optuna, gp"),
        ({"scheduler": "hyperband"}, "scheduler: got 'hyperband'; expected one of asha, median, pbt, pb2, None"),
        ({"scheduler": None, "grace_steps": 3}, "grace_steps: has no meaning without a scheduler"),
        ({"grace_steps": -3}, "grace_steps: got -3; a run has 6 steps"),
        ({"scheduler": "median", "grace_steps": 6}, "grace_steps: got 6; .*give 1 to 5"),
        ({"num_samples": 2.5}, "num_samples: got 2.5; give a whole number"),
        ({"num_samples": True}, "num_samples: got True; give a whole number"),
        ({"max_concurrent": 1.5}, "max_concurrent: got 1.5; give a whole number, at least 1, or None"),
        ({"space": {"optim.lr": [1e-3, 1e-2]}}, r"optim.lr: got \[0.001, 0.01\]; give what is tried, such as choice"),
        ({"space": {"optim.lr": when({"a": 1}, POINT_ONE)}}, "optim.lr: got 0.1; give what is tried"),
        ({"budget": Budget(device_hours=float("nan"))}, "gpu_hours: got nan; give more than 0"),
        ({"budget": Budget(device_hours=TWO_HOURS)}, "gpu_hours: got '2h'; give more than 0, a number"),
        ({"baseline": {"train.steps": 60}}, "train.steps: cannot be changed in the baseline: trials are compared"),
        ({"baseline": {"seed": 2}}, "seed: cannot be changed in the baseline: the best of several seeds is the luckiest"),
        ({"space": {"seed": choice([1, 2])}}, "seed: cannot be searched: .*compare over seeds: confirm"),
        ({"space": {"seed": when({"optim.lr": 1.0}, uniform(1, 9))}}, "seed: cannot be searched: the best of several"),
        ({"baseline": {"scaling.workers": 2}}, "scaling.workers: cannot be changed in the baseline: it belongs"),
    ],
)
def test_what_would_do_nothing_or_something_else_is_refused(tmp_path: Path, changed: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        preflight(_request(tmp_path, **changed))


def test_a_value_that_two_keys_draw_is_refused_and_one_beside_a_section_is_not(tmp_path: Path) -> None:
    section = choice([None, {"type": "ohem", "thresh": 0.7}])
    on = {"sampling.type": "ohem"}
    with pytest.raises(
        ConfigError, match=r"sampling.thresh: is set by sampling too, where that is \{'type': 'ohem', 'thresh': 0.7\}"
    ):
        preflight(_request(tmp_path, space={"sampling": section, "sampling.thresh": when(on, uniform(0.5, 0.9))}))
    with pytest.raises(ConfigError, match=r"sampling.thresh: sampling.thresh is drawn already by another key of the space"):
        preflight(_request(tmp_path, space={"sampling": ohem(), "sampling.thresh": when(on, uniform(0.5, 0.9))}))
    preflight(_request(tmp_path, space={"sampling": section, "sampling.min_kept": when(on, uniform(0.1, 0.2))}))


def test_a_confirmation_that_is_only_wished_for_is_told_how(tmp_path: Path) -> None:
    wished: Any = True
    with pytest.raises(ConfigError, match=r"confirm: got True; give its arguments, such as \{'top': 2\}"):
        rayseg.sweep(_request(tmp_path).base, {"optim.lr": choice([1e-3, 1e-2])}, confirm=wished)


def test_a_number_of_trials_beside_a_grid_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="num_samples: got 1; a grid has as many trials as points"):
        rayseg.sweep(_request(tmp_path).base, {"optim.lr": choice([1e-3, 1e-2])}, searcher="grid", num_samples=1)


def test_more_trials_than_points_are_refused_and_where_no_number_is_said_there_are_as_many(tmp_path: Path) -> None:
    request = _request(tmp_path, space={"optim.lr": choice([1e-3, 1e-2, 1e-2])}, num_samples=8)
    with pytest.raises(
        ConfigError, match="num_samples: got 3; the space has 2 points, and none is tried twice: give at most 2"
    ):
        rayseg.sweep(request.base, request.space, num_samples=3)
    assert _as_many_as_there_are(request) == 2
    assert _as_many_as_there_are(_request(tmp_path, num_samples=200)) == 200


def test_a_search_goes_on_with_the_same_digits_and_functions_only(tmp_path: Path) -> None:
    def rule(limit: float) -> Rule:
        def small(point: Any) -> bool:
            return bool(point["optim.lr"] < limit)

        return require(small)

    first = _request(tmp_path, space={"optim.lr": log_uniform(1e-4, 1e-2), "small": rule(1.0)})
    same_search(first, tmp_path)
    same_search(replace(first, space={"small": rule(1.0), "optim.lr": log_uniform(1e-4, 1e-2)}), tmp_path)
    digits = (
        r"optim.lr: .* another one: \{'log_uniform': \[0.0001, 0.01\]\}, and not \{'log_uniform': \[0.0001, 0.010000001\]\}"
    )
    for changed, told in (
        ({"small": rule(2.0)}, "small: .* another one: the function 'small' as it was then, and not"),
        ({"optim.lr": log_uniform(1e-4, 0.010000001)}, digits),
        ({"optim.lr": uniform(1e-4, 1e-2)}, "optim.lr: .* with 0.0001 to 0.01, log, and not 0.0001 to 0.01; put it back"),
        ({"optim.weight_decay": uniform(0, 1)}, "optim.weight_decay: .* holds a sweep without it; put it back to go on"),
    ):
        with pytest.raises(ConfigError, match=told):
            same_search(replace(first, space={**first.space, **changed}), tmp_path)


def test_a_search_goes_on_with_the_same_components_only(tmp_path: Path) -> None:
    def topo(smooth: float) -> Any:
        class Topo(nn.Module):
            eps = smooth

            def forward(self, logits: Tensor, _: Tensor) -> Tensor:
                return logits.mean() + self.eps

        return Topo

    first = replace(_request(tmp_path), components={"topo": topo(0.0)})
    same_search(first, tmp_path)
    same_search(replace(first, components={"topo": topo(0.0), "unused": len}), tmp_path)
    same_search(first, tmp_path)
    with pytest.raises(ConfigError, match=r"components: .* with the function 'topo' as it was then, and not as it is; put it"):
        same_search(replace(first, components={"topo": topo(1.0)}), tmp_path)


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"register": "streets"}, "register: only a confirmed winner is registered in one go; ask for confirm, too"),
        ({"register": "a/b@latest", "confirm": {}}, r"register: name: got 'a/b'.*\n.*register: alias: got 'latest'"),
        ({"register": "streets@champion", "confirm": {}}, "register: tracking.mlflow is null, so there is no store"),
    ],
)
def test_a_registration_that_cannot_be_is_refused_before_the_search(tmp_path: Path, more: dict[str, Any], told: str) -> None:
    request = _request(tmp_path)
    with pytest.raises(ConfigError, match=told):
        rayseg.sweep(request.base, request.space, **more)


def test_a_search_grows_in_parts_and_has_not_ended_then(tmp_path: Path) -> None:
    first = _request(tmp_path, space={"optim.lr": log_uniform(1e-4, 1e-2), "train.clip_norm": uniform(1, 2)}, num_samples=3)
    (tmp_path / "summary.json").touch()
    assert same_search(first, tmp_path).parts == (3,)
    assert has_ended(tmp_path)
    other_order = {key: first.space[key] for key in reversed(list(first.space))}
    grown = same_search(replace(first, num_samples=5, space=other_order), tmp_path)
    assert (grown.parts, list(grown.space)) == ((3, 5), list(first.space)), "points are drawn in the order of before"
    assert (tmp_path / "summary.json").exists(), "the answer of before stays until there is another one"
    assert not has_ended(tmp_path)
    assert same_search(grown, tmp_path).parts == (3, 5)
    assert same_search(replace(first, num_samples=6), tmp_path).parts == (3, 5, 6)
    assert as_many_as_before(replace(first, num_samples=8), tmp_path) == 6
    assert as_many_as_before(replace(first, num_samples=200, budget=Budget(seconds=9.0)), tmp_path) == 200


def test_what_cannot_grow_is_refused_before_it_starts(tmp_path: Path) -> None:
    first = _request(tmp_path, num_samples=4)
    same_search(first, tmp_path)
    with pytest.raises(ConfigError, match=r"num_samples: .* holds a sweep with 4 trials, and not 3; say 4 or more"):
        same_search(replace(first, num_samples=3), tmp_path)
    (tmp_path / "confirm").mkdir()
    (tmp_path / "confirm" / "asked.json").touch()
    same_search(first, tmp_path)
    with pytest.raises(
        ConfigError, match=r"num_samples: .* has been confirmed, or is being, .*or remove .*confirm to confirm anew"
    ):
        same_search(replace(first, num_samples=5), tmp_path)
    spent = {"seconds": 9.0, "device_seconds": 9.0, "out": True, "unfinished": ["t1"]}
    (tmp_path / "budget.json").write_text(json.dumps(spent))
    same_search(replace(first, budget=Budget(seconds=9.0)), tmp_path)
    with pytest.raises(ConfigError, match=r"time_budget: .* has been confirmed"):
        same_search(replace(first, budget=Budget(seconds=10.0)), tmp_path)
    bred = _request(tmp_path / "bred", scheduler="pbt", num_samples=4)
    (tmp_path / "bred").mkdir()
    same_search(bred, tmp_path / "bred")
    with pytest.raises(ConfigError, match=r"num_samples: .* holds a population of 4, and not 5: members are compared"):
        same_search(replace(bred, num_samples=5), tmp_path / "bred")
    assert as_many_as_before(replace(bred, num_samples=8), tmp_path / "bred") == 4


def test_a_second_call_at_the_same_time_is_refused_and_a_later_one_is_not(tmp_path: Path) -> None:
    base = _request(tmp_path).base
    directory = prepare_directory(base)
    with (
        alone(directory),
        pytest.raises(ConfigError, match=rf"tracking.name: process {os.getpid()} on .* works on .*asked now"),
    ):
        rayseg.sweep(base, {"optim.lr": choice([1e-3])}, scheduler=None)
    assert not (directory / "sweep.json").exists()
    with alone(directory):
        pass


def test_a_search_that_an_earlier_version_began_goes_on(tmp_path: Path) -> None:
    request = _request(tmp_path)
    same_search(request, tmp_path)
    kept = json.loads((tmp_path / "sweep.json").read_text())
    del kept["exact"]
    (tmp_path / "sweep.json").write_text(json.dumps(kept))
    same_search(request, tmp_path)
    assert json.loads((tmp_path / "sweep.json").read_text())["exact"] == {"optim.lr": {"log_uniform": [0.0001, 0.01]}}


def test_the_answer_of_an_earlier_version_stays_where_its_trials_cannot_be_gone_on_with(tmp_path: Path) -> None:
    first = _request(tmp_path, num_samples=3)
    same_search(first, tmp_path)
    (tmp_path / "tune").mkdir()
    (tmp_path / "tune" / "tuner.pkl").touch()
    with pytest.raises(ConfigError, match=r"tracking.name: .* of an earlier version .*; choose another name"):
        same_search(first, tmp_path)
    (tmp_path / "summary.json").touch()
    before = (tmp_path / "sweep.json").read_text()
    with pytest.raises(ConfigError, match=r"tracking.name: .* of an earlier version"):
        same_search(replace(first, num_samples=5), tmp_path)
    assert has_ended(tmp_path)
    assert (tmp_path / "sweep.json").read_text() == before
    assert same_search(first, tmp_path).parts == (3,), "the same call has its answer"


def test_a_search_that_has_another_name_now_does_not_lose_its_trials(tmp_path: Path) -> None:
    """They are looked for by the name that they have."""
    first, was, now = _request(tmp_path, num_samples=3), tmp_path / "was", tmp_path / "now"
    was.mkdir()
    same_search(first, was)
    (was / "summary.json").touch()
    was.rename(now)
    assert same_search(first, now).parts == (3,), "what has ended has its answer under any name"
    with pytest.raises(ConfigError, match=r"tracking.name: .*now holds a sweep that was begun as was, .* name it so again"):
        same_search(replace(first, num_samples=5), now)
    (tmp_path / "else").mkdir()
    moved = now.rename(tmp_path / "else" / "was")
    assert same_search(replace(first, num_samples=5), moved).parts == (3, 5)


def test_a_search_that_goes_on_otherwise_is_told_in_what_also_where_something_is_left_out(tmp_path: Path) -> None:
    first = _request(tmp_path, scheduler="pbt", perturb_every=3)
    same_search(first, tmp_path)
    same_search(replace(first, max_concurrent=1, budget=Budget(seconds=9.0)), tmp_path)
    for changed, told in (({"perturb_every": None}, "another perturb_every;"), ({"grace_steps": 3}, "another grace_steps;")):
        with pytest.raises(ConfigError, match=told):
            same_search(replace(first, **changed), tmp_path)


def test_a_search_whose_end_was_interrupted_ends_again_unless_it_was_confirmed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its trials are there, its page and its record may not be."""
    sweeping: Any = importlib.import_module("rayseg.launch.sweeping")
    done, again = SimpleNamespace(out_of_budget=False), SimpleNamespace()
    monkeypatch.setattr(sweeping, "read_summary", lambda _: done)
    monkeypatch.setattr(sweeping, "has_ended", lambda _: True)
    monkeypatch.setattr(sweeping, "_searched", lambda *_: again)
    request = _request(tmp_path)
    directory = prepare_directory(request.base)
    (directory / "report.html").touch()

    def called() -> Any:
        return rayseg.sweep(request.base, request.space, num_samples=2)

    assert called() is done
    (directory / ".ending").touch()
    assert called() is again
    (directory / "confirm").mkdir()
    (directory / "confirm" / "asked.json").touch()
    assert called() is done


def test_a_search_and_a_run_do_not_share_a_name(tmp_path: Path) -> None:
    base = _request(tmp_path).base
    directory = prepare_directory(base, search=True)
    (directory / "sweep.json").touch()
    prepare_directory(base, search=True)
    with pytest.raises(ConfigError, match=r"tracking.name: .*asked holds a search; choose another name"):
        rayseg.train(base.with_({"scaling.workers": 0}))
    other = base.with_({"tracking.name": "run"})
    (prepare_directory(other) / "metrics.jsonl").touch()
    prepare_directory(other)
    with pytest.raises(ConfigError, match=r"tracking.name: .*run holds a single run; choose another name"):
        rayseg.sweep(other, {"optim.lr": choice([1e-3, 1e-2])}, searcher="grid")


def test_before_its_end_a_search_or_a_confirmation_stays_where_it_began(tmp_path: Path) -> None:
    """Its open runs lie in a store that may lie beside it, and writes down where."""
    request, old, new = _request(tmp_path), tmp_path / "old", tmp_path / "new"
    asked, recipes = ConfirmRequest(), [Recipe("baseline", {})]
    old.mkdir()
    same_search(request, old)
    _same_confirmation(asked, recipes, old / "confirm")
    old.rename(new)
    with pytest.raises(ConfigError, match=r"tracking.storage: .*begun in .*old and has not ended; move it back there"):
        same_search(request, new)
    with pytest.raises(ConfigError, match=r"confirm: .*begun in .*old.confirm and has not ended; move the sweep back"):
        _same_confirmation(asked, recipes, new / "confirm")
    new.rename(old)
    same_search(request, old)
    _same_confirmation(asked, recipes, old / "confirm")
    (old / "summary.json").touch()
    (old / "confirm" / "confirmation.json").touch()
    old.rename(new)
    same_search(request, new)
    _same_confirmation(asked, recipes, new / "confirm")


def test_the_answer_of_a_search_that_grows_is_there_until_there_is_another_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where the store cannot be reached when more trials are asked for."""
    sweeping: Any = importlib.import_module("rayseg.launch.sweeping")
    request = _request(tmp_path)
    directory = prepare_directory(request.base, search=True)
    same_search(request, directory)
    (directory / "summary.json").write_text("the answer")

    def unreachable(*_: Any) -> Any:
        raise TrackingError("nothing answers there")

    monkeypatch.setattr(sweeping, "_searched", unreachable)
    for num_samples in (3, 3):
        with pytest.raises(TrackingError, match="nothing answers"):
            rayseg.sweep(request.base, request.space, num_samples=num_samples)
    assert (directory / "summary.json").read_text() == "the answer"
    with pytest.raises(ConfigError, match="was not ended; call it again first"):
        rayseg.confirm(directory)
