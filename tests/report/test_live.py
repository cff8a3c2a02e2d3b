"""What is seen of a search: numbers that follow from rows, and a terminal that holds what was printed and one picture."""

from __future__ import annotations

import fcntl
import io
import math
import os
import pty
import struct
import sys
import termios
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rayseg.report.confirmation import Mode
from rayseg.report.live import (
    Board,
    LiveRow,
    LiveRun,
    LiveState,
    LiveView,
    PlainView,
    RunBoard,
    RunSeen,
    shown_run,
    shown_search,
)
from rayseg.report.live.rows import best_row, steps_left
from rayseg.report.live.terminal import Foot
from tests.report.screen import screen_of

BOARD = Board("sweep ohem", "val/mIoU", "max", 6, 100, {"optim.lr": "lr"})
BASELINE = LiveRow("baseline", "done", 100, 0.41, baseline=True)
TRIAL = LiveRow("a", "running", 100, 0.43, {"optim.lr": 0.02, "losses.dice": {"type": "dice", "weight": 0.5}})


class Terminal:
    """A terminal of so many columns, and everything that was written to it."""

    def __init__(self, columns: int = 80, rows: int = 24) -> None:
        self._master, slave = pty.openpty()
        self.resize(columns, rows)
        self.stream = os.fdopen(slave, "w")
        self._read = b""
        self._reader = threading.Thread(target=self._drain, daemon=True)
        self._reader.start()

    def resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def _drain(self) -> None:
        with suppress(OSError):  # the other end is closed
            while piece := os.read(self._master, 4096):
                self._read += piece
        os.close(self._master)

    def written(self) -> str:
        """All of it; nothing can be written any more."""
        self.stream.close()
        self._reader.join(timeout=10)
        return self._read.decode().replace("\r\n", "\n")


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    monkeypatch.setenv("TERM", "xterm")
    made = Terminal()
    yield made
    made.written()


def test_time_that_is_left_is_told_by_the_speed_of_the_stage_that_runs() -> None:
    stream, now, seen = io.StringIO(), [0.0], {"before": 0}
    view = LiveView(BOARD, Foot(stream), lambda: "", every_s=0.002, clock=lambda: now[0])

    def wait_for(told: str) -> None:
        for _ in range(2500):
            if told in stream.getvalue()[seen["before"] :]:
                return
            time.sleep(0.002)
        pytest.fail(f"{told!r} was not drawn: {stream.getvalue()[-300:]}")

    view.see([LiveRow("baseline", "waiting")], 2)
    now[0] = 1000.0
    view.see([BASELINE], 2)
    wait_for("about 17 min left")
    view.see([LiveRow("baseline-seed6", "waiting")], 2)  # seeds that the spread of the first asked for
    now[0], seen["before"] = 1010.0, len(stream.getvalue())
    view.see([replace(BASELINE, name="baseline-seed6")], 2)
    wait_for("about 10 s left")
    view.close()


RUN = RunBoard("train streets", "val/mIoU", "max", 100)


def test_a_run_leaves_what_was_printed_and_its_picture_tells_the_newest(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdout", terminal.stream)
    threads = threading.active_count()
    with shown_run(RUN, lambda: "2 of 2 CPU") as live:
        assert live is not None
        live.say("MLflow  here")
        live.doing("starting Ray")
        sys.stdout.write("from somewhere else\n")
    assert threading.active_count() == threads
    written = terminal.written()
    assert screen_of(written) == ["MLflow  here", "from somewhere else"]
    assert "cluster  2 of 2 CPU" in written


def test_time_that_is_left_of_a_run_is_told_by_the_steps_after_the_first() -> None:
    now = [0.0]
    run = LiveRun(RUN, Foot(io.StringIO()), lambda: "", every_s=600.0, clock=lambda: now[0])
    run.close()
    assert run.left_s is None
    now[0] = 500.0  # the first steps compile, or wait for data
    run.see(10, {"train/loss": 0.7})
    assert run.left_s is None
    now[0] = 510.0
    run.see(20, {"train/loss": 0.6})
    now[0] = 515.0
    assert run.left_s == pytest.approx(75.0)
    now[0] = 999.0
    assert run.left_s is None  # longer than it should have taken: nobody knows


SCORES = st.lists(st.one_of(st.none(), st.just(float("nan")), st.floats(0, 1)), max_size=8)


@settings(max_examples=30)
@given(SCORES, st.sampled_from(["max", "min"]))
def test_the_best_of_a_run_is_the_best_score_it_had(scores: list[float | None], mode: Mode) -> None:
    seen = RunSeen()
    for step, score in enumerate(scores, 1):
        told = {} if score is None else {"val/mIoU": score}
        seen = seen.told(step, {"train/loss": 1.0 / step, **told}, "val/mIoU", mode)
    known = [score for score in scores if score is not None and not math.isnan(score)]
    assert seen.best == ((max if mode == "max" else min)(known) if known else None)
    assert known == [] or scores[seen.best_step - 1] == seen.best
    assert seen.step == len(scores)
    if scores:
        assert f"loss {1.0 / len(scores):.4g}" in "\n".join(RUN.lines(seen, elapsed_s=1.0))


TEXT = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=30)
ACTIONS = st.lists(st.one_of(st.lists(TEXT, max_size=5), TEXT), max_size=12)


@settings(max_examples=30)
@given(ACTIONS)
def test_a_terminal_holds_what_was_printed_and_the_last_picture(actions: list[list[str] | str]) -> None:
    stream, printed, picture = io.StringIO(), [], []
    foot = Foot(stream)
    for each in actions:
        if isinstance(each, str):
            foot.above(each)
            printed.append(each)
        else:
            foot.draw(each)
            picture = each
    assert screen_of(stream.getvalue()) == [*printed, *picture][: len(printed) + len(picture)]
    foot.close()
    assert screen_of(stream.getvalue()) == printed


