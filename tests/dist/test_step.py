"""One step is a function of the global batch: losses, gradients and weights with 1, 2 and 3 workers."""

from __future__ import annotations

import pytest
import torch

from rayseg.testing import run_distributed
from tests.dist.step_cases import CASES, Values, all_cases, drift

pytestmark = pytest.mark.dist

Results = dict[tuple[str, torch.dtype], Values]
TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-5}


@pytest.fixture(scope="module")
def one_worker() -> Results:
    return all_cases()


@pytest.fixture(scope="module", params=[2, 3])
def workers(request: pytest.FixtureRequest) -> list[Results]:
    return run_distributed(all_cases, request.param)


@pytest.mark.parametrize(("case", "dtype"), [(name, dtype) for name, case in CASES.items() for dtype in case.dtypes], ids=str)
def test_three_steps_are_those_of_one_worker(
    one_worker: Results, workers: list[Results], case: str, dtype: torch.dtype
) -> None:
    found = drift(workers[0][case, dtype], one_worker[case, dtype])
    worst = max(found, key=lambda name: found[name])
    assert found[worst] <= TOLERANCE[dtype], f"{worst}: {found[worst]:.1e}"


def test_weights_and_losses_are_the_same_bits_on_every_rank(workers: list[Results]) -> None:
    for values in workers[1:]:
        for case, expected in workers[0].items():
            assert all(torch.equal(values[case][name], value) for name, value in expected.items()), case


@pytest.mark.parametrize("case", ["group norm", "group norm, cross-entropy", "a transformer"])
def test_accumulation_changes_nothing_where_no_layer_looks_at_the_batch(
    one_worker: Results, workers: list[Results], case: str
) -> None:
    dtype = torch.float64
    for results in (one_worker, workers[0]):
        found = drift(results[f"{case} in two micro-batches", dtype], one_worker[case, dtype])
        assert max(found.values()) <= TOLERANCE[dtype], max(found, key=lambda name: found[name])


def test_the_cases_tell_their_parts_apart(one_worker: Results) -> None:
    dtype = torch.float64
    losses = {name: float(one_worker[name, dtype]["0 loss"]) for name in CASES if "group norm" not in name}
    assert losses["ohem, dice, class weights"] != losses["cross-entropy over all pixels"]
    assert one_worker["ohem, dice, class weights", dtype]["0 ohem/kept"] < 0.9
    batch_norm = drift(one_worker["the same in two micro-batches", dtype], one_worker["ohem, dice, class weights", dtype])
    assert max(batch_norm.values()) > 1e-3  # declared: batch norm sees one micro-batch at a time
