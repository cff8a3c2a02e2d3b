"""What Ray's processes of trials and workers are given: little, which imports the rest at one go, on its own side.

What a function or its arguments consist of is imported where they are unpacked, also in Train's controller, which needs none of
it. So here plans are bytes until somebody needs them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ray
from rayseg.imports import importing

if TYPE_CHECKING:
    from rayseg.launch.run import RunInfo
    from rayseg.launch.trial import TrialPlan

__all__ = ["for_workers", "trial_function", "worker_function"]


def trial_function(plan: TrialPlan) -> Any:
    """A plain function of ``{"point": overrides}``, which is what Tune runs in a process that it uses again.

    Args:
        plan: of the trials.
    """
    packed, unpacked = ray.cloudpickle.dumps(plan), list[Any]()

    def rayseg_trial(chosen: dict[str, Any]) -> None:
        with importing():
            from rayseg.launch.trial import run_trial  # noqa: PLC0415  see above

            if not unpacked:
                unpacked.append(ray.cloudpickle.loads(packed))
        run_trial(unpacked[0], chosen["point"])

    return rayseg_trial


def for_workers(info: RunInfo, desk: Any, gate: Any) -> dict[str, Any]:
    """What Train brings to each worker of a run.

    Args:
        info: what every worker is told.
        desk: the one writer.
        gate: in a sweep, the actor that is asked whether to go on.
    """
    return {"info": ray.cloudpickle.dumps(info), "desk": desk, "gate": gate}


def worker_function(given: dict[str, Any]) -> dict[str, float]:
    """What every worker of a ``TorchTrainer`` runs.

    Args:
        given: of :func:`for_workers`.
    """
    with importing():
        from rayseg.launch.ray_worker import train_worker  # noqa: PLC0415  see above

        info = ray.cloudpickle.loads(given["info"])
    return train_worker(info, given["desk"], given["gate"])
