"""A terminal's screen, as far as the live view writes to it: lines, up, clear."""

from __future__ import annotations

import re

__all__ = ["screen_of"]

_TOKEN = re.compile(r"\x1b\[(\d*)([A-Za-z])|\x1b\[(\?\d+[hl])|(\r)|(\n)|([^\x1b\r\n]+)")


def screen_of(written: str, columns: int = 80) -> list[str]:
    """The lines that stand there after all that was written; a line that is too long goes on in the next."""
    lines, row, column = [""], 0, 0
    for number, letter, mode, back, newline, text in _TOKEN.findall(written):
        assert not mode, "the cursor is left alone"
        if letter == "A":
            row -= int(number or 1)
            assert row >= 0
        elif letter == "J":
            lines[row:] = [lines[row][:column]]
        elif letter == "K":
            lines[row] = lines[row][:column]
        elif back or newline:
            row, column = row + bool(newline), 0
        for character in text:
            if column == columns:
                row, column = row + 1, 0
            lines += [""] * (row + 1 - len(lines))
            lines[row] = lines[row][:column].ljust(column) + character + lines[row][column + 1 :]
            column += 1
        lines += [""] * (row + 1 - len(lines))
    return lines[:-1] if lines[-1] == "" else lines
