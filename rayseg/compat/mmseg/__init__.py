"""MMSegmentation's config files, read without MMSegmentation.

===============  ==============================================================
``files``        a file with its bases and variables, as plain data
``expressions``  the Python that such files may be written in
``merging``      a child over its bases
``places``       where bases are, and the newer names of old files
``options``      ``--cfg-options``
===============  ==============================================================
"""

from __future__ import annotations

from rayseg.compat.mmseg.files import is_mmseg_config, read_mmseg_config
from rayseg.compat.mmseg.options import parse_cfg_options

__all__ = ["is_mmseg_config", "parse_cfg_options", "read_mmseg_config"]
