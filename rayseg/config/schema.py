"""The grammar of an experiment: what may be written, and the defaults.

Terms, groups, heads, transforms and hooks are named mappings, so that ``losses.dice.weight`` is a key that a person can read
and Tune can search. Lengths are ``{steps: n}`` or ``{epochs: x}``.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from rayseg.config.spec import Section, Spec

__all__ = [
    "CheckpointConfig",
    "ClassWeight",
    "DataConfig",
    "EmaConfig",
    "EvalConfig",
    "ExperimentConfig",
    "GroupRule",
    "HeadConfig",
    "Length",
    "LossTerm",
    "MlflowConfig",
    "ModelConfig",
    "OptimConfig",
    "SamplingConfig",
    "ScalingConfig",
    "ScheduleConfig",
    "TrackingConfig",
    "TrainConfig",
    "Warmup",
]

Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Mean3 = tuple[float, float, float]


class Length(Section):
    """A stretch of training, in optimizer steps or in passes over the training set; exactly one of the two.

    Epochs become steps once, when the size of the training set is known: ``ceil(epochs * images / batch_size)``.
    """

    steps: int | None = Field(default=None, ge=1)
    epochs: float | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _exactly_one(self) -> Length:
        if (self.steps is None) == (self.epochs is None):
            raise ValueError("give exactly one of 'steps' and 'epochs' (set the other to null)")
        return self


def _length(value: Any) -> Any:
    return {"steps": value} if isinstance(value, int) and not isinstance(value, bool) else value


#: A Length; a bare whole number means steps.
Interval = Annotated[Length, BeforeValidator(_length)]


def _names_have_no_dots(value: dict[str, Any]) -> dict[str, Any]:
    for name in value:
        if not name or "." in name:
            raise ValueError(f"{name!r} cannot be a name: names are parts of dotted keys, so no dots and not empty")
    return value


Named = AfterValidator(_names_have_no_dots)


class DataConfig(Section):
    """Where images come from, and what is done to them before the model sees them."""

    dataset: Spec = Field(
        default=Spec(type="synthetic"), description="synthetic, parquet, folders, or an import path: (split, **own) -> Dataset"
    )
    train_split: str = "train"
    val_split: str = "val"
    test_split: str | None = "test"
    class_names: tuple[str, ...] | None = Field(default=None, description="null: the dataset's own")
    ignore_index: int = Field(default=255, ge=0, le=255, description="label that means: not labelled")
    transforms: Annotated[dict[str, Spec], Named] = Field(
        default_factory=dict, description="random_resize, random_crop, random_flip, photometric, or import paths; in order"
    )
    mean: Mean3 = Field(default=(123.675, 116.28, 103.53), description="of RGB in 0-255")
    std: tuple[Positive, Positive, Positive] = Field(default=(58.395, 57.12, 57.375), description="of RGB in 0-255")
    pad_size: tuple[int, int] | None = Field(
        default=None, description="(height, width) px to which smaller training images are padded; null: the crop's size"
    )
    num_workers: int = Field(default=0, ge=0, description="loading processes per training worker")


class ModelConfig(Spec):
    """The network: ``(num_classes, **own) -> Module`` that returns named logits, or one tensor for the main head."""

    type: str = "small_unet"
    norm: Literal["auto", "keep", "batch", "sync", "group"] = Field(
        default="auto", description="auto: sync with more than one worker, else as the model has it"
    )


class ClassWeight(Spec):
    """A rule that turns label counts of the training set into one weight per class."""


class LossTerm(Spec):
    """One term of the mix. ``weight, normalize, scope, class_weight`` belong to the mix, the rest to the loss."""

    weight: float = Field(default=1.0, ge=0)
    normalize: Literal["weights", "kept", "valid", "all"] | None = Field(
        default=None, description="what a per-pixel loss is divided by; null: weights"
    )
    scope: Literal["global", "rank"] = "global"
    class_weight: tuple[Annotated[float, Field(ge=0)], ...] | dict[str, Annotated[float, Field(ge=0)]] | ClassWeight | None = (
        Field(default=None, description="one number per class, name -> number, or a rule {type: median_frequency, power: 0.5}")
    )

    @model_validator(mode="before")
    @classmethod
    def _rule_or_names(cls, value: Any) -> Any:
        if isinstance(value, dict) and isinstance(value.get("class_weight"), dict) and "type" in value["class_weight"]:
            return {**value, "class_weight": ClassWeight.model_validate(value["class_weight"])}
        return value


class SamplingConfig(Spec):
    """Which pixels count: ``ohem`` or an import path. ``start`` belongs to the mix."""

    scope: Literal["global", "rank"] = "global"
    start: Interval | None = Field(default=None, description="before this step every pixel counts; null: from the beginning")


class HeadConfig(Section):
    """Another head of the model. What is absent is inherited from the main head."""

    weight: float = Field(default=0.4, ge=0)
    losses: Annotated[dict[str, LossTerm], Named] | None = None
    sampling: SamplingConfig | None = None
    ignore_index: int | None = Field(default=None, ge=0, le=255)
    target: Spec | None = Field(default=None, description="(masks, *, ignore_index, **own) -> masks; null: the masks")


class GroupRule(Section):
    """Multipliers for the parameters that a pattern or a kind selects.

    Rules are applied in order; a later rule overrides the multipliers that it names. ``final`` ends the list for the
    parameters that it selects.
    """

    match: str | None = Field(default=None, description="regular expression searched in the dotted parameter name")
    kind: Literal["norm", "bias", "depthwise"] | None = None
    lr_mult: float | None = Field(default=None, ge=0)
    decay_mult: float | None = Field(default=None, ge=0)
    final: bool = False

    @model_validator(mode="after")
    def _selects_and_changes(self) -> GroupRule:
        if self.match is None and self.kind is None:
            raise ValueError("selects nothing: give 'match', 'kind', or both")
        if self.lr_mult is None and self.decay_mult is None:
            raise ValueError("changes nothing: give 'lr_mult', 'decay_mult', or both")
        return self


class OptimConfig(Spec):
    """The optimizer: sgd, adam, adamw, any name in ``torch.optim``, or an import path."""

    type: str = "adamw"
    lr: float = Field(default=1e-3, gt=0)
    weight_decay: float = Field(default=0.01, ge=0)
    groups: Annotated[dict[str, GroupRule], Named] = Field(default_factory=dict)


class Warmup(Section):
    """Multiplies the schedule at the beginning; its clock is not shifted."""

    type: Literal["constant", "linear", "exp"] = "linear"
    length: Interval
    ratio: float = Field(default=0.1, gt=0, le=1)


class ScheduleConfig(Spec):
    """Learning rate: ``(**own) -> (step, total_steps) -> multiplier``; poly, cosine, constant, or an import path."""

    type: str = "poly"
    warmup: Warmup | None = None
    momentum: Spec | None = Field(default=None, description="the same for momentum (betas[0] in Adam)")


class EmaConfig(Section):
    """Exponential moving average of the weights; evaluated and saved instead of them when set."""

    decay: float = Field(default=0.999, gt=0, lt=1)
    warmup: float = Field(default=10.0, ge=0, description="decay at step t is min(decay, (1 + t) / (warmup + t))")


class TrainConfig(Section):
    """The loop."""

    batch_size: int = Field(default=8, ge=1, description="images in one optimizer step, over all workers")
    micro_batch: int | None = Field(default=None, ge=1, description="most images in one forward pass of one worker")
    steps: int | None = Field(default=None, ge=1)
    epochs: float | None = Field(default=None, gt=0)
    precision: Literal["fp32", "bf16"] = "fp32"
    clip_norm: float | None = Field(default=None, gt=0)
    clip_value: float | None = Field(default=None, gt=0)
    ema: EmaConfig | None = None
    deterministic: bool = True
    log_every: Interval = Length(steps=10)
    threads: int | None = Field(default=None, ge=1, description="torch threads per worker; null: torch's choice")

    @model_validator(mode="before")
    @classmethod
    def _default_length(cls, value: Any) -> Any:
        if isinstance(value, dict) and value.get("steps") is None and value.get("epochs") is None:
            return {**value, "steps": 300}
        return value

    @model_validator(mode="after")
    def _exactly_one(self) -> TrainConfig:
        if self.steps is not None and self.epochs is not None:
            raise ValueError("give exactly one of 'steps' and 'epochs' (set the other to null)")
        return self

    @property
    def length(self) -> Length:
        """How long the run is."""
        return Length(steps=self.steps, epochs=self.epochs)


class ScalingConfig(Section):
    """Where it runs. ``workers: 0`` is this process; ``[min, max]`` is elastic."""

    workers: Annotated[int, Field(ge=0)] | tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]] = 0
    gpu: bool | Literal["auto"] = "auto"
    cpus_per_worker: float = Field(default=1, gt=0)
    max_failures: int = Field(default=2, ge=0, description="how often a run goes on after a worker failed")

    @model_validator(mode="after")
    def _ordered(self) -> ScalingConfig:
        if isinstance(self.workers, tuple) and self.workers[0] > self.workers[1]:
            raise ValueError(f"workers [min, max] must be ordered, got {list(self.workers)}")
        return self


class CheckpointConfig(Section):
    """What is kept of a run."""

    every: Interval | None = Field(default=None, description="null: at every evaluation")
    keep: int = Field(default=2, ge=1, description="newest checkpoints kept; the best one is kept besides")
    best: str = Field(default="val/mIoU", description="metric by which the best checkpoint is chosen")
    mode: Literal["max", "min"] = "max"


class EvalConfig(Section):
    """When and how validation scores are taken."""

    every: Interval | None = Field(default=None, description="null: ten times per run")
    batch_size: int = Field(default=8, ge=1, description="most images of equal size in one forward pass")
    at_end: bool = Field(default=True, description="also after the last step")


class MlflowConfig(Section):
    """The MLflow store. ``uri`` null: MLFLOW_TRACKING_URI, else SQLite in the storage directory."""

    uri: str | None = None
    experiment: str = "rayseg"


class TrackingConfig(Section):
    """Where a run is recorded."""

    name: str | None = Field(default=None, description="run name; null: made from the time")
    storage: str = Field(default="runs", description="directory (or cloud URI) of checkpoints, results and mlflow.db")
    mlflow: MlflowConfig | None = MlflowConfig()
    text: bool = True
    pictures: int = Field(default=4, ge=0, description="validation images logged as image | truth | prediction | error")
    tags: dict[str, str] = Field(default_factory=dict)


class ExperimentConfig(Section):
    """One experiment, whole.

    Example:
        >>> ExperimentConfig().with_({"losses.ce.weight": 2.0}).losses["ce"].weight
        2.0
    """

    seed: int = Field(default=0, ge=0, le=2**31 - 1)
    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig(type="small_unet")
    losses: Annotated[dict[str, LossTerm], Named] = Field(default_factory=lambda: {"ce": LossTerm(type="cross_entropy")})
    sampling: SamplingConfig | None = None
    heads: Annotated[dict[str, HeadConfig], Named] = Field(default_factory=dict)
    optim: OptimConfig = OptimConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    train: TrainConfig = TrainConfig(steps=300)
    scaling: ScalingConfig = ScalingConfig()
    checkpoint: CheckpointConfig = CheckpointConfig()
    eval: EvalConfig = EvalConfig()
    tracking: TrackingConfig = TrackingConfig()
    hooks: Annotated[dict[str, Spec], Named] = Field(default_factory=dict)
