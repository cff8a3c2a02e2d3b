"""A run that takes milliseconds, parts to plug into it, and data sets with faults."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from rayseg.build import Experiment, assemble, check
from rayseg.config import ExperimentConfig
from rayseg.engine import LocalReporter, fit
from rayseg.errors import ConfigError

BASE = ExperimentConfig.from_dict(
    {
        "data": {"dataset": {"type": "synthetic", "size": [32, 32], "length": 4}},
        "model": {"type": "small_unet", "width": 4, "depth": 1},
        "train": {"batch_size": 2, "steps": 2},
    }
)
#: Nodes written whole.
DICE = {"type": "dice"}
AUXILIARY = {"model": {"type": "two_heads"}}


def built(*overrides: Mapping[str, Any]) -> Experiment:
    """The small run, changed by each of the overrides in turn; nothing is written."""
    config = BASE
    for change in overrides:
        config = config.with_(change)
    return assemble(config, LocalReporter(Path("unused")), PARTS)


def checked(overrides: Mapping[str, Any], directory: Path) -> Experiment:
    """What comes before any worker starts: config, check, objects."""
    config = BASE.with_({"tracking.storage": str(directory / "runs"), **overrides})
    parts = {name: part for name, part in PARTS.items() if f"'type': {name!r}" in str(overrides)}
    if problems := check(config, parts):
        raise ConfigError(problems)
    return assemble(config, LocalReporter(directory / "runs"), parts)


def trained_checkpoint(directory: Path, *overrides: Mapping[str, Any]) -> Path:
    """The checkpoint of one step of the small run, changed by the overrides."""
    config = BASE.with_({"train.steps": 1})
    for change in overrides:
        config = config.with_(change)
    fit(assemble(config, LocalReporter(directory), PARTS).fit)
    return directory / "checkpoints" / "step_00000001"


class TwoHeads(nn.Module):
    """A main and an auxiliary head."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.backbone, self.decode_head = nn.Conv2d(3, 4, 2, stride=2), nn.Conv2d(4, num_classes, 1)
        self.auxiliary_head = nn.Conv2d(4, num_classes, 1)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        features = self.backbone(images)
        return {"main": self.decode_head(features), "auxiliary": self.auxiliary_head(features)}


class Topo(nn.Module):
    """A loss that is a module; one value per pixel."""

    def __init__(self, strength: float) -> None:
        super().__init__()
        self.factor = strength

    def forward(self, logits: Tensor, target: Tensor, *, ignore_index: int) -> Tensor:
        return logits.square().mean(1) * self.factor * (target != ignore_index)


class LateNan(nn.Module):
    """A loss that is not a number from its third step on."""

    def __init__(self) -> None:
        super().__init__()
        self.steps = 0

    def forward(self, logits: Tensor, target: Tensor, *, ignore_index: int) -> Tensor:
        self.steps += 1
        return (logits.square().mean(1) * (1.0 if self.steps < 3 else float("nan"))).masked_fill(target == ignore_index, 0)


def scalar(logits: Tensor, target: Tensor, *, ignore_index: int) -> Tensor:
    return logits.square().mean()


def pair(logits: Tensor, target: Tensor, *, ignore_index: int, strength: float = 1.0) -> tuple[Tensor, Tensor]:
    return logits.square().sum() * strength, logits.new_tensor(float(target.numel()))


def weighted_pair(logits: Tensor, target: Tensor, *, ignore_index: int, pixel_weight: Tensor) -> tuple[Tensor, Tensor]:
    return (logits.square().mean(1) * pixel_weight).sum(), pixel_weight.sum()


class NoPerImage:
    """A loss of class sums that does not say whether it is taken for each image."""

    def from_sums(self, sums: Any, class_weight: Tensor | None) -> Tensor:
        raise NotImplementedError


def small_map(logits: Tensor, target: Tensor, *, ignore_index: int) -> Tensor:
    return logits.mean((1, 2))


def detached(logits: Tensor, target: Tensor, *, ignore_index: int) -> Tensor:
    return logits.detach().square().mean(1)


def open_ended(logits: Tensor, target: Tensor | None = None, **own: Any) -> Tensor:
    return logits.square().mean(1)


def broken_transform(sample: Any, rng: Any) -> Any:
    raise KeyError("gamma")


def negative_schedule() -> Callable[[int, int], float]:
    return lambda step, total_steps: 0.5 - step / (total_steps - 1)


