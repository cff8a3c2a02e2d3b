"""Losses, their targets, one-channel heads and teachers, from the config to a checkpoint and back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from rayseg.build import assemble, check, check_applied, evaluate, load_trained, predict
from rayseg.build.distillation import Distillation
from rayseg.engine import LocalReporter, fit
from rayseg.losses import kl_divergence, one_hot
from rayseg.mix import Head, Mix, Term
from tests.build.notebook_losses import DiceLoss, my_loss
from tests.build.small import AUXILIARY, BASE, built, folders, trained_checkpoint

NOTEBOOK = "tests.build.notebook_losses"
OWN = {"type": f"{NOTEBOOK}:DiceLoss", "scope": "rank", "target": "one_hot"}


@pytest.mark.parametrize("loss", ["binary_cross_entropy", "cross_entropy", "focal", "sigmoid_focal", "hausdorff", "dice"])
@pytest.mark.parametrize("binary", [False, True])
def test_a_run_with_one_channel_or_two_trains_scores_and_predicts(loss: str, binary: bool, tmp_path: Path) -> None:
    changes = {**folders(tmp_path / "data"), "model.binary": binary, "losses": {"own": {"type": loss}}}
    config = BASE.with_({**changes, "train.steps": 1, "sampling": None if loss == "dice" else {"type": "ohem"}})
    assert check(config) == []
    run = assemble(config, LocalReporter(tmp_path / "run"))
    fit(run.fit)
    checkpoint = tmp_path / "run" / "checkpoints" / "step_00000001"
    assert len(run.fit.state.model.state_dict()["decode_head.classifier.weight"]) == (1 if binary else 2)
    scores = {name: value for name, value in run.fit.state.metrics.items() if name.startswith("val/")}
    assert evaluate(checkpoint) == pytest.approx(scores)
    assert {"val/loss", "val/loss/own", "val/IoU/road"} <= set(scores)
    mask = next(predict(checkpoint, [np.zeros((20, 30, 3), np.uint8)]))
    assert mask.shape == (20, 30)
    assert mask.max() <= 1


def test_a_checkpoint_with_one_channel_is_of_two_classes_also_without_its_data(tmp_path: Path) -> None:
    checkpoint = trained_checkpoint(tmp_path / "run", folders(tmp_path / "data"), {"model.binary": True})
    found = load_trained(checkpoint, overrides={"data.dataset.root": "/nowhere"})
    assert found.class_names == ("class 0", "class 1")


def test_what_is_sampled_of_losses_and_targets_is_what_is_built(tmp_path: Path) -> None:
    sampled: list[tuple[dict[str, Any], dict[str, Any]]] = [
        ({}, {"losses.own": {"type": "focal", "gamma": 3.0, "alpha": 0.25, "normalize": "all_weights"}}),
        ({"losses.own": {"type": "focal"}}, {"losses.own.gamma": 0.5, "losses.own.alpha": [0.1] * 9}),
        ({"losses.own": {"type": "binary_cross_entropy"}}, {"losses.own.pos_weight": 2.0, "losses.own.label_smoothing": 0.1}),
        ({}, {"losses.ce.target": "one_hot"}),
        ({}, {"losses.ce.target": {"type": "smooth_borders", "width": 5}}),
        ({"losses.ce.target": {"type": "smooth_borders"}}, {"losses.ce.target.width": 7}),
        ({"losses.ce.target": "one_hot"}, {"losses.ce.target": None}),
        ({}, {"model.binary": False}),
        (folders(tmp_path), {"model.binary": True}),
    ]
    for recipe, changes in sampled:
        check_applied(built(recipe, changes), changes)
    with pytest.raises(Exception, match="5 was sampled, but 3 was built"):
        check_applied(built({"losses.ce.target": {"type": "smooth_borders"}}), {"losses.ce.target.width": 5})


def test_a_loss_of_a_notebook_runs_as_it_is_written(tmp_path: Path) -> None:
    losses = {"dice": OWN, "mse": {**OWN, "type": f"{NOTEBOOK}:my_loss"}}
    for binary in (False, True):
        config = BASE.with_({**folders(tmp_path / f"data {binary}"), "model.binary": binary, "losses": losses})
        assert check(config) == []
        fit(assemble(config, LocalReporter(tmp_path / f"run {binary}")).fit)


def test_a_loss_of_torch_that_is_told_what_void_is_gets_labels() -> None:
    own = {"type": "torch.nn:CrossEntropyLoss", "scope": "rank", "ignore_index": 255}
    config = BASE.with_({"losses": {"ce": {"type": "cross_entropy"}, "own": own}})
    assert check(config) == []
    logits = torch.randn(2, 9, 4, 4, generator=torch.Generator().manual_seed(1))
    labels = torch.randint(9, (2, 4, 4), generator=torch.Generator().manual_seed(2))
    labels[0, :3] = 255
    parts = built({"losses": config.to_dict()["losses"]}).fit.mix({"main": logits}, labels, step=0).parts
    torch.testing.assert_close(parts["loss/own"], parts["loss/ce"])


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("loss", [DiceLoss(), my_loss])  # type: ignore[no-untyped-call]
def test_a_loss_of_a_notebook_gets_the_shares_of_classes_and_void_does_not_train(loss: Any, channels: int) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, channels, 4, 5, generator=generator, dtype=torch.float64, requires_grad=True)
    labels = torch.randint(max(2, channels), (2, 4, 5), generator=generator)
    labels[0, :2] = 255
    valid = (labels != 255)[:, None]
    mix = Mix({"main": Head({"own": Term(loss, scope="rank", target=one_hot)})})
    total = mix({"main": logits}, labels, step=0).total
    shares = one_hot(labels, ignore_index=255, num_classes=max(2, channels))[:, -channels:].double()
    torch.testing.assert_close(total, loss((logits * valid).contiguous(), shares.contiguous()))
    (gradient,) = torch.autograd.grad(total, logits)
    assert not gradient.movedim(1, -1)[labels == 255].any()
    assert gradient.any()


def test_a_target_of_ones_own_is_given_to_the_loss() -> None:
    run = built({"losses": {"own": {"type": "cross_entropy", "target": {"type": f"{NOTEBOOK}:opposite", "share": 0.5}}}})
    logits = torch.randn(1, 9, 2, 2, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([[[0, 3], [8, 255]]])
    expected = -0.5 * logits.log_softmax(1)[0, [8, 5, 0], [0, 0, 1], [0, 1, 0]].mean()
    torch.testing.assert_close(run.fit.mix({"main": logits}, labels, step=0).total, expected)


def test_smooth_borders_soften_the_loss_where_classes_meet() -> None:
    logits = torch.tensor([[[[0.0, 0.0, 2.0, 2.0]], [[0.0, 0.0, 0.0, 0.0]]]])
    labels = torch.tensor([[[0, 0, 0, 1]]])
    run = built({"losses.ce.target": {"type": "smooth_borders", "width": 3}})
    shares = torch.tensor([[1.0, 1.0, 2 / 3, 0.5], [0.0, 0.0, 1 / 3, 0.5]])
    head = Head(run.fit.mix.heads["main"].terms)
    expected = -(shares * logits.log_softmax(1)[0, :, 0]).sum(0).mean()
    torch.testing.assert_close(Mix({"main": head})({"main": logits}, labels, step=0).total, expected)


def test_a_student_learns_what_its_teacher_sees_and_void_does_not_teach(tmp_path: Path) -> None:
    checkpoint = trained_checkpoint(tmp_path / "teacher")
    kd = {"type": "distillation", "checkpoint": str(checkpoint), "temperature": 4.0}
    run = built({"losses.kd": kd, "losses.ce.weight": 0.3})
    assert check(run.config) == []
    check_applied(run, {"losses.kd.temperature": 4.0, "losses.kd.checkpoint": str(checkpoint)})
    teacher = load_trained(checkpoint).model
    images = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    logits = torch.randn(2, 9, 4, 4, generator=torch.Generator().manual_seed(1))
    labels = torch.randint(9, (2, 8, 8), generator=torch.Generator().manual_seed(2))
    labels[0, :5] = 255

    def upsampled(values: Tensor) -> Tensor:
        return nn.functional.interpolate(values, (8, 8), mode="bilinear", align_corners=False)

    expected = kl_divergence(upsampled(logits), upsampled(teacher(images)["main"]), temperature=4.0)[labels != 255].mean()
    found = run.fit.mix({"main": logits}, labels, step=0, images=images).parts["loss/kd"]
    torch.testing.assert_close(found, expected)
    assert not [name for name in run.fit.state.model.state_dict() if "teacher" in name]


def test_a_teacher_is_never_trained(tmp_path: Path) -> None:
    kd = {"type": "distillation", "checkpoint": str(trained_checkpoint(tmp_path / "teacher"))}
    run = assemble(BASE.with_({"losses": {"kd": kd}, "train.micro_batch": 1}), LocalReporter(tmp_path / "student"))
    loss = run.fit.mix.heads["main"].terms["kd"].loss
    assert isinstance(loss, Distillation)
    before = {name: value.clone() for name, value in loss.state_dict().items()}
    fit(run.fit)
    assert not any(module.training for module in loss.modules())
    assert all(torch.equal(value, before[name]) for name, value in loss.state_dict().items())
    assert run.fit.state.metrics["val/loss/kd"] > 0


def test_a_teacher_is_opened_once_and_asked_once_for_the_same_images(tmp_path: Path) -> None:
    """Also where another head inherits it, and a sampler ranks by the loss."""
    kd = {"type": "distillation", "checkpoint": str(trained_checkpoint(tmp_path / "teacher"))}
    run = built(AUXILIARY, {"losses.kd": kd, "heads.auxiliary": {}, "sampling": {"type": "ohem", "by": "loss"}})
    heads = run.fit.mix.heads
    loss = heads["main"].terms["kd"].loss
    assert isinstance(loss, Distillation)
    assert heads["auxiliary"].terms["kd"].loss is loss
    asked: list[Tensor] = []
    loss.teacher.register_forward_pre_hook(lambda _, given: asked.append(given[0]))
    logits, labels = torch.randn(2, 2, 9, 8, 8), torch.randint(9, (2, 8, 8))
    for number in (1.0, 2.0):
        images = torch.full((2, 3, 8, 8), number)
        for _ in range(2):
            parts = run.fit.mix({"main": logits[0], "auxiliary": logits[0]}, labels, step=0, images=images).parts
            assert parts["loss/auxiliary.kd"] == parts["loss/kd"]
    assert [float(each.max()) for each in asked] == [1.0, 2.0]


def sure(logits: Tensor, target: Tensor, *, ignore_index: int, log_probs: Tensor) -> Tensor:
    """A sampler that looks at class 1 of two."""
    return (log_probs[:, 1] > -0.7) & (target != ignore_index)


def test_a_sampler_sees_two_classes_also_in_the_check_of_one_channel(tmp_path: Path) -> None:
    config = BASE.with_({**folders(tmp_path / "data"), "model.binary": True, "sampling": {"type": "sure"}})
    assert check(config, {"sure": sure}) == []
