"""Which tensors of a file go where in a model: each is loaded, left or accounted for."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from rayseg.errors import ConfigError
from rayseg.models import WeightReport, WeightRules, match_weights, small_unet
from rayseg.models.pretrained import read_state

State = dict[str, Tensor]
#: Names that depend on the number of classes.
CLASSIFIER = ("decode_head.classifier.weight", "decode_head.classifier.bias")


def net(num_classes: int = 3, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return small_unet(num_classes, width=4, depth=2)


def matched(state: State, model: nn.Module | None = None, **rules: Any) -> tuple[State, WeightReport]:
    expected = (model or net()).state_dict()
    return match_weights(expected, state, WeightRules(**rules), source="a.pth", output_layer=lambda: CLASSIFIER)


def test_every_tensor_of_the_same_network_is_loaded() -> None:
    state = dict(net(seed=1).state_dict())
    tensors, report = matched(state)
    assert tensors == state
    assert report == WeightReport("a.pth", tuple(state), ())


def test_the_output_layer_of_another_number_of_classes_starts_anew() -> None:
    tensors, report = matched(net(5, seed=1).state_dict())
    assert set(report.reinitialised) == set(CLASSIFIER) == set(report.left)
    assert report.reinitialised[CLASSIFIER[1]] == "(5,) in the file, (3,) here"
    assert set(tensors) == set(net().state_dict()) - set(CLASSIFIER)


@pytest.mark.parametrize("taken_off", ["backbone.", "features.", "model.", "encoder.model.", ""])
def test_a_file_of_a_backbone_alone_finds_its_place_under_any_usual_prefix(taken_off: str) -> None:
    backbone = net(seed=1).get_submodule("backbone").state_dict()
    tensors, report = matched({f"{taken_off}{name}": value for name, value in backbone.items()})
    assert set(tensors) == {f"backbone.{name}" for name in backbone}
    assert all(torch.equal(tensors[f"backbone.{name}"], value) for name, value in backbone.items())
    assert (report.taken_off, report.put_on) == (("", "") if taken_off == "backbone." else (taken_off, "backbone."))
    assert report.left == ()


def test_names_are_replaced_in_order_before_anything_else() -> None:
    state = {f"enc.{name.removeprefix('backbone.')}": value for name, value in net(seed=1).state_dict().items()}
    tensors, report = matched(state, rename={r"^enc\.(stem|stages)": r"body.\1", "^body": "backbone"}, only="^backbone")
    assert set(tensors) == {name for name in net().state_dict() if name.startswith("backbone")}
    assert all(name.startswith("enc.decode_head") for name in report.left)


SELECTIONS = st.none() | st.sampled_from(["backbone", "weight$", "stages", "classifier", "running"])


@given(only=SELECTIONS, skip=SELECTIONS, missing=st.sets(st.integers(0, 20)), num_classes=st.sampled_from([3, 4]))
def test_each_tensor_is_in_exactly_one_list(only: str | None, skip: str | None, missing: set[int], num_classes: int) -> None:
    given_state = {name: v for i, (name, v) in enumerate(net(num_classes, 1).state_dict().items()) if i not in missing}
    model = net()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    try:
        tensors, report = matched(given_state, model, only=only, skip=skip)
    except ConfigError as error:
        if "nothing of a.pth would be loaded" not in str(error):
            raise
        return
    assert sorted([*report.loaded, *report.reinitialised]) == sorted(before)
    assert sorted([*report.loaded, *report.left]) == sorted(given_state)
    assert set(tensors) == set(report.loaded)
    model.load_state_dict(tensors, strict=False)
    for name, value in model.state_dict().items():
        assert torch.equal(value, given_state[name] if name in report.loaded else before[name]), name
    lines = report.text().splitlines()
    assert len(lines) == 1 + len(report.loaded) + len(report.reinitialised) + len(report.left)


def test_batch_counters_may_be_missing_where_everything_else_must_be_there() -> None:
    state = {name: value for name, value in net(seed=1).state_dict().items() if "num_batches" not in name}
    _, report = matched(state, strict=True)
    assert all("num_batches" in name for name in report.reinitialised)
    with pytest.raises(ConfigError, match=r"init\.strict"):
        matched({name: value for name, value in state.items() if "stem" not in name}, strict=True)


def test_a_file_of_safetensors_is_read_as_one_of_torch(tmp_path: Any) -> None:
    library = pytest.importorskip("safetensors.torch", reason="needs the package safetensors")
    state = {f"module.{name}": value for name, value in net(seed=1).state_dict().items()}
    library.save_file(state, tmp_path / "a.safetensors")
    torch.save(state, tmp_path / "a.pth")
    ours, theirs = read_state(tmp_path / "a.safetensors"), read_state(tmp_path / "a.pth")
    assert ours.keys() == theirs.keys() == net().state_dict().keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
