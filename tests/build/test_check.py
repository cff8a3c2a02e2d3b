"""Everything that is wrong is told at once, before any worker starts, and nothing else is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from rayseg.build import assemble, check, hidden_arguments, torch_settings, worker_counts
from rayseg.build.resolve import Problems, bind, nearest
from rayseg.config import SUFFIXES, ExperimentConfig, Spec
from rayseg.engine import LocalReporter
from rayseg.errors import ConfigError
from rayseg.load import load_config
from tests.build.small import BASE, DICE, PARTS, built, folders

SHIPPED = sorted(
    path
    for path in (Path(__file__).parents[2] / "experiments" / "configs").glob("**/*")
    if path.suffix in SUFFIXES and not path.name.startswith("_") and "mmseg" not in path.parts[-3:]
)


def paths(overrides: dict[str, Any]) -> list[str]:
    return [problem.path for problem in check(BASE.with_(overrides), PARTS)]


def test_the_best_checkpoint_may_be_that_of_the_best_borders() -> None:
    borders = {"eval.metrics": ["mBoundaryIoU"], "checkpoint.best": "val/mBoundaryIoU"}
    assert check(BASE.with_(borders)) == []
    assert [each.path for each in check(BASE.with_({**borders, "checkpoint.mode": "min"}))] == ["checkpoint.mode"]


def test_a_sound_config_has_no_problem() -> None:
    assert check(BASE) == []
    assert check(ExperimentConfig().with_({"data.dataset.length": 8})) == []


def test_three_faults_in_three_sections_are_three_problems_of_one_error() -> None:
    config = BASE.with_(
        {
            "losses": {"jaccard": {"type": "jaccard", "smoth": 1.0}, "dice": DICE},
            "optim.groups.head": {"match": "classifer", "lr_mult": 10},
            "sampling": {"type": "ohem"},
        }
    )
    error = ConfigError(check(config))
    assert (
        str(error)
        == """\
3 problems in experiment config
  losses.jaccard.smoth: 'jaccard' has no parameter 'smoth'; it takes smooth, classes, per_image, activation, \
divide_by. Did you mean 'smooth'?
  sampling: set, but no loss term takes pixel weights (terms: jaccard, dice); add a per-pixel loss or remove it
  optim.groups.head: pattern 'classifer' matched none of the 5 trainable parameters; first names: backbone.stem.0.weight, \
