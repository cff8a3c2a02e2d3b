"""``python -m rayseg.cli`` is ``rayseg``."""

from __future__ import annotations

import sys

from rayseg.cli.entry import main

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
