"""Files that ``torch.save`` wrote, read without running anything that lies in them.

``weights_only`` is always on: only tensors and plain values are made. Trainers put more into their files, which weights do not
need: MMEngine the history of its losses, others NumPy numbers, arguments and paths. For classes of such packages an object
stands in that does nothing, whatever its name promised. Everything else is refused by name.
"""

from __future__ import annotations

import pickle
import re
from pathlib import Path
from typing import Any

import torch

from rayseg.errors import CheckpointError

__all__ = ["StandIn", "read_torch_file", "what_is_refused"]

#: Packages whose objects lie in the files of trainers beside the weights.
_KNOWN_PACKAGES = frozenset({"argparse", "datetime", "mmcv", "mmdet", "mmengine", "mmseg", "numpy", "pathlib"})
#: MMEngine's history names a function by it, NumPy writes bytes by the other.
_KNOWN_NAMES = frozenset({"_codecs.encode", "builtins.getattr"})


class StandIn:
    """Stands where an object lay; it takes any arguments and any state, and does nothing with them.

    Example:
        >>> isinstance(StandIn("rm", "-rf"), StandIn)
        True
    """

    def __init__(self, *_: Any, **__: Any) -> None: ...

    def __setstate__(self, state: Any) -> None: ...


def read_torch_file(path: Path) -> Any:
    """What lies in a file of torch, on the CPU, with a :class:`StandIn` for each object of a trainer.

    Raises:
        CheckpointError: an object in it is neither a tensor, a plain value nor of a known trainer; says which.
        OSError: no such file, or none of torch.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     torch.save({"weight": torch.ones(1), "saved_in": Path("runs")}, Path(folder, "a.pth"))
        ...     sorted(read_torch_file(Path(folder, "a.pth")))
        ['saved_in', 'weight']
    """
    foreign = _foreign(path)
    refused = [name for name in foreign if not (name.partition(".")[0] in _KNOWN_PACKAGES or name in _KNOWN_NAMES)]
    if refused:
        raise _refusal(path, ", ".join(refused))
    with torch.serialization.safe_globals([(StandIn, name) for name in foreign]):
        try:
            return torch.load(path, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError as error:
            if "Unsupported operand" in str(error):  # what no pickle is made of
                raise OSError("no file of torch.save, or a torn one") from error
            raise _refusal(path, what_is_refused(error)) from error


def what_is_refused(error: Exception) -> str:
    """What ``weights_only`` did not read, out of torch's page of text.

    Example:
        >>> what_is_refused(pickle.UnpicklingError("... Unsupported global: GLOBAL collections.deque was not ..."))
        'collections.deque'
    """
    found = re.search(r"GLOBAL ([\w.]+)", str(error))
    return found[1] if found else f"{type(error).__name__}: {error}"


def _foreign(path: Path) -> list[str]:
    """Names that a file needs and ``weights_only`` does not know; none for the layout of torch before 1.6."""
    try:
        return sorted(torch.serialization.get_unsafe_globals_in_checkpoint(path))
    except (ValueError, RuntimeError, pickle.UnpicklingError):
        return []


def _refusal(path: Path, what: str) -> CheckpointError:
    return CheckpointError(
        f"{path}: holds more than tensors and plain values ({what}), and nothing of it was run; if you trust who made it, keep "
        "the weights alone: torch.save(torch.load(PATH, weights_only=False)['state_dict'], NEW_PATH)"
    )
