"""A captured network as a file, and the file as a function."""

from __future__ import annotations

import importlib
import json
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor
from torch.export import ExportedProgram

from rayseg.errors import RaysegError
from rayseg.inference.deployed import Returned
from rayseg.inference.sizes import Sizes

__all__ = ["ProgramFormat", "require_packages", "run_program", "write_program"]

#: ``onnx`` for other runtimes, ``torch_export`` for ``torch.export.load``.
ProgramFormat = Literal["onnx", "torch_export"]
_INPUT = "images"
#: Name under which what must be known of a program lies in its file, as JSON.
_KEY = "rayseg.json"


def write_program(
    program: ExportedProgram, path: Path, *, form: ProgramFormat, returns: Returned, sizes: Sizes, about: Mapping[str, Any]
) -> None:
    """Write a program with what must be known of it.

    The one input is called ``images``, the output as what it is. In ONNX ``about`` is a metadata property called
    ``rayseg.json``, in a file of ``torch.export`` an extra file of that name.

    Args:
        program: of one input and one output.
        path: of the file.
        form: which kind of file.
        returns: what comes out.
        sizes: of the images that it takes.
        about: plain data, such as the names of the classes.

    Raises:
        RaysegError: the packages that ONNX needs are not installed, or it has no word for an operation of the network.
    """
    text = json.dumps(about)
    if form == "torch_export":
        torch.export.save(program, path, extra_files={_KEY: text})
        return
    onnx = _package("onnx")
    with _quiet():
        model = _converted(program, returns).model_proto
    model.metadata_props.add(key=_KEY, value=text)
    _name_axes(model, sizes)
    onnx.save_model(model, str(path))


def require_packages(form: ProgramFormat) -> None:
    """Look for what writing and running a format needs.

    Raises:
        RaysegError: a package is not installed.

    Example:
        >>> require_packages("torch_export")
    """
    for name in ("onnx", "onnxscript", "onnxruntime") if form == "onnx" else ():
        _package(name)


def run_program(path: str | Path, form: ProgramFormat) -> Callable[[Tensor], Tensor]:
    """What a file computes: images ``(N, 3, H, W)`` float32 to its output.

    Args:
        path: of a file that :func:`write_program` wrote.
        form: which kind of file.

    Raises:
        RaysegError: the package that runs ONNX is not installed.

    Example:
        >>> masks = run_program("street.onnx", "onnx")(images)  # doctest: +SKIP
    """
    if form == "torch_export":
        module: Callable[[Tensor], Tensor] = torch.export.load(path).module()
        return module
    session = _package("onnxruntime").InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return lambda images: torch.from_numpy(session.run(None, {_INPUT: images.cpu().numpy()})[0])


def _package(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise RaysegError(f"format onnx needs the package {name}; install rayseg[export], or use torch_export") from error


def _converted(program: ExportedProgram, returns: Returned) -> Any:
    exporter = importlib.import_module("torch.onnx")  # slow to import
    try:
        return exporter.export(program, (), dynamo=True, verbose=False, input_names=[_INPUT], output_names=[returns])
    except exporter.errors.OnnxExporterError as error:
        told = str(error).strip().splitlines()[-1]
        raise RaysegError(f"export: the network cannot be said in ONNX: {told}; use format torch_export") from error


def _name_axes(model: Any, sizes: Sizes) -> None:
    """Axes that may differ get names that people understand; torch's are ``s34`` and ``16*s62``."""
    named = {0: "batch"} if sizes.fixed is not None else {0: "batch", -2: "height", -1: "width"}
    for value in (*model.graph.input, *model.graph.output):
        axes = value.type.tensor_type.shape.dim
        for place, name in named.items():
            axes[place].dim_param = name
    del model.graph.value_info[:]


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the warnings that libraries have about each other."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
