"""Configs of MMSegmentation in our words: the arithmetic that they mean, and what is said of the rest."""

from __future__ import annotations

import math
import os
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from rayseg.build import check
from rayseg.cli import main
from rayseg.compat import read_mmseg_config, translate
from rayseg.compat.mmseg.places import config_trees
from rayseg.config import ExperimentConfig
from rayseg.errors import ConfigError
from rayseg.load import load_config
from rayseg.models import mmseg
from rayseg.optim import SCHEDULES, Rule, join, parameter_groups, with_warmup

BASE = """
norm_cfg = dict(type='SyncBN', requires_grad=True)
model = dict(type='EncoderDecoder',
    backbone=dict(type='ResNetV1c', depth=50, norm_cfg=norm_cfg, norm_eval=False),
    decode_head=dict(type='PSPHead', channels=512, num_classes=19, norm_cfg=norm_cfg,
        loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0)),
    auxiliary_head=dict(type='FCNHead', in_index=2, channels=256, num_classes=19, norm_cfg=norm_cfg,
        loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=0.4)),
    train_cfg=dict(), test_cfg=dict(mode='whole'))
train_pipeline = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'),
    dict(type='Resize', img_scale=(2048, 1024), ratio_range=(0.5, 2.0)),
    dict(type='RandomCrop', crop_size=(512, 1024), cat_max_ratio=0.75), dict(type='RandomFlip', prob=0.5),
    dict(type='PhotoMetricDistortion'), dict(type='Normalize', mean=[1, 2, 3], std=[4, 5, 6], to_rgb=True),
    dict(type='Pad', size=(512, 1024), pad_val=0, seg_pad_val=255), dict(type='DefaultFormatBundle'),
    dict(type='Collect', keys=['img', 'gt_semantic_seg'])]
data = dict(samples_per_gpu=2, workers_per_gpu=2, train=dict(type='CityscapesDataset', data_root='data/cityscapes/',
    img_dir='leftImg8bit/train', ann_dir='gtFine/train', pipeline=train_pipeline))
optimizer = dict(type='SGD', lr=0.01, momentum=0.9, weight_decay=0.0005)
optimizer_config = dict()
lr_config = dict(policy='poly', power=0.9, min_lr=1e-4, by_epoch=False)
runner = dict(type='IterBasedRunner', max_iters=40000)
checkpoint_config = dict(by_epoch=False, interval=4000)
evaluation = dict(interval=4000, metric='mIoU', pre_eval=True)
log_config = dict(interval=50, hooks=[dict(type='TextLoggerHook', by_epoch=False)])
dist_params = dict(backend='nccl')
log_level = 'INFO'
load_from = None
resume_from = None
workflow = [('train', 1)]
cudnn_benchmark = True
"""
NAME = "pspnet_r50-d8_4x2_512x1024_40k_cityscapes.py"


def config(code: str, tmp_path: Path) -> dict[str, Any]:
    """What a child of the base says."""
    (tmp_path / NAME).write_text(BASE, encoding="utf-8")
    (tmp_path / "child_4xb2.py").write_text(f"_base_ = './{NAME}'\n{code}", encoding="utf-8")
    return read_mmseg_config(tmp_path / "child_4xb2.py", environ={})


def carried(code: str, tmp_path: Path) -> dict[str, Any]:
    """The child in our words; nothing of it is lost, and it is a valid config."""
    found = translate(config(code, tmp_path), NAME)
    assert [str(problem) for problem, _ in found.lost] == []
    ExperimentConfig.from_dict(found.tree)
    return found.tree


def lost(code: str, tmp_path: Path) -> str:
    return "\n".join(str(problem) for problem, _ in translate(config(code, tmp_path), NAME).lost)


def alone(**sections: Any) -> dict[str, Any]:
    """A few sections of 1.x."""
    return translate({"default_scope": "mmseg", **sections}).tree


