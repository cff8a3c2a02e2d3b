"""Which tensors of a file go where in a model, and an exact report of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from rayseg.errors import ConfigError, Problem
from rayseg.models.freezing import unmatched
from rayseg.models.torchvision_names import mobilenet_names

__all__ = ["WeightReport", "WeightRules", "best_prefixes", "match_weights", "some"]

#: What stands before names in files: nothing, a part of a segmentation model, torchvision's or a trainer's layout.
_PREFIXES = ("", "backbone.", "features.", "encoder.", "model.", "encoder.model.", "_orig_mod.", "model.backbone.")
#: Counts batches and changes nothing where a momentum is given.
_COUNTER = "num_batches_tracked"


@dataclass(frozen=True)
class WeightReport:
    """What was loaded, exactly.

    Args:
        source: file or name of the weights.
        loaded: tensors of the model that were set.
        left: tensors of the source that the model has no place for, or was told not to take.
        reinitialised: tensors of the model that keep their own initialisation, and why.
        taken_off: prefix that was taken off the source's names.
        put_on: prefix that was put before them instead.

    Example:
        >>> print(WeightReport("resnet50.pth", ("backbone.conv1.weight",), ("fc.weight", "fc.bias"), put_on="backbone."))
        resnet50.pth: 1 tensors loaded (* as backbone.*), 0 re-initialised, 2 left (fc.weight, fc.bias)
    """

    source: str
    loaded: tuple[str, ...]
    left: tuple[str, ...]
    reinitialised: Mapping[str, str] = field(default_factory=dict)
    taken_off: str = ""
    put_on: str = ""

    def __str__(self) -> str:
        """One line: counts and first names."""
        renamed = f" ({self.taken_off}* as {self.put_on}*)" if self.taken_off != self.put_on else ""
        counted = [f"{len(names)} {what}{_in_brackets(names)}" for what, names in self._rest()]
        return f"{self.source}: {len(self.loaded)} tensors loaded{renamed}, {', '.join(counted)}"

    def _rest(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        yield "re-initialised", tuple(self.reinitialised)
        yield "left", self.left

    def text(self) -> str:
        """Every name, one a line.

        Example:
            >>> print(WeightReport("a.pth", ("conv.weight",), ("fc.weight",), {"conv.bias": "not in the file"}).text())
            a.pth: 1 tensors loaded, 1 re-initialised (conv.bias), 1 left (fc.weight)
              loaded          conv.weight
              re-initialised  conv.bias: not in the file
              left            fc.weight
        """
        rows = [("loaded", name) for name in self.loaded]
        rows += [("re-initialised", f"{name}: {why}") for name, why in self.reinitialised.items()]
        rows += [("left", name) for name in self.left]
        return "\n".join([str(self), *(f"  {what:<14}  {name}" for what, name in rows)])

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for a file.

        Example:
            >>> WeightReport("a.pth", ("conv.weight",), ()).to_dict()["loaded"]
            ['conv.weight']
        """
        names = {"loaded": list(self.loaded), "reinitialised": dict(self.reinitialised), "left": list(self.left)}
        return {"source": self.source, "taken_off": self.taken_off, "put_on": self.put_on, **names}


def some(names: Sequence[str]) -> str:
    """The first four names, and how many more there are.

    Example:
        >>> some(["a", "b"]), some(list("abcdef"))
        ('a, b', 'a, b, c, d, and 2 more')
    """
    return ", ".join(names[:4]) + (f", and {len(names) - 4} more" if len(names) > 4 else "")


def _in_brackets(names: Sequence[str]) -> str:
    return f" ({some(names)})" if names else ""


