"""Config files in MMEngine's pure-Python style are read as MMEngine reads them, and nothing is imported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rayseg.compat import is_mmseg_config, read_mmseg_config
from rayseg.errors import ConfigError
from rayseg.load import load_config

MODEL = """\
from mmseg.models import EncoderDecoder, FCNHead, PSPHead
from mmseg.models.backbones import ResNetV1c as Net
from torch.nn import SyncBatchNorm

norm_cfg = dict(type=SyncBatchNorm, requires_grad=True)
model = dict(type=EncoderDecoder, backbone=dict(type=Net, depth=50, norm_cfg=norm_cfg),
    decode_head=dict(type=PSPHead, channels=512, norm_cfg=norm_cfg, loss_decode=dict(type='CrossEntropyLoss')),
    auxiliary_head=dict(type=FCNHead, in_index=2, channels=256, norm_cfg=norm_cfg))
"""
SCHEDULE = """\
import torch
from mmengine.optim import OptimWrapper
from mmengine.optim.scheduler import PolyLR
from mmengine.runner import IterBasedTrainLoop

optimizer = dict(type=torch.optim.SGD, lr=0.01, momentum=0.9)
optim_wrapper = dict(type=OptimWrapper, optimizer=optimizer)
param_scheduler = [dict(type=PolyLR, power=0.9, eta_min=1e-4, begin=0, end=40000, by_epoch=False)]
train_cfg = dict(type=IterBasedTrainLoop, max_iters=40000, val_interval=4000)
default_scope = 'mmseg'
"""
CHILD = """\
from mmengine.config import read_base
from mmseg.models.losses import DiceLoss

with read_base():
    from .._base_.model import *
    from .._base_.schedule import optim_wrapper, param_scheduler, train_cfg, default_scope as scope

default_scope = scope
model.update(dict(decode_head=dict(loss_decode=[dict(type=DiceLoss, loss_weight=3.0)]), backbone=dict(depth=101)))
model['auxiliary_head']['channels'] = 128
optim_wrapper.update(optimizer=dict(lr=0.02), clip_grad=dict(max_norm=1.0))
train_cfg.max_iters = 400
own = dict(steps=[x * 2 for x in range(3)])
"""


def tree(place: Path, child: str = CHILD) -> Path:
    for name, text in (("_base_/model", MODEL), ("_base_/schedule", SCHEDULE), ("mine/child_4xb2", child)):
        file = place / f"{name}.py"
        file.parent.mkdir(exist_ok=True, parents=True)
        file.write_text(text, encoding="utf-8")
    return place / "mine" / "child_4xb2.py"


def bare(value: Any) -> Any:
    """Dotted paths of classes, as MMEngine writes them, as bare names."""
    if isinstance(value, dict):
        return {key: bare(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(map(bare, value))
    return value.rpartition(".")[2] if isinstance(value, str) else value


def test_classes_are_names_and_bases_are_merged(tmp_path: Path) -> None:
    found = read_mmseg_config(tree(tmp_path))
    assert found["model"]["type"] == "EncoderDecoder"
    assert found["model"]["backbone"] == {
        "type": "ResNetV1c", "depth": 101, "norm_cfg": {"type": "SyncBatchNorm", "requires_grad": True}
    }  # fmt: skip
    assert found["model"]["decode_head"]["channels"] == 512
    assert found["model"]["decode_head"]["loss_decode"] == [{"type": "DiceLoss", "loss_weight": 3.0}]
    assert found["model"]["auxiliary_head"]["channels"] == 128
    assert found["optim_wrapper"]["optimizer"] == {"type": "SGD", "lr": 0.02, "momentum": 0.9}
    assert found["train_cfg"]["max_iters"] == 400
    assert {"PSPHead", "DiceLoss", "read_base", "optimizer"}.isdisjoint(found)


def test_it_is_what_mmengine_reads(tmp_path: Path) -> None:
    mmengine = pytest.importorskip("mmengine", reason="no mmengine; it is compared with")
    file = tree(tmp_path)
    file.write_text(file.read_text(encoding="utf-8").replace("default_scope as scope", "default_scope").replace(
        "default_scope = scope\n", ""
    ), encoding="utf-8")  # fmt: skip
    assert read_mmseg_config(file) == bare(mmengine.Config.fromfile(file, lazy_import=True).to_dict())


def test_it_is_an_experiment(tmp_path: Path) -> None:
    file = tree(tmp_path)
    assert is_mmseg_config(file)
    file.write_text(CHILD.replace("end=40000", "end=400"), encoding="utf-8")
    schedule = tmp_path / "_base_" / "schedule.py"
    schedule.write_text(SCHEDULE.replace("end=40000", "end=400"), encoding="utf-8")
    config = load_config(file, {"losses.dice.weight": 2.0})
    assert (config.optim.type, config.optim.lr, config.train.steps, config.train.clip_norm) == ("sgd", 0.02, 400, 1.0)
    assert config.model.kwargs["backbone"]["depth"] == 101
    assert list(config.losses) == ["dice"]


def test_classes_of_other_packages_are_import_paths(tmp_path: Path) -> None:
    child = CHILD + "from my_pkg.hooks import Thumbs\ncustom_hooks = [dict(type=Thumbs, every=5)]\n"
    assert read_mmseg_config(tree(tmp_path, child))["custom_hooks"] == [{"type": "my_pkg.hooks:Thumbs", "every": 5}]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("with read_base():\n    from .nowhere import *", "nowhere.py: no such file"),
        ("with read_base():\n    from .._base_.model import modle", "line 16: the base has no 'modle'; it has norm_cfg, model"),
        ("with read_base():\n    x = 1", "stands below read_base, where base files are imported"),
        ("from .other import Thing", "line 15: imports, and a config file is read, not run"),
        ("with open('a') as b:\n    pass", "line 15: is a block; only read_base is one"),
        ("from copy import deepcopy\na = deepcopy(model)", "deepcopy() is not called"),
    ],
)
def test_what_else_is_imported_is_refused(line: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        read_mmseg_config(tree(tmp_path, f"{CHILD}\n{line}\n"))
    assert message in str(caught.value)


def test_bases_of_a_package_are_found_in_the_trees(tmp_path: Path) -> None:
    child = CHILD.replace("from .._base_", "from nowhere_installed.configs._base_")
    file = tree(tmp_path / "configs", child)
    alone = tmp_path / "alone_4xb2.py"
    alone.write_text(file.read_text(encoding="utf-8"), encoding="utf-8")
    environ = {"RAYSEG_MMSEG_CONFIGS": str(tmp_path / "configs")}
    assert read_mmseg_config(alone, environ=environ)["train_cfg"]["max_iters"] == 400
