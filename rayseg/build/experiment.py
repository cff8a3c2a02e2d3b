"""A config to a run that can be started."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from rayseg.build.averages import make_ema, make_swa
from rayseg.build.class_weights import with_weight_files
from rayseg.build.counting import label_counts
from rayseg.build.data import Data, open_data
from rayseg.build.hooks import make_hooks
from rayseg.build.inference import make_inference
from rayseg.build.keeping import kept
from rayseg.build.kernels import make_scoring, with_kernels
from rayseg.build.objects import make_freezing, make_mix, make_model, make_plan, make_scaler, make_transforms
from rayseg.build.optimizers import make_optimizer
from rayseg.build.parts import Components, Parts, resolve_parts
from rayseg.build.resolve import Problems
from rayseg.build.schedules import make_schedules
from rayseg.build.speed import require_decided
from rayseg.build.start import Start, start
from rayseg.collective import rank, world_size
from rayseg.config import ExperimentConfig, to_yaml
from rayseg.data import Dataset, KeepingPlace, LabelCounts, Transform, eval_batches, micro_batches, train_batches
from rayseg.engine import Fit, Reporter, TrainState
from rayseg.inference import Inference, evaluate_split
from rayseg.kernels import Scoring
from rayseg.mix import Mix
from rayseg.models import PRECISIONS
from rayseg.optim import plateau_in
from rayseg.types import Batch

__all__ = ["Evaluator", "Experiment", "TrainStream", "assemble", "pick_device"]


@dataclass
class Evaluator:
    """Scores of a model over one split; a collective. Keeps the last confusion matrix for pictures and tables.

    ``on_batch`` is called with each batch, the indices of its images and their predicted classes.
    """

    dataset: Dataset
    config: ExperimentConfig
    class_names: tuple[str, ...]
    mix: Mix | None = None
    prefix: str = "val/"
    confusion: Tensor | None = None
    on_batch: Callable[[Batch, Sequence[int], Tensor], None] | None = None
    scoring: Scoring | None = None

    def __call__(self, model: nn.Module) -> dict[str, float]:
        """Scores as fractions 0-1, the same on every rank."""
        config = self.config
        metrics, self.confusion = evaluate_split(
            model,
            self.batches(rank(), world_size()),
            class_names=self.class_names,
            ignore_index=config.data.ignore_index,
            metrics=config.eval.metrics,
            beta=config.eval.beta,
            boundary_ratio=config.eval.boundary_ratio,
            mix=self.mix,
            inference=self.inference,
            autocast=PRECISIONS[config.train.precision],
            prefix=self.prefix,
            on_batch=self.on_batch,
            scoring=self.scoring,
        )
        return metrics

    @property
    def inference(self) -> Inference:
        """How the model is asked."""
        return make_inference(self.config)

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
            device=pick_device(config),
        )


@dataclass(frozen=True)
class TrainStream:
    """This worker's micro-batches of a range of steps; all that they depend on, besides rank and world size.

    Args:
        data: the splits.
        transforms: by name, in the order in which they are applied.
        seed: of the sample stream.
        batch_size: images in one step, over all workers.
        micro_batch: most images in one forward pass of one worker.
        mean: of RGB, in 0-255.
        std: of RGB, in 0-255.
        ignore_index: label that means: not labelled.
        num_workers: loading processes.
        device: where the batches are; None: the CPU.
        train: the training split, if it is not asked as it is; the same samples.
        affine_colours: colours change on the device.
    """

    data: Data
    transforms: Mapping[str, Transform]
    seed: int
    batch_size: int
    micro_batch: int | None
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    ignore_index: int
    num_workers: int
    device: torch.device | None = None
    train: Dataset | None = None
    affine_colours: bool = False

    def __call__(self, start_step: int, stop_step: int) -> Iterator[Sequence[Batch]]:
        """Micro-batches of each step in ``[start_step, stop_step)``."""
        return train_batches(
            self.data.train if self.train is None else self.train,
            list(self.transforms.values()),
            seed=self.seed,
            batch_size=self.batch_size,
            num_micro=micro_batches(self.batch_size, world_size(), self.micro_batch),
            start_step=start_step,
            stop_step=stop_step,
            rank=rank(),
            world_size=world_size(),
            num_classes=len(self.data.class_names),
            ignore_index=self.ignore_index,
            mean=self.mean,
            std=self.std,
            pad_size=self.data.pad_size,
            num_workers=self.num_workers,
            device=self.device,
            affine_colours=self.affine_colours,
        )


@dataclass(frozen=True)
class Experiment:
    """A run, and what its parts were made from.

    Args:
        config: what the user wrote.
        parts: every callable with the arguments that it was called with.
        data: the splits.
        counts: labels of the training set, where a class weight is made from them.
        stream: the training batches.
        evaluator: scores over the validation split.
        fit: the loop and everything in it.
        start: weights that the config names to start from.
    """

    config: ExperimentConfig
    parts: Parts
    data: Data
    counts: LabelCounts | None
    stream: TrainStream
    evaluator: Evaluator
    fit: Fit
    start: Start | None = None


def assemble(
    config: ExperimentConfig,
    reporter: Reporter,
    components: Components | None = None,
    *,
    known_counts: LabelCounts | None = None,
    place: KeepingPlace | None = None,
) -> Experiment:
    """Build everything that one worker of a run needs; a collective.

    Args:
        config: checked (see ``rayseg.build.check``).
        reporter: what the loop speaks to.
        components: name -> callable given by value.
        known_counts: labels of the training set, where somebody has counted them already.
        place: where decoded samples are kept, if the config says so.

    Raises:
        ConfigError: what the user wrote cannot be run here.
        CheckpointError: the weights to start from cannot be read.
        DataError: the training set is not what the config says.

    Example:
        >>> from pathlib import Path
        >>> from rayseg.engine import LocalReporter
        >>> config = ExperimentConfig().with_({"data.dataset.length": 4, "model.width": 4})
        >>> assemble(config, LocalReporter(Path("runs/small"))).fit.plan.total_steps
        300
    """
    config, problems = with_weight_files(config), Problems()
    require_decided(config)
    parts = resolve_parts(config, components or {}, problems)
    data = open_data(config, parts, problems)
    transforms = make_transforms(parts, problems)
    problems.raise_if_any()
    assert data is not None
    counts = label_counts(config, parts, data, known_counts)
    mix = make_mix(config, parts, data.class_names, counts, len(data.train), problems, pick_device(config))
    schedules = make_schedules(config, parts, len(data.train), problems)
    problems.raise_if_any()
    mix = with_kernels(mix, config, pick_device(config))
    assert schedules.rate is not None
    train, val = kept(config, data, place)
    evaluator = Evaluator(val, config, data.class_names, mix, scoring=make_scoring(config, pick_device(config)))
    stream = _stream(config, data, transforms, train)
    model = make_model(config, parts, len(data.class_names)).to(pick_device(config))
    started = start(config, parts, model, len(data.class_names), reporter)
    state = _state(config, parts, model, len(data.train))
    state.plateau = plateau_in(schedules.rate)
    fit = Fit(
        state=state,
        plan=make_plan(config, len(data.train)),
        mix=mix,
        batches=stream,
        evaluate=evaluator,
        reporter=reporter,
        schedule=schedules.rate,
        momentum_schedule=schedules.momentum,
        freezing=make_freezing(config, model, len(data.train)),
        compiled=config.train.speed.compile is True,
        texts={"config.yaml": to_yaml(config.to_dict())},
    )
    return Experiment(config, parts, data, counts, stream, evaluator, fit, started)


def _stream(config: ExperimentConfig, data: Data, transforms: Mapping[str, Transform], train: Dataset) -> TrainStream:
    return TrainStream(
        data=data,
        transforms=transforms,
        seed=config.seed,
        batch_size=config.train.batch_size,
        micro_batch=config.train.micro_batch,
        mean=config.data.mean,
        std=config.data.std,
        ignore_index=config.data.ignore_index,
        num_workers=config.data.num_workers,
        device=pick_device(config),
        train=train,
        affine_colours=config.data.colours == "affine",
    )


def _state(config: ExperimentConfig, parts: Parts, model: nn.Module, num_images: int) -> TrainState:
    return TrainState(
        model=model,
        optimizer=make_optimizer(config, parts, model),
        ema=make_ema(config, model, num_images),
        swa=make_swa(config, model, num_images),
        scaler=make_scaler(config),
        hooks=make_hooks(config, parts),
    )


def pick_device(config: ExperimentConfig) -> torch.device:
    """This worker's GPU, or the CPU."""
    if config.scaling.gpu is False or not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", torch.cuda.current_device())