@dataclass(frozen=True)
class WeightRules:
    """Which tensors to take, and under which names.

    Args:
        only: regular expression; take these of the model's tensors. None: all.
        skip: regular expression; do not take these.
        rename: regular expression -> replacement in the names of the source, applied in order.
        strict: every tensor of the model must be in the source, but those of the output layer.

    Example:
        >>> WeightRules(skip="decode_head").strict
        False
    """

    only: str | None = None
    skip: str | None = None
    rename: Mapping[str, str] = field(default_factory=dict)
    strict: bool = False

    def refuses(self, name: str) -> str | None:
        """Why a tensor of the model is not taken, if it is not.

        Example:
            >>> WeightRules(only="backbone").refuses("decode_head.weight")
            "not in init.only 'backbone'"
        """
        if self.only is not None and not re.search(self.only, name):
            return f"not in init.only {self.only!r}"
        if self.skip is not None and re.search(self.skip, name):
            return f"in init.skip {self.skip!r}"
        return None


def best_prefixes(
    expected: Mapping[str, Tensor], state: Mapping[str, Tensor], put_on: Sequence[str] = ("",)
) -> tuple[str, str]:
    """The prefix to take off a source's names, and the one to put before them, with which most tensors find their place.

    Args:
        expected: the model's tensors by name.
        state: the source's.
        put_on: candidates for the second.

    Example:
        >>> import torch
        >>> best_prefixes({"body.weight": torch.zeros(2)}, {"backbone.weight": torch.ones(2)}, ["", "body."])
        ('backbone.', 'body.')
    """
    shapes = {name: value.shape for name, value in expected.items()}

    def fits(pair: tuple[str, str]) -> int:
        given = _taken_off(state, pair[0])
        return sum(shapes.get(pair[1] + name) == value.shape for name, value in given.items())

    return max(((off, on) for on in put_on for off in _PREFIXES), key=fits)


def _taken_off(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}


def _parts(names: Collection[str]) -> list[str]:
    """Dotted prefixes of the model's parts, two levels deep, the empty one first."""
    pieces = [name.split(".")[:-1] for name in names]
    return ["", *dict.fromkeys(".".join(each[:depth]) + "." for depth in (1, 2) for each in pieces if len(each) >= depth)]


def match_weights(
    expected: Mapping[str, Tensor],
    state: Mapping[str, Tensor],
    rules: WeightRules,
    *,
    source: str,
    output_layer: Callable[[], Collection[str]] = tuple,
) -> tuple[dict[str, Tensor], WeightReport]:
    """The tensors of a source that a model takes, by the model's names; nothing is changed.

    Names of the source are renamed by the rules; then a usual prefix is taken off, and the name of a part of the model is put
    before them, where more tensors find a place that way; torchvision's MobileNets get MMSegmentation's names so. A tensor of
    another shape is a fault, unless it belongs to the output layer: that has another number of classes and is left to its
    initialisation.

    Args:
        expected: the model's tensors by name.
        state: the source's.
        rules: which to take.
        source: what to call the weights in the report and in errors.
        output_layer: names of the tensors whose shapes depend on the number of classes; asked only where shapes differ.

    Raises:
        ConfigError: a pattern that matches nothing, a tensor of another shape, nothing that fits; all such faults at once.

    Example:
        >>> import torch
        >>> model = {"backbone.weight": torch.zeros(2), "decode_head.weight": torch.zeros(5)}
        >>> file = {"module": torch.ones(1), "weight": torch.ones(2)}
        >>> tensors, report = match_weights(model, file, WeightRules(), source="a.pth")
        >>> tensors
        {'backbone.weight': tensor([1., 1.])}
        >>> print(report)
        a.pth: 1 tensors loaded (* as backbone.*), 1 re-initialised (decode_head.weight), 1 left (module)
    """
    renamed = _renamed(list(state), rules.rename)
    _require_patterns(rules, list(expected))
    renamed = _in_our_words(renamed, state, expected)
    named = {new: state[old] for old, new in renamed.items()}
    off, on = best_prefixes(expected, named, _parts(expected))
    given = {on + name: value for name, value in _taken_off(named, off).items()}
    kept = {name: why for name in expected if (why := _why_not(name, expected[name], given, rules)) is not None}
    _require_shapes({name: why for name, why in kept.items() if why[0] == "("}, source, output_layer)
    if rules.strict:
        _require_all(kept, source, output_layer)
    loaded = {name: given[name] for name in expected if name not in kept}
    if not loaded:
        raise _nothing(source, list(named), list(expected))
    origin = {on + new.removeprefix(off): old for old, new in renamed.items() if new.startswith(off)}
    used = {origin[name] for name in loaded}
    return loaded, WeightReport(source, tuple(loaded), tuple(name for name in state if name not in used), kept, off, on)