def test_a_whole_recipe_is_carried(tmp_path: Path) -> None:
    tree = carried("model = dict(pretrained=None, backbone=dict(init_cfg=None))", tmp_path)
    assert tree["train"] == {"batch_size": 8, "steps": 40000, "epochs": None, "log_every": 50}
    assert tree["optim"] == {"type": "sgd", "lr": 0.01, "weight_decay": 0.0005, "momentum": 0.9}
    assert tree["schedule"] == {"type": "poly", "power": 0.9, "floor": 0.01}
    assert tree["eval"] == {"every": 4000, "metrics": ["mIoU"]}
    assert tree["checkpoint"] == {"best": "val/mIoU", "every": 4000, "keep": 10}
    assert tree["losses"] == {"ce": {"type": "cross_entropy", "normalize": "all", "weight": 1.0}}
    assert tree["heads"] == {
        "auxiliary": {"weight": 1.0, "losses": {"ce": {"type": "cross_entropy", "normalize": "all", "weight": 0.4}}}
    }
    assert tree["data"]["dataset"] == {"type": "folders", "layout": "cityscapes", "root": "data/cityscapes"}
    assert tree["data"]["mean"], tree["data"]["pad_size"] == ([1.0, 2.0, 3.0], [512, 1024])
    assert tree["data"]["transforms"] == {
        "random_resize": {"type": "random_resize", "scale": [1024, 2048], "ratio_range": [0.5, 2.0], "keep_ratio": True},
        "random_crop": {"type": "random_crop", "size": [512, 1024], "cat_max_ratio": 0.75},
        "random_flip": {"type": "random_flip", "prob": 0.5},
        "photometric": {"type": "photometric"},
    }
    assert tree["model"] == {
        "type": "mmseg",
        "backbone": {"type": "ResNetV1c", "depth": 50},
        "decode_head": {"type": "PSPHead", "channels": 512, "num_classes": 19},
        "auxiliary_head": {"type": "FCNHead", "in_index": 2, "channels": 256, "num_classes": 19},
    }


@pytest.mark.parametrize(
    ("generation", "own", "normalize"),
    [
        ("0.x", {}, "all"),
        ("0.x", {"avg_non_ignore": True}, "valid"),
        ("0.x", {"class_weight": [1, 2]}, "all"),
        ("0.x", {"class_weight": [1, 2], "avg_non_ignore": True}, "valid"),
        ("1.x", {}, "all"),
        ("1.x", {"avg_non_ignore": True}, "valid"),
        ("1.x", {"class_weight": [1, 2]}, "all_weights"),
        ("1.x", {"class_weight": [1, 2], "avg_non_ignore": True}, "weights"),
    ],
)
def test_cross_entropy_is_divided_as_its_generation_divides(generation: str, own: dict[str, Any], normalize: str) -> None:
    model = {"type": "EncoderDecoder", "decode_head": {"loss_decode": {"type": "CrossEntropyLoss", **own}}}
    mark: dict[str, Any] = {"default_scope": "mmseg"} if generation == "1.x" else {"runner": {}}
    found = translate({"model": model, **mark})
    assert found.tree["losses"]["ce"]["normalize"] == normalize
    assert any("255" in note for note in found.notes) == (normalize in {"all_weights", "weights"})


def test_dice_is_that_of_its_generation(tmp_path: Path) -> None:
    code = """model = dict(decode_head=dict(loss_decode=[
        dict(type='CrossEntropyLoss', loss_name='loss_ce', loss_weight=1.0),
        dict(type='DiceLoss', loss_name='loss_dice', loss_weight=3.0)]))"""
    dice = {"type": "dice_mmseg_0x", "smooth": 1.0, "exponent": 2.0, "weight": 3.0}
    assert carried(code, tmp_path)["losses"]["dice"] == dice
    found = alone(model={"decode_head": {"loss_decode": {"type": "DiceLoss", "use_sigmoid": False, "naive_dice": True}}})
    assert found["losses"]["dice"] == {
        "type": "dice_mmseg_1x", "activation": "softmax", "naive": True, "eps": 1e-3, "weight": 1.0
    }  # fmt: skip


