"""Everything that a config may say about losses and sampling, together: the step is that of one worker."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from rayseg.collective import rank, world_size
from rayseg.data import step_keys
from rayseg.engine import backward, wrap
from rayseg.testing import run_distributed
from rayseg.types import Batch
from tests.build.small import AUXILIARY, built, folders, trained_checkpoint
from tests.dist.step_cases import drift

pytestmark = pytest.mark.dist

BATCH, VOID, STEP = 7, 255, 1
CE = {"type": "cross_entropy", "label_smoothing": 0.1, "class_weight": {"type": "inverse_frequency", "power": 0.5}}
FALLING = {"type": "top_k", "by": "loss", "schedule": {"ratio": {"from": 1.0, "to": 0.1, "end": 2}}}
RANKED = {
    "ce": CE,
    "dice": {"type": "dice", "weight": 3.0, "class_weight": {"car": 4.0}},
    "lovasz": {"type": "lovasz", "classes": "all"},
    "soft": {"type": "focal", "target": "one_hot", "normalize": "valid"},
}
OWN_HEAD = {
    "losses": {"bce": {"type": "binary_cross_entropy", "normalize": "kept"}, "tversky": {"type": "focal_tversky"}},
    "sampling": {"type": "ohem_mmseg", "thresh": 0.4, "min_kept": 30},
}
EDGES = {
    "target": {"type": "boundaries"},
    "sampling": {"type": "all_pixels"},
    "losses": {"edge": {"type": "boundary", "class_weight": [1, 3]}, "flat": {"type": "dice_flat"}},
}
COMBINED: dict[str, dict[str, Any]] = {
    "own losses and sampler on the auxiliary head": {
        **AUXILIARY,
        "losses": RANKED,
        "sampling": FALLING,
        "heads.auxiliary": OWN_HEAD,
        "ignore_classes": ["sky", "pole"],
    },
    "everything inherited, and edges": {
        "model.detail": True,
        "losses": {**RANKED, "hausdorff": {"type": "hausdorff", "weight": 0.01}},
        "sampling": {"type": "ohem", "thresh": None, "min_kept": 0.2, "by": "loss"},
        "heads.detail": EDGES,
    },
}
ONE_CHANNEL = {
    "model.binary": True,
    "losses": {
        "bce": {"type": "binary_cross_entropy", "pos_weight": 2.0},
        "hinge": {"type": "lovasz_hinge"},
        "dice": {"type": "dice"},
    },
    "sampling": {"type": "ohem", "min_kept": 0.2},
}


def cases(folder: Path) -> dict[str, dict[str, Any]]:
    kd = {"type": "distillation", "checkpoint": str(folder / "teacher" / "checkpoints" / "step_00000001"), "weight": 0.5}
    taught = {name: {**case, "losses": {**case["losses"], "kd": kd}} for name, case in COMBINED.items()}
    return {**taught, "one channel": {**folders(folder / f"data {rank()} of {world_size()}"), **ONE_CHANNEL}}


def share(num_classes: int, num_micro: int) -> list[Batch]:
    """This worker's part of seven images, of which one is void and the last class is in one."""
    generator = torch.Generator().manual_seed(num_classes)
    images = torch.randn(BATCH, 3, 16, 24, generator=generator, dtype=torch.float64)
    masks = torch.randint(num_classes - 1, (BATCH, 4, 6), generator=generator).repeat_interleave(4, 1).repeat_interleave(4, 2)
    masks[3, 4:8] = num_classes - 1
    masks[torch.rand(BATCH, 16, 24, generator=generator) < 0.1] = VOID
    masks[1] = VOID
    whole = Batch(images, masks, torch.arange(STEP * BATCH, (STEP + 1) * BATCH))
    keys = step_keys(STEP, BATCH, rank=rank(), world_size=world_size(), num_micro=num_micro)
    return [Batch(*(tensor[torch.tensor(each) - STEP * BATCH] for tensor in whole)) for each in keys]


def one_step(case: dict[str, Any], num_micro: int) -> dict[str, Tensor]:
    experiment = built({**case, "model.norm": "group", "train.steps": 4})
    model, batches = experiment.fit.state.model.double(), share(2 if case.get("model.binary") else 9, num_micro)
    parts = backward(wrap(model, batches[0], seed=0), experiment.fit.mix, batches, step=STEP, seed=0)
    gradients = {f"gradient {name}": each.grad for name, each in model.named_parameters() if each.grad is not None}
    return {**parts, **gradients}


def steps(folder: Path) -> dict[tuple[str, int], dict[str, Tensor]]:
    return {(name, num_micro): one_step(case, num_micro) for name, case in cases(folder).items() for num_micro in (1, 2)}


@pytest.mark.parametrize("workers", [2, 3])
def test_a_step_with_everything_is_that_of_one_worker(tmp_path: Path, workers: int) -> None:
    """The teacher computes in float32, so its logits differ by its rounding."""
    trained_checkpoint(tmp_path / "teacher", {"model.depth": 1})
    expected = steps(tmp_path)
    for number, found in enumerate(run_distributed(steps, workers, tmp_path)):
        for case, values in found.items():
            worst = drift(values, expected[case])
            assert max(worst.values()) < 1e-6, (case, number, max(worst, key=worst.__getitem__))
    for case, _ in expected:
        assert max(drift(expected[case, 2], expected[case, 1]).values()) < 1e-6, case
