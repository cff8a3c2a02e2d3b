"""Python, the packages that rayseg asks for, the devices that torch sees, a compiler."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Callable, Iterable, Mapping
from importlib import metadata
from pathlib import Path

import torch
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from rayseg.launch.doctor.finding import Finding

__all__ = ["look_at_compiler", "look_at_devices", "look_at_packages", "look_at_requirement"]

_DRIVER = Path("/proc/driver/nvidia/version")


def look_at_packages() -> list[Finding]:
    """Python and every package against what the installed rayseg asks for."""
    try:
        own = metadata.distribution("rayseg")
    except metadata.PackageNotFoundError:
        return [Finding("rayseg", "is imported from a directory and not installed", "pip install -e .")]
    needed = (Requirement(text) for text in own.requires or ())
    return [
        _look_at_python(own.metadata["Requires-Python"] or ""),
        Finding("rayseg", own.version),
        *(look_at_requirement(each, _installed) for each in needed if each.marker is None or each.marker.evaluate()),
    ]


def _look_at_python(wanted: str) -> Finding:
    version = platform.python_version()
    fits = SpecifierSet(wanted).contains(version, prereleases=True)
    return Finding("python", version, None if fits else f"make an environment with Python {wanted}")


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def look_at_requirement(requirement: Requirement, version_of: Callable[[str], str | None]) -> Finding:
    """Whether one package is there, and new enough.

    Args:
        requirement: as the metadata of rayseg has it.
        version_of: name -> installed version, or None.

    Example:
        >>> look_at_requirement(Requirement("ray[train]>=2.50"), lambda name: "2.9.0")
        Finding(topic='ray', told='2.9.0, but rayseg needs >=2.50', todo="pip install 'ray[train]>=2.50'")
    """
    version, wanted = version_of(requirement.name), requirement.specifier
    if version is not None and wanted.contains(version, prereleases=True):
        return Finding(requirement.name, version)
    extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
    told = "not installed" if version is None else f"{version}, but rayseg needs {wanted}"
    return Finding(requirement.name, told, f"pip install '{requirement.name}{extras}{wanted}'")


def look_at_devices() -> Finding:
    """What torch would train on."""
    threads = f"CPU with {torch.get_num_threads()} threads"
    if torch.cuda.is_available():
        names: Iterable[str] = (torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count()))
        return Finding("devices", f"{', '.join(names)}; {threads}")
    if _DRIVER.exists():
        built = f"built for CUDA {torch.version.cuda}" if torch.version.cuda else "built without CUDA"
        todo = "install a torch that fits the driver (nvidia-smi tells its CUDA version), or look at CUDA_VISIBLE_DEVICES"
        return Finding("devices", f"the NVIDIA driver is here, but torch ({built}) sees no GPU; {threads}", todo)
    return Finding("devices", f"{threads}, no GPU")


def look_at_compiler(environ: Mapping[str, str]) -> Finding:
    """A C compiler, without which the plain kernels are used."""
    names = [environ.get("CC"), "cc", "gcc", "clang"]
    found = next((path for name in names if name and (path := shutil.which(name))), None)
    return Finding("compiler", found or "none; only what compiles at run time (torch.compile, Triton) needs one")
