"""Files of other programs: their weights are read, nothing in them is run, and what is refused is named."""

from __future__ import annotations

import datetime as dt
import os
import sys
import types
from argparse import Namespace
from collections import OrderedDict, deque
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rayseg.errors import CheckpointError
from rayseg.models import read_state

WEIGHTS = {"backbone.conv1.weight": torch.arange(4.0), "decode_head.conv_seg.bias": torch.ones(2)}


class Call:
    """A call that whoever unpickles it carelessly makes."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


def equal(found: dict[str, torch.Tensor]) -> bool:
    return found.keys() == WEIGHTS.keys() and all(torch.equal(found[name], value) for name, value in WEIGHTS.items())


@pytest.mark.parametrize("place", ["message_hub", "meta", "state_dict", None])
@pytest.mark.parametrize("how", [os.system, eval, exec])
@pytest.mark.parametrize("zipped", [True, False])
def test_nothing_in_a_file_is_run(tmp_path: Path, place: str | None, how: Any, zipped: bool) -> None:
    target = tmp_path / "done"
    command = f"touch {target}" if how is os.system else f"open({str(target)!r}, 'w')"
    content: Any = {"state_dict": dict(WEIGHTS), "meta": {}}
    if place is None:
        content = Call(how, command)
    elif place == "state_dict":
        content[place]["x"] = Call(how, command)
    else:
        content[place] = [Call(how, command)]
    torch.save(content, tmp_path / "evil.pth", _use_new_zipfile_serialization=zipped)
    with pytest.raises(CheckpointError, match=r"evil\.pth: holds more than tensors.*(system|eval|exec).*nothing of it was run"):
        read_state(tmp_path / "evil.pth")
    assert not target.exists()


def test_what_has_a_known_name_is_not_run_either(tmp_path: Path) -> None:
    target = tmp_path / "done"
    torch.save({"state_dict": WEIGHTS, "meta": [Call(np.savetxt, str(target), [1.0])]}, tmp_path / "a.pth")
    assert equal(read_state(tmp_path / "a.pth"))
    assert not target.exists()


def test_what_trainers_keep_beside_the_weights_is_passed_over(tmp_path: Path) -> None:
    beside = {
        "meta": {"CLASSES": ("road",), "time": dt.datetime(2024, 5, 6, tzinfo=dt.UTC), "seed": np.int64(3)},
        "args": Namespace(lr=0.1),
        "work_dir": Path("runs"),
        "history": OrderedDict(loss=np.arange(3.0)),
    }
    torch.save({**beside, "state_dict": {f"module.{name}": value for name, value in WEIGHTS.items()}}, tmp_path / "a.pth")
    assert equal(read_state(tmp_path / "a.pth"))


def test_the_history_of_mmengine_is_passed_over_without_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module: Any = types.ModuleType("mmengine.logging.history_buffer")

    class HistoryBuffer:
        def __init__(self) -> None:
            self._log_history, self._max_length = np.ones(3), 10

    HistoryBuffer.__module__, HistoryBuffer.__qualname__ = module.__name__, "HistoryBuffer"
    module.HistoryBuffer = HistoryBuffer
    with monkeypatch.context() as patched:
        for name in ("mmengine", "mmengine.logging"):
            patched.setitem(sys.modules, name, types.ModuleType(name))
        patched.setitem(sys.modules, module.__name__, module)
        hub = {"log_scalars": OrderedDict(loss=HistoryBuffer()), "runtime_info": OrderedDict(iter=3)}
        torch.save({"message_hub": hub, "state_dict": WEIGHTS}, tmp_path / "iter_3.pth")
    assert equal(read_state(tmp_path / "iter_3.pth"))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.skipif(find_spec("mmengine") is None, reason="needs mmengine")
def test_files_of_mmengine_itself_are_read(tmp_path: Path) -> None:
    from importlib import import_module

    hub = import_module("mmengine.logging").MessageHub.get_instance("rayseg")
    hub.update_scalar("train/loss", np.float64(0.5))
    hub.update_info("seed", np.int64(4))
    torch.save({"message_hub": hub.state_dict(), "state_dict": WEIGHTS}, tmp_path / "iter_1.pth")
    assert equal(read_state(tmp_path / "iter_1.pth"))


def test_objects_of_nobody_known_are_refused_by_name_with_the_remedy(tmp_path: Path) -> None:
    torch.save({"state_dict": WEIGHTS, "queue": deque([1])}, tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match=r"\(collections\.deque\).*if you trust who made it.*weights_only=False"):
        read_state(tmp_path / "a.pth")


def test_weights_that_are_no_tensors_are_refused(tmp_path: Path) -> None:
    torch.save({"state_dict": {**WEIGHTS, "fc.weight": np.ones(3)}}, tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match=r"fc\.weight are no tensors; save them as tensors"):
        read_state(tmp_path / "a.pth")


def test_the_layout_of_old_torch_is_read(tmp_path: Path) -> None:
    torch.save({"state_dict": WEIGHTS, "meta": {"epoch": 3}}, tmp_path / "a.pth", _use_new_zipfile_serialization=False)
    assert equal(read_state(tmp_path / "a.pth"))


@pytest.mark.parametrize("content", [b"", b"no file of torch", b"PK\x03\x04 torn"])
def test_what_is_no_file_of_torch_is_told(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.pth").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"a\.pth: cannot be read"):
        read_state(tmp_path / "a.pth")
