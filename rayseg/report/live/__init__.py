"""What people see of a search while it runs.

Events come in as :class:`LiveRow` (``view.py``), the picture is a function of rows and a time (``board.py``), and a terminal
shows it in place (``terminal.py``).
"""

from rayseg.report.live.board import Board
from rayseg.report.live.rows import LiveRow, LiveState, brief_value, changed_text
from rayseg.report.live.view import LiveView, PlainView, SearchView, shown_search

__all__ = [
    "Board",
    "LiveRow",
    "LiveState",
    "LiveView",
    "PlainView",
    "SearchView",
    "brief_value",
    "changed_text",
    "shown_search",
]
