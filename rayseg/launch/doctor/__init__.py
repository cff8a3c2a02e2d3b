"""What is wrong with an installation, a machine, a store; and what to do about each.

::

    installation   Python, packages, torch's devices, compiler
    machine        storage, shared memory, cache
    ray_state      authentication, addresses; no cluster is started
    store          MLflow: reachable, its schema, runs that nobody works on any more
"""

from __future__ import annotations

from rayseg.launch.doctor.doctor import doctor
from rayseg.launch.doctor.finding import Finding

__all__ = ["Finding", "doctor"]