def _in_our_words(renamed: dict[str, str], state: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> dict[str, str]:
    """The names as they are, or a torchvision MobileNet's as MMSegmentation has them, where more tensors find a place."""
    words = mobilenet_names(renamed.values())
    if not words:
        return renamed

    def fits(names: Mapping[str, str]) -> int:
        named = {new: state[old] for old, new in names.items()}
        off, on = best_prefixes(expected, named, _parts(expected))
        given = {on + name: value.shape for name, value in _taken_off(named, off).items()}
        return sum(given.get(name) == value.shape for name, value in expected.items())

    return max(renamed, {old: words[new] for old, new in renamed.items()}, key=fits)


def _why_not(name: str, tensor: Tensor, given: Mapping[str, Tensor], rules: WeightRules) -> str | None:
    refused = rules.refuses(name)
    if refused is not None:
        return refused
    if name not in given:
        return "not in the file"
    got, wanted = tuple(given[name].shape), tuple(tensor.shape)
    return None if got == wanted else f"{got} in the file, {wanted} here"


def _renamed(names: Sequence[str], rename: Mapping[str, str]) -> dict[str, str]:
    """Old name -> new name; each pattern must be found, and no two names may become one."""
    new = {name: name for name in names}
    for pattern, replacement in rename.items():
        if fault := unmatched(pattern, list(new.values())):
            raise ConfigError([Problem("init.rename", fault)])
        try:
            new = {old: re.sub(pattern, replacement, name) for old, name in new.items()}
        except (re.error, IndexError) as error:
            message = f"{replacement!r} is no replacement for {pattern!r}: {error}; groups are written \\1"
            raise ConfigError([Problem("init.rename", message)]) from error
    first: dict[str, str] = {}
    for old, name in new.items():
        if first.setdefault(name, old) != old:
            message = f"{first[name]!r} and {old!r} would both be called {name!r}; write narrower patterns"
            raise ConfigError([Problem("init.rename", message)])
    return new


def _require_patterns(rules: WeightRules, names: Sequence[str]) -> None:
    found = {key: unmatched(value, names) for key, value in (("only", rules.only), ("skip", rules.skip)) if value is not None}
    if problems := [Problem(f"init.{key}", message) for key, message in found.items() if message]:
        raise ConfigError(problems)


def _require_shapes(misfits: Mapping[str, str], source: str, output_layer: Callable[[], Collection[str]]) -> None:
    allowed = output_layer() if misfits else ()
    shown = [f"{name} {why}" for name, why in misfits.items() if name not in allowed]
    if shown:
        message = f"{len(shown)} tensors of {source} have another shape ({some(shown)}); give weights of this architecture, "
        raise ConfigError([Problem("init.skip", f"{message}or skip these by a pattern and let them start anew")])


def _require_all(kept: Mapping[str, str], source: str, output_layer: Callable[[], Collection[str]]) -> None:
    missing = [name for name, why in kept.items() if why == "not in the file" and not name.endswith(_COUNTER)]
    allowed = output_layer() if missing else ()
    if shown := [name for name in missing if name not in allowed]:
        message = f"{len(shown)} tensors of the model are not in {source} ({some(shown)}); rename or skip them, or say false"
        raise ConfigError([Problem("init.strict", message)])


def _nothing(source: str, given: Sequence[str], expected: Sequence[str]) -> ConfigError:
    message = f"nothing of {source} would be loaded: it has {some(given)}; the model has {some(expected)}; use rename or only"
    return ConfigError([Problem("init.checkpoint", message)])
