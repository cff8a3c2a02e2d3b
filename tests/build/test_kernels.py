"""Which kernels compute the losses: what a device has, what was asked for by name, and what a log says."""

from __future__ import annotations

import pytest
import torch

from rayseg.build import kernels
from rayseg.errors import ConfigError
from rayseg.kernels import Strips, Triton, TritonScoring, compiled_backend
from rayseg.testing import tiny_experiment
from tests.build.small import built

CUDA, CPU = torch.device("cuda", 0), torch.device("cpu")


def backend_on(device: torch.device, asked: str) -> object:
    return kernels._backend(tiny_experiment(**{"train.kernels": asked}), device)


def test_left_to_itself_a_gpu_has_triton_and_a_cpu_what_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "why_no_triton", lambda _: None)
    assert backend_on(CUDA, "auto") == Triton()
    assert backend_on(CUDA, "triton") == Triton()
    assert isinstance(backend_on(CPU, "auto"), type(compiled_backend() or Strips()))
    assert backend_on(CUDA, "plain") is None


def test_a_gpu_without_triton_is_plain_and_told_so_or_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, logged: list[str]
) -> None:
    monkeypatch.setattr(kernels, "why_no_triton", lambda _: "Triton is not installed")
    assert backend_on(CUDA, "auto") is None
    assert logged == ["losses are computed plainly, with logits at full size: Triton is not installed"]
    with pytest.raises(ConfigError, match=r"train\.kernels: triton, but Triton is not installed; write auto"):
        backend_on(CUDA, "triton")


def test_scores_are_counted_by_what_the_device_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "triton_scoring", lambda _: TritonScoring())
    for asked in ("auto", "triton"):
        assert kernels.make_scoring(tiny_experiment(**{"train.kernels": asked}), CUDA) == TritonScoring()
    assert kernels.make_scoring(tiny_experiment(**{"train.kernels": "plain"}), CUDA) is None


def test_triton_on_a_cpu_is_refused_unless_the_workers_have_gpus() -> None:
    with pytest.raises(ConfigError, match=r"train\.kernels: triton, but there are no such kernels for cpu; write auto"):
        built({"train.kernels": "triton"})
