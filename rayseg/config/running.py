"""The run: how long, where, what is measured, kept and recorded."""

from __future__ import annotations

from operator import gt
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, field_validator, model_validator

from rayseg.config.spec import Section, Spec
from rayseg.config.values import (
    Bool,
    BoolOrAuto,
    Count,
    Float,
    Gpu,
    Int,
    Interval,
    Length,
    LossScale,
    NonNegative,
    NormType,
    Positive,
    Priority,
    Workers,
    one_length,
)

__all__ = [
    "CheckpointConfig",
    "EmaConfig",
    "EvalConfig",
    "HookConfig",
    "MlflowConfig",
    "ScalingConfig",
    "SpeedConfig",
    "SwaConfig",
    "TrackingConfig",
    "TrainConfig",
    "TtaConfig",
    "WandbConfig",
]

#: Height and width, px.
Side2 = tuple[Count, Count]


class EmaConfig(Section):
    """Exponential moving average of the weights; evaluated and saved instead of them when set."""

    decay: Float = Field(default=0.999, gt=0, lt=1)
    warmup: NonNegative = Field(default=10.0, description="decay at step t is at most (1 + t) / (warmup + t); 0: no limit")
    gamma: Positive | None = Field(default=None, description="decay at step t is at most t / (gamma + t); null: no limit")
    every: Count = Field(default=1, description="steps between updates")
    start: Interval | None = Field(default=None, description="before this step the average is a copy; null: from the beginning")
    buffers: Literal["copy", "average"] = Field(default="copy", description="what becomes of running statistics")


class SwaConfig(Section):
    """Equal average of the weights along the end of the run; evaluated and saved instead of them from its start on."""

    start: Interval = Field(description="steps before the first point of the average")
    every: Interval = Field(default=Length(epochs=1.0), description="between points")
    batches: Count = Field(default=50, description="training batches from which its batch norms take their statistics")


class SpeedConfig(Section):
    """Other ways to the same step, alike but for rounding. ``auto`` is decided by measuring before the run starts.

    Example:
        >>> TrainConfig.model_validate({"speed": "auto"}).speed.compile
        'auto'
    """

    memory_format: Literal["contiguous", "channels_last", "auto"] = Field(default="contiguous", description="of the network")
    fused_optimizer: BoolOrAuto = Field(default=False, description="the optimizer's own fused=True, where it has it")
    compile: BoolOrAuto = Field(default=False, description="the network by torch.compile, in training")


def _all_of_it(value: Any) -> Any:
    if isinstance(value, str | bool) and value != "auto":
        raise ValueError(f"must be auto, or a mapping with the keys {', '.join(SpeedConfig.model_fields)}; got {value!r}")
    return dict.fromkeys(SpeedConfig.model_fields, "auto") if value == "auto" else value


#: A SpeedConfig; ``auto`` means all of it.
Speed = Annotated[SpeedConfig, BeforeValidator(_all_of_it, json_schema_input_type=SpeedConfig | Literal["auto"])]


class TrainConfig(Section):
    """The loop."""

    batch_size: Count = Field(default=8, description="images in one optimizer step, over all workers")
    micro_batch: Count | None = Field(default=None, description="most images in one forward pass of one worker")
    steps: Count | None = None
    epochs: Positive | None = None
    precision: Literal["fp32", "bf16", "fp16", "auto"] = Field(
        default="fp32", description="of the forward pass, by autocast; auto: fp32 or bf16, whichever is measured to be faster"
    )
    speed: Speed = SpeedConfig()
    loss_scale: LossScale | None = Field(default=None, description="with fp16 only: a number, or dynamic, which null means too")
    clip_norm: Positive | None = Field(default=None, description="largest norm of the gradient of the global batch")
    clip_norm_type: NormType = Field(default=2.0, description="of clip_norm: 1, 2, any p, or inf for the largest element")
    clip_value: Positive | None = Field(default=None, description="largest absolute value of a gradient's element")
    ema: EmaConfig | None = None
    swa: SwaConfig | None = None
    deterministic: Bool = True
    log_every: Interval = Length(steps=10)
    kernels: Literal["auto", "plain", "strips", "fused", "triton"] = Field(
        default="auto",
        description="of losses and scores: plain, with logits at full size; a few rows at a time in torch (strips) or C++ "
        "(fused, on a CPU), a few pixels in Triton (triton, on a GPU, losses only); auto: fused or else strips on a CPU, "
        "triton or else plain on a GPU",
    )
    threads: Count | None = Field(default=None, description="torch threads per worker; null: torch's choice")

    @model_validator(mode="before")
    @classmethod
    def _default_length(cls, value: Any) -> Any:
        silent = isinstance(value, dict) and "steps" not in value and value.get("epochs") is None
        return {**value, "steps": 300} if silent else value

    @model_validator(mode="after")
    def _exactly_one(self) -> TrainConfig:
        one_length(self.steps, self.epochs)
        return self

    @model_validator(mode="after")
    def _options_apply(self) -> TrainConfig:
        if self.loss_scale is not None and self.precision != "fp16":
            raise ValueError(
                f"loss_scale is for precision fp16, and it is {self.precision}: remove it, or set precision to fp16"
            )
        if self.clip_norm_type != 2.0 and self.clip_norm is None:
            raise ValueError("clip_norm_type says which norm clip_norm limits, and that is null: give it, or remove the type")
        if self.ema is not None and self.swa is not None:
            raise ValueError("ema and swa are both set, and one model is evaluated and saved: set one of them to null")
        return self

    @property
    def length(self) -> Length:
        """How long the run is."""
        return Length(steps=self.steps, epochs=self.epochs)


