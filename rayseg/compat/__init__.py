"""What people bring from elsewhere."""

from __future__ import annotations

from rayseg.compat.mmseg import is_mmseg_config, parse_cfg_options, read_mmseg_config

__all__ = ["is_mmseg_config", "parse_cfg_options", "read_mmseg_config"]
