"""The Mix Transformer and the heads that take all its features: attention, dropout by sample, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from rayseg.build import assemble, check
from rayseg.engine import LocalReporter
from rayseg.errors import ShapeError
from rayseg.models import MixVisionTransformer, SampleDropout, SampleDropPath, UPerHead, mmseg, prepare, sample_keys
from rayseg.models.mmseg.attention import Attention, DropPath
from rayseg.models.mmseg.segformer import bicubic
from tests.models.test_mmseg import BASE, SMALL, disturbed

MIT: dict[str, Any] = {"type": "MixVisionTransformer", "embed_dims": 4, "num_layers": [1, 1, 2, 1]}
SEGFORMER: dict[str, Any] = {"type": "SegformerHead", "channels": 4}
UPER: dict[str, Any] = {"type": "UPerHead", "channels": 4, "pool_scales": [1, 2]}
RATES = ("drop_rate", "attn_drop_rate", "drop_path_rate")


def mit(**own: Any) -> MixVisionTransformer:
    torch.manual_seed(0)
    return MixVisionTransformer(
        4,
        num_stages=2,
        num_layers=(1, 1),
        num_heads=(1, 2),
        patch_sizes=(3, 3),
        strides=(4, 2),
        sr_ratios=(2, 1),
        out_indices=(0, 1),
        **own,
    )


@settings(max_examples=10)
@given(st.integers(1, 3), st.integers(1, 3), st.integers(1, 7), st.integers(1, 7), st.booleans())
def test_attention_is_torch_s(num_heads: int, size: int, queries: int, keys: int, bias: bool) -> None:
    theirs = nn.MultiheadAttention(num_heads * size, num_heads, bias=bias, batch_first=True)
    ours = Attention(num_heads * size, num_heads, bias=bias, dropout=0.5)
    for parameter in theirs.parameters():
        nn.init.normal_(parameter)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    q, k = torch.randn(2, queries, num_heads * size), torch.randn(2, keys, num_heads * size)
    expected = theirs(q, k, k)[0]
    torch.testing.assert_close(ours.eval()(q, k), expected)
    ours.drop = nn.Dropout(0.0)
    torch.testing.assert_close(ours.train()(q, k), expected)


@pytest.mark.parametrize("rate", RATES)
def test_what_a_sample_loses_does_not_depend_on_its_batch(rate: str) -> None:
    net, x, keys = (
        prepare(mit(**{rate: 0.6}), norm="sync").train(),
        torch.randn(5, 3, 32, 40),
        torch.tensor([3, 10**12, 5, 0, 8]),
    )
    with sample_keys(1, keys):
        whole = net(x)
    for share in (torch.tensor([4]), torch.tensor([2, 0])):
        with sample_keys(1, keys[share]):
            for part, full in zip(net(x[share]), whole, strict=True):
                torch.testing.assert_close(part, full[share])
    with sample_keys(2, keys):
        assert not torch.allclose(net(x)[-1], whole[-1])


def test_alone_it_draws_from_torch_s_generator_and_nothing_is_lost_in_evaluation() -> None:
    rates: dict[str, Any] = dict.fromkeys(RATES, 0.5)
    x = torch.randn(2, 3, 32, 40)
    torch.testing.assert_close(mit(**rates).eval()(x), mit().train()(x))
    assert not torch.allclose(mit(**rates).train()(x)[-1], mit()(x)[-1])
    dropped = DropPath(0.75)(torch.ones(64, 2, 3)).flatten(1)
    assert torch.equal(dropped.unique(dim=1), dropped[:, :1])
    assert dropped.unique().tolist() == [0.0, 4.0]
    assert torch.equal(DropPath(0.75).eval()(x), x)


def test_every_layer_that_drops_has_its_turn() -> None:
    rates: dict[str, Any] = dict.fromkeys(RATES, 0.5)
    net, called = prepare(mit(**rates), norm="keep").train(), list[str]()
    dropping = [each for each in net.modules() if isinstance(each, SampleDropout | SampleDropPath)]
    for layer in dropping:
        layer.register_forward_hook(lambda layer, _args, _out: called.append(layer.layer))
    with sample_keys(0, torch.arange(2)):
        net(torch.zeros(2, 3, 32, 40))
    assert len(dropping) == 10  # four in each of two layers; no branch of the first one is dropped
    assert sorted(called) == sorted(layer.layer for layer in dropping)


def test_stochastic_depth_rises_linearly_with_the_layer() -> None:
    net = prepare(MixVisionTransformer(4, num_layers=(1, 2, 1, 1), drop_path_rate=0.2), norm="keep")
    found = [each.p for each in net.modules() if isinstance(each, SampleDropPath)]
    assert found == pytest.approx([0.05, 0.05, 0.1, 0.1, 0.15, 0.15, 0.2, 0.2])


def test_layers_that_are_computed_twice_have_the_same_gradients() -> None:
    rates: dict[str, Any] = dict.fromkeys(RATES, 0.3)
    gradients: list[list[Tensor]] = []
    for with_cp in (False, True):
        net = prepare(mit(**rates, with_cp=with_cp), norm="sync").train()
        with sample_keys(0, torch.arange(2)):
            sum(each.square().mean() for each in net(torch.ones(2, 3, 32, 40))).backward()
        gradients.append([parameter.grad for parameter in net.parameters() if parameter.grad is not None])
    assert len(gradients[0]) == len(list(mit().parameters()))
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))


def test_it_begins_as_it_begins_there() -> None:
    torch.manual_seed(0)
    state = MixVisionTransformer(64, num_layers=(1, 1, 1, 1)).state_dict()
    wanted = {
        "0.0.projection": (2 / (49 * 64)) ** 0.5,
        "0.1.0.attn.sr": (2 / (64 * 64)) ** 0.5,
        "1.1.0.attn.attn.out_proj": 0.02,
        "0.1.0.ffn.layers.1": (2 / 9) ** 0.5,
        "0.1.0.ffn.layers.4": (2 / 64) ** 0.5,
    }
    found = {name: float(state[f"layers.{name}.weight"].std()) for name in wanted}
    assert found == pytest.approx(wanted, rel=0.05)
    joint = state["layers.1.1.0.attn.attn.in_proj_weight"]
    assert float(joint.abs().max()) == pytest.approx((6 / (4 * 128)) ** 0.5, rel=0.01)
    assert all(float(value.abs().max()) == 0 for name, value in state.items() if name.endswith("bias"))


def test_a_pyramid_of_features_is_added_from_the_deepest_up() -> None:
    head = disturbed(UPerHead(3, (2, 4, 6), channels=2, pool_scales=(1, 2))).eval()
    features = [torch.randn(1, channels, size, size + 1) for channels, size in ((2, 9), (4, 5), (6, 3))]

    def up(x: Tensor, like: Tensor) -> Tensor:
        return F.interpolate(x, like.shape[2:], mode="bilinear", align_corners=False)

    part = head.get_submodule
    deep = part("bottleneck")(part("psp_modules")(features[2]))
    middle = part("lateral_convs.1")(features[1]) + up(deep, features[1])
    shallow = part("lateral_convs.0")(features[0]) + up(middle, features[0])
    levels = [part("fpn_convs.0")(shallow), up(part("fpn_convs.1")(middle), shallow), up(deep, shallow)]
    expected = part("conv_seg")(part("fpn_bottleneck")(torch.cat(levels, 1)))
    torch.testing.assert_close(head(features), expected)


@given(*(st.integers(1, 7) for _ in range(4)), st.booleans())
def test_bicubic_is_torch_s_with_its_gradient(height: int, width: int, tall: int, wide: int, align_corners: bool) -> None:
    x = torch.randn(2, 3, height, width, dtype=torch.float64, requires_grad=True)
    upstream = torch.randn(2, 3, tall, wide, dtype=torch.float64)
    expected = F.interpolate(x, (tall, wide), mode="bicubic", align_corners=align_corners)
    found = bicubic(x, (tall, wide), align_corners=align_corners)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(*(torch.autograd.grad(each, x, upstream)[0] for each in (found, expected)))
    assert bicubic(x.bfloat16(), (tall, wide), align_corners=align_corners).dtype == torch.bfloat16


@pytest.mark.parametrize("decode_head", [SEGFORMER, UPER])
@pytest.mark.parametrize("backbone", [SMALL, {**MIT, "drop_path_rate": 0.1, "with_cp": True}])
def test_every_parameter_of_a_prepared_network_learns(backbone: dict[str, Any], decode_head: dict[str, Any]) -> None:
    model = prepare(mmseg(5, backbone=backbone, decode_head=decode_head), norm="sync")
    with sample_keys(0, torch.arange(2)):
        logits = model.train()(torch.randn(2, 3, 64, 96))["main"]
        logits.square().mean().backward()
    assert logits.shape == (2, 5, 16, 24)
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_images_that_are_too_small_are_refused_with_their_size() -> None:
    with pytest.raises(ShapeError, match=r"got images of \(64, 28\): stage 0 has \(16, 7\), less than its sr_ratio of 8"):
        MixVisionTransformer(4, num_layers=(1, 1, 1, 1))(torch.zeros(1, 3, 64, 28))


WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"embed_dims": 0}, "embed_dims", "at least 1, got 0"),
    ({"num_layers": [1, 1, 1]}, "num_layers", "got 3 values, expected 4, one for each stage"),
    ({"num_heads": [1, 2, 0, 8]}, "num_heads", "at least 1"),
    ({"patch_sizes": [7, 3, 2, 3]}, "patch_sizes", "must be odd"),
    ({"mlp_ratio": 2.5}, "mlp_ratio", "got 2.5, expected int"),
    ({"out_indices": [0, 1, 2]}, "out_indices", "stages after 2 would not be used"),
    ({"out_indices": [3, 0]}, "out_indices", "ascending, each once"),
    ({"drop_path_rate": 1.0}, "drop_path_rate", "below 1"),
    ({"attn_drop_rate": -0.1}, "attn_drop_rate", "at least 0"),
    ({"norm_cfg": {"type": "BN"}}, "norm_cfg.type", "got 'BN', expected LN"),
    ({"norm_cfg": {"type": "LN", "eps": 0}}, "norm_cfg.eps", "must be a number above 0, got 0"),
    ({"norm_cfg": {"type": "LN", "epsilon": 1}}, "norm_cfg.epsilon", "there is only type and eps"),
    ({"act_cfg": {"type": "Gelu"}}, "act_cfg.type", "expected one of GELU"),
    ({"init_cfg": {"type": "Pretrained", "checkpoint": "a.pth"}}, "init_cfg", "write init.checkpoint"),
]
WRONG_HEADS: list[tuple[dict[str, Any], str, str]] = [
    ({**SEGFORMER, "in_channels": [4, 8, 16, 30]}, "in_channels", "got 30, and feature 3 has 32 channels"),
    ({**SEGFORMER, "in_channels": [4, 8]}, "in_channels", "got 2 values, expected 4"),
    ({**SEGFORMER, "in_index": 3}, "in_index", "got 3, expected a list"),
    ({**SEGFORMER, "interpolate_mode": "nearest"}, "interpolate_mode", "got 'nearest'"),
    ({**UPER, "in_index": [0, 4]}, "in_index", "got 4, and the backbone gives 4 features"),
    ({**UPER, "pool_scales": [0]}, "pool_scales", "at least 1"),
]


@pytest.mark.parametrize(
    ("change", "path", "says"),
    [
        *(({"backbone": {**MIT, **own}}, f"backbone.{path}", says) for own, path, says in WRONG),
        *(({"decode_head": head}, f"decode_head.{path}", says) for head, path, says in WRONG_HEADS),
    ],
)
def test_faults_are_found_before_work_starts(change: dict[str, Any], path: str, says: str, tmp_path: Path) -> None:
    config = BASE.with_({"model.backbone": MIT, "model.decode_head": SEGFORMER})
    config = config.with_({"tracking.storage": str(tmp_path), **{f"model.{key}": value for key, value in change.items()}})
    problems = check(config)
    assert [problem.path for problem in problems] == [f"model.{path}"]
    assert says in problems[0].message


def test_segformer_s_recipe_is_one(tmp_path: Path) -> None:
    config = BASE.with_(
        {
            "tracking.storage": str(tmp_path),
            "model.backbone": {**MIT, "drop_path_rate": 0.1, "norm_cfg": {"type": "LN", "requires_grad": True}},
            "model.decode_head": SEGFORMER,
            "optim": {"type": "adamw", "lr": 6e-5, "groups": {"norm": {"match": "norm", "decay_mult": 0.0}}},
        }
    )
    assert check(config) == []
    experiment = assemble(config, LocalReporter(tmp_path))
    model = experiment.fit.state.model
    assert sum(isinstance(each, SampleDropPath) for each in model.modules()) == 8
    assert {each.eps for each in model.modules() if isinstance(each, nn.LayerNorm)} == {1e-5}
