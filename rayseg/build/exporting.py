"""A checkpoint as a file for other programs: a graph, or weights under the names of others.

Letters: N images, C classes, H x W pixels of an image.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from rayseg.build.parts import Components, resolve_parts
from rayseg.build.resolve import Problems, caught
from rayseg.build.trained import Trained, load_trained, pixels_of
from rayseg.config import ExperimentConfig
from rayseg.data import normalize
from rayseg.errors import ConfigError, Problem, RaysegError
from rayseg.inference import (
    Agreement,
    Deployed,
    ProgramFormat,
    Returned,
    Sizes,
    agreement,
    capture,
    predict_logits,
    require_packages,
    resized,
    run_program,
    write_program,
)
from rayseg.inference.deployed import returned
from rayseg.models import EncoderDecoder, mmseg_file

__all__ = ["ExportFormat", "Exported", "export"]

#: Programs, and weights as MMSegmentation or torch lays them out.
ExportFormat = ProgramFormat | Literal["mmseg", "state_dict"]
_OF_SUFFIX: Mapping[str, ExportFormat] = {".onnx": "onnx", ".pt2": "torch_export"}
_NUM_CHECKED = 4


@dataclass(frozen=True)
class Exported:
    """What was written.

    Args:
        path: of the file.
        form: its format.
        sizes: images that the program takes; None for weights.
        agreement: of the file with the model; None for weights.
        notes: what the file does not hold of what the config says, one line each.
        about: what must be known of a program, as plain data; also in its file.
    """

    path: Path
    form: ExportFormat
    sizes: Sizes | None = None
    agreement: Agreement | None = None
    notes: tuple[str, ...] = ()
    about: Mapping[str, Any] = field(default_factory=dict)


def export(
    checkpoint: str | Path | Trained,
    output: str | Path,
    *,
    form: ExportFormat | None = None,
    returns: Returned = "logits",
    size: tuple[int, int] | None = None,
    images: Sequence[NDArray[np.uint8] | str | Path] | None = None,
    tolerance: float = 1e-3,
    overrides: Mapping[str, Any] | None = None,
    components: Components | None = None,
) -> Exported:
    """Write a checkpoint's model for other programs.

    A program takes images ``(N, 3, H, W)`` float32, RGB in 0-255: normalisation and the way back to ``H x W`` are inside. It is
    read again from its file and asked for real images, which the model is asked for as ``predict`` does; it is kept only if
    both agree. Weights are those that were evaluated, the average if there was one.

    Args:
        checkpoint: directory of a checkpoint, or what :func:`load_trained` made of one.
        output: path of the file; one that is there is replaced.
        form: of the file; None: as its suffix says, ``.onnx`` or ``.pt2``.
        returns: what a program gives: ``logits``, ``probabilities`` or ``classes``.
        size: height and width of all images, px; None: any, as far as the network permits.
        images: on which the program is checked, ``(H, W, 3)`` uint8 RGB or picture files; None: the first four of the
            validation split.
        tolerance: largest difference of a value, as a share of the largest value, and largest share of pixels whose most
            probable class differs.
        overrides: dotted config key -> value; not used with a ``Trained``.
        components: name -> callable; not used with a ``Trained``.

    Raises:
        ConfigError: no format, or one that this model or these images do not allow.
        CheckpointError: there is no whole checkpoint, or its weights do not fit the config.
        RaysegError: no graph can be made, a package is missing, or the file computes something else.

    Example:
        >>> done = export("runs/camvid/checkpoints/step_00000300", "street.onnx", returns="classes")  # doctest: +SKIP
        >>> print(done.sizes)  # doctest: +SKIP
        N x 3 x H x W, H and W any from 64 px
    """
    path, form = Path(output).expanduser(), form or _form_of(output)
    if form == "torch_export" and path.suffix != ".pt2":
        raise ConfigError([Problem("output", f"torch wants such a file to end in .pt2, got {path.name!r}")], "the export")
    if form != "mmseg" and form != "state_dict":  # noqa: PLR1714  (mypy)
        require_packages(form)
    trained = checkpoint
    if not isinstance(trained, Trained):
        trained = load_trained(trained, overrides=overrides, components=components)
    with _replacing(path) as staged:
        if form == "mmseg" or form == "state_dict":  # noqa: PLR1714  (mypy)
            torch.save(_weights(trained, form), staged)
            return Exported(path, form)
        pictures = [pixels_of(image) for image in images or _validation_images(trained.config, components)]
        sizes, found = _write(trained, staged, form, returns, size, pictures)
        if not found.within(tolerance):
            raise RaysegError(
                f"{path}: not written, because the program and the model disagree by more than {tolerance}: {found}; "
                "raise the tolerance, or choose another format"
            )
    return Exported(path, form, sizes, found, tuple(_notes(trained.config)), _about(trained, returns, sizes))


def _write(
    trained: Trained,
    path: Path,
    form: ProgramFormat,
    returns: Returned,
    size: tuple[int, int] | None,
    pictures: Sequence[NDArray[np.uint8]],
) -> tuple[Sizes, Agreement]:
    """A program on the CPU, which every machine has, and what it computes beside the model."""
    model, data = deepcopy(trained.model).cpu(), trained.config.data
    program, sizes = capture(Deployed(model, mean=data.mean, std=data.std, returns=returns).eval(), fixed=size)
    write_program(program, path, form=form, returns=returns, sizes=sizes, about=_about(trained, returns, sizes))
    asked = _as_predicted(model, trained.config, returns)
    return sizes, agreement(asked, run_program(path, form), _batches(pictures, sizes))


def _weights(trained: Trained, form: ExportFormat) -> dict[str, Any]:
    state = {name: value.cpu() for name, value in trained.model.state_dict().items()}
    if form == "state_dict":
        return state
    if not isinstance(trained.model, EncoderDecoder):
        message = f"mmseg is for models of type mmseg, and this is {trained.config.model.type!r}; choose another format"
        raise ConfigError([Problem("format", message)], "the export")
    return mmseg_file(trained.model, trained.class_names, trained.palette)


def _form_of(output: str | Path) -> ExportFormat:
    suffix = Path(output).suffix
    if suffix not in _OF_SUFFIX:
        known = ", ".join(f"{ending} ({form})" for ending, form in _OF_SUFFIX.items())
        message = f"{str(output)!r} does not tell the format; say which, or let it end in {known}"
        raise ConfigError([Problem("format", message)], "the export")
    return _OF_SUFFIX[suffix]


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """A file beside ``path`` that takes its place at the end, or goes away with an error."""
    staged = path.with_name(f".{path.stem}.{uuid.uuid4().hex[:8]}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield staged
        staged.replace(path)
    except OSError as error:
        raise RaysegError(f"{path}: cannot be written ({error.strerror or error}); choose another file") from error
    finally:
        staged.unlink(missing_ok=True)


def _validation_images(config: ExperimentConfig, components: Components | None) -> list[NDArray[np.uint8]]:
    problems = Problems()
    dataset = resolve_parts(config, components or {}, problems).dataset
    split = config.data.val_split
    opened = None if dataset is None else caught("data.dataset", problems, lambda: dataset(split))
    if opened is None:
        found = [problem for problem in problems.found if problem.path.startswith("data.")]
        message = f"a program is checked on images of the split {split!r}, which cannot be opened here; give some pictures"
        raise ConfigError([*found, Problem("images", message)], "the export")
    return [opened[index].image for index in range(min(_NUM_CHECKED, len(opened)))]


def _batches(pictures: Sequence[NDArray[np.uint8]], sizes: Sizes) -> Iterator[Tensor]:
    """Each picture alone at the nearest size that is allowed; then a batch of three at another size, where there is one."""
    for picture in pictures:
        yield _fitted(picture, sizes.nearest(picture.shape[:2]))
    height, width = pictures[0].shape[:2]
    first = _fitted(pictures[0], sizes.nearest((height // 2, width // 2)))
    yield torch.cat([first, first.flip(-1), first.flip(-2)])


def _fitted(picture: NDArray[np.uint8], size: tuple[int, int]) -> Tensor:
    resized = Image.fromarray(picture).resize(size[::-1], Image.Resampling.BILINEAR)
    return torch.from_numpy(np.asarray(resized, np.float32)).permute(2, 0, 1)[None].contiguous()


def _as_predicted(model: nn.Module, config: ExperimentConfig, returns: Returned) -> Callable[[Tensor], Tensor]:
    """What ``predict`` computes of whole images, pictures normalised as for it."""

    def ask(images: Tensor) -> Tensor:
        pictures = images.permute(0, 2, 3, 1).to(torch.uint8).numpy()
        normalised = np.stack([normalize(picture, config.data.mean, config.data.std) for picture in pictures])
        return returned(resized(predict_logits(model, torch.from_numpy(normalised)), images.shape[-2:]), returns)

    return ask


def _about(trained: Trained, returns: Returned, sizes: Sizes) -> dict[str, Any]:
    """What must be known of a program, as plain data."""
    return {
        "input": f"images: {sizes}, float32, RGB 0-255",
        "output": returns,
        "class_names": list(trained.class_names),
        "palette": None if trained.palette is None else [list(colour) for colour in trained.palette],
    }


def _notes(config: ExperimentConfig) -> Iterator[str]:
    asked = config.eval
    if asked.crop_size is not None:
        height, width = asked.crop_size
        yield f"eval.mode is slide: the program sees what it is given at once; windows of {height}x{width} px are yours to cut"
    if asked.resize is not None:
        yield f"eval.resize is {list(asked.resize)}: the program sees images at the size in which they are given"
    if asked.tta.flip or asked.tta.scales != (1.0,):
        yield "eval.tta: the program sees each image once"