def adjust_learning_rate(optimizer: torch.optim.Optimizer, epoch: int, drop: int = 30) -> None:
    """What a notebook writes: the rate by the epoch."""
    for group in optimizer.param_groups:
        group["lr"] = 0.5 * 0.1 ** (epoch // drop)


def halved(count: int) -> float:
    return 0.5**count


def edges(masks: Tensor, *, ignore_index: int, width: int = 1) -> Tensor:
    """The target of another head: whether a pixel differs from its left neighbour."""
    target = (masks != masks.roll(width, 2)).long()
    return target.masked_fill(masks == ignore_index, ignore_index)


def real_target(masks: Tensor, *, ignore_index: int) -> Tensor:
    return masks.float()


class Silent:
    """A hook with a mistyped method."""

    def after_stepp(self, run: Any, parts: Any) -> None: ...


class Refusing:
    """A hook that does not like its argument."""

    def __init__(self, every: int) -> None:
        raise ValueError(f"every must be even, got {every}")

    def on_end(self, run: Any) -> None: ...


class Learned(nn.Module):
    """A loss with a parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        return logits.square().mean(1) * self.scale * (target >= 0)


class Pooled(nn.Module):
    """A batch norm over one value per image, and a layer that is never used."""

    def __init__(self, num_classes: int, idle: bool = False) -> None:
        super().__init__()
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
        self.decode_head = nn.Conv2d(4, num_classes, 1)
        self.idle = nn.Conv2d(4, 4, 1) if idle else None

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.decode_head(self.pool(images).expand(-1, -1, *images.shape[-2:]))
        return logits


class Nothing:
    """A data set without images."""

    class_names, palette = ("a", "b"), None

    def __init__(self, split: str) -> None: ...

    def __len__(self) -> int:
        return 0

    def __getitem__(self, index: int) -> Any:
        raise IndexError

    def digest(self) -> str:
        return "nothing"


class Nameless(Nothing):
    """A data set that does not tell when it changes, and has no colours."""

    def __getattribute__(self, name: str) -> Any:
        if name in {"digest", "palette"}:
            raise AttributeError(name)
        return super().__getattribute__(name)


class OwnSteps(torch.optim.Optimizer):
    """An optimizer with arguments of its own, and neither rate nor decay."""

    def __init__(self, params: Any, a: float, b: int, c: str) -> None:
        super().__init__(params, {"a": a, "b": b, "c": c})

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    parameter.sub_(group["a"] * parameter.grad.sign() / group["b"])


class Remembers(torch.optim.SGD):
    """Its state is more than tensors and plain values."""

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        super().step(closure)
        for group in self.param_groups:
            for parameter in group["params"]:
                self.state[parameter]["rates"] = deque([group["lr"]])


def half(model: nn.Module, *, lr: float, weight_decay: float) -> list[dict[str, Any]]:
    """A constructor that forgets the second half of the parameters."""
    parameters = list(model.parameters())
    return [{"params": parameters[: len(parameters) // 2]}]


def scaled(model: nn.Module, *, lr: float, weight_decay: float) -> list[dict[str, Any]]:
    """A constructor whose groups have a key that only another system's schedule would use."""
    return [{"params": list(model.parameters()), "lr": lr / 2, "lr_scale": 0.5}]


def by_depth(model: nn.Module, *, lr: float, weight_decay: float, ratio: float = 0.5) -> list[dict[str, Any]]:
    """A constructor: half the rate in the backbone."""
    backbone = [each for name, each in model.named_parameters() if name.startswith("backbone")]
    rest = [each for name, each in model.named_parameters() if not name.startswith("backbone")]
    return [{"params": backbone, "lr": lr * ratio, "name": "backbone"}, {"params": rest, "name": "rest"}]


PARTS: dict[str, Callable[..., Any]] = {
    "two_heads": TwoHeads,
    "nameless": Nameless,
    "always_one_channel": lambda num_classes: nn.Conv2d(3, min(num_classes, 1), 2, stride=2),
    "blocks": lambda num_classes: nn.Conv2d(3, num_classes, 16, stride=16),
    "topo": Topo,
    "late_nan": LateNan,
    "scalar": scalar,
    "pair": pair,
    "no_per_image": NoPerImage,
    "small_map": small_map,
    "weighted_pair": weighted_pair,
    "detached": detached,
    "open_ended": open_ended,
    "broken_transform": lambda: broken_transform,
    "negative": negative_schedule,
    "number": lambda: 0.5,
    "adjust": adjust_learning_rate,
    "edges": edges,
    "real_target": real_target,
    "silent": Silent,
    "makes_silent": lambda: Silent(),  # noqa: PLW0108  # a function, whose result is seen only when it is called
    "refusing": Refusing,
    "learned": Learned,
    "pooled": Pooled,
    "nothing": Nothing,
    "own_steps": OwnSteps,
    "half": half,
    "scaled": scaled,
    "by_depth": by_depth,
}


def folders(root: Path, *, sizes: Sequence[tuple[int, int]] = ((32, 32),) * 12) -> dict[str, Any]:
    """A data set of JPEGs with two classes; its config."""
    rng = np.random.default_rng(0)
    for split in ("train", "val"):
        for directory in (root / split, root / f"{split}annot"):
            directory.mkdir(parents=True)
        for number, size in enumerate(sizes):
            image, mask = rng.integers(0, 256, (*size, 3), np.uint8), rng.integers(0, 2, size, np.uint8)
            Image.fromarray(image).save(root / split / f"{number:02}.jpg")
            Image.fromarray(mask).save(root / f"{split}annot" / f"{number:02}.png")
    return {"data.dataset": {"type": "folders", "root": str(root), "image_suffix": ".jpg", "classes": ["road", "car"]}}
