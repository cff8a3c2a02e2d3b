"""Labels are counted by the driver of a search, and told only where somebody reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from rayseg.build import assemble, counts_of, same_labels
from rayseg.data import LabelCounts
from rayseg.engine import LocalReporter
from rayseg.losses import median_frequency
from tests.build.small import BASE

RULE = {"losses.ce.class_weight": {"type": "median_frequency", "power": 0.5}}
KNOWN = LabelCounts(pixels=tuple(range(1, 10)), image_pixels=(99,) * 9, images=4, class_images=(4,) * 9, void_pixels=0)


def test_what_is_known_is_not_counted_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> LabelCounts:
        raise AssertionError("counted")

    monkeypatch.setattr("rayseg.build.counting.count_labels", refuse)
    experiment = assemble(BASE.with_(RULE), LocalReporter(Path("unused")), known_counts=KNOWN)
    weights = experiment.fit.mix.heads["main"].terms["ce"].class_weight
    assert weights is not None
    expected = median_frequency(torch.tensor(KNOWN.pixels), torch.tensor(KNOWN.image_pixels), power=0.5)
    assert torch.equal(weights, expected)
    assert experiment.counts == KNOWN
    assert assemble(BASE, LocalReporter(Path("unused"))).counts is None


def test_a_search_counts_where_one_of_its_recipes_needs_it() -> None:
    ruled = BASE.with_(RULE)
    assert counts_of(BASE, [BASE, BASE.with_({"optim.lr": 0.1})]) is None
    found = counts_of(BASE, [BASE, ruled])
    assert found is not None
    assert found == assemble(ruled, LocalReporter(Path("unused"))).counts
    assert counts_of(BASE, [ruled.with_({"data.ignore_index": 77})]) is None  # other labels: each trial counts its own


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"data.transforms.flip": {"type": "random_flip"}}, True),
        ({"data.num_workers": 1}, True),
        ({"data.ignore_index": 77}, False),
        ({"data.class_names": list("abcdefghi")}, False),
        ({"data.dataset.length": 5}, False),
        ({"data.train_split": "val"}, False),
        ({"ignore_classes": ["sky"]}, False),
    ],
)
def test_labels_are_the_same_whatever_is_done_to_the_images(change: dict[str, Any], same: bool) -> None:
    assert same_labels(BASE, BASE.with_(change)) is same


def test_a_class_that_is_ignored_has_no_part_in_a_rule(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The mean weight of a pixel that a loss looks at is 1, whatever is ignored; the two counts are remembered apart."""
    monkeypatch.setenv("RAYSEG_CACHE", str(tmp_path))
    rule = {"losses.ce.class_weight": {"type": "inverse_frequency"}}
    for ignored in ([], ["sky", "road"], ["road", "sky"], []):
        experiment = assemble(BASE.with_({**rule, "ignore_classes": ignored}), LocalReporter(Path("unused")))
        weights, counts = experiment.fit.mix.heads["main"].terms["ce"].class_weight, experiment.counts
        assert weights is not None
        assert counts is not None
        pixels = torch.tensor(counts.pixels)
        assert (pixels == 0).nonzero().flatten().tolist() == ([0, 2] if ignored else [])
        assert max(counts.image_pixels) <= pixels.sum()
        assert (weights * pixels).sum() / pixels.sum() == pytest.approx(1)
