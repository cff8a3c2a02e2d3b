"""The record of how many config files of MMSegmentation are trained here, and the script that makes it."""

from __future__ import annotations

import importlib.util
import json
import os
import re
from pathlib import Path
from types import ModuleType

import pytest

from rayseg.compat.mmseg.places import config_trees

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = ROOT / "experiments" / "configs" / "mmseg"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    """The script that makes the table."""
    spec = importlib.util.spec_from_file_location("mmseg_table", ROOT / "experiments" / "mmseg_table.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_table_of_the_page_is_that_of_the_record(script: ModuleType) -> None:
    record = json.loads(script.RECORD.read_text(encoding="utf-8"))
    page = script.PAGE.read_text(encoding="utf-8")
    assert script.MARKS[0] + script.table(record) + script.MARKS[1] in page
    for generation in record.values():
        total = sum(row["files"] for row in generation["families"].values())
        stepped = sum(row["step"] for row in generation["families"].values())
        assert total - stepped == len(generation["failures"])


@pytest.mark.examples
def test_a_failure_is_counted_at_the_stage_where_it_happens(script: ModuleType, tmp_path: Path) -> None:
    """A file that loads but names a class count that the losses refuse, one that does not load, one whose loss is no number."""
    network = (CONFIGS / "_base_" / "fcn_unet.py").read_text(encoding="utf-8")
    length = "optimizer = dict(type='SGD', lr=0.01)\nrunner = dict(type='IterBasedRunner', max_iters=9)\n"
    small = re.sub(r"base_channels=64", "base_channels=2", network).replace("in_channels=64", "in_channels=2")
    small = small.replace("in_channels=128", "in_channels=4").replace(
        "channels=64,\n    num_convs", "channels=2,\n    num_convs"
    )
    texts = {
        "a_4xb4_good.py": small + length,
        "b_4xb4_unread.py": small + length + "models = dict()\n",
        "c_4xb4_unbuilt.py": small.replace("in_channels=4", "in_channels=5") + length,
        "d_4xb4_unmoved.py": small + length.replace("0.01", "1e-30"),
        "e_4xb4_same.py": small + length.replace("max_iters=9", "max_iters=90"),
    }
    (tmp_path / "unet").mkdir()
    for name, text in texts.items():
        (tmp_path / "unet" / name).write_text(text, encoding="utf-8")
    found = script.tried(tmp_path, {}, ["unet"], one_each=False)
    assert found["families"]["unet"] == {"files": 5, "load": 4, "build": 3, "step": 2, "networks": 3}
    reasons = {name.partition("/")[2]: reason for name, reason in found["failures"].items()}
    assert list(reasons) == ["b_4xb4_unread.py", "c_4xb4_unbuilt.py", "d_4xb4_unmoved.py"]
    assert "nothing reads it" in reasons["b_4xb4_unread.py"]
    assert "in_channels" in reasons["c_4xb4_unbuilt.py"]
    assert "did not move" in reasons["d_4xb4_unmoved.py"]


@pytest.mark.examples
def test_a_file_of_each_family_that_is_installed_is_stepped(script: ModuleType) -> None:
    trees = config_trees(os.environ)
    if not trees:
        pytest.skip("no config files of mmsegmentation; set RAYSEG_MMSEG_CONFIGS to a directory of them")
    done: dict[str, tuple[int, str]] = {}
    for tree in trees:
        recorded = json.loads(script.RECORD.read_text(encoding="utf-8")).get(script.generation(tree))
        found = script.tried(tree, done, script.FAMILIES, one_each=True)
        for family, row in found["families"].items():
            whole = recorded is not None and recorded["families"][family]["step"] == recorded["families"][family]["files"]
            assert row["step"] == row["files"] or not whole, (tree, found["failures"])
