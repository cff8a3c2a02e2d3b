"""Memory that a step on the CPU lets go is there for the next one, and goes back to the system when the run ends."""

from __future__ import annotations

import resource
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from rayseg.engine import fit, kept_memory, memory
from rayseg.testing import tiny_experiment
from tests.engine.runs import start

CPU = torch.device("cpu")
#: Of 36 MiB each: above 32, glibc never keeps them of its own.
TENSORS, SHAPE = 2, (9, 2**20)
PAGES = TENSORS * 9 * 2**22 // resource.getpagesize()


class FakeLibc:
    """Remembers what it was told; does not put more than ``largest`` bytes on the heap, as glibc before 2.35."""

    def __init__(self, largest: int = 2**31) -> None:
        self.told: dict[int, int] = {}
        self.trimmed = 0
        self.largest = largest

    def mallopt(self, number: int, value: int) -> int:
        if number == memory._MMAP_THRESHOLD and value > self.largest:
            return 0
        self.told[number] = value
        return 1

    def malloc_trim(self, pad: int) -> int:
        assert (pad, self.told) == (0, memory._USUAL)
        self.trimmed += 1
        return 1


@pytest.fixture
def libc(monkeypatch: pytest.MonkeyPatch) -> FakeLibc:
    fake = FakeLibc()
    monkeypatch.setattr(memory, "_glibc", lambda: fake)
    for name in (*memory._CHOICES, "GLIBC_TUNABLES", "LD_PRELOAD"):
        monkeypatch.delenv(name, raising=False)
    return fake


def new_pages() -> int:
    """Of what a step would need."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    needed = [torch.ones(SHAPE) for _ in range(TENSORS)]
    del needed
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def here(work: Callable[[], int]) -> int:
    return work()


def in_a_thread(work: Callable[[], int]) -> int:
    """A function of Ray's runs in one, whose memory is of another kind."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(work).result()


@pytest.mark.skipif(memory._glibc() is None, reason="the C library is not glibc")
@pytest.mark.parametrize("place", [here, in_a_thread])
def test_what_a_step_lets_go_is_no_new_page_of_a_later_one(place: Callable[[Callable[[], int]], int]) -> None:
    with kept_memory(CPU, {}):
        assert place(lambda: [new_pages() for _ in range(12)][-1]) < PAGES / 10


def test_memory_is_kept_as_long_as_a_run_and_then_given_back(libc: FakeLibc, tmp_path: Path) -> None:
    class Looking:
        def on_start(self, _: object) -> None:
            assert libc.told == memory._KEEPING

        def on_end(self, _: object) -> None:
            assert libc.told == memory._KEEPING

    fit(start(tiny_experiment(**{"train.steps": 1}), tmp_path, hooks={"looking": Looking()}))
    assert libc.trimmed == 1
    assert libc.told == memory._USUAL


@pytest.mark.parametrize(
    "environ",
    [
        {"MALLOC_TRIM_THRESHOLD_": "131072"},
        {"GLIBC_TUNABLES": "glibc.malloc.mmap_max=0"},
        {"LD_PRELOAD": "/usr/lib/libjemalloc.so.2"},
        {"LD_PRELOAD": "libomp.so:libtcmalloc_minimal.so.4"},
    ],
    ids=str,
)
def test_what_the_environment_says_of_memory_is_left_alone(libc: FakeLibc, environ: dict[str, str]) -> None:
    with kept_memory(CPU, environ):
        assert libc.told == {}
    assert libc.told == {}


def test_memory_of_a_card_is_not_of_the_c_library(libc: FakeLibc) -> None:
    with kept_memory(torch.device("meta"), {}):
        assert libc.told == {}
    with pytest.raises(KeyError), kept_memory(CPU, {}):
        raise KeyError
    assert libc.trimmed == 1, "a run that fails gives its memory back"


def test_a_c_library_that_refuses_so_large_blocks_keeps_those_it_can(libc: FakeLibc) -> None:
    libc.largest = 32 * 2**20
    with kept_memory(CPU, {}):
        assert libc.told == memory._KEEPING | {memory._MMAP_THRESHOLD: libc.largest}, "nothing stays at 128 KiB"


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    with kept_memory(CPU, {}):
        assert memory._glibc() is None