def test_ohem_is_per_worker_and_does_not_reach_the_auxiliary_head(tmp_path: Path) -> None:
    tree = carried("model = dict(decode_head=dict(sampler=dict(type='OHEMPixelSampler', thresh=0.7, min_kept=9)))", tmp_path)
    assert tree["sampling"] == {"type": "ohem_mmseg", "thresh": 0.7, "min_kept": 9, "per": "image", "scope": "rank"}
    assert tree["heads"]["auxiliary"]["sampling"] == {"type": "all_pixels"}
    assert tree["losses"]["ce"]["normalize"] == "all"


class _Tiny(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.bn, self.dw = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 3, groups=4)
        self.head = nn.Conv2d(4, 2, 1)


def test_parameter_groups_are_those_of_mmengine() -> None:
    """The vector was taken from MMEngine's constructor; a custom key excludes every other rule."""
    paramwise = {"custom_keys": {"head": {"lr_mult": 10}}, "norm_decay_mult": 0, "bias_decay_mult": 0, "bias_lr_mult": 2}
    wrapper = {
        "optimizer": {"type": "SGD", "lr": 0.01, "weight_decay": 5e-4},
        "paramwise_cfg": {**paramwise, "dwconv_decay_mult": 0.5},
    }
    optim = alone(optim_wrapper=wrapper)["optim"]
    rules = {name: Rule(**rule) for name, rule in optim["groups"].items()}
    model = _Tiny()
    groups = parameter_groups(model, rules, lr=optim["lr"], weight_decay=optim["weight_decay"])
    found = {id(p): (round(g["lr"], 9), round(g["weight_decay"], 9)) for g in groups for p in g["params"]}
    assert {name: found[id(parameter)] for name, parameter in model.named_parameters()} == {
        "conv.weight": (0.01, 5e-4), "conv.bias": (0.02, 0), "bn.weight": (0.01, 0), "bn.bias": (0.01, 0),
        "dw.weight": (0.01, 2.5e-4), "dw.bias": (0.02, 0), "head.weight": (0.1, 5e-4), "head.bias": (0.1, 5e-4),
    }  # fmt: skip


def test_the_longest_custom_key_comes_first() -> None:
    keys = {"head": {}, "decode_head": {"lr_mult": 2}, "norm": {"decay_mult": 0.0}, "a.b": {"betas": 1}}
    groups = alone(optim_wrapper={"optimizer": {"type": "AdamW"}, "paramwise_cfg": {"custom_keys": keys}})["optim"]["groups"]
    assert list(groups) == ["decode_head", "head", "norm", "a_b"]
    assert groups["a_b"]["match"] == r"a\.b"
    assert all(rule["final"] for rule in groups.values())


def rates(schedule: dict[str, Any], total: int) -> list[float]:
    """The rate from 0.01, made of what the config says and nothing else."""
    if "phases" in schedule:
        parts = [dict(phase) for phase in schedule["phases"].values()]
        lengths = [part.pop("length") for part in parts[:-1]]
        made = join([SCHEDULES[part.pop("type")](**part) for part in parts], lengths)
    else:
        own = {key: value for key, value in schedule.items() if key not in {"type", "warmup"}}
        made = SCHEDULES[schedule["type"]](**{key: tuple(v) if isinstance(v, list) else v for key, v in own.items()})
    if warmup := schedule.get("warmup"):
        made = with_warmup(made, type=warmup["type"], warmup_steps=warmup["length"], ratio=warmup["ratio"])
    return [0.01 * made(step, total) for step in range(total)]


WARM = {"warmup": "linear", "warmup_iters": 10, "warmup_ratio": 0.1}


