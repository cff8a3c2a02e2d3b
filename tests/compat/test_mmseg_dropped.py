"""Small things in a config of MMSegmentation that change a run: none is passed over."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import torch

from rayseg.compat import translate
from rayseg.config import ExperimentConfig, parse_assignments
from rayseg.errors import ConfigError
from rayseg.load import load_config

NEW: dict[str, Any] = {"default_scope": "mmseg"}
CITY = {"type": "CityscapesDataset", "data_root": "a"}
PAD = {"type": "Pad", "size": (64, 64)}


def lost(config: dict[str, Any]) -> list[str]:
    return [problem.path for problem, _ in translate(config, "a_4xb2.py").lost]


@pytest.mark.parametrize(
    ("sections", "path"),
    [
        ({"train_dataloader": {"sampler": {"type": "MySampler"}}}, "train_dataloader.sampler.type"),
        ({"train_dataloader": {"sampler": {"type": "DefaultSampler", "shuffle": False}}}, "train_dataloader.sampler.shuffle"),
        (
            {"train_dataloader": {"dataset": {**CITY, "data_prefix": {"img": "b"}}}},
            "train_dataloader.dataset.data_prefix.img",
        ),
        ({"train_cfg": {"type": "MyLoop", "max_iters": 4}}, "train_cfg.type"),
        ({"val_evaluator": {"type": "CityscapesMetric", "output_dir": "b"}}, "val_evaluator.type"),
        ({"val_evaluator": [{"type": "IoUMetric"}, {"type": "Mine"}]}, "val_evaluator.1.type"),
        ({"default_hooks": {"checkpoint": {"type": "MyHook", "interval": 4}}}, "default_hooks.checkpoint.type"),
        ({"default_hooks": {"logger": {"type": "MyHook", "interval": 4}}}, "default_hooks.logger.type"),
        ({"model": {"data_preprocessor": {"type": "Mine"}}}, "model.data_preprocessor.type"),
        ({"model": {"data_preprocessor": {"seg_pad_val": 0}}}, "model.data_preprocessor.seg_pad_val"),
        ({"model": {"data_preprocessor": {"size_divisor": 32}}}, "model.data_preprocessor.size_divisor"),
        ({"model": {"data_preprocessor": {"test_cfg": {"size_divisor": 32}}}}, "model.data_preprocessor.test_cfg"),
        ({"model": {"type": "A", "test_cfg": {"mode": "slide", "stride": 4}}}, "model.test_cfg.crop_size"),
    ],
)
def test_what_would_change_a_run_of_1x_is_told(sections: dict[str, Any], path: str) -> None:
    assert path in lost({**NEW, **sections})


@pytest.mark.parametrize("key", ["pad_val", "seg_pad_val"])
def test_padding_of_0x_is_void(key: str) -> None:
    data = {"train": {**CITY, "pipeline": [{**PAD, key: 7}]}}
    assert f"data.train.pipeline.0.{key}" in lost({"data": data})
    assert lost({"data": {"train": {**CITY, "pipeline": [{**PAD, "pad_val": 0, "seg_pad_val": 255}]}}}) == []


def test_a_loader_of_0x_of_its_own_goes_before_what_all_loaders_have() -> None:
    data = {"samples_per_gpu": 2, "workers_per_gpu": 3, "train_dataloader": {"samples_per_gpu": 5}}
    tree = translate({"data": data}, "a_4xb2.py").tree
    assert (tree["train"]["batch_size"], tree["data"]["num_workers"]) == (20, 3)
    assert lost({"data": {**data, "train_dataloader": {"shuffle": False}}}) == ["data.train_dataloader.shuffle"]


def test_one_evaluator_in_a_list_is_one_evaluator() -> None:
    found = translate({**NEW, "val_evaluator": [{"type": "IoUMetric", "iou_metrics": ["mDice"]}]})
    assert (found.lost, found.tree["eval"]["metrics"]) == ((), ["mDice"])


@pytest.mark.parametrize(
    ("sections", "only"),
    [({"load_from": "https://a.org/b.pth"}, None), ({"model": {"pretrained": "torchvision://resnet50"}}, "^backbone")],
)
def test_the_remedy_for_weights_that_are_not_there_can_be_typed_as_it_is(
    sections: dict[str, Any], only: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path))
    (problem,) = (problem for problem, instead in translate({**NEW, **sections}).lost if instead == "init")
    (remedy,) = re.findall(r"write (init='.*?')", str(problem))
    init = ExperimentConfig().with_(parse_assignments(shlex.split(remedy))).init
    assert (str(getattr(init, "checkpoint", None)), getattr(init, "only", None)) == ("FILE", only)


@pytest.mark.parametrize("generation", ["0.x", "1.x"])
def test_a_network_that_gets_grey_levels_there_gets_them_here(generation: str) -> None:
    train = {**CITY, "pipeline": [{"type": "LoadImageFromFile"}]}
    written = {"data": {"train": train}} if generation == "0.x" else {**NEW, "train_dataloader": {"dataset": train}}
    found = translate(written)
    assert (found.tree["data"]["mean"], found.tree["data"]["std"]) == ([0.0] * 3, [1.0] * 3)
    assert "the network gets 0 to 255" in found.notes[-1]
    said = {"type": "Normalize", "mean": [1, 2, 3], "std": [4, 5, 6]}
    old = translate({"data": {"train": {**train, "pipeline": [said]}}})
    assert (old.tree["data"]["mean"], old.notes) == ([1.0, 2.0, 3.0], ())


@pytest.mark.parametrize(
    ("sections", "told"),
    [
        (
            {"optim_wrapper": {"optimizer": {"type": "SGD", "lr": 1}, "paramwise_cfg": {"custom_keys": {"head": 3}}}},
            "optim_wrapper, .*'int'",
        ),
        ({"train_cfg": {"type": "IterBasedTrainLoop", "max_iters": "long"}}, "train_cfg, .*'long'"),
        ({"workflow": ["train"]}, "workflow: a value is of a wrong kind"),
        ({"train_dataloader": {"batch_size": "many"}}, "train_dataloader, .*'many'"),
        ({"param_scheduler": [{"type": "PolyLR", "end": "late"}]}, "param_scheduler, "),
        (
            {
                "model": {
                    "type": "EncoderDecoder",
                    "decode_head": {"loss_decode": {"type": "CrossEntropyLoss", "loss_weight": "much"}},
                }
            },
            "model: .*'much'",
        ),
    ],
)
def test_a_value_of_a_wrong_kind_is_told_with_its_section(sections: dict[str, Any], told: str) -> None:
    assert re.search(told, "\n".join(str(problem) for problem, _ in translate({**NEW, **sections}).lost))


@pytest.mark.parametrize("generation", ["0.x", "1.x"])
def test_data_for_testing_alone_are_told(generation: str) -> None:
    other, same = {**CITY, "data_root": "b", "pipeline": []}, {**CITY, "pipeline": [{"type": "LoadImageFromFile"}]}

    def notes(tested: dict[str, Any]) -> tuple[str, ...]:
        old = {"data": {"train": CITY, "val": CITY, "test": tested}}
        loaders = {"train": CITY, "val": CITY, "test": tested}
        new = {**NEW, **{f"{split}_dataloader": {"dataset": each} for split, each in loaders.items()}}
        return translate(old if generation == "0.x" else new).notes

    assert notes(same) == ()
    assert "rayseg eval CHECKPOINT data.dataset=" in notes(other)[0]


def test_an_evaluator_of_1x_beside_an_evaluation_of_0x_is_read() -> None:
    found = translate(
        {**NEW, "evaluation": {"metric": "mIoU"}, "val_evaluator": {"type": "IoUMetric", "iou_metrics": ["mDice"]}}
    )
    assert (found.lost, found.tree["eval"]["metrics"]) == ((), ["mDice"])


def test_to_resume_a_run_of_mmsegmentation_has_a_remedy_that_is_taken(tmp_path: Path) -> None:
    file = tmp_path / "mine_4xb2.py"
    file.write_text("default_scope = 'mmseg'\nresume = True\nload_from = 'a.pth'")
    with pytest.raises(ConfigError, match=r"write init='\{checkpoint: FILE\}' to begin with its"):
        load_config(file)
    assert load_config(file, {"init": {"checkpoint": "b.pth"}}).init.checkpoint == "b.pth"  # type: ignore[union-attr]
    assert load_config(file, {"init": None, "tracking.name": "first"}).tracking.name == "first"


def test_a_module_that_nothing_carried_is_of_is_said_not_to_be_imported() -> None:
    imports = {**NEW, "custom_imports": {"imports": ["my.mod"]}}
    assert translate(imports).notes == ("custom_imports: my.mod is not imported: nothing of it is named in what is carried",)
    assert translate({**imports, "custom_hooks": [{"type": "Mine"}]}).notes == ()
