"""A config as people and editors see it: flat leaves, a table with origins, a JSON Schema."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rayseg.config.schema import ExperimentConfig
from rayseg.config.text import to_line

__all__ = ["flatten", "flatten_tree", "json_schema", "render"]


def flatten(config: ExperimentConfig) -> dict[str, Any]:
    """Dotted path to value of every leaf; lists and empty mappings are leaves.

    Example:
        >>> flatten(ExperimentConfig())["data.mean"]
        [123.675, 116.28, 103.53]
    """
    return flatten_tree(config.to_dict())


def flatten_tree(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """The same for nested mappings.

    Example:
        >>> flatten_tree({"train": {"steps": 300}, "heads": {}})
        {'train.steps': 300, 'heads': {}}
    """
    leaves: dict[str, Any] = {}
    for key, value in tree.items():
        below = flatten_tree(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {}
        leaves.update(below or {f"{prefix}{key}": value})
    return leaves


def render(config: ExperimentConfig, origins: Mapping[str, str]) -> str:
    """A table for the terminal: every effective value and where it came from.

    Args:
        config: what to show.
        origins: dotted path of a leaf to where its value came from, as ``load_with_origins`` gives them.

    Example:
        >>> print(render(ExperimentConfig(), {"seed": "override"}).splitlines()[0])
        seed   0   override
    """
    rows = [(path, to_line(value), origins.get(path, "default")) for path, value in flatten(config).items()]
    first = max(len(path) for path, _, _ in rows)
    second = min(max(len(text) for _, text, _ in rows), 60)
    lines: list[str] = []
    section = rows[0][0].partition(".")[0]
    for path, text, origin in rows:
        if path.partition(".")[0] != section:
            section = path.partition(".")[0]
            lines.append("")
        lines.append(f"{path:<{first}}   {text:<{second}}   {origin}".rstrip())
    return "\n".join(lines)


def json_schema() -> dict[str, Any]:
    """The JSON Schema of config files, with which editors complete and check YAML.

    Example:
        >>> sorted(json_schema()["properties"])[:3]
        ['checkpoint', 'data', 'eval']
    """
    schema = ExperimentConfig.model_json_schema(mode="validation")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
