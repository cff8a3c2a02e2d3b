"""``rayseg.train`` on a real cluster: whatever it does, one run."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

import rayseg
from rayseg.config import ExperimentConfig, flatten
from rayseg.engine.checkpoint import is_whole, step_of
from rayseg.errors import CheckpointError, ConfigError, DataError
from rayseg.launch import TrainResult
from rayseg.launch.ray_worker import require_shared
from tests.ray.parts import BEST, NAMES, scalars, troubled

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_cluster")]
Tiny = Callable[..., ExperimentConfig]

HAS_TENSORBOARD = find_spec("tensorboard") is not None


@pytest.fixture(scope="module")
def runs(ray_cluster: None, tiny: Tiny) -> dict[int, TrainResult]:
    """The same experiment by 0, 1 and 3 workers; a batch of 4 gives 3 of them uneven shares, and so do 10 images."""
    return {workers: rayseg.train(tiny(f"workers-{workers}", **{"scaling.workers": workers})) for workers in (0, 1, 3)}


def _weights(result: TrainResult) -> dict[str, Tensor]:
    assert result.last_checkpoint is not None
    weights: dict[str, Tensor] = torch.load(result.last_checkpoint / "model.pt", weights_only=True)
    return weights


def _steps(mlflow: Any, result: TrainResult, metric: str) -> list[int]:
    return [each.step for each in mlflow.get_metric_history(result.run_id, metric)]


@pytest.mark.parametrize("workers", [1, 3])
def test_the_number_of_workers_does_not_change_the_scores(runs: dict[int, TrainResult], workers: int) -> None:
    steps, alone = [step for step, _ in runs[0].history], runs[0].metrics
    assert [step for step, _ in runs[workers].history] == steps == [3, 6]
    assert alone.keys() == runs[workers].metrics.keys()
    assert runs[workers].metrics["val/loss"] == pytest.approx(alone["val/loss"], rel=1e-4)
    for name, weight in _weights(runs[workers]).items():
        torch.testing.assert_close(weight, _weights(runs[0])[name], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_the_files_are_the_same(runs: dict[int, TrainResult], workers: int) -> None:
    result = runs[workers]
    assert {"config.yaml", "metrics.jsonl", "mlflow_run_id"} <= {path.name for path in result.directory.iterdir()}
    assert rayseg.load_config(result.directory / "config.yaml") == result.config
    lines = [json.loads(line) for line in (result.directory / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [3, 6]
    for checkpoint in (result.checkpoint, result.last_checkpoint):
        assert checkpoint is not None
        assert is_whole(checkpoint)
        assert {"model.pt", "train.pt", "config.yaml", "manifest.json"} <= {path.name for path in checkpoint.iterdir()}


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_the_record_is_whole_and_closed(runs: dict[int, TrainResult], mlflow: Any, workers: int) -> None:
    result = runs[workers]
    run = mlflow.get_run(result.run_id)
    assert run.info.status == "FINISHED"
    assert set(flatten(result.config)) <= set(run.data.params)
    assert any(name.startswith("val/IoU/") for name in run.data.metrics)
    assert {"train/loss", "val/mIoU", "perf/images_per_s"} <= run.data.metrics.keys()
    assert {"config.yaml", "confusion.png", "pictures"} <= {each.path for each in mlflow.list_artifacts(result.run_id)}
    assert _steps(mlflow, result, "val/mIoU") == [3, 6]
    assert _steps(mlflow, result, "train/loss") == [2, 4, 6]


@pytest.fixture(scope="module")
def killed(ray_cluster: None, tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> TrainResult:
    """The same by 3 workers, the second of which is killed; the best checkpoint goes by a class whose name has spaces."""
    marker = tmp_path_factory.mktemp("killed") / "killed"
    killer = {"type": "tests.ray.parts:KillOnce", "marker": str(marker), "after": 5}
    more = {"checkpoint": {"best": BEST, "keep": 1}, "data.class_names": NAMES, "tracking.tensorboard": HAS_TENSORBOARD}
    result = rayseg.train(tiny("killed", **{"scaling.workers": 3, "hooks.killer": killer, **more}))
    assert marker.exists()
    return result


def test_a_killed_worker_changes_nothing(runs: dict[int, TrainResult], killed: TrainResult, mlflow: Any) -> None:
    assert [step for step, _ in killed.history] == [3, 6]
    assert mlflow.get_run(killed.run_id).info.status == "FINISHED"
    assert _steps(mlflow, killed, "val/mIoU") == [3, 6]
    assert _steps(mlflow, killed, "train/loss") == [2, 4, 6]
    expected, found = _weights(runs[3]), _weights(killed)
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_the_best_checkpoint_is_that_of_a_class(killed: TrainResult) -> None:
    scores = {step: metrics[BEST] for step, metrics in killed.history}
    assert killed.checkpoint is not None
    assert scores[step_of(killed.checkpoint)] == max(scores.values())


@pytest.mark.skipif(not HAS_TENSORBOARD, reason="tensorboard is not installed")
def test_a_killed_worker_s_tensorboard_has_each_step_once(killed: TrainResult) -> None:
    shown = scalars(killed.directory)
    assert (shown[BEST], shown["val/mIoU"]) == ([3, 6], [3, 6])
    assert shown["train/loss"] == [2, 4, 6]


def test_a_fault_is_raised_as_itself_and_once(mlflow: Any, tiny: Tiny, tmp_path: Path) -> None:
    log = tmp_path / "calls"
    loss = {"type": "troubled", "trouble": "raises", "log": str(log)}
    config = tiny("fault", **{"scaling.workers": 2, "losses": {"ce": loss}, "train.log_every": 1})
    with pytest.raises(DataError) as caught:
        rayseg.train(config, components={"troubled": troubled(os.getpid())})
    assert caught.type is DataError
    assert log.read_text().splitlines().count("0") <= 1
    run_id = (Path(config.tracking.storage) / "fault" / "mlflow_run_id").read_text()
    assert mlflow.get_run(run_id).info.status == "FAILED"


def test_a_checkpoint_is_nobody_s_before_it_is_whole_and_one_that_cannot_be_written_is_told(
    tiny: Tiny, storage: Path, tmp_path: Path
) -> None:
    late = {"type": "tests.ray.parts:WritesLate", "file": str(tmp_path / "seen")}
    with pytest.raises(CheckpointError, match=r"^the disk is full; make room$"):
        rayseg.train(tiny("late", **{"scaling.workers": 2, "hooks.late": late}))
    assert (tmp_path / "seen").read_text() == "None None"
    assert [step_of(path) for path in (storage / "late").glob("checkpoint_2*")] == [3]
    assert not list((storage / "late").glob(".checkpoint*"))


def test_a_checkpoint_that_ray_was_not_told_of_is_dropped_like_others_and_half_of_what_it_knew_ends_no_run(
    runs: dict[int, TrainResult],
) -> None:
    """The driver was killed before a checkpoint was registered, or while Ray wrote down that it was."""
    before = runs[1]
    kept = sorted(before.directory.glob("checkpoint_2*"))
    lost = shutil.copytree(kept[-1], before.directory / "checkpoint_2026-01-01_00-00-00.000000")
    manifest = json.loads((lost / "manifest.json").read_text())
    (lost / "manifest.json").write_text(json.dumps({**manifest, "step": 5}))
    (known,) = before.directory.glob("checkpoint_manager*")
    known.write_text(known.read_text()[:20])
    again = rayseg.train(before.config)
    assert (again.last_checkpoint, again.metrics) == (before.last_checkpoint, before.metrics)
    assert sorted(before.directory.glob("checkpoint_2*")) == kept


def test_a_torn_checkpoint_ends_no_run_and_the_last_is_the_newest_whoever_wrote_it(runs: dict[int, TrainResult]) -> None:
    """Workers are asked again for a run that one process has ended after workers had begun it."""
    before = runs[0]
    earlier, torn = (before.directory / f"checkpoint_2026-01-0{day}_00-00-00.000000" for day in (1, 2))
    shutil.copytree(before.directory / "checkpoints" / "step_00000003", earlier)
    torn.mkdir()
    (torn / "manifest.json").touch()
    again = rayseg.train(before.config.with_({"scaling.workers": 2}))
    for each in (earlier, torn):
        shutil.rmtree(each)
    assert (again.last_checkpoint, again.metrics) == (before.last_checkpoint, before.metrics)


def test_a_worker_that_does_not_see_the_run_s_directory_does_not_begin(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"tracking\.storage: .* is not the driver's; choose a directory that every node sees"
    ):
        require_shared(tmp_path)


@pytest.fixture(scope="module")
def moved(
    ray_cluster: None, tiny: Tiny, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[list[TrainResult], ExperimentConfig, Path]]:
    """A run with parts of its own that two workers go on with where one process left it, and back; its config and folder."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "own_module_of_a_test.py").write_text(
        "class Touch:\n"
        "    def __init__(self, path):\n"
        "        self.path = path\n"
        "    def on_end(self, run):\n"
        "        open(self.path, 'a').write('x')\n"
    )
    factor = 2.0

    def topo(logits: Tensor, target: Tensor, *, ignore_index: int) -> Tensor:
        return factor * F.cross_entropy(logits, target, ignore_index=ignore_index, reduction="none")

    touch = {"type": "own_module_of_a_test:Touch", "path": str(folder / "touched")}
    starts = {"type": "tests.ray.parts:Starts", "file": str(folder / "starts")}
    config = tiny("moved", **{"losses.topo": {"type": "topo"}, "hooks.touch": touch, "hooks.starts": starts})
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        alone = rayseg.train(config, components={"topo": topo})
        assert alone.last_checkpoint is not None
        shutil.rmtree(alone.last_checkpoint)  # as if it had been killed before its last checkpoint, after 3 of 6 steps
        two = rayseg.train(config.with_({"scaling.workers": 2}), components={"topo": topo})
        back = rayseg.train(config, components={"topo": topo})
        yield [alone, two, back], config, folder
    sys.modules.pop("own_module_of_a_test", None)


