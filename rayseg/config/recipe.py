"""The recipe: data, model, losses, sampling, optimizer and schedule, what a sweep varies."""

from __future__ import annotations

from pathlib import PurePath
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Discriminator,
    Field,
    Tag,
    create_model,
    field_validator,
    model_validator,
)

from rayseg.config.plain import plain
from rayseg.config.spec import Section, Spec, TypeName
from rayseg.config.values import (
    Bool,
    BoolOrAuto,
    Count,
    Float,
    Int,
    Interval,
    Moment,
    Named,
    NonNegative,
    Number,
    Point,
    Positive,
)

__all__ = [
    "ArgumentSchedule",
    "ClassWeight",
    "DataConfig",
    "GroupRule",
    "HeadConfig",
    "LossTerm",
    "ModelConfig",
    "OptimConfig",
    "SamplingConfig",
]

Mean3 = tuple[Float, Float, Float]
Level = Annotated[Int, Field(ge=0, le=255)]


class DataConfig(Section):
    """Where images come from, and what is done to them before the model sees them."""

    dataset: Spec = Field(
        default=Spec(type="synthetic"),
        description="synthetic, parquet, arrow, folders, torchvision, concat, or an import path: (split, **own) -> Dataset",
    )
    train_split: str = "train"
    val_split: str = "val"
    test_split: str | None = "test"
    class_names: tuple[str, ...] | None = Field(default=None, description="null: the dataset's own")
    palette: tuple[tuple[Level, Level, Level], ...] | None = Field(
        default=None, description="RGB in 0-255 of each class, for pictures; null: the dataset's own, else made up"
    )
    ignore_index: Int = Field(default=255, ge=0, le=255, description="label that means: not labelled")
    transforms: Annotated[dict[str, Spec], Named] = Field(
        default_factory=dict, description="random_resize, random_crop, random_flip, photometric, or import paths; in order"
    )
    mean: Mean3 = Field(default=(123.675, 116.28, 103.53), description="of RGB in 0-255")
    std: tuple[Positive, Positive, Positive] = Field(default=(58.395, 57.12, 57.375), description="of RGB in 0-255")
    pad_size: tuple[Count, Count] | None = Field(
        default=None, description="(height, width) px to which smaller training images are padded; null: the crop's size"
    )
    colours: Literal["exact", "affine"] = Field(
        default="exact", description="affine: what photometric draws is one affine map in YIQ, made on the device"
    )
    num_workers: Int = Field(default=0, ge=0, description="loading processes per training worker")
    cache: BoolOrAuto = Field(
        default=False, description="keep decoded images in shared memory; auto: those that fit, true: all must fit"
    )


class ModelConfig(Spec):
    """The network: ``(num_classes, **own) -> Module`` that returns named logits, or one tensor for the main head."""

    type: TypeName = "small_unet"
    norm: Literal["auto", "keep", "batch", "sync", "group"] = Field(
        default="auto", description="auto: sync with more than one worker, else as the model has it"
    )
    binary: Bool = Field(default=False, description="one channel for two classes: the model is made with num_classes 1")


class ClassWeight(Spec):
    """A rule that turns label counts of the training set into one weight per class."""


def _class_weight_kind(value: Any) -> str | None:
    if isinstance(value, ClassWeight) or (isinstance(value, dict) and "type" in value):
        return "<rule>"
    if isinstance(value, dict):
        return "<names>"
    if isinstance(value, str) and PurePath(value).suffix:
        return "<file>"
    return "<list>" if isinstance(value, list | tuple) else None


#: One weight per class in their order, weights by name, a rule, or a file with one of the first two.
ClassWeights = Annotated[
    Annotated[tuple[NonNegative, ...], Tag("<list>")]
    | Annotated[dict[str, NonNegative], Named, Tag("<names>")]
    | Annotated[ClassWeight, Tag("<rule>")]
    | Annotated[str, Tag("<file>")],
    Discriminator(
        _class_weight_kind,
        custom_error_type="class_weight",
        custom_error_message="must be a list of numbers, a mapping from class names to numbers, a rule {type: ...}, or a file "
        "such as weights.json",
    ),
]


def _named(value: Any) -> Any:
    return {"type": value} if isinstance(value, str) else value


#: A spec; bare text is its type.
Target = Annotated[Spec, BeforeValidator(_named, json_schema_input_type=Spec | str)]


class LossTerm(Spec):
    """One term of the mix. ``weight, normalize, scope, class_weight, target`` belong to the mix, the rest to the loss."""

    weight: NonNegative = 1.0
    normalize: Literal["weights", "kept", "valid", "all", "all_weights"] | None = Field(
        default=None, description="what a per-pixel loss is divided by; null: weights"
    )
    scope: Literal["global", "rank"] = "global"
    class_weight: ClassWeights | None = Field(
        default=None,
        description="one number per class, name -> number, a rule {type: median_frequency, power: 0.5}, or a file of numbers",
    )
    target: Target | None = Field(
        default=None,
        description="what the loss gets: null: labels (N, H, W); one_hot, smooth_borders, or an import path: (N, C, H, W)",
    )


