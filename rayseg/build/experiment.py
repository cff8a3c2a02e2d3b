"""A config to a run that can be started."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from rayseg.build.data import Data, open_data
from rayseg.build.objects import make_mix, make_model, make_optimizer, make_plan, make_schedule, needs_counts
from rayseg.build.parts import Components, Parts, resolve_parts
from rayseg.build.resolve import Problems
from rayseg.collective import broadcast_object, is_main, rank, world_size
from rayseg.config import ExperimentConfig, to_yaml
from rayseg.data import Dataset, LabelCounts, count_labels, eval_batches, micro_batches, train_batches
from rayseg.engine import Ema, Fit, Reporter, TrainState
from rayseg.inference import evaluate_split
from rayseg.mix import Mix
from rayseg.types import Batch

__all__ = ["Evaluator", "Experiment", "assemble", "configure_torch", "pick_device"]


@dataclass
class Evaluator:
    """Scores of a model over one split; a collective. Keeps the last confusion matrix for pictures and tables."""

    dataset: Dataset
    config: ExperimentConfig
    class_names: tuple[str, ...]
    mix: Mix | None = None
    prefix: str = "val/"
    confusion: Tensor | None = None

    def __call__(self, model: nn.Module) -> dict[str, float]:
        """Scores as fractions 0-1, the same on every rank."""
        config = self.config
        metrics, self.confusion = evaluate_split(
            model,
            self.batches(rank(), world_size()),
            class_names=self.class_names,
            ignore_index=config.data.ignore_index,
            mix=self.mix,
            bf16=config.train.precision == "bf16",
            prefix=self.prefix,
        )
        return metrics

    def batches(self, rank: int, world_size: int) -> Iterator[tuple[Batch, list[int]]]:
        """One worker's share of the split, with the index of each image."""
        config = self.config
        return eval_batches(
            self.dataset,
            rank=rank,
            world_size=world_size,
            batch_size=config.eval.batch_size,
            num_classes=len(self.class_names),
            ignore_index=config.data.ignore_index,
            mean=config.data.mean,
            std=config.data.std,
            num_workers=config.data.num_workers,
        )


@dataclass
class Experiment:
    """Data, and the run over them."""

    config: ExperimentConfig
    data: Data
    fit: Fit
    evaluator: Evaluator = field(init=False)

    def __post_init__(self) -> None:
        assert isinstance(self.fit.evaluate, Evaluator)
        self.evaluator = self.fit.evaluate


def assemble(config: ExperimentConfig, reporter: Reporter, components: Components | None = None) -> Experiment:
    """Build everything that one worker of a run needs; a collective.

    Args:
        config: checked (see ``rayseg.build.check``).
        reporter: what the loop speaks to.
        components: name -> callable given by value.

    Raises:
        ConfigError: what the user wrote cannot be run here.
    """
    problems = Problems()
    parts = resolve_parts(config, components or {}, problems)
    data = open_data(config, parts, problems)
    problems.raise_if_any()
    assert data is not None
    num_images = len(data.train)
    mix = make_mix(config, parts, data.class_names, label_counts(config, parts, data), num_images, problems)
    problems.raise_if_any()
    model = make_model(config, parts, len(data.class_names)).to(pick_device(config))
    schedule, momentum = make_schedule(config, parts, num_images)
    ema = config.train.ema
    state = TrainState(
        model=model,
        optimizer=make_optimizer(config, parts, model),
        ema=None if ema is None else Ema(model, decay=ema.decay, warmup=ema.warmup),
        hooks={name: hook() for name, hook in parts.hooks.items()},
    )
    fit = Fit(
        state=state,
        plan=make_plan(config, num_images),
        mix=mix,
        batches=_batches(config, parts, data),
        evaluate=Evaluator(data.val, config, data.class_names, mix),
        reporter=reporter,
        schedule=schedule,
        momentum_schedule=momentum,
        texts={"config.yaml": to_yaml(config.to_dict())},
    )
    return Experiment(config, data, fit)


def label_counts(config: ExperimentConfig, parts: Parts, data: Data) -> LabelCounts | None:
    """Labels of the training set, counted once by rank 0 and cached by the data's digest; a collective."""
    if not needs_counts(parts):
        return None
    counts = None
    if is_main():
        counts = count_labels(
            data.train, num_classes=len(data.class_names), ignore_index=config.data.ignore_index, cache_dir=cache_directory()
        )
    result: LabelCounts = broadcast_object(counts)
    return result


def cache_directory() -> Path:
    """Where things are kept that can be made again: ``RAYSEG_CACHE``, else ``~/.cache/rayseg``."""
    return Path(os.environ.get("RAYSEG_CACHE", Path.home() / ".cache" / "rayseg"))


def _batches(config: ExperimentConfig, parts: Parts, data: Data) -> Callable[[int, int], Iterator[Sequence[Batch]]]:
    transforms = [transform() for transform in parts.transforms]

    def batches(start_step: int, stop_step: int) -> Iterator[Sequence[Batch]]:
        return train_batches(
            data.train,
            transforms,
            seed=config.seed,
            batch_size=config.train.batch_size,
            num_micro=micro_batches(config.train.batch_size, world_size(), config.train.micro_batch),
            start_step=start_step,
            stop_step=stop_step,
            rank=rank(),
            world_size=world_size(),
            num_classes=len(data.class_names),
            ignore_index=config.data.ignore_index,
            mean=config.data.mean,
            std=config.data.std,
            pad_size=data.pad_size,
            num_workers=config.data.num_workers,
        )

    return batches


def pick_device(config: ExperimentConfig) -> torch.device:
    """This worker's GPU, or the CPU."""
    if config.scaling.gpu is False or not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", torch.cuda.current_device())


def configure_torch(config: ExperimentConfig) -> None:
    """Set what torch keeps per process: threads and determinism."""
    if config.train.threads is not None:
        torch.set_num_threads(config.train.threads)
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(config.train.deterministic)
    torch.utils.deterministic.fill_uninitialized_memory = False
    torch.backends.cudnn.benchmark = not config.train.deterministic
