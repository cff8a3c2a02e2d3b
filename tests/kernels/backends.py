"""Every backend of the statistics that this machine has."""

from __future__ import annotations

from rayseg.kernels import Backend, Strips, compiled_backend

BACKENDS: list[Backend] = [Strips(), *([compiled] if (compiled := compiled_backend()) is not None else [])]
