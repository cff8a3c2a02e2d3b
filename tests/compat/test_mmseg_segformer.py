"""SegFormer's recipe of both generations, in small: AdamW, custom keys, a linear warm-up before a line to zero."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rayseg.build import check
from rayseg.compat import Translation, translate
from rayseg.config import ExperimentConfig

NORM = {"norm_cfg": {"type": "SyncBN", "requires_grad": True}}
LOSS = {"loss_decode": {"type": "CrossEntropyLoss", "use_sigmoid": False, "loss_weight": 1.0}}
MODEL = {
    "type": "EncoderDecoder",
    "pretrained": None,
    "backbone": {
        "type": "MixVisionTransformer",
        "in_channels": 3,
        "embed_dims": 4,
        "num_stages": 4,
        "num_layers": [1, 1, 1, 1],
        "num_heads": [1, 2, 5, 8],
        "patch_sizes": [7, 3, 3, 3],
        "sr_ratios": [8, 4, 2, 1],
        "out_indices": (0, 1, 2, 3),
        "mlp_ratio": 4,
        "qkv_bias": True,
        "drop_rate": 0.0,
        "attn_drop_rate": 0.0,
        "drop_path_rate": 0.1,
    },
    "decode_head": {
        "type": "SegformerHead",
        "in_channels": [4, 8, 20, 32],
        "in_index": [0, 1, 2, 3],
        "channels": 8,
        "dropout_ratio": 0.1,
        "num_classes": 9,
        "align_corners": False,
        **NORM,
        **LOSS,
    },
    "train_cfg": {},
    "test_cfg": {"mode": "whole"},
}
ADAMW = {"type": "AdamW", "lr": 6e-5, "betas": (0.9, 0.999), "weight_decay": 0.01}
KEYS = {"custom_keys": {"pos_block": {"decay_mult": 0.0}, "norm": {"decay_mult": 0.0}, "head": {"lr_mult": 10.0}}}
OLD: dict[str, Any] = {
    "model": MODEL,
    "optimizer": {**ADAMW, "paramwise_cfg": KEYS},
    "lr_config": {
        "policy": "poly",
        "warmup": "linear",
        "warmup_iters": 15,
        "warmup_ratio": 1e-6,
        "power": 1.0,
        "min_lr": 0.0,
        "by_epoch": False,
    },
    "runner": {"type": "IterBasedRunner", "max_iters": 160},
}
NEW: dict[str, Any] = {
    "default_scope": "mmseg",
    "model": MODEL,
    "optim_wrapper": {"type": "OptimWrapper", "optimizer": ADAMW, "paramwise_cfg": KEYS},
    "param_scheduler": [
        {"type": "LinearLR", "start_factor": 1e-6, "by_epoch": False, "begin": 0, "end": 15},
        {"type": "PolyLR", "eta_min": 0.0, "power": 1.0, "begin": 15, "end": 160, "by_epoch": False},
    ],
    "train_cfg": {"type": "IterBasedTrainLoop", "max_iters": 160},
}


def carried(written: dict[str, Any]) -> Translation:
    found = translate(written, "segformer_mit-b0_8xb2-160k_ade20k-512x512.py")
    assert found.lost == ()
    return found


@pytest.mark.parametrize("written", [OLD, NEW], ids=["0.x", "1.x"])
def test_it_is_an_experiment_that_passes_the_check(written: dict[str, Any], tmp_path: Path) -> None:
    found = carried(written)
    assert set(found.tree["optim"]["groups"]) == {"head", "norm"}
    assert [note for note in found.notes if "pos_block: no parameter of MixVisionTransformer is called so" in note]
    config = ExperimentConfig.from_dict(found.tree)
    ours = {
        "data.dataset": {"type": "synthetic", "size": [64, 64], "length": 4},
        "train.batch_size": 2,
        "tracking.storage": str(tmp_path),
    }
    assert check(config.with_(ours)) == []
    typo = {"optim.groups.nrom": {"match": "nrom", "decay_mult": 0.0}}
    assert [problem.path for problem in check(config.with_({**ours, **typo}))] == ["optim.groups.nrom"]


def test_of_another_network_the_key_stays_and_is_found() -> None:
    network = {
        "backbone": {"type": "ResNet", "depth": 18},
        "decode_head": {"type": "FCNHead", "channels": 4, "num_classes": 9, **LOSS},
    }
    found = carried({**OLD, "model": {"type": "EncoderDecoder", **network}})
    assert "pos_block" in found.tree["optim"]["groups"]
