"""Every backend of the statistics that this machine has."""

from __future__ import annotations

from rayseg.kernels import Backend, Strips

BACKENDS: list[Backend] = [Strips()]
