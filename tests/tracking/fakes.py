"""What stands for the package wandb."""

from __future__ import annotations

from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any


class Config(dict[str, Any]):
    """A run's config: a dict whose update must be told that values may change."""

    refuses = False

    def update(self, values: Any, *, allow_val_change: bool = False) -> None:  # type: ignore[override]
        assert allow_val_change
        if self.refuses:
            raise OSError("no network")
        super().update(values)


class Run:
    """Keeps what it is given; refuses while ``broken``."""

    def __init__(self, options: dict[str, Any]) -> None:
        self.options, self.dir = options, str(Path(options["dir"]) / "files")
        self.rows: list[dict[str, Any]] = []
        self.metrics: list[tuple[str, str]] = []
        self.config, self.exit_code, self.broken = Config(options["config"]), -1, False

    def define_metric(self, name: str, *, step_metric: str) -> None:
        self.metrics.append((name, step_metric))

    def log(self, values: dict[str, Any]) -> None:
        if self.broken:
            raise OSError("no network")
        self.rows.append(values)

    def finish(self, *, exit_code: int) -> None:
        self.exit_code = exit_code


class FakeWandb:
    """The names of the module that a tracker uses."""

    def __init__(self, *, refuses_tags: bool = False) -> None:
        self.runs: list[Run] = []
        self.refuses_tags = refuses_tags
        self.__spec__ = ModuleSpec("wandb", None)

    def init(self, **options: Any) -> Run:
        self.runs.append(Run(options))
        self.runs[-1].config.refuses = self.refuses_tags
        return self.runs[-1]

    @staticmethod
    def Image(picture: Any) -> tuple[int, int]:  # noqa: N802  its name there
        size: tuple[int, int] = picture.size
        return size
