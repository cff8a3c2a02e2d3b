"""What a config leaves to be measured is decided once, before a run or a search starts, and is part of its config from then on.

So it is the same on all workers, in all trials, and when the run goes on.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

from rayseg.build import Components, Decision, decide, open_choices, worker_counts
from rayseg.config import ExperimentConfig, flatten, read_config_file

__all__ = ["decided", "measured_here"]

#: ``(config, components) -> what was measured``
Measure = Callable[[ExperimentConfig, Components], Decision]
_FILE = "speed.json"


def measured_here(config: ExperimentConfig, components: Components) -> Decision:
    """By this process, on its device."""
    return decide(config, components, num_workers=worker_counts(config)[0])


def decided(config: ExperimentConfig, components: Components, measure: Measure = measured_here) -> ExperimentConfig:
    """The config without an ``auto`` that is to be measured.

    What the directory of the run holds already is kept. The reasons are said, and kept there as ``speed.json``.

    Args:
        config: checked, with a name.
        components: name -> callable given by value.
        measure: asks the device that the run will have.
    """
    keys = open_choices(config)
    if not keys:
        return config
    directory = Path(config.tracking.storage).expanduser() / str(config.tracking.name)
    held = directory / "config.yaml"
    if held.is_file():
        before = flatten(ExperimentConfig.from_dict(read_config_file(held)))
        return config.with_({key: before[key] for key in keys})
    decision = measure(config, components)
    _say(config, decision, directory)
    return config.with_(decision.values)


def _say(config: ExperimentConfig, decision: Decision, directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"values": decision.values, "reasons": decision.reasons}, indent=2)
    (directory / _FILE).write_text(f"{text}\n", encoding="utf-8")
    if config.tracking.text:
        sys.stdout.writelines(f"{reason}\n" for reason in decision.reasons)
        sys.stdout.flush()
