"""A checkpoint back to a model that can be used: scores over a split, masks of pictures.

Letters: C classes, H x W pixels of an image. A checkpoint is the directory that training wrote, or a plain copy of it; those of
Ray Train and Tune are such copies.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from rayseg.build.counting import label_counts
from rayseg.build.data import open_data, palette_of
from rayseg.build.experiment import Evaluator, pick_device
from rayseg.build.inference import make_inference
from rayseg.build.kernels import make_scoring, with_kernels
from rayseg.build.networks import named_classes
from rayseg.build.objects import make_mix
from rayseg.build.parts import Components, Parts, resolve_parts
from rayseg.build.resolve import Problems, caught
from rayseg.build.speed import require_decided
from rayseg.build.start import bare_model, read_model
from rayseg.config import ExperimentConfig, read_config_file
from rayseg.data import Palette
from rayseg.data._decode import decode_image
from rayseg.errors import CheckpointError, ConfigError, DataError, Problem
from rayseg.inference import predict_images

__all__ = ["Trained", "classes_of", "evaluate", "evaluator_of", "load_trained", "predict", "raise_needed", "trained_config"]

#: Parts of a config that training needs and a trained model does not.
_TRAINING_ONLY = ("optim", "schedule", "hooks", "data.transforms")


@dataclass(frozen=True)
class Trained:
    """A trained model and what one must know to use it.

    Args:
        config: as it was trained, with overrides.
        model: in evaluation mode, on this machine's device.
        class_names: C names.
        palette: an RGB triple per class, or None.
    """

    config: ExperimentConfig
    model: nn.Module
    class_names: tuple[str, ...]
    palette: Palette | None


def load_trained(
    checkpoint: str | Path, *, overrides: Mapping[str, Any] | None = None, components: Components | None = None
) -> Trained:
    """The model of a checkpoint.

    The data set is opened for the names and colours of its classes. Where it is not there, the names are those in the config,
    or numbers, as many as the weights have.

    Args:
        checkpoint: directory of a checkpoint.
        overrides: dotted config key -> value, such as another place of the data.
        components: name -> callable, for what was given to the training by value.

    Raises:
        CheckpointError: there is no whole checkpoint, or its weights do not fit the config.
        ConfigError: the model cannot be made.

    Example:
        >>> load_trained("runs/camvid/checkpoints/step_00000300").class_names  # doctest: +SKIP
        ('sky', 'building', 'pole', 'road')
    """
    state, config = _read(checkpoint, overrides)
    problems = Problems()
    parts = resolve_parts(config, components or {}, problems)
    raise_needed(problems, ("model",))
    names, palette = classes_of(config, parts)
    names = names or tuple(f"class {index}" for index in range(_count_classes(config, parts, state, checkpoint)))
    return Trained(config, _model(config, parts, len(names), state, checkpoint), names, palette)


def evaluate(
    checkpoint: str | Path,
    *,
    split: str | None = None,
    overrides: Mapping[str, Any] | None = None,
    components: Components | None = None,
) -> dict[str, float]:
    """Scores of a checkpoint over a split, computed as in training.

    Args:
        checkpoint: directory of a checkpoint.
        split: of the data set; ``test`` is the one that the config calls so; None: the validation split of the config.
        overrides: dotted config key -> value, such as ``{"data.dataset.root": "/data/camvid"}``.
        components: name -> callable, for what was given to the training by value.

    Returns:
        Scores as fractions 0-1 and losses: ``val/mIoU``, ``val/IoU/<class>``, ``val/loss``; under
        ``<split>/`` where one is named.

    Raises:
        CheckpointError: there is no whole checkpoint, or its weights do not fit the config.
        ConfigError: the data cannot be opened, or a part cannot be made.

    Example:
        >>> evaluate("runs/camvid/checkpoints/step_00000300")["val/mIoU"]  # doctest: +SKIP
        0.612
    """
    evaluator, model = evaluator_of(checkpoint, split, overrides, components)
    return evaluator(model)


def evaluator_of(
    checkpoint: str | Path, split: str | None, overrides: Mapping[str, Any] | None, components: Components | None
) -> tuple[Evaluator, nn.Module]:
    """What scores a split as training would, and the model of a checkpoint; see :func:`evaluate`."""
    state, config = _read(checkpoint, overrides)
    wanted = config.data.test_split or split if split == "test" else split
    config = config if wanted is None else config.with_({"data.val_split": wanted})
    problems = Problems()
    parts = resolve_parts(config, components or {}, problems)
    data = open_data(config, parts, problems)
    raise_needed(problems)
    assert data is not None
    model = _model(config, parts, len(data.class_names), state, checkpoint)
    mix = make_mix(config, parts, data.class_names, label_counts(config, parts, data), len(data.train), problems)
    raise_needed(problems)
    mix = with_kernels(mix, config, pick_device(config))
    scoring = make_scoring(config, pick_device(config))
    return Evaluator(data.val, config, data.class_names, mix, f"{split or 'val'}/", scoring=scoring), model


def predict(
    checkpoint: str | Path | Trained,
    images: Iterable[NDArray[np.uint8] | str | Path],
    *,
    overrides: Mapping[str, Any] | None = None,
    components: Components | None = None,
) -> Iterator[NDArray[np.uint8]]:
    """Masks of images, one at a time, asked for as ``eval`` of the config says; the checkpoint is read at once.

    Args:
        checkpoint: directory of a checkpoint, or what :func:`load_trained` made of one.
        images: ``(H, W, 3)`` uint8 RGB, or picture files.
        overrides: dotted config key -> value; not used with a ``Trained``.
        components: name -> callable; not used with a ``Trained``.

    Returns:
        Class indices ``(H, W)`` uint8, at the size of each image.

    Raises:
        CheckpointError: there is no whole checkpoint, or its weights do not fit the config.
        DataError: an image is no picture, or not ``(H, W, 3)`` uint8.

    Example:
        >>> masks = predict("runs/camvid/checkpoints/step_00000300", ["street.jpg"])  # doctest: +SKIP
        >>> next(masks).shape  # doctest: +SKIP
        (360, 480)
    """
    trained = checkpoint
    if not isinstance(trained, Trained):
        trained = load_trained(trained, overrides=overrides, components=components)
    data = trained.config.data
    inference = make_inference(trained.config)
    return predict_images(trained.model, map(pixels_of, images), mean=data.mean, std=data.std, inference=inference)


def trained_config(checkpoint: str | Path, overrides: Mapping[str, Any] | None = None) -> ExperimentConfig:
    """The config of a checkpoint, with overrides.

    Raises:
        CheckpointError: it has none.
        ConfigError: an override cannot be applied.

    Example:
        >>> trained_config("runs/camvid/checkpoints/step_00000300").model.type  # doctest: +SKIP
        'small_unet'
    """
    file = Path(checkpoint).expanduser() / "config.yaml"
    if not file.is_file():
        raise CheckpointError(f"{checkpoint}: has no config.yaml, so its model is unknown; name a checkpoint of rayseg.train")
    config = ExperimentConfig.from_dict(read_config_file(file), where=str(file))
    return config.with_(dict(overrides or {}))


def _read(checkpoint: str | Path, overrides: Mapping[str, Any] | None) -> tuple[dict[str, Tensor], ExperimentConfig]:
    """Weights and config of a directory whose every file is as it was written.

    Raises:
        ConfigError: an override leaves open what is decided before training.
    """
    state, config = read_model(checkpoint), trained_config(checkpoint, overrides)
    require_decided(config)
    return state, config


def raise_needed(problems: Problems, only: tuple[str, ...] = ()) -> None:
    """Raise faults of the parts that a trained model needs; a name given by value must be given again."""
    found = [
        Problem(problem.path, problem.message + _by_value(problem))
        for problem in problems.found
        if (problem.path.startswith(only) if only else not problem.path.startswith(_TRAINING_ONLY))
    ]
    if found:
        raise ConfigError(found, "trained checkpoint")


def _by_value(problem: Problem) -> str:
    if not problem.message.startswith("unknown name"):
        return ""
    return ". What was given to the training by value must be given again: components={name: callable}, from Python"


def classes_of(config: ExperimentConfig, parts: Parts) -> tuple[tuple[str, ...] | None, Palette | None]:
    """Names and colours, of the data set where it is here, else of the config."""
    dataset = parts.dataset
    opened = None if dataset is None else caught("data.dataset", Problems(), lambda: dataset(config.data.train_split))
    if opened is None:
        return config.data.class_names, config.data.palette
    names = config.data.class_names or tuple(opened.class_names)
    return names, palette_of(config, opened, names, Problems())


def _count_classes(config: ExperimentConfig, parts: Parts, state: Mapping[str, Tensor], checkpoint: str | Path) -> int:
    """C, named in the config or read from the weights: the sizes that grow by one where the model has a class more."""
    if config.model.binary:
        return 2
    if (named := named_classes(config)) is not None:
        return named
    two, three = (bare_model(config, parts, count).state_dict() for count in (2, 3))
    found = {
        state[name].shape[axis]
        for name in two.keys() & state.keys()
        for axis, sizes in enumerate(zip(two[name].shape, three[name].shape, strict=True))
        if sizes == (2, 3)
    }
    if len(found) != 1:
        raise CheckpointError(
            f"{checkpoint}: the data set is not here and the weights do not tell the number of classes ({sorted(found)}); "
            "give overrides={'data.class_names': [...]}"
        )
    return found.pop()


def _model(
    config: ExperimentConfig, parts: Parts, num_classes: int, state: Mapping[str, Tensor], checkpoint: str | Path
) -> nn.Module:
    model = bare_model(config, parts, num_classes)
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise CheckpointError(
            f"{checkpoint}: its weights do not fit the model of {num_classes} classes ({error}); "
            "leave 'model' and the classes as they were in training"
        ) from error
    return model.to(pick_device(config)).eval()


def pixels_of(image: NDArray[np.uint8] | str | Path) -> NDArray[np.uint8]:
    """``(H, W, 3)`` uint8 RGB of an array that is one, or of a picture file.

    Raises:
        DataError: it is no picture, or not ``(H, W, 3)`` uint8.
    """
    if isinstance(image, (str, Path)):
        try:
            return decode_image(Path(image).read_bytes(), str(image))
        except OSError as error:
            raise DataError(f"{image}: cannot be read ({error.strerror or error}); name a picture file") from error
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise DataError(f"image is {image.dtype} {image.shape}; expected uint8 (H, W, 3), RGB: convert it first")
    return image
