"""What people bring from elsewhere."""

from __future__ import annotations

from rayseg.compat.mmseg import (
    Translation,
    is_mmseg_config,
    mmseg_config_file,
    parse_cfg_options,
    read_mmseg_config,
    translate,
)

__all__ = ["Translation", "is_mmseg_config", "mmseg_config_file", "parse_cfg_options", "read_mmseg_config", "translate"]