@pytest.mark.parametrize(
    ("lr_config", "total", "wanted"),
    [
        (
            {"policy": "poly", "power": 0.9, "min_lr": 1e-4, **WARM},
            40,
            {0: 0.001, 2: 0.00267494, 10: 0.00774171, 39: 4.57916e-4},
        ),
        ({"policy": "poly", "power": 0.9, "min_lr": 1e-4, **WARM, "warmup": "exp"}, 40, {5: 0.00280777, 9: 0.00633126}),
        ({"policy": "CosineAnnealing", "min_lr_ratio": 1e-5, **WARM}, 40, {5: 0.00529067, 20: 0.00500005, 39: 1.55132e-05}),
        ({"policy": "FlatCosineAnnealing", "min_lr": 0}, 40, {30: 0.01, 35: 0.005, 39: 0.000244717}),
        ({"policy": "cyclic", "target_ratio": (10, 1e-4)}, 100, {20: 0.055, 39: 0.0998613, 70: 0.0500005, 99: 6.95226e-05}),
        ({"policy": "step", "step": [9, 10]}, 12, {8: 0.01, 9: 0.001, 10: 1e-4}),
    ],
)
def test_policies_have_the_rates_of_mmcv(lr_config: dict[str, Any], total: int, wanted: dict[int, float]) -> None:
    """The values were taken from mmcv 1.7.1."""
    runner = {"type": "IterBasedRunner", "max_iters": total}
    found = translate({"optimizer": {"type": "SGD", "lr": 0.01}, "lr_config": lr_config, "runner": runner})
    assert found.lost == ()
    values = rates(found.tree["schedule"], total)
    assert {step: values[step] for step in wanted} == pytest.approx(wanted, rel=1e-5)


def test_schedulers_of_mmengine_follow_one_another() -> None:
    listed = [
        {"type": "LinearLR", "start_factor": 1e-6, "by_epoch": False, "begin": 0, "end": 15},
        {"type": "PolyLR", "eta_min": 1e-4, "power": 0.9, "begin": 15, "end": 60, "by_epoch": False},
    ]
    sections = {
        "optim_wrapper": {"optimizer": {"type": "SGD", "lr": 0.01}},
        "train_cfg": {"type": "IterBasedTrainLoop", "max_iters": 60},
    }
    values = rates(alone(param_scheduler=listed, **sections)["schedule"], 60)
    assert values[:15] == pytest.approx([0.01 * (1e-6 + (1 - 1e-6) * t / 14) for t in range(15)])
    assert values[15:] == pytest.approx([0.0099 * math.pow(1 - t / 44, 0.9) + 1e-4 for t in range(45)])
    beside = translate({"default_scope": "mmseg", **sections, "param_scheduler": [listed[0], {**listed[1], "begin": 0}]})
    assert "is under a warm-up, where a floor has no formula" in str(beside.lost[0][0])


def test_precision_clipping_and_seeds_are_carried(tmp_path: Path) -> None:
    tree = carried(
        "optimizer_config = dict(type='Fp16OptimizerHook', loss_scale=512., grad_clip=dict(max_norm=35))\nseed = 3",
        tmp_path,
    )
    assert tree["train"] | {"precision": "fp16", "loss_scale": 512.0, "clip_norm": 35.0, "clip_norm_type": 2.0} == tree["train"]
    assert tree["seed"] == 3
    wrapper = {"type": "AmpOptimWrapper", "dtype": "bfloat16", "clip_grad": {"type": "value", "clip_value": 1}}
    found = alone(optim_wrapper=wrapper, randomness={"seed": 4, "deterministic": True})
    assert found["train"] == {"precision": "bf16", "clip_value": 1.0, "deterministic": True}
    assert found["seed"] == 4


