"""The config files of ours in MMSegmentation's words mean what its own mean."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

import pytest

from rayseg.compat.mmseg.places import config_trees
from rayseg.config import ExperimentConfig
from rayseg.load import load_config

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = ROOT / "experiments" / "configs" / "mmseg"
#: Ours, and what the packages call it; those of 0.x first.
SAME = {
    "unet_4xb4_drive.py": "unet/fcn_unet_s5-d16_64x64_40k_drive.py",
    "stdc1_4xb12_cityscapes.py": "stdc/stdc1_4xb12-80k_cityscapes-512x1024.py",
}
#: Defaults that one file writes out and the other leaves to the network.
_SPOKEN: dict[str, Any] = {
    "act_cfg": {"type": "ReLU"},
    "conv_cfg": None,
    "dec_dilations": [1, 1, 1, 1],
    "enc_dilations": [1, 1, 1, 1, 1],
    "in_channels": 3,
    "with_cp": False,
}


def quietly(path: Path) -> ExperimentConfig:
    """With its traps known."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return load_config(path)


def meaning(config: ExperimentConfig) -> dict[str, Any]:
    """The experiment without defaults that may be left out; how it is judged is ours."""
    tree = config.to_dict()
    tree["model"]["backbone"] = unspoken(tree["model"]["backbone"])
    tree["eval"]["metrics"] = None
    return tree


def unspoken(tree: dict[str, Any]) -> dict[str, Any]:
    """A dict of a network, and those in it, without the defaults."""
    kept = {key: value for key, value in tree.items() if key not in _SPOKEN or value != _SPOKEN[key]}
    return {key: unspoken(value) if isinstance(value, dict) else value for key, value in kept.items()}


@pytest.mark.parametrize("name", SAME)
def test_our_files_are_the_experiments_of_the_packages(name: str) -> None:
    theirs = [tree / SAME[name] for tree in config_trees(os.environ) if (tree / SAME[name]).is_file()]
    if not theirs:
        pytest.skip(f"no {SAME[name]}; set RAYSEG_MMSEG_CONFIGS to config files of mmsegmentation")
    assert meaning(quietly(CONFIGS / name)) == meaning(quietly(theirs[0]))


def test_dice_is_three_times_cross_entropy_on_both_heads() -> None:
    config = load_config(CONFIGS / "unet_4xb4_drive_ce-dice.py")
    auxiliary = config.heads["auxiliary"]
    assert auxiliary.losses is not None
    for losses in (config.losses, auxiliary.losses):
        assert {name: (term.type, term.weight) for name, term in losses.items()} == {
            "ce": ("cross_entropy", 1.0),
            "dice": ("dice_mmseg_0x", 3.0),
        }
    plain = load_config(CONFIGS / "unet_4xb4_drive.py")
    assert plain.losses["ce"].weight == 1.0
    assert plain.heads["auxiliary"].losses is not None
    assert plain.heads["auxiliary"].losses["ce"].weight == 0.4
    assert (config.eval.mode, config.eval.crop_size, config.eval.stride) == ("slide", (64, 64), (42, 42))
