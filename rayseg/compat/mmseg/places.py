"""Where a config file is: beside the one that names it, in the trees of config files, or there under its newer name.

The trees are the directories of ``RAYSEG_MMSEG_CONFIGS`` and the ``.mim/configs`` of an installed ``mmsegmentation``.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path, PurePosixPath

from rayseg.errors import ConfigError, Problem

__all__ = ["config_trees", "find_config", "find_module", "same_config"]

_REMEDY = (
    "put it there, install mmsegmentation (its config files are enough: pip install --no-deps), or name the directory that has "
    "them in RAYSEG_MMSEG_CONFIGS"
)
#: Words that 0.x wrote otherwise.
_WORDS = {"m": "mobilenet"}


def config_trees(environ: Mapping[str, str]) -> list[Path]:
    """Directories in which config files are looked for.

    Args:
        environ: environment variables.

    Example:
        >>> config_trees({"RAYSEG_MMSEG_CONFIGS": "/data/configs"})[0].as_posix()
        '/data/configs'
    """
    named = [Path(place).expanduser() for place in environ.get("RAYSEG_MMSEG_CONFIGS", "").split(os.pathsep) if place]
    package = find_spec("mmseg")
    places = [] if package is None else [*(package.submodule_search_locations or ())]
    return [*named, *(Path(place) / ".mim" / "configs" for place in places)]


def find_config(name: str, beside: Path, trees: Sequence[Path]) -> Path:
    """The file that is meant.

    Args:
        name: as it is written: a path, the name of a file alone, or ``mmseg::`` and a path in the trees.
        beside: directory from which a path goes.
        trees: directories of config files.

    Raises:
        ConfigError: there is none, or there are several; with the nearest names.

    Example:
        >>> find_config("./nowhere.py", Path("."), [])
        Traceback (most recent call last):
        rayseg.errors.ConfigError: 1 problem in MMSegmentation config
          ./nowhere.py: no such file ...
    """
    scope, _, rest = name.rpartition("::")
    if not scope and (beside / name).is_file():
        return beside / name
    tail = PurePosixPath(*(part for part in PurePosixPath(rest).parts if part not in {".", "..", "/"}))
    files = [file for tree in trees for file in sorted(tree.rglob("*.py"))]
    for fits in (lambda file: file.as_posix().endswith(f"/{tail}"), lambda file: file.name == tail.name, _alias_of(tail.name)):
        found = [file for file in files if fits(file)]
        if len({file.name for file in found}) > 1 or len(found) > len(trees):
            raise _error(name, f"several files could be meant: {', '.join(map(str, found[:4]))}; write the path of one")
        if found:
            return found[0]
    looked = ", ".join(str(place) for place in (beside, *trees))
    close = get_close_matches(tail.name, {file.name for file in (*files, *beside.glob("*.py"))}, n=3, cutoff=0.7)
    nearest = f". Nearest names: {', '.join(close)}" if close else ""
    raise _error(name, f"no such file in {looked}; {_REMEDY}{nearest}")


def find_module(module: str, beside: Path, trees: Sequence[Path]) -> Path:
    """The file that ``with read_base(): from MODULE import *`` means.

    Args:
        module: with dots before it, relative to a file; without, in a package: ``mmseg.configs._base_.default_runtime``.
        beside: directory of that file.
        trees: directories of config files.

    Raises:
        ConfigError: there is none.

    Example:
        >>> find_module("..models.nowhere", Path("configs/pspnet"), [])
        Traceback (most recent call last):
        rayseg.errors.ConfigError: 1 problem in MMSegmentation config
          ../models/nowhere.py: no such file ...
    """
    name = module.lstrip(".")
    level = len(module) - len(name)
    if level:
        return find_config("../" * (level - 1) + name.replace(".", "/") + ".py", beside, trees)
    package, _, rest = name.partition(".")
    found = find_spec(package)
    for place in (found.submodule_search_locations or ()) if found is not None else ():
        if (file := Path(place, *rest.split(".")).with_suffix(".py")).is_file():
            return file
    return find_config(rest.removeprefix("configs.").replace(".", "/") + ".py", beside, trees)


def _alias_of(name: str) -> Callable[[Path], bool]:
    return lambda file: same_config(name, file.name)


def same_config(old: str, new: str) -> bool:
    """Whether two file names mean the same experiment, in the words of 0.x and of 1.x.

    The same parts in any order, those that say how many GPUs there are left out; it is a rule, not a list.

    Args:
        old: such as ``pspnet_r50-d8_512x1024_40k_cityscapes.py``.
        new: such as ``pspnet_r50-d8_4xb2-40k_cityscapes-512x1024.py``.

    Example:
        >>> same_config("pspnet_r50-d8_512x1024_40k_cityscapes.py", "pspnet_r50-d8_4xb2-40k_cityscapes-512x1024.py")
        True
        >>> same_config("fcn_unet_s5-d16_64x64_40k_drive.py", "unet-s5-d16_fcn_4xb4-80k_drive-64x64.py")
        False
    """
    return _parts(old) == _parts(new)


def _parts(name: str) -> Counter[str]:
    parts = re.split(r"[_-]", name.removesuffix(".py"))
    return Counter(_WORDS.get(part, part) for part in parts if not re.fullmatch(r"\d{1,2}x\d|\d+xb\d+", part))


def _error(name: str, message: str) -> ConfigError:
    return ConfigError([Problem(name, message)], "MMSegmentation config")