def test_a_terminal_that_became_narrow_keeps_no_rest_of_a_picture(terminal: Terminal) -> None:
    foot = Foot(terminal.stream)
    foot.draw(["x" * 79, "y" * 30])
    terminal.resize(40, 24)
    foot.draw(["x" * 79])
    foot.close()
    # the terminal broke the first line in two: three rows up, then one
    written = terminal.written()
    assert "\x1b[3A" in written
    assert "\x1b[1A" in written
    assert f"{'x' * 39}\x1b[K\n" in written


def test_a_picture_is_no_higher_than_the_terminal(terminal: Terminal) -> None:
    terminal.resize(80, 4)
    foot = Foot(terminal.stream)
    foot.draw([str(number) for number in range(9)])
    assert screen_of(terminal.written()) == ["0", "1", "2"]


def search(end: type[BaseException]) -> None:
    with shown_search(BOARD, lambda: "2 of 2 CPU") as view:
        assert isinstance(view, LiveView)
        view.say("MLflow  here")
        view.see([BASELINE, TRIAL], 6)
        sys.stdout.write("from somewhere else\n")
        view.ended(replace(TRIAL, state="failed", reason="ran out of memory"), [BASELINE, replace(TRIAL, state="failed")], 6)
        sys.stdout.write("half a line")
        raise end


@pytest.mark.parametrize("end", [None, KeyboardInterrupt, RuntimeError])
def test_after_a_search_only_printed_lines_stand_on_the_terminal(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, end: type[BaseException] | None
) -> None:
    monkeypatch.setattr(sys, "stdout", terminal.stream)
    threads = threading.active_count()
    with pytest.raises(end or SystemExit):
        search(end or SystemExit)
    assert sys.stdout is terminal.stream
    assert threading.active_count() == threads
    lines = screen_of(terminal.written(), 200)
    assert lines[:2] == ["MLflow  here", "from somewhere else"]
    assert lines[2].startswith("trial 2/6  val/mIoU 0.4300  best 0.4100  step 100  FAILED")
    assert lines[2].endswith("ran out of memory")
    assert lines[3:] == ["half a line"]


def test_where_stdout_is_no_terminal_a_trial_is_one_plain_line(capsys: pytest.CaptureFixture[str]) -> None:
    with shown_search(BOARD, lambda: pytest.fail("nobody sees it")) as view:
        assert isinstance(view, PlainView)
        view.doing("starting Ray")
        view.see([BASELINE, TRIAL], 6)
        view.ended(replace(TRIAL, state="done"), [BASELINE, replace(TRIAL, state="done")], 6)
    told = capsys.readouterr().out
    assert told == "trial 2/6  val/mIoU 0.4300  best 0.4300  step 100  lr 0.02, losses.dice dice (weight 0.5)\n"


def test_a_dumb_terminal_gets_plain_lines(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setattr(sys, "stdout", terminal.stream)
    with shown_search(BOARD, str) as view:
        assert isinstance(view, PlainView)


def told(rows: Sequence[LiveRow], label: str, board: Board = BOARD) -> str:
    lines = [line for line in board.lines(rows, elapsed_s=5, width=200) if line.startswith(f"  {label} ")]
    return lines[0].removeprefix(f"  {label} ").strip() if lines else ""


def test_a_gain_is_told_at_equal_steps_only() -> None:
    assert "+0.0200 to the baseline: a" in told([BASELINE, TRIAL], "best")
    assert "baseline" not in told([BASELINE, replace(TRIAL, step=60)], "best")
    assert told([BASELINE, TRIAL], "best", replace(BOARD, ranks=False)) == ""


def test_the_best_is_no_failed_one_and_no_nan() -> None:
    rows = [BASELINE, replace(TRIAL, state="failed"), LiveRow("b", "running", 9, float("nan"))]
    assert best_row(rows, "max") is BASELINE
    assert best_row([], "max") is None
    assert best_row([BASELINE, TRIAL], "min") is BASELINE


STATES: tuple[LiveState, ...] = ("waiting", "running", "done", "stopped", "failed")
ROWS = st.lists(st.builds(LiveRow, TEXT, st.sampled_from(STATES), st.integers(0, 100)), max_size=8)


@settings(max_examples=30)
@given(ROWS, st.integers(0, 10))
def test_every_trial_is_counted_once_and_time_is_never_negative(rows: list[LiveRow], more: int) -> None:
    board = replace(BOARD, total_trials=len(rows) + more)
    counted = told(rows, "trials", board).split("ended")
    if rows:
        words = " ".join(counted[1:]).replace(":", " ").replace(";", " ").replace(",", " ").split()
        assert sum(int(word) for word in words if word.isdigit()) == len(rows) + more
    assert 0 <= steps_left(rows, len(rows) + more, 100) <= 100 * (len(rows) + more)


def test_when_it_will_end_is_told_when_half_a_trial_is_known() -> None:
    assert BOARD.left_s([replace(BASELINE, step=49)], 0, 10.0) is None
    assert BOARD.left_s([BASELINE], 0, 10.0) == pytest.approx(50.0)  # five more, ten seconds each
    assert BOARD.left_s([BASELINE, TRIAL], 100, 10.0) == pytest.approx(40.0)  # the baseline is of an earlier call
    assert replace(BOARD, total_trials=None).left_s([BASELINE], 0, 10.0) is None
