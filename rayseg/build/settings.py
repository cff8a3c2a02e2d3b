"""What a run sets for its whole process."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from rayseg.cache import cache_directory
from rayseg.config import ExperimentConfig

__all__ = ["torch_settings"]


@contextmanager
def torch_settings(config: ExperimentConfig) -> Iterator[None]:
    """What torch keeps per process, threads, determinism and its share of the GPU, set for a run and put back on exit.

    What is compiled for a run is kept in rayseg's cache, where the next trial and the next run find it, unless torch is told
    another place (``$TORCHINDUCTOR_CACHE_DIR``); and cuBLAS gets a workspace with which it is deterministic, unless it is told
    one (``$CUBLAS_WORKSPACE_CONFIG``).

    Args:
        config: the experiment.

    Example:
        >>> with torch_settings(ExperimentConfig().with_({"train.threads": 1})):
        ...     torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
        (1, True)
    """
    threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    fills, benchmark = torch.utils.deterministic.fill_uninitialized_memory, torch.backends.cudnn.benchmark  # type: ignore[attr-defined]
    shares = isinstance(config.scaling.gpu, float) and torch.cuda.is_available()
    try:
        if shares:
            torch.cuda.set_per_process_memory_fraction(config.scaling.gpu)
        torch.set_num_threads(config.train.threads or threads)
        torch.use_deterministic_algorithms(config.train.deterministic)
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
        torch.backends.cudnn.benchmark = not config.train.deterministic
        with _environment(compiles=config.train.speed.compile is not False):
            yield
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(deterministic)
        torch.utils.deterministic.fill_uninitialized_memory = fills  # type: ignore[attr-defined]
        torch.backends.cudnn.benchmark = benchmark
        if shares:
            torch.cuda.set_per_process_memory_fraction(1.0)


@contextmanager
def _environment(*, compiles: bool) -> Iterator[None]:
    """Where what is compiled is kept also goes where only torch has named a place, as it does when its compiler is imported."""
    absent = {"CUBLAS_WORKSPACE_CONFIG", "TORCHINDUCTOR_CACHE_DIR"} - os.environ.keys()
    if "CUBLAS_WORKSPACE_CONFIG" in absent:
        os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"
    if compiles and "TORCHINDUCTOR_CACHE_DIR" in absent:
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(cache_directory() / "compiled")
    try:
        yield
    finally:
        for name in absent:
            os.environ.pop(name, None)
