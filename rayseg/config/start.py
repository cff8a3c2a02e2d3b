"""Where weights start, and which of them wait: the sections of fine-tuning."""

from __future__ import annotations

from pydantic import Field

from rayseg.config.spec import Section
from rayseg.config.values import Bool, Interval

__all__ = ["FreezeRule", "InitConfig"]


class InitConfig(Section):
    """Weights to start from. A run that goes on from a checkpoint of its own does not read them."""

    checkpoint: str = Field(min_length=1, description="a checkpoint directory of rayseg, or a .pt, .pth or .safetensors file")
    only: str | None = Field(default=None, description="regular expression: load these of the model's tensors; null: all")
    skip: str | None = Field(default=None, description="regular expression: do not load these of the model's tensors")
    rename: dict[str, str] = Field(
        default_factory=dict, description="regular expression -> replacement in the names of the file, in order"
    )
    strict: Bool = Field(default=False, description="every tensor must be in the file, but those of the output layer")


class FreezeRule(Section):
    """Parameters that a run does not train, or not yet."""

    match: str = Field(min_length=1, description="regular expression searched in the dotted parameter name")
    until: Interval | None = Field(default=None, description="the first step that trains them; null: never")
    statistics: Bool = Field(default=True, description="their batch norms keep their running statistics too")
