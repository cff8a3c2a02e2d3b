"""What `rayseg show` prints of a config of MMSegmentation is the experiment, whole and alone."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import pytest
import torch
import yaml

from rayseg.build import check
from rayseg.cli import main
from rayseg.compat import read_mmseg_config, translate
from rayseg.compat.mmseg.places import config_trees
from rayseg.config import ExperimentConfig, to_yaml
from rayseg.load import load_config

HEADS = "decode_head=dict(type='FCNHead', channels=4, in_index=3, num_convs=1)"
MODEL = f"model = dict(type='EncoderDecoder', backbone=dict(type='ResNet', depth=18, base_channels=4), {HEADS})"
WRAPPER = "optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.01, momentum=0.9)"
WARM = "dict(type='LinearLR', start_factor=0.1, by_epoch=False, end=2)"
#: Parts of config files that take another way through the translation each.
PARTS = {
    "weights": "load_from = 'weights.pth'\nresume_from = None",
    "accumulation": """data = dict(samples_per_gpu=1)
optimizer_config = dict(type='GradientCumulativeOptimizerHook', cumulative_iters=2)""",
    "average": "custom_hooks = [dict(type='EMAHook', momentum=0.001)]",
    "phases": f"""{WRAPPER})
param_scheduler = [{WARM}, dict(type='PolyLR', by_epoch=False, begin=2, end=8, eta_min=1e-4)]
train_cfg = dict(type='IterBasedTrainLoop', max_iters=8)""",
    "warm-up": f"""{WRAPPER})
param_scheduler = [{WARM}, dict(type='MultiStepLR', milestones=[2, 3], end=4)]
train_cfg = dict(by_epoch=True, max_epochs=4)""",
    "cycle": """lr_config = dict(policy='OneCycle', max_lr=0.1, by_epoch=False)
runner = dict(type='IterBasedRunner', max_iters=8)""",
    "groups": f"{WRAPPER}, paramwise_cfg=dict(custom_keys=dict(head=dict(lr_mult=10.))))",
    "imports": """from mmengine.optim import OptimWrapper
from torch.optim import SGD
optim_wrapper = dict(type=OptimWrapper, optimizer=dict(type=SGD, lr=0.02))
default_scope = 'mmseg'""",
}


def written(place: Path, code: str) -> Path:
    file = place / "mine_4xb2.py"
    file.write_text(f"{code}\n{MODEL}\n", encoding="utf-8")
    return file


@pytest.mark.parametrize("part", PARTS)
def test_what_is_shown_runs_alone(
    part: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"backbone.conv1.weight": torch.zeros(64, 3, 7, 7)}, "weights.pth")
    file = written(tmp_path, PARTS[part])
    data = ["data.dataset={type: synthetic, length: 8, size: [32, 48]}", "tracking.mlflow=null", "train.batch_size=4"]
    assert main(["show", str(file), *(data if part != "accumulation" else data[:2])]) == 0
    shown = tmp_path / "elsewhere" / "ours.yaml"
    shown.parent.mkdir()
    shown.write_text(capsys.readouterr().out, encoding="utf-8")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        overrides = {"data.dataset": {"type": "synthetic", "length": 8, "size": [32, 48]}, "tracking.mlflow": None}
        theirs = load_config(file, overrides if part == "accumulation" else {**overrides, "train.batch_size": 4})
    ours = load_config(shown)
    assert ours == theirs
    file.unlink()
    if part in {"accumulation", "weights"}:  # each takes a quarter of a second
        assert check(ours) == []


def test_every_command_takes_options_in_its_own_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = written(tmp_path, "optimizer = dict(type='SGD', lr=0.01)\nworkflow = [('val', 1)]\nfp16 = dict(what=1)")
    ours = ["data.dataset={type: synthetic, length: 8, size: [32, 48]}", "train.steps=2", "tracking.mlflow=null"]
    assert main(["check", str(file), *ours]) == 2
    assert "fp16.what: nothing here stands for it" in capsys.readouterr().err
    options = ["--not-strict", "--cfg-options", "optimizer.momentum=0.8", "model.backbone.depth=34"]
    assert main(["check", str(file), *ours, *options]) == 0
    assert "to be known: mine_4xb2.py: left out: fp16.what" in " ".join(capsys.readouterr().err.split())


@pytest.mark.examples  # minutes, where the packages are
def test_every_config_that_is_installed_is_the_same_after_it_is_written_and_read() -> None:
    found = [file for tree in config_trees(os.environ) for file in sorted(tree.rglob("*.py")) if "_base_" not in file.parts]
    if not found:
        pytest.skip("no config files of mmsegmentation; set RAYSEG_MMSEG_CONFIGS to a directory of them")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    for file in found:
        if "bisenetv2_fcn_4xb4-ohem" in file.name or "levir" in file.name:  # says models=; has images of six channels
            continue
        config = ExperimentConfig.from_dict(translate(read_mmseg_config(file), file.name).tree)
        assert ExperimentConfig.from_dict(yaml.load(to_yaml(config.to_dict()), loader)) == config, file
