"""The commands that take a config: check, show, train, sweep."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from rayseg import __version__
from rayseg.cli import main
from rayseg.cli.output import fill
from rayseg.cli.space import read_space
from rayseg.config import ExperimentConfig, flatten, from_yaml, read_config_file, write_yaml
from rayseg.errors import ConfigError
from rayseg.space import choice, int_uniform, log_uniform, uniform


def test_check_tells_every_problem_at_once(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(file), "losses.dice.smoth=1", "optim.lrr=2", "schedule.powr=3"]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert "3 problems" in told.err
    for key in ("losses.dice.smoth", "optim.lrr", "schedule.powr"):
        assert f"\n  {key}: " in told.err


def test_check_tells_what_the_run_would_be(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(file), "train.epochs=3", "train.steps=null"]) == 0
    told = capsys.readouterr().out
    assert told.startswith(f"{file}: ok\n")
    assert "4 to train, 4 to validate, 9 classes" in told
    assert "6 of 2 images (3.0 epochs)" in told
    assert "**kwargs" not in told


def test_check_tells_which_terms_no_sampler_reaches(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(file), "sampling={type: top_k, by: loss}", "losses.dice={type: dice}"]) == 0
    assert "  sampling  top_k; every pixel counts in losses.dice\n" in capsys.readouterr().out
    assert main(["check", str(file)]) == 0
    assert "sampling" not in capsys.readouterr().out


def test_check_lists_what_a_callable_hides(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code = "def open_ended(logits, target, **own):\n    return logits.square().mean(1)\n"
    (tmp_path / "cli_parts.py").write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert main(["check", str(file), "losses.mine={type: 'cli_parts:open_ended'}"]) == 0
    assert "(**kwargs): losses.mine\n" in capsys.readouterr().out


def test_show_tells_where_each_value_came_from(
    file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "from_outside")
    assert main(["show", str(file), "optim.lr=0.5", "tracking.mlflow={uri: 'sqlite:///x.db'}"]) == 0
    rows = {line.split()[0]: line.split()[1:] for line in capsys.readouterr().out.splitlines() if line}
    assert rows["optim.lr"] == ["0.5", "override"]
    assert rows["train.batch_size"] == ["2", "file", "small.yaml"]
    assert rows["tracking.mlflow.uri"] == ["sqlite:///x.db", "override"]
    assert rows["tracking.mlflow.experiment"] == ["from_outside", "environment", "MLFLOW_EXPERIMENT_NAME"]


def test_show_without_a_file_shows_the_defaults(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "seed=3"]) == 0
    rows = {line.split()[0]: line.split()[-1] for line in capsys.readouterr().out.splitlines() if line}
    assert rows.pop("seed") == "override"
    assert set(rows.values()) == {"default"}
    assert {*rows, "seed"} == set(flatten(ExperimentConfig()))


def test_the_yaml_that_show_prints_runs_as_it_is(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", str(file), "optim.lr=0.5", "--yaml"]) == 0
    printed = ExperimentConfig.from_dict(from_yaml(capsys.readouterr().out))
    assert printed == ExperimentConfig.from_dict(read_config_file(file)).with_({"optim.lr": 0.5})


def test_the_schema_that_show_prints_accepts_configs_and_refuses_mistyped_ones(
    small: ExperimentConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["show", "--schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    jsonschema.validate(small.to_dict(), schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"trian": {}}, schema)


def test_train_says_what_came_of_it(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", str(file), "tracking.name=mine", "losses.dice=null"]) == 0
    told = capsys.readouterr().out
    saved = tmp_path / "runs" / "mine" / "checkpoints" / "step_00000002"
    assert f"best checkpoint  {saved}\n" in told
    assert saved.is_dir()
    assert "val/mIoU " in told
    assert "rayseg ui" not in told  # nothing was recorded


def test_a_wrong_config_is_not_trained(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", str(file), "optim.lr=-1", "tracking.name=mine"]) == 2
    assert "optim.lr" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_options_may_stand_between_the_words(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", str(file), "--yaml", "seed=7"]) == 0
    assert yaml.safe_load(capsys.readouterr().out)["seed"] == 7


@pytest.mark.parametrize(
    "words", [["trian"], [], ["show", "--yam"], ["check"], ["show", "--schema", "--yaml"], ["train", "a.yaml", "--lr=1"]]
)
def test_unknown_words_and_abbreviations_are_errors(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert "error:" in capsys.readouterr().err


def test_version_and_help_are_answered(capsys: pytest.CaptureFixture[str]) -> None:
    for words, answer in ((["--version"], f"rayseg {__version__}"), (["--help"], "doctor"), (["train", "--help"], "key=value")):
        with pytest.raises(SystemExit) as ended:
            main(words)
        assert ended.value.code == 0
        assert answer in capsys.readouterr().out


def test_words_that_are_no_assignment_are_told_together(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(file), "optim.lr", "seed=", "seed=1", "seed=2"]) == 2
    assert "3 problems in command line" in capsys.readouterr().err


def test_ctrl_c_ends_with_130(file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(config: ExperimentConfig, **_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("rayseg.cli.train.train", interrupted)
    assert main(["train", str(file)]) == 130
    assert capsys.readouterr().err == "rayseg: interrupted\n"


def test_long_messages_are_broken_at_100_columns_and_lose_nothing() -> None:
    text = "1 problem in x.yaml\n  optim.groups.head: pattern 'classifer' matched none of the names " + "backbone.conv, " * 20
    lines = fill(text).splitlines()
    assert max(map(len, lines)) <= 100
    assert " ".join(" ".join(lines).split()) == " ".join(text.split())
    assert all(line.startswith("      ") for line in lines[2:])


def test_a_space_is_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "space.yaml"
    path.write_text(
        "optim.lr: {log_uniform: [1e-4, 1e-2]}\nsampling.thresh: {uniform: [0.5, 0.9]}\nmodel.depth: {int_uniform: [1, 3]}\n"
        "losses.dice: {choice: [null, {type: dice}]}\n"
    )
    assert read_space(str(path)) == {
        "optim.lr": log_uniform(1e-4, 1e-2),
        "sampling.thresh": uniform(0.5, 0.9),
        "model.depth": int_uniform(1, 3),
        "losses.dice": choice([None, {"type": "dice"}]),
    }


def test_every_wrong_dimension_of_a_space_is_told(tmp_path: Path) -> None:
    path = tmp_path / "space.yaml"
    wrong = {
        "a": "{loguniform: [1, 2]}",
        "b": "{uniform: [1, 2, 3]}",
        "c": "{uniform: [2, 1]}",
        "d": "[1, 2]",
        "e": "{choice: []}",
        "f": "{int_uniform: [a, b]}",
        "g": "{choice: [1], uniform: [0, 1]}",
    }
    path.write_text("".join(f"{key}: {text}\n" for key, text in wrong.items()))
    with pytest.raises(ConfigError) as told:
        read_space(str(path))
    assert [problem.path for problem in told.value.problems] == list(wrong)


@pytest.mark.ray
def test_a_sweep_ends_with_its_table_and_a_recipe_that_runs(
    small: ExperimentConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str], ray_cluster: None
) -> None:
    base = small.with_({"tracking.storage": str(tmp_path), "tracking.name": "search"})
    (tmp_path / "space.yaml").write_text("losses.dice.weight: {choice: [0.5, 2.0]}\n")
    words = [str(write_yaml(base, tmp_path / "base.yaml")), "--space", str(tmp_path / "space.yaml"), "--searcher", "grid"]
    assert main(["sweep", *words, "--no-early-stop"]) == 0
    told = capsys.readouterr().out
    assert "losses.dice.weight  one of 0.5, 2.0\n" in told
    assert "baseline" in told
    best = ExperimentConfig.from_dict(read_config_file(tmp_path / "search" / "best.yaml"))
    assert best.train == base.train
    assert f"rayseg train {tmp_path}/search/best.yaml\n" in told


@pytest.mark.ray
def test_a_wrong_space_starts_no_sweep(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "space.json").write_text(json.dumps({"optim.lr": {"log_uniform": [0, 1]}}))
    assert main(["sweep", str(file), "--space", str(tmp_path / "space.json")]) == 2
    assert "expected 0 < low < high" in capsys.readouterr().err