#: ``from`` is a word of Python, so it cannot be written as an attribute in a class.
_From = create_model("_From", __base__=Section, **{"from": (Number, Field(description="value up to 'begin'"))})  # type: ignore[call-overload]


class ArgumentSchedule(_From):  # type: ignore[misc, valid-type]
    """How a number changes over the run: constant to ``begin``, then on its way to ``end``, then constant.

    Example:
        >>> ArgumentSchedule.model_validate({"from": 1.0, "to": 0.1}).first
        1.0
    """

    to: Number = Field(description="value from 'end' on")
    begin: Point = Moment(steps=0)
    end: Point | None = Field(default=None, description="null: the end of the run")
    shape: Literal["linear", "cosine", "poly", "exp"] = "linear"
    power: Positive | None = Field(default=None, description="of poly; null: 0.9")

    @property
    def first(self) -> float:
        """``from``."""
        value: float = getattr(self, "from")
        return value

    @model_validator(mode="after")
    def _ends_are_alike(self) -> ArgumentSchedule:
        if isinstance(self.first, int) != isinstance(self.to, int):
            raise ValueError(
                f"from {self.first!r} to {self.to!r}: one is a count and one is not; write both with a dot, or both without"
            )
        if self.power is not None and self.shape != "poly":
            raise ValueError(f"'power' belongs to the shape poly, and the shape is {self.shape}; remove it")
        return self


class SamplingConfig(Spec):
    """Which pixels count: ohem, ohem_mmseg, top_k, or an import path. ``start`` and ``schedule`` belong to the mix."""

    scope: Literal["global", "rank"] = "global"
    start: Interval | None = Field(default=None, description="before this step every pixel counts; null: from the beginning")
    schedule: Annotated[dict[str, ArgumentSchedule], Named] = Field(
        default_factory=dict, description="argument -> {from, to, begin, end, shape}: numbers that change over the run"
    )


class HeadConfig(Section):
    """Another head of the model. What is absent is inherited from the main head."""

    weight: NonNegative = 0.4
    losses: Annotated[dict[str, LossTerm], Named] | None = None
    sampling: SamplingConfig | None = None
    ignore_index: Int | None = Field(default=None, ge=0, le=255)
    target: Spec | None = Field(
        default=None, description="stdc_detail, boundaries, or an import path: (masks, *, ignore_index, **own) -> masks"
    )


class GroupRule(Section):
    """Multipliers and settings for the parameters that a pattern or a kind selects.

    Rules are applied in order; a later rule overrides what it names. ``final`` ends the list for the parameters that it
    selects.
    """

    match: str | None = Field(default=None, description="regular expression searched in the dotted parameter name")
    kind: Literal["norm", "bias", "depthwise", "flat"] | None = Field(
        default=None,
        description="norm, bias (not a norm's), depthwise (convolution), flat (one dimension, norms and biases too)",
    )
    lr_mult: NonNegative | None = Field(default=None, description="factor of optim.lr")
    decay_mult: NonNegative | None = Field(default=None, description="factor of optim.weight_decay")
    settings: dict[str, Any] = Field(default_factory=dict, description="other settings of the optimizer, such as momentum")
    final: Bool = Field(default=False, description="later rules leave the selected parameters alone")

    @field_validator("settings", mode="before")
    @classmethod
    def _settings_are_data(cls, value: Any) -> Any:
        data, problems = plain(value)
        if problems:
            raise ValueError("; ".join(str(problem) for problem in problems))
        return data

    @model_validator(mode="after")
    def _selects_and_changes(self) -> GroupRule:
        if self.match is None and self.kind is None:
            raise ValueError("selects nothing: give 'match', 'kind', or both")
        if self.lr_mult is None and self.decay_mult is None and not self.settings:
            raise ValueError("changes nothing: give 'lr_mult', 'decay_mult', or 'settings'")
        return self


class OptimConfig(Spec):
    """The optimizer: sgd, adam, adamw, any name in ``torch.optim``, or an import path."""

    type: TypeName = "adamw"
    lr: Positive | None = Field(default=1e-3, description="null: for an optimizer that takes none")
    weight_decay: NonNegative = 0.01
    groups: Annotated[dict[str, GroupRule], Named] = Field(default_factory=dict)
    constructor: Spec | None = Field(
        default=None,
        description="layer_decay, or an import path: (model, *, lr, weight_decay, **own) -> groups; rules follow",
    )