def test_components_reach_the_workers(moved: tuple[list[TrainResult], ExperimentConfig, Path]) -> None:
    (_, two, _), config, folder = moved
    with pytest.raises(ConfigError, match=r"losses\.topo"):
        rayseg.train(config.with_({"scaling.workers": 2}))
    assert two.metrics["val/loss/topo"] > 0
    assert (folder / "touched").read_text() == "xxxx"  # one process, two workers, one process


def test_a_run_goes_on_with_workers_where_one_process_left_it_and_back(
    moved: tuple[list[TrainResult], ExperimentConfig, Path],
) -> None:
    (alone, two, back), _, folder = moved
    assert (folder / "starts").read_text().split() == ["0", "3", "6"]
    assert two.metrics["val/loss"] == pytest.approx(alone.metrics["val/loss"], rel=1e-4)
    assert back.metrics == two.metrics
    assert back.checkpoint is not None


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        ({"scaling.workers": 5, "train.batch_size": 8}, "5 workers with 1 CPU each need 5, the cluster has 4"),
        ({"scaling.workers": 1, "scaling.gpu": True}, "1 workers with 1 GPU each need 1, the cluster has 0"),
    ],
)
def test_what_the_cluster_does_not_have_is_refused_at_once(
    tiny: Tiny, storage: Path, overrides: dict[str, Any], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match=r"scaling\.workers") as caught:
        rayseg.train(tiny("too-much", **overrides))
    assert told in str(caught.value)
    assert "add nodes" in str(caught.value)
    assert not (storage / "too-much").exists()
