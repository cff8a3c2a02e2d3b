"""YAML as configs are written in it: the 1.2 core schema, safe, and without repeated keys.

YAML 1.1, which most readers speak, takes ``1e-3`` for text, ``no`` for false and ``1:30`` for ninety. Here numbers are numbers,
only ``true`` and ``false`` are booleans, and the rest is text.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from typing import Any

import yaml

try:
    from yaml import CSafeLoader as SafeLoader  # the same language, several times as fast
except ImportError:
    from yaml import SafeLoader  # type: ignore[assignment]

__all__ = ["from_yaml", "to_line", "to_yaml"]

_CORE = {
    "tag:yaml.org,2002:null": (r"^(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    "tag:yaml.org,2002:bool": (r"^(?:true|True|TRUE|false|False|FALSE)$", list("tTfF")),
    "tag:yaml.org,2002:int": (r"^(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)$", list("-+0123456789")),
    "tag:yaml.org,2002:float": (
        r"^(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$",
        list("-+0123456789."),
    ),
}


class _Loader(SafeLoader):
    """Safe, core schema, no repeated keys, and ``<<`` merges as everywhere."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {  # noqa: RUF012  # as the base class has it
        "<": [("tag:yaml.org,2002:merge", re.compile(r"^<<$"))]
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"key {key.value!r} is written twice", key.start_mark)
            seen.add(str(key.value))
        return super().construct_mapping(node, deep=deep)

    def construct_int(self, node: yaml.ScalarNode) -> int:
        text = self.construct_scalar(node)
        base = {"0o": 8, "0x": 16}.get(text[:2], 10)
        return int(text[2:] if base != 10 else text, base)


class _Dumper(yaml.SafeDumper):
    """Quotes what either version of YAML would read as something other than text, and keeps text on its line."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002  # as the base class has it
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    breaks = any(mark in text for mark in "\n\r\x85\u2028\u2029")
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"' if breaks else None)


for _tag, (_pattern, _first) in _CORE.items():
    _Loader.add_implicit_resolver(_tag, re.compile(_pattern), _first)
    _Dumper.add_implicit_resolver(_tag, re.compile(_pattern), _first)
_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_int)
_Dumper.add_representer(str, _text)


def from_yaml(text: str) -> Any:
    """The value that a YAML text describes.

    Raises:
        yaml.YAMLError: the text is no YAML, or a key is written twice.

    Example:
        >>> from_yaml("{lr: 1e-3, on: no}")
        {'lr': 0.001, 'on': 'no'}
    """
    return yaml.load(text, Loader=_Loader)  # noqa: S506  # _Loader is a SafeLoader


def to_yaml(value: Any) -> str:
    """YAML of plain data, keys in their order.

    Example:
        >>> print(to_yaml({"train": {"steps": 300}, "mean": [0.5, 1e-5]}), end="")
        train: {steps: 300}
        mean: [0.5, 1.0e-05]
    """
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120, default_flow_style=None)


def to_line(value: Any) -> str:
    """YAML of plain data on one line, as it may stand behind ``key=`` on the command line.

    Example:
        >>> to_line([0.5, None, "no"])
        "[0.5, null, 'no']"
    """
    text = yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10**9, default_flow_style=True)
    return text.removesuffix("\n").removesuffix("\n...")
