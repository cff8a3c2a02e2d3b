"""The public helper that runs several workers."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time

import pytest
import torch
import torch.distributed as dist

from rayseg.collective import all_sum, rank
from rayseg.errors import CheckpointError
from rayseg.testing import run_distributed

pytestmark = pytest.mark.dist


def rank_and_sum(value: float) -> tuple[int, float, int]:
    return rank(), float(all_sum(torch.tensor(value))), torch.get_num_threads()


def one_rank_fails() -> None:
    if rank() == 1:
        raise CheckpointError("torn")
    dist.barrier()


def returns_what_cannot_be_sent() -> object:
    return lambda: None


class Awkward(Exception):
    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"{one} and {two}")


def raises_what_cannot_be_read() -> None:
    raise Awkward(1, 2)


def one_rank_is_killed() -> None:
    if rank() == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)


def one_rank_hangs() -> None:
    if rank() == 1:
        time.sleep(60)


@pytest.fixture(autouse=True)
def _no_process_is_left() -> None:
    assert multiprocessing.active_children() == []


def test_results_come_by_rank() -> None:
    assert run_distributed(rank_and_sum, 3, 2.0) == [(0, 6.0, 1), (1, 6.0, 1), (2, 6.0, 1)]


def test_an_error_of_one_rank_is_raised_here_with_its_traceback() -> None:
    with pytest.raises(CheckpointError, match="torn") as caught:
        run_distributed(one_rank_fails, 2)
    assert caught.value.__notes__[0].startswith("on rank 1 of 2:\nTraceback")
    assert "in one_rank_fails" in caught.value.__notes__[0]
    assert multiprocessing.active_children() == []


def test_a_result_that_cannot_be_sent_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="pickle"):
        run_distributed(returns_what_cannot_be_sent, 1)


def test_an_error_that_cannot_be_sent_is_told_as_text() -> None:
    with pytest.raises(RuntimeError, match=r"Awkward: 1 and 2") as caught:
        run_distributed(raises_what_cannot_be_read, 1)
    assert "in raises_what_cannot_be_read" in caught.value.__notes__[0]


def test_a_killed_rank_is_noticed_at_once() -> None:
    start = time.monotonic()
    with pytest.raises(ChildProcessError, match="rank 1 ended with exit code -9"):
        run_distributed(one_rank_is_killed, 2)
    assert time.monotonic() - start < 55
    assert multiprocessing.active_children() == []


def test_a_group_that_hangs_is_ended() -> None:
    with pytest.raises(TimeoutError, match=r"ranks \[0, 1\] of 2 were not done after 2 s"):
        run_distributed(one_rank_hangs, 2, timeout_s=2.0)
    assert multiprocessing.active_children() == []
