"""A script as a person starts it, but in this process: most of what a small one costs is to import what is imported here."""

from __future__ import annotations

import io
import os
import runpy
import sys
import warnings
from contextlib import redirect_stdout
from pathlib import Path

from rayseg.engine import lent_process


def printed_by(script: Path, *words: str, cwd: Path, **environ: str) -> str:
    """What it writes to its standard output. Modules beside it are imported anew, and what it sets is put back."""
    output, argv, known = io.StringIO(), list(sys.argv), set(sys.modules)
    try:
        with lent_process(), redirect_stdout(output):
            warnings.resetwarnings()
            warnings.simplefilter("ignore")
            os.chdir(cwd)
            os.environ.update(environ)
            sys.path.insert(0, str(script.parent))
            sys.argv[:] = [str(script), *words]
            runpy.run_path(str(script), run_name="__main__")
    finally:
        sys.argv[:] = argv
        for name in sys.modules.keys() - known:
            if str(getattr(sys.modules[name], "__file__", None)).startswith(f"{script.parent}{os.sep}"):
                del sys.modules[name]
    return output.getvalue()