def test_test_pipelines_are_the_box_and_the_views_of_evaluations(tmp_path: Path) -> None:
    code = """data = dict(val=dict(type='CityscapesDataset', pipeline=[dict(type='LoadImageFromFile'),
        dict(type='MultiScaleFlipAug', img_scale=(2049, 1025), img_ratios=[0.5, 1.0], flip=True, transforms=[
            dict(type='Resize', keep_ratio=True), dict(type='RandomFlip'), dict(type='Collect', keys=['img'])])]))
    model = dict(test_cfg=dict(_delete_=True, mode='slide', crop_size=(769, 769), stride=(513, 513)))"""
    own = {"mode": "slide", "crop_size": [769, 769], "stride": [513, 513], "resize": [1025, 2049]}
    tree = carried(code.replace("\n    model", "\nmodel"), tmp_path)
    assert tree["eval"] == {"every": 4000, "metrics": ["mIoU"], **own, "tta": {"scales": [0.5, 1.0], "flip": True}}
    other = lost("data = dict(val=dict(type='Own', pipeline=[dict(type='ResizeToMultiple')]))", tmp_path)
    assert "'ResizeToMultiple' is not done before images are judged" in other
    assert "data.val.type: Own with its images in . is not carried" in other


def test_hooks_and_records_are_carried() -> None:
    hooks = [
        {"type": "EMAHook", "momentum": 0.001},
        {"type": "EarlyStoppingHook", "monitor": "mIoU", "rule": "greater", "patience": 3},
        {"type": "MyHook", "a": 1, "priority": "LOW"},
    ]
    backends = [
        {"type": "LocalVisBackend"},
        {"type": "TensorboardVisBackend"},
        {"type": "MLflowVisBackend", "exp_name": "roads"},
    ]
    found = alone(custom_imports={"imports": ["my.hooks"]}, custom_hooks=hooks, vis_backends=backends)
    assert found["train"]["ema"]["decay"] == 0.999
    assert found["hooks"]["early_stopping"]["mode"] == "max"
    assert found["hooks"]["MyHook"] == {"type": "my.hooks:MyHook", "a": 1, "priority": "LOW"}
    assert found["tracking"]["tensorboard"] is True
    assert found["tracking"]["mlflow"] == {"experiment": "roads"}
    ExperimentConfig.from_dict(found)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("model = dict(pretrained='open-mmlab://resnet50_v1c')", "checkpoint: FILE, only: ^backbone}', or init=null"),
        ("model = dict(backbone=dict(type='HRNet'))", "model: HRNet: there is no such network here yet"),
        ("model = dict(decode_head=dict(ignore_index=0))", "0 is a class"),
        ("model = dict(type='CascadeEncoderDecoder', decode_head=[dict(), dict()])", "is a list: cascades of heads"),
        (
            "model = dict(decode_head=dict(auxiliary_head=dict(ignore_index=0)))",
            "move it one level up, to model.auxiliary_head",
        ),
        ("model = dict(decode_head=dict(loss_decode=dict(smoth=1)))", "loss_decode.smoth: CrossEntropyLoss of 0.x is not"),
        ("model = dict(decode_head=dict(loss_decode=dict(type='PointLoss')))", "'PointLoss' is no loss known here"),
        ("model = dict(decode_head=dict(loss_decode=dict(loss_name='ce')))", "does not contain 'loss'"),
        ("model = dict(decode_head=dict(sampler=dict(type='Own')))", "'Own' is no sampler known here"),
        ("optimizer = dict(constructor='Layers')", "'Layers' is not carried"),
        ("optimizer = dict(paramwise_cfg=dict(dcn_offset_lr_mult=1))", "paramwise_cfg.dcn_offset_lr_mult: nothing here"),
        ("optimizer_config = dict(type='GradientCumulativeOptimizerHook', cumulative_iters=0)", "a whole number from 1, got 0"),
        ("lr_config = dict(policy='OneCycle', total_steps=9)", "total_steps: is the length of the run here"),
        ("lr_config = dict(policy='onecycle')", "'onecycle' is not carried"),
        ("runner = dict(max_time=3)", "runner.max_time: nothing here stands for it"),
        ("evaluation = dict(metric='mAP')", "'mAP' is no metric here"),
        ("checkpoint_config = dict(out_dir='x')", "checkpoint_config.out_dir: nothing here"),
        ("log_config = dict(hooks=[dict(type='PaviLoggerHook')])", "'PaviLoggerHook' is not carried"),
        ("custom_hooks = [dict(type='MyHook')]", "write hooks.NAME: {type: 'module:MyHook'}"),
        ("resume_from = 'a.pth'", "'a.pth' has no state that a run could go on from"),
        ("data = dict(train=dict(type='MyDataset'))", "MyDataset with its images in data/cityscapes/leftImg8bit/train"),
        ("data = dict(train=dict(pipeline=[dict(type='AlbuTransform')]))", "'AlbuTransform' is not carried"),
    ],
)
def test_what_cannot_be_carried_is_said_with_its_place_and_a_remedy(code: str, message: str, tmp_path: Path) -> None:
    assert message in lost(code, tmp_path)


