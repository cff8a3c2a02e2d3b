"""Between two log lines the host does not wait for the GPU, which would stand still meanwhile.

Here the GPU is torch's ``meta`` device: its tensors have sizes and no values, so nothing can be read from them, and what is
sent to it from the host is seen. ``tests/gpu`` has the same on a card.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from rayseg.build import assemble, experiment, kernels
from rayseg.data import delivery
from rayseg.data.delivery import Parcel, Recipient
from rayseg.engine import LocalReporter, fit, step
from rayseg.inference import evaluate_split
from rayseg.kernels import Triton, gpu
from rayseg.losses import LOSSES
from rayseg.mix import Head, Mix, Term
from rayseg.sampling import SAMPLERS
from rayseg.testing import tiny_experiment
from rayseg.types import Batch
from tests.engine.runs import FULL
from tests.waiting import waits_for

CARD = "meta"
#: Which classes Lovász ranks depends on the labels, and Hausdorff asks SciPy for distances; the documentation says so.
WAITING = {"lovasz", "hausdorff"}
#: Arguments that are numbers for each class.
LISTS = {
    "focal": {"alpha": [0.2, 0.8]},
    "binary_cross_entropy": {"pos_weight": [1.0, 2.0]},
    "sigmoid_focal": {"alpha": [0.2, 0.8]},
}


class Launched:
    """A kernel in Triton, which is launched and not waited for."""

    def __getitem__(self, _: tuple[int, ...]) -> Any:
        return lambda *_, **__: None


@pytest.fixture(params=["plain", "triton"])
def _card(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run's GPU. The kernels in Triton do nothing there, and there is no autocast."""
    backend = Triton(CARD) if request.param == "triton" else None
    launched = dict.fromkeys(("forward", "backward", "total", "digits"), Launched())
    monkeypatch.setattr(experiment, "pick_device", lambda _: torch.device(CARD))
    monkeypatch.setattr(kernels, "_automatic", lambda _: backend)
    monkeypatch.setattr(gpu, "kernels", functools.cache(lambda: SimpleNamespace(**launched)))
    monkeypatch.setattr(step, "autocasting", lambda *_: nullcontext())


def on_the_card(_first: int, _last: int) -> Iterator[Sequence[Batch]]:
    """Two micro-batches for each of two steps; then the data end."""
    images, masks = torch.zeros(1, 3, 32, 48, device=CARD), torch.zeros(1, 32, 48, dtype=torch.int64, device=CARD)
    for _ in range(2):
        yield [Batch(images, masks, masks[:, 0, 0])] * 2


@pytest.mark.usefixtures("_card")
def test_nothing_waits_in_the_steps_between_two_log_lines(tmp_path: Path) -> None:
    later = {"train.steps": 100, "train.log_every": 100, "eval.every": 100, "checkpoint.every": 100}
    run = assemble(tiny_experiment(**{**FULL, **later, "scaling.gpu": "auto"}), LocalReporter(tmp_path)).fit
    run.batches = on_the_card
    with waits_for(CARD) as seen:
        fit(run)
    assert run.state.step == 2
    assert seen == []


def test_an_evaluation_waits_at_its_end_alone() -> None:
    names, (batch, _) = ["a", "b"], next(on_the_card(0, 1))
    mix = Mix({"main": Head({"ce": Term(LOSSES["cross_entropy"]), "dice": Term(LOSSES["dice"]())})})
    model = torch.nn.Conv2d(3, 2, 2, 2, device=CARD)
    asked: Any = lambda network, images, **_: network(images)  # noqa: E731  without autocast
    with waits_for(CARD) as seen, pytest.raises(NotImplementedError, match="out of meta"):
        evaluate_split(model, [(batch, [0]), (batch, [1])], class_names=names, ignore_index=255, mix=mix, inference=asked)
    assert seen == ["_to_copy of [(2, 2)]"]


def waits_of(head: Head, channels: int) -> list[str]:
    logits = torch.zeros(2, channels, 4, 4, device=CARD, requires_grad=True)
    masks = torch.zeros(2, 8, 8, dtype=torch.int64, device=CARD)
    with waits_for(CARD) as seen:
        Mix({"main": head})({"main": logits}, masks, step=0, images=logits.new_zeros(2, 3, 8, 8)).total.backward()  # type: ignore[no-untyped-call]
    return seen


@pytest.mark.parametrize("name", [name for name in LOSSES if name not in WAITING])
def test_no_loss_waits_but_those_that_are_named(name: str) -> None:
    given = LISTS.get(name, {})
    loss = LOSSES[name](**given) if isinstance(LOSSES[name], type) else functools.partial(LOSSES[name], **given)
    assert waits_of(Head({"loss": Term(loss, class_weight=torch.ones(2, device=CARD))}), 2) == []


@pytest.mark.parametrize("name", sorted(WAITING))
def test_the_losses_that_wait_are_seen_to(name: str) -> None:
    with pytest.raises((RuntimeError, NotImplementedError), match="meta tensor"):
        waits_of(Head({"loss": Term(LOSSES[name]() if isinstance(LOSSES[name], type) else LOSSES[name])}), 2)


@pytest.mark.parametrize("name", SAMPLERS)
def test_no_sampler_waits(name: str) -> None:
    given = {"ratio": 0.5} if name == "top_k" else {}
    terms = {"loss": Term(LOSSES["cross_entropy"])}
    assert waits_of(Head(terms, functools.partial(SAMPLERS[name], **given)), 2) == []


@pytest.mark.parametrize("twists", [torch.empty(0), torch.ones(2, 3, 4)], ids=["colours as they are", "colours changed"])
def test_bytes_become_a_batch_on_a_gpu_without_waiting(twists: torch.Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU of tensors without values; memory of the host is pinned where it is sent from."""
    pinned: list[torch.Tensor] = []

    def pin_memory(each: torch.Tensor) -> torch.Tensor:
        pinned.append(each)
        return each

    monkeypatch.setattr(torch.Tensor, "pin_memory", pin_memory)
    monkeypatch.setattr(delivery, "_tables_on", lambda device, *_: torch.empty(3, 256, device=device))  # of the first batch
    with FakeTensorMode(allow_non_fake_inputs=True):
        pixels, masks = torch.empty(2, 3, 8, 9, dtype=torch.uint8), torch.empty(2, 8, 9, dtype=torch.uint8)
        parcel = Parcel(pixels, masks, torch.empty(2, 2, dtype=torch.int64), torch.empty(2, dtype=torch.int64), twists)
        with waits_for("cuda") as seen:
            batch = Recipient((1.0, 2.0, 3.0), (1.0, 1.0, 1.0), torch.device("cuda", 0)).batch(parcel)
    assert batch.images.is_cuda
    assert len(pinned) == len(parcel)
    assert seen == []
