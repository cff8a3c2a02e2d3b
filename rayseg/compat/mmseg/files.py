"""A config file of MMSegmentation 0.x or 1.x as plain data: its bases, its variables, its own assignments."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rayseg.compat.mmseg.expressions import evaluate
from rayseg.compat.mmseg.imports import is_pure_python, without_imports
from rayseg.compat.mmseg.merging import duplicates, merged, without_marks
from rayseg.compat.mmseg.options import with_cfg_options
from rayseg.compat.mmseg.places import config_trees, find_config, find_module
from rayseg.compat.mmseg.unread import KEYS, near_misses, unread, unread_options
from rayseg.errors import ConfigError, Problem

__all__ = ["is_mmseg_config", "mmseg_config_file", "read_mmseg_config"]

_WHERE = "MMSegmentation config"
_FILE_VARIABLES = ("fileDirname", "fileBasename", "fileBasenameNoExtension", "fileExtname")
_BASE = re.compile(r"(['\"]?)\{\{\s*_base_\.([\w.]+)\s*\}\}\1")
_ENVIRONMENT = re.compile(r"\{\{['\"]?\s*\$(\w+)\s*:\s*(\S*?)\s*['\"]?\}\}")
_ASSIGNED = re.compile(r"^(\w+)\s*=[^=]", re.MULTILINE)


def is_mmseg_config(path: str | Path) -> bool:
    """Whether a file is a config of MMSegmentation: Python that assigns one of its names, or ``_base_``.

    Args:
        path: of a file.

    Example:
        >>> import pathlib, tempfile
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "a.py"
        >>> _ = path.write_text("_base_ = './b.py'")
        >>> is_mmseg_config(path), is_mmseg_config("a.yaml")
        (True, False)
    """
    file = Path(path)
    if file.suffix != ".py" or not file.is_file():
        return False
    text = file.read_text(encoding="utf-8", errors="replace")
    if re.search(r"^with read_base\(\):", text, re.MULTILINE):
        return True
    own = re.search(r"^(def config\b|config\s*=|from .* import .*\bconfig\b)", text, re.MULTILINE)
    names = set(_ASSIGNED.findall(text))
    return own is None and bool(names & (KEYS | {"_base_"}))


def mmseg_config_file(path: str | Path, environ: Mapping[str, str] | None = None) -> Path | None:
    """The config of MMSegmentation that a path means, also one that only its own tree of files has; None: it means none.

    Args:
        path: of a file, or the name of one.
        environ: environment variables; None: the process's.

    Example:
        >>> mmseg_config_file("mine.yaml") is None
        True
    """
    if Path(path).suffix != ".py" or Path(path).is_file():
        return Path(path) if is_mmseg_config(path) else None
    try:
        return find_config(str(path), Path(), config_trees(os.environ if environ is None else environ))
    except ConfigError:
        return None


def read_mmseg_config(
    path: str | Path, cfg_options: Mapping[str, Any] | None = None, environ: Mapping[str, str] | None = None
) -> dict[str, Any]:
    r"""What a config file of MMSegmentation says, as its own loader would have it; nothing in it is run.

    Bases are looked for beside the file, in the directories of ``RAYSEG_MMSEG_CONFIGS``, and in an installed
    ``mmsegmentation``; names of 0.x are found under those of 1.x.

    Source: ``Config.fromfile`` of mmcv 1.7 and MMEngine 0.10.

    Args:
        path: of the file; a name alone is looked for like a base.
        cfg_options: dotted key to value, put over what the file says.
        environ: variables for ``{{ $NAME:default }}``; None: the process's.

    Returns:
        Top-level name to value: dicts, lists, tuples, text, numbers, booleans, None.

    Raises:
        ConfigError: a file is not there, is no config, contradicts its bases, or it or an option has a name that nothing reads.

    Warns:
        UserWarning: a variable of a base has another value here, and nothing reads it.

    Example:
        >>> import pathlib, tempfile
        >>> place = pathlib.Path(tempfile.mkdtemp())
        >>> _ = (place / "base.py").write_text("optimizer = dict(type='SGD', lr=0.01)")
        >>> _ = (place / "mine.py").write_text("_base_ = './base.py'\noptimizer = dict(lr=0.02)")
        >>> read_mmseg_config(place / "mine.py", {"optimizer.momentum": 0.9})
        {'optimizer': {'type': 'SGD', 'lr': 0.02, 'momentum': 0.9}}
    """
    variables = os.environ if environ is None else environ
    reader = _Reader(variables, config_trees(variables))
    tree = reader.read(find_config(str(path), Path(), reader.trees), ())
    problems = [*reader.problems, *near_misses(tree, reader.used), *unread_options(cfg_options or {}, tree)]
    if problems:
        raise ConfigError(problems, f"{_WHERE} {path}")
    for message in reader.unread:
        warnings.warn(f"{Path(path).name}: {message}", stacklevel=2)
    return with_cfg_options(tree, cfg_options or {})


@dataclass
class _Reader:
    """Reads a file and all below it."""

    environ: Mapping[str, str]
    trees: Sequence[Path]
    used: set[str] = field(default_factory=set)
    problems: list[Problem] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)

    def read(self, file: Path, above: tuple[Path, ...], *, pure: bool = False) -> dict[str, Any]:
        """What a file gives, over its bases."""
        if file.resolve() in above:
            chain = " -> ".join(each.name for each in (*above, file))
            raise ConfigError([Problem("_base_", f"goes in a circle: {chain}; remove one of the links")], _WHERE)
        text = self._substituted(file)
        if pure or is_pure_python(text):
            return self._pure(text, file, above)
        bases = [(name, self.read(place, (*above, file.resolve()))) for name, place in self._bases(text, file)]
        self.problems += duplicates(bases)
        base = {key: value for _, values in bases for key, value in values.items()}
        own = evaluate(text, base, str(file))
        self.used |= own.used
        kept = {key: value for key, value in own.items() if key not in {"_base_", "_deprecation_"} and not key.startswith("__")}
        tree = merged(kept, base, self.problems) if bases else without_marks(kept)
        self.unread += unread(own, base, tree)
        return tree

    def _pure(self, text: str, file: Path, above: tuple[Path, ...]) -> dict[str, Any]:
        """A file in MMEngine's pure-Python style: its names, those of its bases, and what it changed of them."""

        def read_base(module: str) -> dict[str, Any]:
            return self.read(find_module(module, file.parent, self.trees), (*above, file.resolve()), pure=True)

        own = evaluate(text, {}, str(file), read_base)
        self.used |= own.used
        return without_imports({key: value for key, value in own.items() if not key.startswith("__")})

    def _bases(self, text: str, file: Path) -> list[tuple[str, Path]]:
        """Names as written, and their files."""
        found = re.search(r"^_base_\s*=\s*", text, re.MULTILINE)
        if found is None:
            return []
        names = evaluate(_statement(text, found.start()), {}, str(file))["_base_"]
        listed = [names] if isinstance(names, str) else names
        if not isinstance(listed, list | tuple) or not all(isinstance(name, str) for name in listed):
            raise ConfigError([Problem("_base_", f"expected the name of a file or a list of them, got {names!r}")], str(file))
        return [(name, find_config(name, file.parent, self.trees)) for name in listed]

    def _substituted(self, file: Path) -> str:
        """The text with ``{{ }}`` replaced."""
        text = file.read_text(encoding="utf-8")
        place = file.absolute()
        values = dict(zip(_FILE_VARIABLES, (str(place.parent), place.name, place.stem, place.suffix), strict=True))
        for name, value in values.items():
            text = re.sub(r"\{\{\s*" + name + r"\s*\}\}", value.replace("\\", r"\\"), text)
        text = _ENVIRONMENT.sub(lambda found: self._variable(found, file), text)
        return _BASE.sub(r"(_base_.\2)", text)

    def _variable(self, found: re.Match[str], file: Path) -> str:
        name, default = found.groups()
        if name not in self.environ and not default:
            message = f"{file}: the environment has no variable {name!r}; set it, or give a default: {{{{ ${name}:DEFAULT }}}}"
            raise ConfigError([Problem("", message)], _WHERE)
        return self.environ.get(name, default)


def _statement(text: str, begin: int) -> str:
    """The shortest beginning of the text that is whole Python, from a place on."""
    lines = text[begin:].splitlines()
    for count in range(1, len(lines) + 1):
        code = "\n".join(lines[:count])
        try:
            compile(code, "_base_", "exec")
        except SyntaxError:
            continue
        return code
    return text[begin:]