def test_everything_lost_is_refused_at_once_unless_it_is_replaced(tmp_path: Path) -> None:
    config("model = dict(pretrained='open-mmlab://resnet50_v1c', backbone=dict(type='HRNet'))\nresume_from = 'a.pth'", tmp_path)
    child = tmp_path / "child_4xb2.py"
    with pytest.raises(ConfigError) as caught:
        load_config(child)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        assert load_config(child, strict=False).train.steps == 40000
    assert sum("left out: " in str(each.message) for each in said) == 3
    assert {problem.path for problem in caught.value.problems} == {"model", "model.pretrained", "resume_from"}
    found = load_config(child, {"model": {"type": "small_unet"}, "init": None, "tracking.name": "a"}, cfg_options={"seed": 7})
    assert (found.seed, found.train.steps) == (7, 40000)
    with pytest.raises(ConfigError, match="are for configs of MMSegmentation"):
        load_config(Path(__file__), cfg_options={"seed": 1})


@pytest.mark.parametrize(
    ("name", "images"),
    [
        ("pspnet_r50-d8_8xb2-40k_cityscapes-512x1024.py", 16),
        ("fcn_unet_s5-d16_8x4_512x1024_160k_cityscapes.py", 16),
        ("fcn_unet_s5-d16_64x64_40k_drive.py", 8),
        ("mine.py", 8),
    ],
)
def test_the_batch_is_that_of_all_gpus_that_the_name_says_or_of_four(name: str, images: int) -> None:
    found = translate({"data": {"samples_per_gpu": 2}}, name)
    assert found.tree["train"]["batch_size"] == images
    assert any("how many there are" in note for note in found.notes) == (images == 8)


def test_an_absolute_floor_under_an_lr_mult_is_a_known_trap(tmp_path: Path) -> None:
    found = translate(config("optimizer = dict(paramwise_cfg=dict(custom_keys={'head': dict(lr_mult=10.)}))", tmp_path), NAME)
    assert found.lost == ()
    assert "end at the same 0.0001" in found.notes[0]


def test_show_prints_a_file_that_says_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config("", tmp_path)
    assert main(["show", str(tmp_path / NAME), "optim.lr=0.02", "--cfg-options", "lr_config.min_lr=0", "seed=5"]) == 0
    (tmp_path / "ours.yaml").write_text(capsys.readouterr().out, encoding="utf-8")
    ours = load_config(tmp_path / "ours.yaml")
    assert ours == load_config(tmp_path / NAME, {"optim.lr": 0.02}, cfg_options={"lr_config.min_lr": 0, "seed": 5})
    assert (ours.seed, ours.optim.lr, ours.schedule.kwargs["floor"]) == (5, 0.02, 0.0)


