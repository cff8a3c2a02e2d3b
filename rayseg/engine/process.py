"""A process that is lent to one run after another: what a run sets for the whole process is put back when it ends.

Imports, opened libraries and compiled kernels stay: not to make them again is why a process is used again. So does what a
module of the user's own keeps in its globals, which nobody else can know.
"""

from __future__ import annotations

import gc
import importlib
import logging
import multiprocessing
import operator
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch

from rayseg.engine.generators import borrowed_generators
from rayseg.imports import importing

__all__ = ["lent_process"]

#: Attributes by module, from general to special: writing one may write those that follow. A missing one is passed over.
_ATTRIBUTES = {
    "torch.backends": ("fp32_precision",),
    "torch.backends.cuda": (
        "matmul.fp32_precision",
        "matmul.allow_fp16_reduced_precision_reduction",
        "matmul.allow_bf16_reduced_precision_reduction",
    ),
    "torch.backends.cudnn": (
        *("fp32_precision", "conv.fp32_precision", "rnn.fp32_precision"),
        *("enabled", "benchmark", "benchmark_limit", "deterministic"),
    ),
    "torch.backends.mkldnn": (
        *("fp32_precision", "matmul.fp32_precision", "conv.fp32_precision", "rnn.fp32_precision"),
        *("enabled", "deterministic"),
    ),
    "torch.utils.deterministic": ("fill_uninitialized_memory",),
    "PIL.Image": ("MAX_IMAGE_PIXELS",),
    "PIL.ImageFile": ("LOAD_TRUNCATED_IMAGES",),
}
#: Modules of settings of the compiler.
_COMPILER = ("torch._dynamo.config", "torch._inductor.config")
_PLACE = "TORCHINDUCTOR_CACHE_DIR"


class _Setting(NamedTuple):
    """Something that a process has one of."""

    read: Callable[[], Any]
    write: Callable[[Any], object]


#: Settings that are asked for and set by functions.
_SETTINGS = (
    _Setting(torch.get_default_dtype, torch.set_default_dtype),
    _Setting(lambda: importlib.import_module("torch.utils._device").CURRENT_DEVICE, torch.set_default_device),
    _Setting(torch.get_num_threads, torch.set_num_threads),
    _Setting(torch.get_float32_matmul_precision, torch.set_float32_matmul_precision),
    _Setting(
        lambda: (torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()),
        lambda kept: torch.use_deterministic_algorithms(kept[0], warn_only=kept[1]),
    ),
    _Setting(torch.is_grad_enabled, torch.set_grad_enabled),
    _Setting(
        lambda: (torch.is_anomaly_enabled(), torch.is_anomaly_check_nan_enabled()),
        lambda kept: torch.autograd.set_detect_anomaly(*kept),
    ),
    _Setting(torch.multiprocessing.get_sharing_strategy, torch.multiprocessing.set_sharing_strategy),
    _Setting(
        lambda: multiprocessing.get_start_method(allow_none=True),
        lambda kept: multiprocessing.set_start_method(kept, force=True),
    ),
    _Setting(np.geterr, lambda kept: np.seterr(**kept)),
    _Setting(lambda: dict(os.environ), lambda kept: _put_back(os.environ, kept)),
    _Setting(os.getcwd, os.chdir),
    _Setting(lambda: list(sys.path), lambda kept: sys.path.__setitem__(slice(None), kept)),
    _Setting(sys.getrecursionlimit, sys.setrecursionlimit),
    _Setting(
        lambda: (logging.root.level, list(logging.root.handlers), logging.root.manager.disable),
        lambda kept: _put_back_logging(*kept),
    ),
    _Setting(
        lambda: (gc.isenabled(), gc.get_threshold()),
        lambda kept: _put_back_collection(*kept),
    ),
)


@contextmanager
def lent_process() -> Iterator[None]:
    """Around a run in a process that others use after it: they find it as it was.

    Generators, threads, precision and determinism of torch, default dtype and device, environment, directory, import path,
    filters of warnings, level of logging, garbage collection, settings and caches of the compiler. Memory is given back.

    Example:
        >>> with lent_process():
        ...     torch.set_default_dtype(torch.float64)
        ...     os.environ["FROM_A_RUN"] = "1"
        >>> torch.get_default_dtype(), "FROM_A_RUN" in os.environ
        (torch.float32, False)
    """
    settings = [*_SETTINGS, *_loaded_attributes()]
    kept = [setting.read() for setting in settings]
    compiler = _compiler_settings()
    with borrowed_generators(), warnings.catch_warnings():
        try:
            yield
        finally:
            for setting, value in zip(settings, kept, strict=True):
                setting.write(value)
            _put_back_compiler(compiler)
            gc.collect()
            torch.cuda.empty_cache()  # no-op until CUDA is used


def _loaded_attributes() -> list[_Setting]:
    return [
        _attribute(sys.modules[module], name)
        for module, names in _ATTRIBUTES.items()
        if module in sys.modules
        for name in names
        if _has(sys.modules[module], name)
    ]


def _has(module: Any, name: str) -> bool:
    try:
        operator.attrgetter(name)(module)
    except (AttributeError, RuntimeError):
        return False
    return True


def _attribute(module: Any, name: str) -> _Setting:
    *owners, last = name.split(".")
    owner = operator.attrgetter(".".join(owners))(module) if owners else module
    return _Setting(lambda: getattr(owner, last), lambda kept: setattr(owner, last, kept))


def _put_back(mapping: Any, kept: dict[str, str]) -> None:
    """Only what differs: others may read the mapping meanwhile."""
    for key in [key for key in mapping if key not in kept]:
        del mapping[key]
    mapping.update({key: value for key, value in kept.items() if mapping.get(key) != value})


def _put_back_logging(level: int, handlers: list[logging.Handler], disabled: int) -> None:
    logging.root.setLevel(level)
    logging.root.handlers[:] = handlers
    logging.disable(disabled)


def _put_back_collection(enabled: bool, threshold: tuple[int, int, int]) -> None:
    gc.set_threshold(*threshold)
    (gc.enable if enabled else gc.disable)()


def _compiler_settings() -> dict[str, dict[str, Any]]:
    """What an optimizer's first step would import anyway; the names are torch's own and may be missing in another version.

    The import names a place for what is compiled; if nobody has, the run may still choose one.
    """
    chosen = _PLACE in os.environ
    with importing():
        modules = {name: importlib.import_module(name) for name in _COMPILER}
    if not chosen:
        os.environ.pop(_PLACE, None)
    return {name: module.get_config_copy() for name, module in modules.items() if hasattr(module, "get_config_copy")}


def _put_back_compiler(kept: dict[str, dict[str, Any]]) -> None:
    """Settings, and nothing that was compiled or given up on: who recompiled too often would leave the next run eager."""
    for name, settings in kept.items():
        module = importlib.import_module(name)
        now = module.get_config_copy()
        for key, value in settings.items():
            if now[key] != value:
                setattr(module, key, value)
    getattr(importlib.import_module("torch._dynamo.utils"), "counters", {}).clear()
    torch.compiler.reset()
