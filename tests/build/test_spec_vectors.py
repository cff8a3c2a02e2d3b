"""Numbers of the original code from what a user writes: a config's losses and sampling, on one example."""

from __future__ import annotations

from typing import Any

import pytest
from torch import Tensor

from rayseg.build.objects import make_mix
from rayseg.build.parts import resolve_parts
from rayseg.build.resolve import Problems
from rayseg.config import ExperimentConfig, from_yaml
from tests.losses.test_spec_vectors_region import logits, target

CW = "class_weight: [0.5, 1, 2, 4]"
OHEM = "sampling: {type: ohem_mmseg, scope: rank, "
MMSEG_TVERSKY = "type: tversky, classes: all, per_image: true, divide_by: classes"

VECTORS = [
    ("losses: {ce: {type: cross_entropy, normalize: all}}", 2.10931602),
    ("losses: {ce: {type: cross_entropy, normalize: valid}}", 2.43382618),
    (f"losses: {{ce: {{type: cross_entropy, normalize: all, {CW}}}}}", 4.36381295),
    (f"losses: {{ce: {{type: cross_entropy, normalize: valid, {CW}}}}}", 5.03516877),
    (f"losses: {{ce: {{type: cross_entropy, {CW}}}}}", 2.56694880),
    ("losses: {bce: {type: binary_cross_entropy, normalize: all}}", 0.86595470),
    ("losses: {bce: {type: binary_cross_entropy, normalize: valid}}", 0.99917853),
    ("losses: {focal: {type: sigmoid_focal, alpha: 0.5, normalize: all}}", 0.25170755),
    ("losses: {dice: {type: dice_mmseg_0x}}", 0.65413907),
    (f"losses: {{dice: {{type: dice_mmseg_0x, {CW}}}}}", 1.33418250),
    ("losses: {dice: {type: dice_mmseg_0x, exponent: 1}}", 0.73364960),
    ("losses: {dice: {type: dice_mmseg_1x}}", 0.64586493),
    ("losses: {dice: {type: dice_mmseg_1x, naive: true}}", 0.72775763),
    ("losses: {dice: {type: dice_mmseg_1x, activation: softmax}}", 0.76818306),
    ("losses: {dice: {type: dice_mmseg_1x, activation: softmax, naive: true}}", 0.82787907),
    ("losses: {lovasz: {type: lovasz}}", 0.82471681),
    ("losses: {lovasz: {type: lovasz, per_image: true}}", 0.82812679),
    (f"losses: {{tversky: {{{MMSEG_TVERSKY}}}}}", 0.61886473),
    (f"losses: {{tversky: {{{MMSEG_TVERSKY}, alpha: 0.5, beta: 0.5}}}}", 0.62186060),
    (f"losses: {{ce: {{type: cross_entropy, normalize: all}}}}\n{OHEM}thresh: 0.7, min_kept: 4}}", 2.10127381),
    (f"losses: {{ce: {{type: cross_entropy, normalize: valid}}}}\n{OHEM}thresh: 0.7, min_kept: 4}}", 2.42454670),
    (f"losses: {{ce: {{type: cross_entropy, normalize: all}}}}\n{OHEM}thresh: 0.2, min_kept: 2}}", 1.78075127),
    (f"losses: {{ce: {{type: cross_entropy, normalize: valid}}}}\n{OHEM}thresh: 0.2, min_kept: 100}}", 2.42454670),
    (f"losses: {{ce: {{type: cross_entropy, normalize: all}}}}\n{OHEM}thresh: null, min_kept: 4}}", 1.04838559),
    (f"losses: {{ce: {{type: cross_entropy, normalize: valid}}}}\n{OHEM}min_kept: 4}}", 1.20967568),
    (f"losses: {{ce: {{type: cross_entropy, normalize: kept}}}}\n{OHEM}thresh: 0.7, min_kept: 4, per: batch}}", 2.52152872),
    (f"losses: {{ce: {{type: cross_entropy, normalize: kept}}}}\n{OHEM}thresh: 0.2, min_kept: 4, per: batch}}", 3.33890843),
]
#: Every label is one of a class, and that of class 0 means: ignored.
IGNORING_A_CLASS = [
    (f"losses: {{ce: {{type: cross_entropy, normalize: all_weights, {CW}}}}}", 255, 2.59578943),
    (f"losses: {{ce: {{type: cross_entropy, normalize: all_weights, {CW}}}}}", 0, 2.50918913),
    (f"losses: {{ce: {{type: cross_entropy, {CW}}}}}", 0, 2.66886497),
    ("losses: {dice: {type: dice_mmseg_0x}}", 0, 0.51922671),
]


def loss_of(text: str, labels: Tensor, x: Tensor, **changes: Any) -> float:
    """What a config's mix gives."""
    config, problems = ExperimentConfig.from_dict(from_yaml(text)).with_(changes), Problems()
    parts = resolve_parts(config, {}, problems)
    names = "abcd"[: max(2, x.shape[1])]
    mix = make_mix(config, parts, list(names), None, 100, problems)
    problems.raise_if_any()
    return float(mix({"main": x}, labels, step=0).total)


@pytest.mark.parametrize(("text", "expected"), VECTORS)
def test_a_config_gives_the_number_of_the_original_code(text: str, expected: float) -> None:
    assert loss_of(text, target(), logits()) == pytest.approx(expected, rel=1.5e-7)


@pytest.mark.parametrize(("text", "ignore_index", "expected"), IGNORING_A_CLASS)
def test_also_where_a_class_is_what_is_ignored(text: str, ignore_index: int, expected: float) -> None:
    found = loss_of(text, target(void=False), logits(), **{"data.ignore_index": ignore_index})
    assert found == pytest.approx(expected, rel=1.5e-7)


def test_the_dice_of_notebooks() -> None:
    labels = (target(void=False)[:1] == 1).long()
    text = "model: {binary: true}\nlosses: {dice: {type: dice_flat}}"
    assert loss_of(text, labels, logits()[:1, :1]) == pytest.approx(0.84874365, rel=1.5e-7)
