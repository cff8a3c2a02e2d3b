"""Placement groups of a sweep's trials: who has which, and what becomes of those that nobody has any more.

A group of Train workers holds its CPUs and GPUs in a placement group, whose life is that of the driver's job. Its controller
gives it back; where the controller was killed (with its trial, by the system or by a node that went away) nobody does, and the
trials that follow wait for ever. So the first worker of a group claims it at the desk, and the driver gives back

- at once, a group that was claimed and whose claim is not that of a running trial any more;
- as soon as every running trial has claimed one, all others;
- at the end of the sweep, all.

Groups that were there before the sweep are not touched. Ray's own remedy, a detached actor for each run, asks the dashboard,
which a local cluster does not have, and never learns of a group whose workers have not started; so it is left out.
"""

from __future__ import annotations

import time
from typing import Any

import ray.tune
from ray._raylet import PlacementGroupID
from ray.util.placement_group import (
    PlacementGroup,
    get_current_placement_group,
    placement_group_table,
    remove_placement_group,
)

import ray
from rayseg.launch.desk import desk_of

__all__ = ["TRIAL_BUNDLE", "GroupKeeper", "claim_group", "give_back_groups", "groups_of_this_job"]

#: What the process of a trial takes that starts workers; Tune holds it in a placement group of its own. A hundredth of a CPU
#: would be too much where the workers take all that there are.
TRIAL_BUNDLE = {"memory": float(2**20)}
_EVERY_S = 2.0


def claim_group(desk: Any, directory: str) -> None:
    """Say, from a worker, which placement group the run of a directory has."""
    group = get_current_placement_group()
    if group is not None:
        ray.get([desk.post.remote(f"claimed/{group.id.hex()}", True), desk.post.remote(f"group/{directory}", group.id.hex())])


def groups_of_this_job() -> set[str]:
    """Ids of the placement groups that this driver's job has."""
    return set(_groups())


def _groups() -> dict[str, list[dict[str, float]]]:
    job = ray.get_runtime_context().get_job_id()  # the last part of the id of everything that belongs to a job
    table = placement_group_table().items()
    return {group: list(row["bundles"].values()) for group, row in table if group.endswith(job) and row["state"] != "REMOVED"}


def give_back_groups(groups: set[str]) -> None:
    """Remove placement groups; what still runs in them ends."""
    for group in groups:
        remove_placement_group(PlacementGroup(PlacementGroupID.from_hex(group)))


class GroupKeeper(ray.tune.Callback):
    """Gives back, while a sweep runs, the placement groups that dead trials have left.

    Args:
        directory: of the sweep, at whose desk the note ``before`` tells the groups that are somebody else's.
    """

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._next = 0.0

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:  # noqa: ARG002
        """Look around, not more often than every two seconds."""
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + _EVERY_S
        groups = {group for group, bundles in _groups().items() if bundles != [TRIAL_BUNDLE]}
        groups -= ray.get(desk_of(self._directory).look.remote("before"))
        if groups:
            give_back_groups(
                self._orphans(groups, [trial.config["point"]["trial"] for trial in trials if trial.status == "RUNNING"])
            )

    def _orphans(self, groups: set[str], running: list[str]) -> set[str]:
        desk = desk_of(self._directory)
        notes, claims, claimed = ray.get([desk.notes.remote(prefix) for prefix in ("trial/", "group/", "claimed/")])
        directories = [notes[trial]["directory"] if trial in notes else None for trial in running]
        live = {claims[directory] for directory in directories if directory in claims}
        all_have_one = all(directory in claims for directory in directories)
        return groups - live if all_have_one else (groups & set(claimed)) - live
