"""A run starts from the weights that its config names, and says which."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import rayseg
from rayseg.build import applied_values, assemble, check, check_applied
from rayseg.cli.entry import main
from rayseg.config import ExperimentConfig, to_yaml
from rayseg.data import SyntheticStreets
from rayseg.engine import LocalReporter
from rayseg.errors import CheckpointError, ConfigError
from rayseg.launch import TrainResult
from rayseg.models import Freezing
from rayseg.testing import run_distributed, tiny_experiment
from rayseg.types import Sample
from tests.build.small import BASE

CLASSIFIER = {"decode_head.classifier.weight", "decode_head.classifier.bias"}
FEWER = {"data.class_names": None, "data.dataset": {"type": "tests.build.test_start:TwoClasses"}}


class TwoClasses:
    """The synthetic streets, of which one class is left."""

    class_names, palette = ("other", "road"), None

    def __init__(self, split: str) -> None:
        self._all = SyntheticStreets(split, length=4, size=(32, 32))

    def __len__(self) -> int:
        return len(self._all)

    def __getitem__(self, index: int) -> Any:
        sample = self._all[index]
        return Sample(sample.image, (sample.mask == 2).astype("uint8"), sample.name)

    def digest(self) -> str:
        return "two"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> TrainResult:
    storage = str(tmp_path_factory.mktemp("runs"))
    return rayseg.train(tiny_experiment(**{"train.steps": 2, "tracking.storage": storage, "tracking.name": "source"}))


def from_(trained: TrainResult, **overrides: Any) -> ExperimentConfig:
    """The same network, another seed, from the weights of a run."""
    start = {"seed": 5, "tracking.storage": str(trained.directory.parent), "init": {"checkpoint": str(trained.checkpoint)}}
    return tiny_experiment(**{**start, **overrides})


def weights(config: ExperimentConfig) -> dict[str, Tensor]:
    experiment = assemble(config, LocalReporter(Path("unused")))
    return {name: value.clone() for name, value in experiment.fit.state.model.state_dict().items()}


def test_the_weights_and_their_average_are_those_of_the_checkpoint(trained: TrainResult) -> None:
    experiment = assemble(from_(trained, **{"train.ema": {}}), LocalReporter(Path("unused")))
    state, average = experiment.fit.state.model.state_dict(), experiment.fit.state.ema
    assert trained.checkpoint is not None
    assert average is not None
    for name, value in torch.load(trained.checkpoint / "model.pt", weights_only=True).items():
        assert torch.equal(state[name], value)
        assert torch.equal(average.module.state_dict()[name], value)
    assert experiment.start is not None
    assert experiment.start.report is not None
    assert (experiment.start.report.left, dict(experiment.start.report.reinitialised)) == ((), {})


def test_another_number_of_classes_gets_the_head_that_its_seed_makes(trained: TrainResult) -> None:
    config = from_(trained, **FEWER)
    assert check(config) == []
    found, fresh, source = weights(config), weights(config.with_({"init": None})), weights(from_(trained))
    assert {name for name, value in found.items() if torch.equal(value, fresh[name])} >= CLASSIFIER
    assert all(torch.equal(value, source[name]) for name, value in found.items() if name not in CLASSIFIER)


def test_the_run_says_what_it_starts_from_and_keeps_every_name(
    trained: TrainResult, capsys: pytest.CaptureFixture[str]
) -> None:
    config = from_(trained, **FEWER, **{"train.steps": 1, "tracking.name": "fewer", "tracking.text": True})
    result = rayseg.train(config)
    (line,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("init: "))
    assert "2 re-initialised (decode_head.classifier.weight, decode_head.classifier.bias), 2 left" in line
    kept = json.loads((result.directory / "init.json").read_text())
    assert set(kept["reinitialised"]) == set(kept["left"]) == CLASSIFIER
    assert len(kept["loaded"]) == len(weights(config)) - 2


def test_a_run_that_goes_on_does_not_read_them_and_says_so(
    trained: TrainResult, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "weights.pth"
    torch.save(weights(from_(trained)), file)
    config = from_(trained, init={"checkpoint": str(file)}, **{"tracking.name": "again", "tracking.text": True})
    whole = rayseg.train(config)
    file.unlink()
    assert whole.last_checkpoint is not None
    again = rayseg.train(config)
    assert again.metrics == whole.metrics
    assert f"goes_on: from its own checkpoint, so {file} is not read" in capsys.readouterr().out
    problems = check(config.with_({"tracking.name": "other"}))
    assert [problem.path for problem in problems] == ["init.checkpoint"]


@pytest.mark.dist
def test_every_worker_has_the_weights_that_rank_0_read(trained: TrainResult) -> None:
    config = from_(trained, **FEWER)
    alone = weights(config)
    for each in run_distributed(weights, 2, config):
        assert all(torch.equal(each[name], value) for name, value in alone.items())


@pytest.mark.dist
def test_what_rank_0_cannot_read_is_an_error_on_every_worker() -> None:
    config = BASE.with_({"init": {"checkpoint": "no.pth"}})
    with pytest.raises(CheckpointError, match=r"no\.pth: no such file"):
        run_distributed(weights, 2, config, timeout_s=30)


def test_check_and_show_tell_it_on_the_command_line(
    trained: TrainResult, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = from_(trained, **{"freeze.body": {"match": "^backbone", "until": 3}})
    (tmp_path / "tuned.yaml").write_text(to_yaml(config.to_dict()))
    assert main(["check", str(tmp_path / "tuned.yaml")]) == 0
    told = capsys.readouterr().out
    assert "0 re-initialised, 0 left" in told
    assert "9 of 17 parameters at the first step, 0 at the last" in told
    assert main(["show", str(tmp_path / "tuned.yaml"), "--init"]) == 0
    assert "loaded          decode_head.classifier.weight" in capsys.readouterr().out
    assert main(["show", "--init"]) == 0
    assert "every weight is initialised by the seed" in capsys.readouterr().out
    held = ["init={checkpoint: no.pth}", "tracking.name=source", f"tracking.storage={trained.directory.parent}"]
    assert main(["show", "--init", *held]) == 0
    assert "run 'source' goes on from its own checkpoint, so no.pth is not read" in capsys.readouterr().out


def test_weights_that_the_model_is_made_with_are_told_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    smp = pytest.importorskip("segmentation_models_pytorch", reason="needs rayseg[pretrained]")
    torch.save(smp.encoders.get_encoder("resnet18", weights=None).state_dict(), tmp_path / "encoder.pth")
    words = ["model.type=smp_unet", "model.encoder=resnet18", f"model.pretrained={tmp_path / 'encoder.pth'}"]
    assert main(["show", "--init", *words]) == 0
    told = capsys.readouterr().out
    assert "loaded          layer4.1.conv2.weight" in told
    assert told.endswith("all else in the model is initialised by the seed\n")


def test_what_was_sampled_is_read_back(trained: TrainResult) -> None:
    rules = {"freeze.body": {"match": "^backbone"}, "init.skip": "classifier"}
    experiment = assemble(from_(trained, **rules, **{"freeze.body.until": {"epochs": 1}}), LocalReporter(Path("unused")))
    assert isinstance(experiment.fit.freezing, Freezing)
    sampled = {"init.skip": "classifier", "freeze.body.until": {"epochs": 1}, "freeze.body.statistics": True}
    check_applied(experiment, {**sampled, "init.checkpoint": str(trained.checkpoint)})
    assert applied_values(experiment, ["freeze.body.until", "freeze.body.match", "init.only"]) == {
        "freeze.body.until": 3,
        "freeze.body.match": "^backbone",
        "init.only": None,
    }
    with pytest.raises(ConfigError, match="2 was sampled, but 3 was built"):
        check_applied(experiment, {"freeze.body.until.steps": 2})
