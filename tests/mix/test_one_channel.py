"""A head with one channel is a softmax over (0, z): losses, gradients, classes and scores are those of two channels."""

from __future__ import annotations

from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rayseg.inference import evaluate_split, predict_images
from rayseg.kernels import log_probabilities, predicted_classes
from rayseg.losses import Dice, Tversky, cross_entropy
from rayseg.mix import Head, Mix, Term
from rayseg.sampling import ohem
from rayseg.types import Batch

VOID = 255
LOGITS = 3 * torch.randn(3, 1, 4, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
MASKS = torch.randint(2, (3, 8, 10), generator=torch.Generator().manual_seed(1))
MASKS[0, :3] = VOID
WEIGHT = torch.tensor([0.5, 3.0], dtype=torch.float64)
TERMS = {
    "ce": Term(cross_entropy, class_weight=WEIGHT),
    "smooth": Term(partial(cross_entropy, label_smoothing=0.1), normalize="valid"),
    "dice": Term(Dice(), class_weight=WEIGHT),
    "tversky": Term(Tversky(per_image=True)),
}


def two_channels(z: Tensor) -> Tensor:
    return torch.cat([torch.zeros_like(z), z], dim=1)


@pytest.mark.parametrize("term", TERMS)
@pytest.mark.parametrize("sampler", [None, partial(ohem, thresh=0.6, min_kept=7)], ids=["all", "ohem"])
def test_loss_and_gradient_are_those_of_two_channels(term: str, sampler: partial[Tensor] | None) -> None:
    mix = Mix({"main": Head({term: TERMS[term]}, sampler)})
    one, two = LOGITS.clone().requires_grad_(), LOGITS.clone().requires_grad_()
    ours = mix({"main": one}, MASKS, step=0)
    theirs = mix({"main": two_channels(two)}, MASKS, step=0)
    assert ours.parts.keys() == theirs.parts.keys()
    for name, value in ours.parts.items():
        torch.testing.assert_close(value, theirs.parts[name], rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(*(torch.autograd.grad(each.total, z)[0] for each, z in ((ours, one), (theirs, two))))


def test_cross_entropy_is_torch_s_with_logits_and_one_channel_alone_is_the_same() -> None:
    target = torch.randint(2, (3, 4, 5), generator=torch.Generator().manual_seed(2))
    expected = F.binary_cross_entropy_with_logits(LOGITS[:, 0], target.double(), reduction="none")
    torch.testing.assert_close(cross_entropy(LOGITS, target, ignore_index=VOID), expected)


def test_probabilities_are_those_of_the_sigmoid_also_far_out_and_in_half_precision() -> None:
    z = torch.tensor([-200.0, -1.0, 0.0, 2.0, 200.0]).view(1, 1, 1, 5)
    found = log_probabilities(z.to(torch.bfloat16))
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, F.log_softmax(two_channels(z), dim=1))


def test_the_class_is_the_first_of_two_equals_as_in_argmax() -> None:
    z = torch.tensor([-1.0, 0.0, 1e-9]).view(1, 1, 1, 3)
    assert predicted_classes(z).flatten().tolist() == [0, 0, 1]
    assert torch.equal(predicted_classes(z), predicted_classes(two_channels(z)))


class Brightness(nn.Module):
    """One channel, or two, without anything to learn."""

    def __init__(self, *, two: bool) -> None:
        super().__init__()
        self.scale, self.two = nn.Parameter(torch.ones(())), two

    def forward(self, images: Tensor) -> Tensor:
        z = self.scale * images.mean(1, keepdim=True)[..., ::2, ::2]
        return two_channels(z) if self.two else z


def test_scores_and_masks_are_those_of_two_channels() -> None:
    images = torch.randn(3, 3, 8, 10, generator=torch.Generator().manual_seed(3))
    batch = [(Batch(images, MASKS, torch.arange(3)), [0, 1, 2])]
    mix = Mix({"main": Head({"ce": Term(cross_entropy), "dice": Term(Dice())})})
    evaluate = partial(evaluate_split, batches=batch, class_names=["vessel", "ground"], ignore_index=VOID, mix=mix)
    (ours, counts), (theirs, expected) = (evaluate(Brightness(two=two)) for two in (False, True))
    assert torch.equal(counts, expected)
    assert ours == pytest.approx(theirs)
    picture = (images[0].permute(1, 2, 0) * 50 + 100).clamp(0, 255).to(torch.uint8).numpy()
    one, two = (next(predict_images(Brightness(two=two), [picture], mean=(100,) * 3, std=(50,) * 3)) for two in (False, True))
    assert (one == two).all()
