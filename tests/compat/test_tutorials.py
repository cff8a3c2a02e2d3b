"""The tutorials that people come from: every block of the documents themselves, as it is written."""

from __future__ import annotations

import os
import re
import warnings
from collections import Counter
from pathlib import Path

import pytest

from rayseg.compat import is_mmseg_config
from rayseg.compat.mmseg.places import config_trees
from rayseg.config import ExperimentConfig
from rayseg.errors import ConfigError
from rayseg.load import load_config

pytestmark = pytest.mark.shared

ROOT = Path(__file__).resolve().parents[2]
STAND_IN = ROOT / "experiments" / "configs" / "mmseg" / "unet_4xb4_drive.py"
#: In the words of 0.x, in documents of 1.x too.
BASES = (
    "pspnet_r50-d8_512x1024_40k_cityscapes",
    "fcn_unet_s5-d16_64x64_40k_drive",
    "fcn_unet_s5-d16_4x4_512x1024_160k_cityscapes",
)
#: What becomes of every block: ``loaded``; ``value`` one with a value that is left to the reader; ``nested`` the slip in the
#: tutorial on ignored labels; ``nameless`` a workflow that no name is given to; ``code`` Python that is no config.
EXPECTED = {
    "S0": {"loaded": 4},
    "S1": {"loaded": 4, "nested": 1},
    "S2": {"loaded": 13, "value": 2, "nameless": 1, "code": 3},
    "S3": {"loaded": 11, "value": 2, "nameless": 1, "code": 3},
    "S4": {"code": 5},
}
VALUE, NESTED = "'a_value' has no value here", "move it one level up, to model.auxiliary_head"


@pytest.fixture(scope="session")
def documents(shared_data: Path) -> dict[str, str]:
    """Name to text."""
    found = {path.stem: path.read_text(encoding="utf-8") for path in sorted((shared_data.parent / "seeds").glob("S?.txt"))}
    if set(found) != set(EXPECTED):
        pytest.skip("no tutorials beside the data sets")
    return found


@pytest.fixture(params=["0.30.0", "1.2.2", "stand-ins"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory for a config whose bases are those of a package, under its own names or the newer ones, or of ours."""
    if request.param == "stand-ins":
        monkeypatch.delenv("RAYSEG_MMSEG_CONFIGS", raising=False)
        for name in BASES:
            (tmp_path / f"{name}.py").write_text(f"_base_ = {str(STAND_IN)!r}", encoding="utf-8")
        return tmp_path
    drive = {"0.30.0": f"{BASES[1]}.py", "1.2.2": "unet-s5-d16_fcn_4xb4-40k_drive-64x64.py"}[request.param]
    trees = [tree for tree in config_trees(os.environ) if (tree / "unet" / drive).is_file()]
    if not trees:
        pytest.skip(f"no config files of mmsegmentation {request.param}; name their directory in RAYSEG_MMSEG_CONFIGS")
    monkeypatch.setenv("RAYSEG_MMSEG_CONFIGS", str(trees[0]))
    return tmp_path


def blocks(text: str) -> list[str]:
    """Fenced blocks, moved to the left edge."""
    found = re.findall(r"^[ ]*```(?:python)?\n(.*?)^[ ]*```", text, re.MULTILINE | re.DOTALL)
    assert 2 * len(found) == text.count("```")
    edges = [re.match(" *", block.lstrip("\n")) for block in found]
    return [
        re.sub(f"^{edge[0] if edge else ''}", "", block, flags=re.MULTILINE) for edge, block in zip(edges, found, strict=True)
    ]


def loaded(code: str, place: Path) -> ExperimentConfig:
    """As a file; the pretrained weights that its base names are files of the reader."""
    (place / "snippet.py").write_text(code, encoding="utf-8")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return load_config(place / "snippet.py", {"init": None})


def outcome(code: str, place: Path) -> str:
    """A key of ``EXPECTED``."""
    if re.search(r"^(import|from|def|class) |lr_scheduler\.", code, re.MULTILINE):
        return "code"
    if code.lstrip().startswith("["):
        assert loaded(f"workflow = {code}", place)
        return "nameless"
    try:
        loaded(code, place)
    except ConfigError as error:
        found = [kind for kind, message in (("value", VALUE), ("nested", NESTED)) if message in str(error)]
        return found[0] if found else str(error)
    assert is_mmseg_config(place / "snippet.py")
    return "loaded"


def test_every_block_of_the_tutorials_is_loaded_or_refused_by_name(documents: dict[str, str], place: Path) -> None:
    found = {name: dict(Counter(outcome(code, place) for code in blocks(text))) for name, text in documents.items()}
    assert found == EXPECTED


def test_what_the_tutorials_say_is_in_the_experiment(documents: dict[str, str], place: Path) -> None:
    rates, mined, balanced, mixed = (loaded(code, place) for code in blocks(documents["S0"]))
    assert rates.optim.groups["head"].lr_mult == 10.0
    assert mined.sampling is not None
    assert (mined.sampling.type, mined.sampling.kwargs["thresh"], mined.sampling.kwargs["min_kept"]) == (
        "ohem_mmseg",
        0.7,
        100000,
    )
    weights = balanced.losses["ce"].class_weight
    assert isinstance(weights, tuple | list)
    assert (len(weights), weights[0], weights[-1]) == (19, 0.8373, 1.0507)
    auxiliary = mixed.heads["auxiliary"].losses
    assert auxiliary is not None
    for losses in (mixed.losses, auxiliary):
        assert [(name, term.weight) for name, term in losses.items()] == [("ce", 1.0), ("dice", 3.0)]


def test_the_slip_of_the_tutorial_on_ignored_labels_is_named_with_its_place(documents: dict[str, str], place: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(blocks(documents["S1"])[-1], place)
    assert "model.decode_head.auxiliary_head" in {problem.path for problem in caught.value.problems}
