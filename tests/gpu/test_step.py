"""The steps that are the same for any number of workers are the same on a GPU, and repeat there to the bit."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from tests.dist.step_cases import CASES, drift, three_steps

pytestmark = pytest.mark.gpu

DEVICE = "cuda"
#: Atomics are off, so a kernel that has no other form says so; sums are taken in another order than on a CPU.
TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-4}


@pytest.fixture(autouse=True)
def _deterministic(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As training has it by default."""
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    allowed = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = allowed


@pytest.mark.parametrize(("case", "dtype"), [(name, dtype) for name, case in CASES.items() for dtype in case.dtypes], ids=str)
def test_three_steps_on_a_gpu_are_those_of_a_cpu(case: str, dtype: torch.dtype) -> None:
    found = drift(three_steps(CASES[case], dtype, DEVICE), three_steps(CASES[case], dtype))
    worst = max(found, key=lambda name: found[name])
    assert found[worst] <= TOLERANCE[dtype], f"{worst}: {found[worst]:.1e}"


@pytest.mark.parametrize("case", CASES)
def test_three_steps_on_a_gpu_repeat_to_the_bit(case: str) -> None:
    first, again = (three_steps(CASES[case], torch.float32, DEVICE) for _ in range(2))
    assert all(torch.equal(first[name], again[name]) for name in first), [
        n for n in first if not torch.equal(first[n], again[n])
    ]
