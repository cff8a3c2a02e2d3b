"""The public surface: what it names, and what importing it costs."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import rayseg

HEAVY = ("ray", "mlflow")
LIGHT = ("losses", "sampling", "optim", "metrics", "models", "data", "mix", "engine", "inference", "build", "space", "report")


def test_the_public_names_are_these() -> None:
    functions = ["adopt", "confirm", "evaluate", "export", "load_config", "predict", "register", "sweep", "train"]
    assert rayseg.__all__ == ["ExperimentConfig", "__version__", *functions]
    assert set(rayseg.__all__) <= set(dir(rayseg))


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(AttributeError, match=r"no attribute 'trian'; it has ExperimentConfig, .*train"):
        _ = rayseg.trian


@pytest.mark.parametrize("name", ["ExperimentConfig", "load_config"])
def test_lazy_names_are_what_they_say(name: str) -> None:
    assert getattr(rayseg, name).__name__ == name


def _imported(statement: str) -> set[str]:
    """Top-level modules that a fresh interpreter holds after a statement."""
    code = f"import sys; {statement}; print(*sorted({{name.partition('.')[0] for name in sys.modules}}))"
    return set(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split())


def test_importing_rayseg_needs_no_tensors_no_ray_and_no_mlflow() -> None:
    assert not _imported("import rayseg; rayseg.ExperimentConfig; rayseg.load_config") & {"torch", "numpy", *HEAVY}


@pytest.mark.ray
def test_parts_below_launch_and_a_run_in_this_process_import_neither_ray_nor_mlflow() -> None:
    parts = [name for name in LIGHT if find_spec(f"rayseg.{name}") is not None]
    statement = f"import {', '.join(f'rayseg.{name}' for name in parts)}; from rayseg.launch import confirm, sweep, train"
    assert not _imported(statement) & {*HEAVY, "pandas", "scipy"}


@pytest.mark.ray
def test_the_small_actors_of_a_run_import_no_tensors() -> None:
    """Each is a process, and somebody waits for it to start."""
    assert not _imported("import rayseg.launch.desk, rayseg.launch.gate") & {"torch", "mlflow", "pandas", "scipy"}


def test_every_module_says_what_it_exports() -> None:
    sources = sorted(Path(str(rayseg.__file__)).parent.rglob("*.py"))
    assert [str(path) for path in sources if "\n__all__ = [" not in path.read_text(encoding="utf-8")] == []
