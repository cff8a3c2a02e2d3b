"""Sections of a config that is translated: what is read of them, and what of them nobody read."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from rayseg.errors import Problem

__all__ = ["Report", "Section"]

Generation = Literal["0.x", "1.x"]


@dataclass
class Report:
    """What becomes of a config.

    Args:
        generation: whose arithmetic it means.
        config: dotted key of ours to value.
        lost: what cannot be carried, and the key of ours that replaces it when somebody else says it.
        notes: what is carried and yet worth knowing.
        images_of_gpu: images of one GPU in one iteration, where that is said.
        accumulated: where it is said that several iterations make one step, and how many.
    """

    generation: Generation
    config: dict[str, Any] = field(default_factory=dict)
    lost: list[tuple[Problem, str | None]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    images_of_gpu: int | None = None
    accumulated: tuple[str, int] | None = None

    def lose(self, path: str, message: str, instead: str | None = None) -> None:
        """Note what cannot be carried; ``instead`` is the key of ours to write in its place."""
        self.lost.append((Problem(path, message), instead))

    @contextmanager
    def reading(self, path: str) -> Iterator[None]:
        """Note a value of a wrong kind that a section is not read with, such as a word where a number is due.

        Example:
            >>> report = Report("1.x")
            >>> with report.reading("optimizer"):
            ...     _ = float("fast")
            >>> print(report.lost[0][0])
            optimizer: a value is of a wrong kind (could not convert string to float: 'fast'); correct it
        """
        try:
            yield
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            self.lose(path, f"a value is of a wrong kind ({error}); correct it")

    def note(self, path: str, message: str) -> None:
        """Note a known trap, once."""
        if f"{path}: {message}" not in self.notes:
            self.notes.append(f"{path}: {message}")


class Section:
    """One dict of a config. What has not been taken when it is finished is noted as lost.

    Args:
        values: the dict; None is empty.
        path: dotted path of it.
        report: where losses are noted.

    Example:
        >>> report = Report("1.x")
        >>> section = Section({"type": "SGD", "momntum": 0.9}, "optimizer", report)
        >>> section.take("type")
        'SGD'
        >>> section.finish()
        >>> print(report.lost[0][0])
        optimizer.momntum: nothing here stands for it; remove it
    """

    def __init__(self, values: Any, path: str, report: Report) -> None:
        fits = values is None or isinstance(values, Mapping)
        self.values: dict[str, Any] = dict(values or {}) if fits else {}
        self.path, self.report = path, report
        if not fits:
            report.lose(path, f"expected a dict, got {values!r}")

    def __contains__(self, key: str) -> bool:
        return key in self.values

    def take(self, key: str, default: Any = None) -> Any:
        """The value of a key, which counts as read."""
        return self.values.pop(key, default)

    def section(self, key: str) -> Section:
        """The dict of a key, which counts as read."""
        return Section(self.take(key), f"{self.path}.{key}" if self.path else key, self.report)

    def drop(self, *keys: str) -> None:
        """Keys without a meaning here that changes what is computed."""
        for key in keys:
            self.values.pop(key, None)

    def expect(self, key: str, known: Collection[Any], message: str, instead: str | None = None) -> None:
        """A key may say what is so anyway; it counts as read. Another value is noted as lost.

        Example:
            >>> report = Report("1.x")
            >>> Section({"type": "MyHook"}, "default_hooks.logger", report).expect("type", ("LoggerHook",), "is not carried")
            >>> print(report.lost[0][0])
            default_hooks.logger.type: 'MyHook' is not carried
        """
        value = self.take(key)
        if value is not None and value not in known:
            self.lose(key, f"{value!r} {message}", instead)

    def lose(self, key: str, message: str, instead: str | None = None) -> None:
        """Note that a key cannot be carried; it counts as read."""
        self.values.pop(key, None)
        self.report.lose(f"{self.path}.{key}" if self.path else key, message, instead)

    def finish(self, message: str = "nothing here stands for it; remove it", instead: str | None = None) -> None:
        """Note what nobody read."""
        for key in list(self.values):
            self.lose(key, message, instead)
