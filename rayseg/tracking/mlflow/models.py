"""A program of ``torch.export`` in the layout of MLflow's models, used with torch and MLflow alone, and nothing of rayseg.

Slow to import.
"""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from rayseg.tracking.calls import quiet

with warnings.catch_warnings():  # of MLflow about its own type hints
    warnings.simplefilter("ignore")
    import mlflow.pytorch
    from mlflow.models import Model, ModelSignature
    from mlflow.types import Schema, TensorSpec

__all__ = ["write_model"]

_PROGRAM = Path("data") / "model.pt2"


def write_model(program: Path, folder: Path, example: NDArray[np.float32], *, about: Mapping[str, Any], fixed: bool) -> None:
    """A program in the layout of a model of MLflow, for ``mlflow.pytorch``, ``mlflow.pyfunc`` and ``mlflow models serve``.

    Its signature is images ``(N, 3, H, W)`` float32, RGB in 0-255, to classes ``(N, H, W)`` int64. MLflow would make a graph by
    itself, of sizes that it guesses; ours was compared with the model, so it takes that one's place.

    Args:
        program: file of ``torch.export``.
        folder: where the model is written; it is made.
        example: images that it takes, two or more.
        about: what must be known of it, as plain data; ``metadata`` of the model.
        fixed: whether it takes images of the example's size only.

    Example:
        >>> write_model(
        ...     Path("street.pt2"), Path("street"), np.zeros((2, 3, 64, 96), np.float32), about={}, fixed=False
        ... )  # doctest: +SKIP
    """
    height, width = example.shape[2:] if fixed else (-1, -1)
    signature = ModelSignature(
        Schema([TensorSpec(np.dtype(np.float32), (-1, 3, height, width))]),
        Schema([TensorSpec(np.dtype(np.int64), (-1, height, width))]),
    )
    with quiet("mlflow"):
        mlflow.pytorch.save_model(
            torch.nn.Identity(),
            str(folder),
            serialization_format="pt2",
            input_example=example,
            signature=signature,
            metadata=dict(about),
            pip_requirements=[
                f"mlflow=={mlflow.__version__}",
                f"torch=={_public(torch.__version__)}",
                f"numpy=={np.__version__}",
            ],
        )
    shutil.copyfile(program, folder / _PROGRAM)
    model = Model.load(str(folder))
    model.model_size_bytes = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    model.save(str(folder / "MLmodel"))


def _public(version: str) -> str:
    """Without the build, such as ``+cpu``, of which an index may have none."""
    return version.partition("+")[0]
