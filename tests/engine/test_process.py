"""What a run sets for its whole process is put back; what is not, the next run in that process would meet."""

from __future__ import annotations

import gc
import logging
import os
import random
import sys
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import PIL.ImageFile
import pytest
import torch

from rayseg.engine import eager_reasons, lent_process
from rayseg.launch.eager import eager_in, told_eager
from rayseg.tracking import NullTracker

dynamo = torch._dynamo.config


def _matmul() -> Any:
    return torch.backends.cuda.matmul.fp32_precision


#: What a trial may do to its process -> what of it another one would see.
HABITS: dict[str, tuple[Callable[[], object], Callable[[], Any]]] = {
    "dtype": (lambda: torch.set_default_dtype(torch.float64), torch.get_default_dtype),
    "device": (lambda: torch.set_default_device("meta"), lambda: torch.empty(1).device.type),
    "threads": (lambda: torch.set_num_threads(3), torch.get_num_threads),
    "matmul precision": (lambda: torch.set_float32_matmul_precision("medium"), torch.get_float32_matmul_precision),
    "precision of a GPU": (lambda: torch.set_float32_matmul_precision("high"), _matmul),
    "determinism": (lambda: torch.use_deterministic_algorithms(True), torch.are_deterministic_algorithms_enabled),
    "warned determinism": (
        lambda: torch.use_deterministic_algorithms(True, warn_only=True),
        torch.is_deterministic_algorithms_warn_only_enabled,
    ),
    "fills": (
        lambda: setattr(torch.utils.deterministic, "fill_uninitialized_memory", False),
        lambda: torch.utils.deterministic.fill_uninitialized_memory,  # type: ignore[attr-defined]
    ),
    "cudnn": (lambda: setattr(torch.backends.cudnn, "benchmark", True), lambda: torch.backends.cudnn.benchmark),
    "oneDNN": (
        lambda: setattr(torch.backends.mkldnn, "enabled", False),
        lambda: torch.backends.mkldnn.enabled,
    ),
    "gradients": (lambda: torch.set_grad_enabled(False), torch.is_grad_enabled),
    "anomalies": (lambda: torch.autograd.set_detect_anomaly(True), torch.is_anomaly_enabled),
    "generator of torch": (lambda: torch.manual_seed(torch.initial_seed() ^ 1), torch.initial_seed),
    "generator of Python": (lambda: random.seed(5), random.getstate),
    "generator of NumPy": (lambda: np.random.seed(5), lambda: str(np.random.get_state())),  # noqa: NPY002
    "floating point": (lambda: np.seterr(all="raise"), np.geterr),
    "environment": (lambda: os.environ.update(FROM_A_RUN="1"), lambda: dict(os.environ)),
    "environment, less": (lambda: os.environ.pop("PATH"), lambda: dict(os.environ)),
    "directory": (lambda: os.chdir("/"), os.getcwd),
    "imports": (lambda: sys.path.insert(0, "/nowhere"), lambda: list(sys.path)),
    "recursion": (lambda: sys.setrecursionlimit(3000), sys.getrecursionlimit),
    "warnings": (lambda: warnings.simplefilter("ignore"), lambda: list(warnings.filters)),
    "logging": (lambda: logging.disable(logging.ERROR), lambda: logging.root.manager.disable),
    "level": (lambda: logging.root.setLevel(logging.ERROR), lambda: logging.root.level),
    "handlers": (lambda: logging.root.addHandler(logging.NullHandler()), lambda: len(logging.root.handlers)),
    "collection": (gc.disable, gc.isenabled),
    "collection, rarely": (lambda: gc.set_threshold(9), gc.get_threshold),
    "large pictures": (lambda: setattr(PIL.Image, "MAX_IMAGE_PIXELS", 1), lambda: PIL.Image.MAX_IMAGE_PIXELS),
    "torn pictures": (
        lambda: setattr(PIL.ImageFile, "LOAD_TRUNCATED_IMAGES", True),
        lambda: PIL.ImageFile.LOAD_TRUNCATED_IMAGES,
    ),
    "start method": (
        lambda: torch.multiprocessing.set_start_method("spawn", force=True),
        lambda: torch.multiprocessing.get_start_method(allow_none=True),
    ),
    "sharing": (
        lambda: torch.multiprocessing.set_sharing_strategy("file_system"),  # type: ignore[no-untyped-call]
        torch.multiprocessing.get_sharing_strategy,
    ),
    "compiler": (lambda: setattr(dynamo, "suppress_errors", True), lambda: dynamo.suppress_errors),
}


