"""What may stand at a place of the config, read from the schema's annotations.

A place is one of four: a section or a spec (a pydantic model), a named mapping (``dict[str, X]``), free data (``Any``), or a
leaf. Where the schema allows several, what is written there decides.
"""

from __future__ import annotations

from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel

from rayseg.config.spec import Spec

__all__ = ["alternatives", "child", "keys", "mapping_at", "paths_to"]


def alternatives(annotation: Any) -> list[Any]:
    """The types that an annotation allows, without ``Annotated`` and ``None``.

    Example:
        >>> alternatives(int | dict[str, float] | None)
        [<class 'int'>, dict[str, float]]
    """
    if get_origin(annotation) is Annotated:
        return alternatives(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return [option for argument in get_args(annotation) for option in alternatives(argument)]
    return [] if annotation is NoneType else [annotation]


def _is_model(option: Any) -> bool:
    return isinstance(option, type) and issubclass(option, BaseModel)


def mapping_at(annotation: Any, written: Any) -> Any:
    """The model, ``dict[str, X]`` or ``Any`` that a written mapping is read as; None where only a leaf may stand.

    Example:
        >>> mapping_at(dict[str, float] | Spec, {"type": "median_frequency"})
        <class 'rayseg.config.spec.Spec'>
        >>> mapping_at(dict[str, float] | Spec, {"Pole": 3.0})
        dict[str, float]
    """
    options = alternatives(annotation)
    named = [option for option in options if get_origin(option) is dict]
    models = [option for option in options if _is_model(option)]
    if models and not (named and isinstance(written, dict) and "type" not in written):
        return models[0]
    return named[0] if named else next((option for option in options if option is Any), None)


def child(mapping: Any, key: str) -> Any:
    """The annotation of what stands under a key; None if the mapping cannot have that key.

    Example:
        >>> child(dict[str, Spec], "dice")
        <class 'rayseg.config.spec.Spec'>
    """
    if _is_model(mapping):
        field = mapping.model_fields.get(key)
        return field.annotation if field else (Any if issubclass(mapping, Spec) else None)
    return get_args(mapping)[1] if get_origin(mapping) is dict else mapping


def keys(mapping: Any, written: Any) -> list[str]:
    """The keys that a place knows: those of the schema, then those that are written there.

    Example:
        >>> keys(Spec, {"type": "dice", "smooth": 1.0})
        ['type', 'args', 'smooth']
    """
    declared = list(mapping.model_fields) if _is_model(mapping) else []
    return list(dict.fromkeys([*declared, *(written if isinstance(written, dict) else ())]))


def paths_to(key: str, model: type[BaseModel], prefix: str = "") -> list[str]:
    """Dotted paths of the schema that end in a key, shallow ones first; names that a person chooses are not entered.

    Example:
        >>> paths_to("type", Spec)
        ['type']
    """
    found = [f"{prefix}{key}"] if key in model.model_fields else []
    for name, field in model.model_fields.items():
        inner = mapping_at(field.annotation, None)
        if _is_model(inner):
            found += paths_to(key, inner, f"{prefix}{name}.")
    return sorted(found, key=lambda path: path.count("."))
