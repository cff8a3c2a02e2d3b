"""What people see of a search, or of one run, while it goes on.

Events come in as :class:`LiveRow` (``view.py``), the picture is a function of rows and a time (``board.py``), and a terminal
shows it in place (``terminal.py``). One run has a picture of its own (``run.py``).
"""

from rayseg.report.live.board import Board
from rayseg.report.live.rows import LiveRow, LiveState, brief_value, changed_text
from rayseg.report.live.run import LiveRun, RunBoard, RunSeen, shown_run
from rayseg.report.live.view import LiveView, PlainView, SearchView, shown_search

__all__ = [
    "Board",
    "LiveRow",
    "LiveRun",
    "LiveState",
    "LiveView",
    "PlainView",
    "RunBoard",
    "RunSeen",
    "SearchView",
    "brief_value",
    "changed_text",
    "shown_run",
    "shown_search",
]