class HookConfig(Spec):
    """A hook: early_stopping, or an import path of a class with methods that the loop calls."""

    priority: Priority | None = Field(
        default=None, description="HIGHEST to LOWEST, or 0 to 100, low numbers first; null: the hook's own, or NORMAL"
    )


class ScalingConfig(Section):
    """Where it runs. ``workers: 0`` is this process; ``[min, max]`` is elastic."""

    workers: Workers = 0
    gpu: Gpu = Field(default="auto", description="of each worker; 0.25: a quarter of one, so that four trials share it")
    cpus_per_worker: Positive = 1.0
    max_failures: Int = Field(default=2, ge=0, description="how often a run goes on after a worker failed")


class CheckpointConfig(Section):
    """What is kept of a run."""

    every: Interval | None = Field(default=None, description="null: at every evaluation")
    keep: Count = Field(
        default=2, description="newest checkpoints kept, under Ray the best; the best one and the newest always are"
    )
    optimizer: Literal["all", "newest", "none"] = Field(
        default="all", description="which checkpoints keep the optimizer and all else that a run needs to go on"
    )
    best: str = Field(default="val/mIoU", description="metric by which the best checkpoint is chosen")
    mode: Literal["max", "min"] = "max"


class TtaConfig(Section):
    """Test-time augmentation: views of an image whose probabilities are averaged; by default the image as it is."""

    scales: tuple[Positive, ...] = Field(default=(1.0,), min_length=1, description="of the views; MMSegmentation's img_ratios")
    flip: Bool = Field(default=False, description="each view also mirrored left to right")


class EvalConfig(Section):
    """When and how validation scores are taken; predictions are made in the same way."""

    every: Interval | None = Field(default=None, description="null: ten times per run")
    batch_size: Count = Field(default=8, description="most images of equal size, or windows, in one forward pass")
    at_end: Bool = Field(default=True, description="also after the last step")
    metrics: tuple[Literal["mIoU", "mDice", "mFscore", "mBoundaryIoU"], ...] = Field(
        default=("mIoU",),
        min_length=1,
        description="mIoU: IoU, Acc; mDice: Dice, Acc; mFscore: Fscore, Precision, Recall; mBoundaryIoU: IoU near borders",
    )
    beta: Positive = Field(default=1.0, description="of mFscore: how much more recall weighs than precision")
    boundary_ratio: Float = Field(
        default=0.02, gt=0, le=1, description="of mBoundaryIoU: width of a border, of the image's diagonal"
    )
    mode: Literal["whole", "slide"] = Field(default="whole", description="images whole, or in overlapping windows")
    crop_size: Side2 | None = Field(default=None, description="height and width of a window, px; with slide")
    stride: Side2 | None = Field(default=None, description="of windows down and across, px; with slide, at most crop_size")
    resize: Side2 | None = Field(
        default=None, description="long and short side of the box that images are fitted into first, px; null: their own size"
    )
    tta: TtaConfig = TtaConfig()

    @model_validator(mode="after")
    def _windows(self) -> EvalConfig:
        given = {name: size for name, size in (("crop_size", self.crop_size), ("stride", self.stride)) if size is not None}
        if self.mode == "whole" and given:
            raise ValueError(f"{' and '.join(given)}: given, but mode is whole; set mode to slide, or remove them")
        if self.mode == "slide" and len(given) < 2:
            raise ValueError("mode slide needs crop_size and stride, [height, width] in px, such as [64, 64] and [42, 42]")
        if self.crop_size and self.stride and any(map(gt, self.stride, self.crop_size)):
            raise ValueError(
                f"stride {list(self.stride)} is more than crop_size {list(self.crop_size)}, so pixels would be left out; "
                "give at most that"
            )
        return self


class MlflowConfig(Section):
    """The MLflow store. ``uri`` null: MLFLOW_TRACKING_URI, else SQLite in the storage directory."""

    uri: str | None = None
    experiment: str = "rayseg"

    @field_validator("uri")
    @classmethod
    def _without_password(cls, value: str | None) -> str | None:
        if value is not None and urlsplit(value).password is not None:
            raise ValueError(
                "a password stands in it, and a config is kept with every checkpoint and shown in MLflow: for a server set "
                "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, for a database MLFLOW_TRACKING_URI instead"
            )
        return value


class WandbConfig(Section):
    """A run in Weights & Biases; needs the package wandb."""

    project: str = "rayseg"
    entity: str | None = Field(default=None, description="user or team; null: the account's own")
    group: str | None = Field(default=None, description="of runs; null: the sweep's name in a sweep, else none")
    mode: Literal["online", "offline", "disabled"] = "online"


class TrackingConfig(Section):
    """Where a run is recorded."""

    name: str | None = Field(default=None, description="run name; null: made from the time")
    storage: str = Field(
        default="runs", description="directory of checkpoints, results and mlflow.db; on a cluster one that every node shares"
    )
    mlflow: MlflowConfig | None = MlflowConfig()
    tensorboard: Bool = Field(default=False, description="event files in the run's directory; needs the package tensorboard")
    wandb: WandbConfig | None = None
    text: Bool = True
    pictures: Int = Field(default=4, ge=0, description="validation images logged as image | truth | prediction | error")
    tags: dict[str, str] = Field(default_factory=dict)

    @field_validator("name")
    @classmethod
    def _one_directory(cls, value: str | None) -> str | None:
        if value is not None and (not value.strip() or value in {".", ".."} or any(sign in value for sign in "/\\\0")):
            raise ValueError(
                f"got {value!r}, expected the name of a directory in tracking.storage: text without /, and no dots alone"
            )
        return value

    @field_validator("storage")
    @classmethod
    def _directory(cls, value: str) -> str:
        if "://" in value:
            raise ValueError(f"got {value!r}, expected a directory; mount the bucket on every node and name the mount")
        return value