class Told(NullTracker):
    """A tracker that remembers tags."""

    def __init__(self) -> None:
        self.tags: dict[str, str] = {}

    def set_tags(self, tags: Mapping[str, str]) -> None:
        self.tags.update(tags)


@pytest.fixture(autouse=True)
def _no_collection(monkeypatch: pytest.MonkeyPatch) -> None:
    """A third of a second each, in a process that has imported so much."""
    monkeypatch.setattr(gc, "collect", lambda *_: 0)


@pytest.mark.parametrize("name", HABITS)
def test_another_run_does_not_see_what_a_run_has_set(name: str) -> None:
    change, seen = HABITS[name]
    with lent_process():  # nothing of this test stays, whatever it finds
        before = seen()
        with lent_process():
            change()
            assert seen() != before, "this changes nothing"
        assert seen() == before


def test_also_when_the_run_fails() -> None:
    def fail() -> None:
        torch.set_default_dtype(torch.float64)
        raise RuntimeError("ended")

    with pytest.raises(RuntimeError, match="ended"), lent_process():
        fail()
    assert torch.get_default_dtype() == torch.float32


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (torch._dynamo.utils, "counters"),
        (torch._dynamo.config, "get_config_copy"),
        (torch.backends.cudnn, "benchmark_limit"),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_what_another_version_of_torch_does_not_have_is_passed_over(
    owner: Any, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    has_it = next(each for each in (owner, *type(owner).__mro__) if name in vars(each))
    monkeypatch.delattr(has_it, name)
    with lent_process():
        torch.set_default_dtype(torch.float64)
    assert torch.get_default_dtype() == torch.float32
    assert eager_reasons() == []


def test_why_a_part_of_a_run_was_not_compiled_is_kept_and_told(tmp_path: Path) -> None:
    compiled = torch.compile(lambda x: 2 * x, backend="eager", dynamic=False)
    told = Told()
    with lent_process(), told_eager(tmp_path, told):
        compiled(torch.zeros(3))
    assert (eager_in(tmp_path), told.tags) == (None, {})
    with lent_process(), told_eager(tmp_path, told):
        dynamo.recompile_limit = 1
        compiled(torch.zeros(3)), compiled(torch.zeros(4))
    assert eager_in(tmp_path) == told.tags["rayseg.eager"] == "Dynamo recompile limit exceeded"


def test_a_function_that_was_recompiled_too_often_is_compiled_again() -> None:
    """The compiler gives up on code that it met in too many forms, quietly: a next run of equal code would be eager."""
    calls: list[int] = []

    def backend(module: torch.fx.GraphModule, _inputs: list[Any]) -> Any:
        calls.append(1)
        return module.forward

    def double(x: torch.Tensor) -> torch.Tensor:
        return 2 * x

    compiled = torch.compile(double, backend=backend, dynamic=False)
    with lent_process():
        dynamo.recompile_limit = 1
        compiled(torch.zeros(3)), compiled(torch.zeros(4))
        assert len(calls) == 1
        assert eager_reasons() == ["Dynamo recompile limit exceeded"]
    assert eager_reasons() == []
    compiled(torch.zeros(5)), compiled(torch.zeros(6))
    assert len(calls) == 3