backbone.stem.1.weight, backbone.stem.1.bias, .... Did you mean 'classifier'?"""
    )


def test_faults_of_every_stage_are_told_together() -> None:
    wrong = {
        "data.dataset.length": 0,
        "data.transforms.crop": {"type": "random_crop", "size": [16, 16], "cat_max_ratio": 3.0},
        "losses.own": {"type": "scalar"},
        "optim.groups.head": {"match": "classifer", "lr_mult": 10},
        "scaling.workers": 5,
        "schedule.power": "x",
    }
    assert set(paths(wrong)) == {"data.dataset", "optim.groups.head", "train.batch_size", "schedule.power"}
    del wrong["data.dataset.length"]
    with_data = {"data.transforms.crop.cat_max_ratio", "losses.own", "optim.groups.head", "train.batch_size", "schedule.power"}
    assert set(paths(wrong)) == with_data


def test_what_a_head_inherits_is_told_once() -> None:
    shared = {"model": {"type": "two_heads"}, "heads.auxiliary": {}, "sampling": {"type": "ohem", "min_kept": 2.0}}
    assert paths({**shared, "losses.ce.label_smooth": 0.1}) == ["losses.ce.label_smooth", "sampling.min_kept"]


def test_inherited_sampling_may_stay_unused_by_a_head_of_region_losses() -> None:
    shared = {"model": {"type": "two_heads"}, "sampling": {"type": "ohem"}}
    assert paths({**shared, "heads.auxiliary": {"losses": {"dice": DICE}}}) == []
    written = {"losses": {"dice": DICE}, "sampling": {"type": "ohem"}}
    assert paths({**shared, "heads.auxiliary": written}) == ["heads.auxiliary.sampling"]


def test_a_head_with_a_target_of_its_own_is_tried_with_it() -> None:
    head = {"target": {"type": "edges"}, "losses": {"ce": {"type": "cross_entropy"}}}
    two_heads = {"model": {"type": "two_heads"}}
    assert paths({**two_heads, "heads.auxiliary": head}) == []
    assert paths({**two_heads, "heads.auxiliary": {**head, "target": {"type": "real_target"}}}) == ["heads.auxiliary.target"]


def test_a_loss_may_be_a_module_a_function_or_a_pair_of_sums() -> None:
    good = {"topo": {"type": "topo", "strength": 2.0}, "pair": {"type": "pair"}, "mean": {"type": "scalar", "scope": "rank"}}
    assert paths({"losses": good}) == []


def test_a_layer_that_is_not_used_hurts_several_workers_only() -> None:
    idle = {"model": {"type": "pooled", "idle": True}}
    assert paths(idle) == []
    assert paths({**idle, "scaling.workers": [1, 2]}) == ["model"]


def test_a_batch_norm_over_one_value_per_image_needs_two_images_together() -> None:
    pooled = {"model": {"type": "pooled"}, "train.batch_size": 4, "train.micro_batch": 1}
    assert paths({**pooled, "scaling.workers": 2}) == []
    assert paths({**pooled, "scaling.workers": [1, 2]}) == ["model"]
    assert paths({**pooled, "scaling.workers": 2, "model.norm": "batch"}) == ["model"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_this_process_does_not_have_is_refused() -> None:
    assert paths({"scaling.gpu": True}) == ["scaling.gpu"]
    assert paths({"scaling.gpu": 0.5}) == ["scaling.gpu"]


def test_a_head_with_an_ignore_index_of_its_own_ignores_the_void_of_the_masks_too(tmp_path: Path) -> None:
    run = built({"model": {"type": "two_heads"}, "heads.auxiliary": {"ignore_index": 0}}).fit
    masks = torch.full((2, 8, 8), 255)
    masks[0] = 0
    output = run.state.model(torch.zeros(2, 3, 8, 8))
    parts = run.mix(output, masks, step=0).parts
    assert parts["loss/ce"] > 0
    assert parts["loss/auxiliary.ce"] == 0


def test_images_of_several_sizes_are_sound_when_cropped_or_padded(tmp_path: Path) -> None:
    data = folders(tmp_path, sizes=[(32, 32), (32, 48)] * 4)
    assert paths({**data, "data.pad_size": [32, 48]}) == []
    assert paths({**data, "data.transforms.crop": {"type": "random_crop", "size": [24, 40]}}) == []
    assert paths({**data, "train.batch_size": 1}) == []


def test_a_count_of_pixels_stays_a_count_and_a_fraction_a_fraction() -> None:
    sampler = built({"sampling": {"type": "ohem", "min_kept": 100}}).fit.mix.heads["main"].sampler
    assert isinstance(getattr(sampler, "keywords", {})["min_kept"], int)
    assert paths({"sampling": {"type": "ohem", "min_kept": 1024}}) == ["sampling.min_kept"]
    assert paths({"sampling": {"type": "ohem", "min_kept": 1023}}) == []


@pytest.mark.parametrize(
    ("value", "problems"),
    [([1, 2], 0), ((0.5, 2), 0), ("1", 1), ([1], 1), ([1, "2"], 1), (True, 1), (None, 1)],
)
def test_arguments_are_taken_by_the_rules_of_json(value: Any, problems: int) -> None:
    def target(pair: tuple[float, float]) -> None: ...

    found = Problems()
    bound = bind(target, Spec.model_validate({"type": "target", "pair": value}), "x", found)
    assert len(found.found) == problems
    assert (bound is None) == bool(problems)
    assert bound is None or isinstance(bound.kwargs["pair"], tuple)


def test_every_number_of_workers_of_an_elastic_run_is_looked_at() -> None:
    elastic = {"scaling.workers": [1, 3], "train.batch_size": 4}
    assert worker_counts(BASE.with_(elastic)) == (1, 3)
    assert paths(elastic) == []
    assert paths({**elastic, "train.micro_batch": 1}) == ["train.micro_batch"]
    assert paths({**elastic, "train.batch_size": 2}) == ["train.batch_size"]
    only_three_workers_cannot = {"scaling.workers": [1, 4], "train.batch_size": 8, "train.micro_batch": 1}
    assert paths(only_three_workers_cannot) == ["train.micro_batch"]


def test_callables_that_hide_their_arguments_are_listed() -> None:
    losses = {"open": {"type": "open_ended", "strenght": 3}, "ce": {"type": "cross_entropy"}}
    config = BASE.with_({"losses": losses, "model": {"type": "hidden"}})
    components = {**PARTS, "hidden": PARTS["open_ended"]}
    assert hidden_arguments(config, components) == ["model", "losses.open"]
    assert hidden_arguments(BASE) == []


def test_a_component_shadows_a_built_in_name() -> None:
    config = BASE.with_({"losses.ce": {"type": "cross_entropy", "strength": 2.0}})
    assert check(config, {"cross_entropy": PARTS["topo"]}) == []


def test_assemble_refuses_what_check_would(tmp_path: Path) -> None:
    wrong = BASE.with_({"losses.ce.class_weight": [1, 2], "losses.dice": {**DICE, "power": 3}})
    with pytest.raises(ConfigError, match=r"2 problems(.|\n)*2 weights for 9 classes(.|\n)*must be 1 or 2"):
        assemble(wrong, LocalReporter(tmp_path))


def test_the_nearest_name_is_offered_only_if_there_is_one() -> None:
    assert nearest("smoth", ["smooth"]) == " Did you mean 'smooth'?"
    assert nearest("xyz", ["smooth"]) == ""


@pytest.mark.examples
@pytest.mark.parametrize("path", SHIPPED, ids=[path.name for path in SHIPPED])
def test_shipped_configs_have_no_problem(path: Path) -> None:
    """On synthetic images where their own are not at hand."""
    config = load_config(path)
    if config.model.type == "smp_unet":
        pytest.importorskip("segmentation_models_pytorch", reason="needs the extra 'pretrained'")
    streets = {"type": "synthetic", "length": 8, "size": [192, 256], "ignore_index": config.data.ignore_index}
    assert check(config.with_({} if config.data.dataset.type == "synthetic" else {"data.dataset": streets})) == []


def test_what_torch_keeps_per_process_is_put_back_after_a_run() -> None:
    kept = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark
    with torch_settings(BASE.with_({"train.threads": 2, "train.deterministic": not kept[1]})):
        assert torch.get_num_threads() == 2
        assert torch.are_deterministic_algorithms_enabled() is not kept[1]
    assert kept == (torch.get_num_threads(), torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark)
