"""The two kinds of mapping in a config: closed sections, and open specs of a type name and its arguments."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    StringConstraints,
    model_serializer,
    model_validator,
)

from rayseg.config.plain import plain

__all__ = ["Section", "Spec", "TypeName"]

#: A built-in name, or an import path ``package.module:name``.
TypeName = Annotated[str, StringConstraints(min_length=1)]


class Section(BaseModel):
    """A closed part of the config: frozen, and a key that it does not know is an error.

    Example:
        >>> class Sizes(Section):
        ...     crop_px: int = 64
        >>> Sizes(crop_px=32).crop_px
        32
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Spec(BaseModel):
    """Something built from ``type`` and keyword arguments.

    ``type`` is a built-in name (``dice``) or an import path (``my_pkg.losses:topo``). Every key that the class does not
    declare is an argument of the callable, checked against its signature before any work starts. Where an argument has the
    name of a declared key, it goes under ``args``.

    Example:
        >>> spec = Spec.model_validate({"type": "my_losses:topo", "strength": 2.0})
        >>> spec.kwargs
        {'strength': 2.0}
    """

    model_config = ConfigDict(frozen=True, extra="allow", allow_inf_nan=False)

    type: TypeName = Field(description="built-in name or import path 'package.module:name'")
    args: dict[str, Any] = Field(default_factory=dict, description="arguments whose names are taken by declared keys")

    @model_validator(mode="before")
    @classmethod
    def _arguments_are_data(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        given = {key: item for key, item in value.items() if key == "args" or key not in cls.model_fields}
        data, problems = plain(given)
        if problems:
            raise ValueError("; ".join(str(problem) for problem in problems))
        return {**value, **data}

    @model_validator(mode="after")
    def _no_argument_twice(self) -> Spec:
        twice = sorted(set(self.args) & set(self.model_extra or {}))
        if twice:
            raise ValueError(f"{', '.join(twice)}: given twice, once here and once under 'args'; keep one")
        return self

    @model_serializer(mode="wrap")
    def _without_empty_args(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        tree: dict[str, Any] = handler(self)
        return {key: value for key, value in tree.items() if key != "args" or value}

    @property
    def kwargs(self) -> dict[str, Any]:
        """The callable's own arguments."""
        return {**(self.model_extra or {}), **self.args}
