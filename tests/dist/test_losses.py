"""Losses of one value per pixel, one-channel heads, soft targets, a teacher: one step is a function of the global batch."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import torch

from rayseg.build.distillation import Distillation
from rayseg.collective import rank, world_size
from rayseg.losses import (
    Dice,
    binary_cross_entropy,
    cross_entropy,
    focal,
    hausdorff,
    one_hot,
    sigmoid_focal,
    smooth_borders,
)
from rayseg.mix import Head, Term, ValidationLoss
from rayseg.testing import run_distributed
from tests.build.small import trained_checkpoint
from tests.dist.step_cases import BOTH, CLASS_WEIGHT, SAMPLER, Case, Values, drift, three_steps

pytestmark = pytest.mark.dist

Results = dict[tuple[str, torch.dtype], Values]
TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-5}
Pixelwise = partial(Term, returns_map=True)
NINE = torch.linspace(0.5, 2.0, 9, dtype=torch.float64)

EVERY = {
    "bce": Pixelwise(partial(binary_cross_entropy, pos_weight=(1.0, 2.0, 3.0, 0.5)), class_weight=CLASS_WEIGHT),
    "focal": Pixelwise(partial(focal, alpha=0.3), class_weight=CLASS_WEIGHT, normalize="all_weights"),
    "sigmoid focal": Pixelwise(sigmoid_focal, normalize="all", class_weight=CLASS_WEIGHT),
    "hausdorff": Pixelwise(hausdorff, weight=0.01, class_weight=CLASS_WEIGHT),
    "soft": Pixelwise(cross_entropy, target=partial(smooth_borders, width=5), class_weight=CLASS_WEIGHT),
}
TWO = torch.tensor([0.7, 2.5], dtype=torch.float64)
ALONE = {
    "ce": Pixelwise(cross_entropy, class_weight=TWO),
    "bce": Pixelwise(partial(binary_cross_entropy, pos_weight=3.0), class_weight=TWO, target=one_hot),
    "focal": Pixelwise(focal, class_weight=TWO),
    "hausdorff": Pixelwise(hausdorff, weight=0.01),
}
MIXED_ALONE = {**ALONE, "dice": Term(Dice(), class_weight=TWO)}


def cases(checkpoint: Path) -> dict[str, Case]:
    """A teacher of nine classes is opened on every worker, and its weights are taken in float64."""
    teacher = Distillation(str(checkpoint), temperature=3.0).double()
    taught = {"ce": Pixelwise(cross_entropy), "kd": Pixelwise(teacher, weight=0.5, class_weight=NINE)}
    return {
        "every loss": Case(EVERY, dtypes=BOTH),
        "every loss, with ohem": Case(EVERY, SAMPLER),
        "every loss in two micro-batches": Case(EVERY, num_micro=2, norm="group", dtypes=BOTH),
        "every loss in two micro-batches, with ohem": Case(EVERY, SAMPLER, num_micro=2),
        "one channel": Case(MIXED_ALONE, SAMPLER, channels=1, dtypes=BOTH),
        "one channel in two micro-batches": Case(ALONE, channels=1, num_micro=2, norm="group"),
        "one channel in two micro-batches, with ohem": Case(MIXED_ALONE, SAMPLER, channels=1, num_micro=2),
        "a teacher": Case(taught, channels=9),
        "a teacher in two micro-batches": Case(taught, channels=9, num_micro=2, norm="group"),
        "a teacher in two micro-batches, with ohem": Case(taught, SAMPLER, channels=9, num_micro=2),
    }


def run_cases(checkpoint: Path) -> Results:
    return {(name, dtype): three_steps(case, dtype) for name, case in cases(checkpoint).items() for dtype in case.dtypes}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained_checkpoint(tmp_path_factory.mktemp("teacher"), {"model.depth": 2})


@pytest.fixture(scope="module")
def one_worker(checkpoint: Path) -> Results:
    return run_cases(checkpoint)


@pytest.mark.parametrize("workers", [2, 3])
def test_three_steps_are_those_of_one_worker(one_worker: Results, checkpoint: Path, workers: int) -> None:
    results = run_distributed(run_cases, workers, checkpoint)
    for (case, dtype), expected in one_worker.items():
        found = drift(results[0][case, dtype], expected)
        worst = max(found, key=lambda name: found[name])
        assert found[worst] <= TOLERANCE[dtype], f"{case} {dtype}, {worst}: {found[worst]:.1e}"
        for values in results[1:]:
            assert all(torch.equal(values[case, dtype][name], value) for name, value in results[0][case, dtype].items()), case


def validated(num_images: int) -> dict[str, float]:
    """Of one channel: a loss of its raw logits, and others; some workers have no image."""
    logits = torch.randn(num_images, 1, 3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    labels = torch.randint(2, (num_images, 6, 8), generator=torch.Generator().manual_seed(1))
    raw = Term(lambda logits, target: (logits.view(-1) - target.view(-1)).square().mean(), scope="rank", target=one_hot)
    loss = ValidationLoss(Head({**MIXED_ALONE, "raw": raw}))
    for image in range(rank(), num_images, world_size()):
        loss.add(logits[[image]], labels[[image]])
    return loss.result()


@pytest.mark.parametrize("num_images", [0, 1, 2])
def test_the_validation_loss_of_uneven_and_empty_shares_is_that_of_one_worker(num_images: int) -> None:
    expected = validated(num_images)
    for result in run_distributed(validated, 3, num_images):
        assert result == pytest.approx(expected, rel=1e-12)


def test_micro_batches_change_nothing_where_no_layer_looks_at_the_batch(one_worker: Results, checkpoint: Path) -> None:
    for name, case in cases(checkpoint).items():
        if case.norm == "group":
            whole = three_steps(Case(case.terms, channels=case.channels, norm="group"), torch.float64)
            assert max(drift(one_worker[name, torch.float64], whole).values()) <= TOLERANCE[torch.float64], name
