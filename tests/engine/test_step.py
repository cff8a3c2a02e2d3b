"""One optimizer step with micro-batches, in one process."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from rayseg.engine import backward, wrap
from rayseg.models import prepare, sample_keys
from rayseg.types import Batch
from tests.dist.step_cases import CASES, TwoHeads, drift, global_batch, make_mix, share, three_steps

F64 = torch.float64


def fresh(norm: str) -> nn.Module:
    torch.manual_seed(0)
    return prepare(TwoHeads(), norm=norm).to(F64)  # type: ignore[arg-type]


@pytest.mark.parametrize("case", ["group norm", "group norm, cross-entropy"])
def test_micro_batches_add_up_to_the_batch_where_no_layer_looks_at_the_batch(case: str) -> None:
    found = drift(three_steps(CASES[f"{case} in two micro-batches"], F64), three_steps(CASES[case], F64))
    assert max(found.values()) <= 1e-10, max(found, key=lambda name: found[name])


@pytest.mark.parametrize("case", ["the same in two micro-batches", "cross-entropy in two micro-batches"])
def test_each_micro_batch_enters_the_running_statistics_once(case: str) -> None:
    model = fresh("sync")
    by_hand = copy.deepcopy(model)
    batches = share(0, 2, F64)
    backward(model, make_mix(CASES[case]), batches, step=0, seed=0)
    for batch in batches:
        with sample_keys(0, batch.keys):
            by_hand(batch.images)
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(model.buffers(), by_hand.buffers(), strict=True))
    assert int(model.state_dict()["backbone.1.num_batches_tracked"]) == 2


def test_dropout_that_is_run_again_in_backward_drops_the_same_units() -> None:
    class Checkpointed(TwoHeads):
        def forward(self, images: Tensor) -> dict[str, Tensor]:
            features = checkpoint(self.backbone, images, use_reentrant=False)
            assert isinstance(features, Tensor)
            return {"main": self.decode_head(features), "auxiliary": self.auxiliary_head(features)}

    gradients = []
    for kind in (TwoHeads, Checkpointed):
        torch.manual_seed(0)
        model = prepare(kind(), norm="group").to(F64)
        backward(model, make_mix(CASES["group norm"]), share(0, 1, F64), step=0, seed=0)
        gradients.append([parameter.grad for parameter in model.parameters()])
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(*gradients, strict=True))


def test_a_single_worker_needs_no_wrapper_and_its_model_is_left_alone() -> None:
    model = fresh("sync")
    before = copy.deepcopy(model.state_dict())
    assert wrap(model, global_batch(0, F64), seed=0) is model
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_an_image_of_only_void_has_no_gradient_of_its_own() -> None:
    images, masks, keys = global_batch(0, F64)
    model = fresh("group")
    mix = make_mix(CASES["group norm, cross-entropy"])
    labelled = torch.tensor([index for index in range(len(masks)) if (masks[index] != 255).any()])
    assert len(labelled) < len(masks)
    gradients = []
    for part in (torch.arange(len(masks)), labelled):
        backward(model, mix, [Batch(images[part], masks[part], keys[part])], step=0, seed=0)
        gradients.append([parameter.grad.clone() for parameter in model.parameters() if parameter.grad is not None])
        model.zero_grad(set_to_none=True)
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)
