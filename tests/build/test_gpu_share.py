"""A share of a GPU is a limit of memory too, which ends with the run."""

from __future__ import annotations

import pytest
import torch

from rayseg.build import torch_settings
from rayseg.testing import tiny_experiment


@pytest.mark.parametrize(("gpu", "wanted"), [(0.25, [0.25, "runs", 1.0]), (True, ["runs"]), (False, ["runs"])])
def test_a_run_takes_its_share_of_the_memory_of_a_gpu_and_no_more(
    monkeypatch: pytest.MonkeyPatch, gpu: object, wanted: list[object]
) -> None:
    told: list[object] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", told.append)
    with torch_settings(tiny_experiment(**{"scaling.gpu": gpu})):
        told.append("runs")
    assert told == wanted