def test_an_experiment_that_is_carried_passes_the_check(tmp_path: Path) -> None:
    code = """runner = dict(max_iters=6)
checkpoint_config = dict(interval=3)
evaluation = dict(interval=3)
model = dict(backbone=dict(depth=18, base_channels=4, stem_channels=8), auxiliary_head=dict(channels=4, num_classes=9),
    decode_head=dict(channels=4, num_classes=9, sampler=dict(type='OHEMPixelSampler', thresh=0.7, min_kept=100)))
optimizer = dict(paramwise_cfg=dict(custom_keys=dict(head=dict(lr_mult=10.)), norm_decay_mult=0.))
lr_config = dict(min_lr=0.)"""
    config(code, tmp_path)
    ours = {
        "data.dataset": {"type": "synthetic", "size": [32, 48], "length": 8},
        "data.transforms": {},
        "data.pad_size": None,
        "data.num_workers": 0,
        "tracking.mlflow": None,
        "tracking.storage": str(tmp_path),
    }
    assert check(load_config(tmp_path / "child_4xb2.py", ours)) == []


@pytest.mark.examples  # minutes, where the packages are
def test_every_config_of_the_families_that_is_installed_is_an_experiment_whose_network_can_be_built() -> None:
    families = ["pspnet", "fcn", "unet", "deeplabv3", "deeplabv3plus", "stdc", "segformer", "upernet"]
    families += ["mobilenet_v2", "mobilenet_v3"]
    networks: list[Any] = []
    found = [file for tree in config_trees(os.environ) for family in families for file in sorted((tree / family).glob("*.py"))]
    if not found:
        pytest.skip("no config files of mmsegmentation; set RAYSEG_MMSEG_CONFIGS to a directory of them")
    for file in found:
        translation = translate(read_mmseg_config(file), file.name)
        ExperimentConfig.from_dict(translation.tree)
        others = [problem for problem, instead in translation.lost if instead != "init"]
        assert not others or "mapillay" in file.name or "CM+C" in file.name, (file.name, others)
        networks.append(translation.tree["model"])
    with torch.device("meta"):
        for network in {str(each): each for each in networks}.values():
            parts = {key: value for key, value in network.items() if key != "type"}
            assert mmseg(network["decode_head"]["num_classes"], **parts).decode_head is not None


def test_the_net_inside_an_stdc_backbone_is_carried_with_its_weights() -> None:
    norm = {"norm_cfg": {"type": "SyncBN", "requires_grad": True}}
    net = {"type": "STDCNet", "in_channels": 3, **norm, "act_cfg": {"type": "ReLU"}}
    init = {"init_cfg": {"type": "Pretrained", "checkpoint": "a.pth"}}
    backbone = {"type": "STDCContextPathNet", "backbone_cfg": {**net, **init}, "align_corners": None, **norm}
    model = {"type": "EncoderDecoder", "backbone": backbone, "decode_head": {"type": "FCNHead", "channels": 4, **norm}}
    found = translate({"model": model, "optim_wrapper": {"optimizer": {"type": "SGD", "lr": 0.01}}})
    assert found.tree["model"]["backbone"]["backbone_cfg"] == {"type": "STDCNet", "in_channels": 3, "act_cfg": {"type": "ReLU"}}
    assert found.tree["init"] == {"checkpoint": "a.pth", "only": r"^backbone\."}
    assert found.lost == ()


def test_numbers_of_norms_and_activations_that_are_not_the_usual_ones_are_carried() -> None:
    norm = {"norm_cfg": {"type": "SyncBN", "eps": 0.001, "requires_grad": True}}
    backbone = {"type": "MobileNetV2", "act_cfg": {"type": "ReLU"}, **norm}
    head = {"type": "FCNHead", "channels": 4, "norm_cfg": {"type": "SyncBN", "requires_grad": True}}
    found = translate({"model": {"type": "EncoderDecoder", "backbone": backbone, "decode_head": head}})
    assert found.lost == ()
    assert found.tree["model"] == {
        "type": "mmseg",
        "backbone": {"type": "MobileNetV2", "act_cfg": {"type": "ReLU"}, "norm_cfg": {"eps": 0.001}},
        "decode_head": {"type": "FCNHead", "channels": 4},
    }
