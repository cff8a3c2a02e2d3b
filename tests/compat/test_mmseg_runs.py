"""What a config of MMSegmentation makes of a run: its first weights, accumulated gradients, averages, rates by depth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from rayseg.compat import Translation, translate
from rayseg.config import ExperimentConfig
from rayseg.engine import Ema
from rayseg.optim import SCHEDULES, Rule, parameter_groups, with_warmup

MODEL = {
    "type": "EncoderDecoder",
    "backbone": {"type": "ResNet", "depth": 50},
    "decode_head": {"type": "FCNHead", "channels": 4},
}


def new(name: str = "a_4xb2.py", **sections: Any) -> Translation:
    """A few sections of 1.x."""
    return translate({"default_scope": "mmseg", **sections}, name)


def kept(place: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> Path:
    """A file where torch keeps what it has fetched."""
    monkeypatch.setattr(torch.hub, "_hub_dir", str(place))
    file = place / "checkpoints" / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch()
    return file


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("open-mmlab://resnet50_v1c", "resnet50_v1c-2cccc1ad.pth"),
        ("torchvision://resnet50", "resnet50-0676ba61.pth"),
        ("mmcls://mobilenet_v2", "mobilenet_v2_batch256_imagenet_20200708-3b2dc3af.pth"),
        ("https://a.org/v0/mit_b0_20220624-7e0fe6dd.pth", "mit_b0_20220624-7e0fe6dd.pth"),
    ],
)
def test_weights_of_a_hub_are_the_file_that_torch_has_kept(
    source: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path))
    (problem, instead), *others = new(model={**MODEL, "pretrained": source}).lost
    assert (others, instead) == ([], "init")
    assert f"{tmp_path / 'checkpoints'} has no {name}: download https://" in problem.message
    assert problem.message.endswith(
        "write init='{checkpoint: FILE, only: ^backbone}', or init=null to begin with random weights"
    )
    file = kept(tmp_path, monkeypatch, name)
    for model in (
        {**MODEL, "pretrained": source},
        {**MODEL, "backbone": {**MODEL["backbone"], "init_cfg": {"type": "Pretrained", "checkpoint": source}}},  # type: ignore[dict-item]
    ):
        found = new(model=model)
        assert found.lost == ()
        assert found.tree["init"] == {"checkpoint": str(file), "only": r"^backbone\."}
        assert any(str(file) in note for note in found.notes)


def test_weights_of_a_file_are_carried_and_a_second_one_is_not() -> None:
    model = {**MODEL, "pretrained": "a.pth"}
    assert new(model=model).tree["init"]["checkpoint"] == "a.pth"
    named = {"type": "Pretrained", "checkpoint": "a.pth"}
    for prefix, renamed in [("backbone.", None), ("encoder.q", {r"^encoder\.q\.": "backbone."})]:
        begun = new(model={**MODEL, "backbone": {**MODEL["backbone"], "init_cfg": {**named, "prefix": prefix}}})  # type: ignore[dict-item]
        assert begun.tree["init"].get("rename") == renamed
    two = {**model, "backbone": {**MODEL["backbone"], "init_cfg": {"type": "Pretrained", "checkpoint": "b.pth"}}}  # type: ignore[dict-item]
    assert "'b.pth' is one file more" in str(new(model=two).lost[0][0])
    whole = new(model={**MODEL, "pretrained": "open-mmlab://resnet50_v1c"}, load_from="all.pth")
    assert whole.tree["init"] == {"checkpoint": "all.pth"}
    assert "load_from take the place of those of open-mmlab://resnet50_v1c" in whole.notes[0]
    assert "'s3://a.pth' is not fetched" in str(new(load_from="s3://a.pth").lost[0][0])


def test_a_run_that_shall_go_on_has_the_name_of_its_file() -> None:
    assert new("pspnet_4xb2.py", resume=True).tree["tracking"] == {"name": "pspnet_4xb2"}
    assert translate({"auto_resume": True, "runner": {}}, "a.py").tree["tracking"] == {"name": "a"}
    assert "'a.pth' has no state" in str(new(resume=True, load_from="a.pth").lost[0][0])
    assert new("pspnet_4xb2.py", resume=False).tree == {}


ACCUMULATING = {"type": "OptimWrapper", "optimizer": {"type": "SGD", "lr": 0.01}, "accumulative_counts": 4}


def test_iterations_become_steps_with_all_their_images() -> None:
    old = {
        "optimizer": {"type": "SGD", "lr": 0.01},
        "optimizer_config": {"type": "GradientCumulativeOptimizerHook", "cumulative_iters": 4},
        "runner": {"type": "IterBasedRunner", "max_iters": 1002},
        "lr_config": {"policy": "step", "step": [400, 800], "warmup": "linear", "warmup_iters": 20},
        "data": {"samples_per_gpu": 2},
        "checkpoint_config": {"interval": 100},
        "evaluation": {"interval": 200},
        "custom_hooks": [{"type": "EMAHook"}],
    }
    found = translate(old, "a_4xb2.py")
    assert found.lost == ()
    assert found.tree["train"] == {
        "batch_size": 32, "micro_batch": 2, "steps": 251, "epochs": None,
        "ema": {"decay": 0.9998**4, "warmup": 0.0, "every": 1, "start": None},
    }  # fmt: skip
    assert found.tree["schedule"]["milestones"] == [100, 200]
    assert found.tree["schedule"]["warmup"]["length"] == 5
    assert (found.tree["checkpoint"]["every"], found.tree["eval"]["every"]) == (25, 50)
    assert any("rounded up: train.steps" in note for note in found.notes)
    ExperimentConfig.from_dict(found.tree)


def test_where_no_batch_is_said_that_of_a_step_is_asked_for() -> None:
    assert "write train.batch_size, that of a step" in new(optim_wrapper=ACCUMULATING).notes[-1]


def test_epochs_stay_epochs_where_gradients_are_accumulated() -> None:
    found = new(optim_wrapper=ACCUMULATING, train_cfg={"by_epoch": True, "max_epochs": 3}, train_dataloader={"batch_size": 2})
    assert found.tree["train"] == {"epochs": 3.0, "steps": None, "batch_size": 32, "micro_batch": 2}


@pytest.mark.parametrize(
    "policy",
    [
        {"policy": "poly", "power": 0.9, "min_lr": 1e-4, "warmup": "exp", "warmup_iters": 20, "warmup_ratio": 0.1},
        {"policy": "exp", "gamma": 0.99},
        {"policy": "inv", "gamma": 0.1, "power": 0.5},
        {"policy": "step", "step": 20},
        {"policy": "CosineAnnealing", "min_lr_ratio": 1e-5},
    ],
)
def test_a_step_has_the_rate_of_its_first_iteration(policy: dict[str, Any]) -> None:
    def rates(**more: Any) -> list[float]:
        config = {"optimizer": {"type": "SGD", "lr": 0.01}, "lr_config": policy, "runner": {"max_iters": 80}, **more}
        tree = translate(config).tree
        own = {key: value for key, value in tree["schedule"].items() if key not in {"type", "warmup"}}
        made = SCHEDULES[tree["schedule"]["type"]](**own)
        if warmup := tree["schedule"].get("warmup"):
            made = with_warmup(made, type=warmup["type"], warmup_steps=warmup["length"], ratio=warmup["ratio"])
        return [made(step, tree["train"]["steps"]) for step in range(tree["train"]["steps"])]

    accumulated = rates(optimizer_config={"type": "GradientCumulativeFp16OptimizerHook", "cumulative_iters": 4})
    assert accumulated == pytest.approx(rates()[::4])


@given(st.floats(1e-4, 0.01), st.integers(1, 3), st.integers(1, 100))
def test_an_average_of_0x_has_the_weights_of_mmcv(momentum: float, every: int, warm_up: int) -> None:
    found = translate(
        {"custom_hooks": [{"type": "EMAHook", "momentum": momentum, "interval": every, "warm_up": warm_up}], "runner": {}}
    )
    wanted = [min(momentum**every, (1 + t) / (warm_up + t)) * (t % every == 0) for t in range(30)]
    ema = Ema(nn.Linear(1, 1), **found.tree["train"]["ema"])
    assert [1 - ema.decay_at(t) for t in range(30)] == pytest.approx(wanted, abs=1e-12)


def test_an_average_of_0x_that_warms_up_is_refused_with_the_nearest() -> None:
    hooks = [{"type": "EMAHook", "momentum": 0.5, "warm_up": 100}]
    problem, instead = translate({"custom_hooks": hooks, "runner": {}}).lost[0]
    assert "Nearest: train.ema: {decay: 0.5, warmup: 0, every: 1}" in problem.message
    assert instead == "train.ema"


@given(st.sampled_from(["ExponentialMovingAverage", "MomentumAnnealingEMA"]), st.integers(0, 9), st.integers(1, 3))
def test_an_average_of_1x_has_the_weights_of_mmengine(kind: str, begin: int, every: int) -> None:
    begin = begin * every + (1 if begin else 0)
    hooks = [{"type": "EMAHook", "ema_type": kind, "momentum": 0.02, "begin_iter": begin, "interval": every}]
    written = {key: value for key, value in new(custom_hooks=hooks).tree["train"]["ema"].items() if key != "buffers"}
    ema = Ema(nn.Linear(1, 1), start_step=written.pop("start") or 0, **written)
    steps, wanted = 0, []
    for t in range(40):
        share = 0.02 if kind == "ExponentialMovingAverage" else max(0.02, 100 / (100 + steps))
        started = t + 1 >= begin
        wanted.append(1.0 if not started or steps == 0 else share * (steps % every == 0))
        steps += started
    assert [1 - ema.decay_at(t) for t in range(40)] == pytest.approx(wanted)


class _Deep(nn.Module):
    """Names of a ConvNeXt or of a BEiT, with parameters of one number or two dimensions."""

    def __init__(self, names: list[str]) -> None:
        super().__init__()
        for name in names:
            *path, last = name.split(".")
            node: nn.Module = self
            for part in path:
                if part not in dict(node.named_children()):
                    node.add_module(part, nn.Module())
                node = dict(node.named_children())[part]
            shape = (1,) if last == "gamma" else (1, 1)
            node.register_parameter(last, nn.Parameter(torch.zeros(shape)))


def _names(kind: str) -> list[str]:
    if kind == "BEiT":
        blocks = [f"backbone.layers.{layer}.{part}" for layer in range(3) for part in ("attn.weight", "attn.bias", "gamma")]
        return ["backbone.cls_token", "backbone.patch_embed.projection.weight", *blocks, "decode_head.conv_seg.weight"]
    depths = (3, 3, 9, 3)
    blocks = [f"backbone.stages.{stage}.{b}.pw.weight" for stage, depth in enumerate(depths) for b in range(depth)]
    blocks += ["backbone.stages.0.0.gamma", "backbone.stages.3.1.pw.bias"]
    return [*(f"backbone.downsample_layers.{stage}.1.weight" for stage in range(4)), *blocks, "decode_head.conv_seg.weight"]


def _layer_of_convnext(name: str, count: int) -> int:
    """As MMSegmentation numbers them."""
    _, part, stage, *rest = (*name.split("."), "")
    if part not in {"downsample_layers", "stages"}:
        return count + 1
    if part == "downsample_layers":
        return (0, 2, 3, count)[int(stage)]
    return (1, 2, 3 + int(rest[0]) // 3, count)[int(stage)]


def _layer_of_stage(name: str, count: int) -> int:
    _, part, stage, *_ = (*name.split("."), "")
    return {"downsample_layers": 0, "stages": int(stage) + 1 if stage.isdigit() else 0}.get(part, count + 1)


def _layer_of_vit(name: str, count: int) -> int:
    _, part, *rest = name.split(".")
    return 0 if part in {"cls_token", "patch_embed"} else int(rest[0]) + 1 if part == "layers" else count + 1


@pytest.mark.parametrize(
    ("backbone", "constructor", "paramwise", "layer_of"),
    [
        ("BEiT", "LayerDecayOptimizerConstructor", {"num_layers": 3, "layer_decay_rate": 0.9}, _layer_of_vit),
        ("BEiT", "LearningRateDecayOptimizerConstructor", {"num_layers": 3, "decay_rate": 0.65}, _layer_of_vit),
        (
            "mmpretrain.ConvNeXt",
            "LearningRateDecayOptimizerConstructor",
            {"num_layers": 6, "decay_rate": 0.9, "decay_type": "stage_wise"},
            _layer_of_stage,
        ),
        (
            "mmcls.ConvNeXt",
            "LearningRateDecayOptimizerConstructor",
            {"num_layers": 6, "decay_rate": 0.8, "decay_type": "layer_wise"},
            _layer_of_convnext,
        ),
    ],
)
def test_rates_by_depth_are_those_of_the_constructor(
    backbone: str, constructor: str, paramwise: dict[str, Any], layer_of: Any
) -> None:
    optimizer = {"type": "AdamW", "lr": 0.01, "weight_decay": 0.05}
    wrapper = {"constructor": constructor, "paramwise_cfg": paramwise, "optimizer": optimizer}
    found = new(model={"backbone": {"type": backbone}}, optim_wrapper=wrapper)
    assert [path for problem, _ in found.lost if "optim" in (path := problem.path)] == []
    optim = found.tree["optim"]
    model = _Deep(_names(backbone.rpartition(".")[2]))
    rules = {name: Rule(**rule) for name, rule in optim["groups"].items()}
    groups = parameter_groups(model, rules, lr=optim["lr"], weight_decay=optim["weight_decay"])
    settings = {id(p): (group["lr"], group["weight_decay"]) for group in groups for p in group["params"]}
    count, rate = paramwise["num_layers"], paramwise.get("decay_rate", paramwise.get("layer_decay_rate"))
    for name, parameter in model.named_parameters():
        decays = parameter.ndim > 1 and not name.endswith(".bias")
        wanted = (0.01 * rate ** (count + 2 - layer_of(name, count) - 1), 0.05 if decays else 0.0)
        assert settings[id(parameter)] == pytest.approx(wanted), name


def test_rates_by_depth_of_other_networks_are_refused() -> None:
    wrapper = {"constructor": "LearningRateDecayOptimizerConstructor", "paramwise_cfg": {"num_layers": 3, "decay_rate": 0.9}}
    found = new(model=MODEL, optim_wrapper={**wrapper, "optimizer": {"type": "AdamW"}})
    assert "layer_wise, knows no layers of 'ResNet'" in str(found.lost[0][0])
    wrapper["paramwise_cfg"]["custom_keys"] = {"head": {}}  # type: ignore[index]
    found = new(model={"backbone": {"type": "BEiT"}}, optim_wrapper={**wrapper, "optimizer": {"type": "AdamW"}})
    assert any("does not read it" in problem.message for problem, _ in found.lost)
