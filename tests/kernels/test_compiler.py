"""What is compiled, where it is kept, and what happens without a compiler."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from rayseg.data._native import pixel_library
from rayseg.errors import ConfigError, ShapeError
from rayseg.kernels import StripScoring, Wanted, compiled_backend, compiler, pixel_statistics
from tests.build.small import built
from tests.kernels.test_statistics import EVERYTHING, VOID, batch

EVALUATION = Path(compiler.__file__).parent / "csrc" / "evaluation.cpp"
needs_compiler = pytest.mark.skipif(compiler.compiler_command() is None, reason="no C++ compiler")


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A source that compiles at once, and an empty cache."""
    source = tmp_path / "csrc" / "tiny.cpp"
    source.parent.mkdir()
    source.write_text('extern "C" int answer() { return 42; }')
    monkeypatch.setenv("RAYSEG_KERNELS", str(tmp_path / "kept"))
    return source


@pytest.fixture
def afresh() -> Iterator[None]:
    """Nothing is compiled yet in this process, and nothing that a test found out stays."""
    compiler.compiled_library.cache_clear()
    yield
    compiler.compiled_library.cache_clear()


@needs_compiler
def test_the_same_is_compiled_once_and_another_content_again(tiny: Path, afresh: None) -> None:
    first = compiler.compiled_library(tiny)
    assert first is not None
    assert first.answer() == 42
    kept = tiny.parent.parent / "kept"
    made = [each.stat().st_mtime_ns for each in kept.iterdir()]
    assert len(made) == 1
    compiler.compiled_library.cache_clear()
    assert compiler.compiled_library(tiny) is not None
    assert [each.stat().st_mtime_ns for each in kept.iterdir()] == made
    compiler.compiled_library.cache_clear()
    tiny.write_text('extern "C" int answer() { return 43; }')
    again = compiler.compiled_library(tiny)
    assert again is not None
    assert again.answer() == 43


@needs_compiler
@pytest.mark.parametrize("left", [0, 5000])
def test_half_a_library_is_compiled_again_and_not_opened(tiny: Path, left: int) -> None:
    compiler.compiled_library.__wrapped__(tiny)
    (whole,) = (tiny.parent.parent / "kept").iterdir()
    content = whole.read_bytes()
    whole.unlink()  # what is opened already stays as it is
    whole.write_bytes(content[:left])
    again = compiler.compiled_library.__wrapped__(tiny)
    assert again is not None
    assert again.answer() == 42
    assert whole.read_bytes() == content


@needs_compiler
def test_what_does_not_compile_is_told_and_leaves_nothing(tiny: Path, logged: list[str], afresh: None) -> None:
    tiny.write_text("no C++")
    assert compiler.compiled_library(tiny) is None
    (told,) = logged
    assert "tiny.cpp cannot be compiled" in told
    assert "error" in told
    assert not (tiny.parent.parent / "kept").exists()


def test_without_a_compiler_strips_are_used_and_one_line_says_so(
    monkeypatch: pytest.MonkeyPatch, logged: list[str], afresh: None
) -> None:
    pixel_library()  # which is remembered, and told of by a line of its own
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", "")
    logged.clear()
    run = built({})
    fused = run.fit.mix.heads["main"].fused
    assert fused is not None
    assert fused.backend.name == "strips"
    assert isinstance(run.evaluator.scoring, StripScoring)
    compilers, remedy = "$CXX, c++, g++, clang++", "losses and scores are computed in strips, which is slower; install g++"
    assert logged == [f"no C++ compiler (looked for {compilers}): {remedy}"]
    with pytest.raises(ConfigError, match=r"train\.kernels: fused, but nothing here compiles C\+\+"):
        built({"train.kernels": "fused"})


@needs_compiler
@pytest.mark.parametrize("instructions", ["AVX2", "DEFAULT"])
def test_less_capable_machines_have_instructions_of_their_own(instructions: str) -> None:
    command = compiler.compiler_command(instructions)
    assert command is not None
    assert ("-mavx2" in command) == (instructions == "AVX2")
    assert not any("avx512" in option for option in command)


@needs_compiler
def test_the_number_of_threads_does_not_change_a_bit() -> None:
    backend = compiled_backend()
    assert backend is not None
    logits, target = batch(8, 3, 7, 20, 11, 133, 70)
    found = []
    for threads in (1, 3):
        torch.set_num_threads(threads)
        leaf = logits.clone().requires_grad_()
        one = pixel_statistics(leaf, target, ignore_index=VOID, wanted=EVERYTHING, backend=backend)
        assert one.mean_nll is not None
        assert one.sums is not None
        total = one.nll.square().sum() + one.mean_nll.sum() + torch.stack(one.sums).square().sum()
        found.append([one.nll, one.mean_nll, *one.sums, *torch.autograd.grad(total, leaf)])
    torch.set_num_threads(1)
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


#: Counts labels with three threads, in a process without torch.
_COUNTING = """
import array, ctypes, os, signal, sys
labels, counts = array.array("q", [0, 1, 1, 2] * 200_000), array.array("q", [0] * 9)
where, found = (ctypes.c_void_p(each.buffer_info()[0]) for each in (labels, counts))
sizes = [ctypes.c_int64(each) for each in (len(labels), 3, 255)]
def told():
    status = ctypes.CDLL(sys.argv[1]).rayseg_confusion(where, 8, where, 8, *sizes, 3, found)
    print(status, *counts, len(os.listdir("/proc/self/task")), flush=True)
"""
_COUNTED = ["0", "200000", "0", "0", "0", "400000", "0", "0", "0", "200000"]


def counting(code: str) -> list[list[str]]:
    """What was told, a line each: the status, the counts, and how many threads the process has afterwards."""
    library = compiler.compiled_library(EVALUATION)
    assert library is not None
    arguments = [sys.executable, "-c", _COUNTING + code, library._name]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True)
    return [line.split() for line in done.stdout.splitlines()]


@needs_compiler
@pytest.mark.skipif(sys.platform != "linux", reason="threads are lent, and listed, on Linux")
def test_where_torch_has_no_threads_to_lend_kernels_take_their_own() -> None:
    """In a process without torch, which is where its threads come from."""
    assert counting("told()") == [[*_COUNTED, "1"]]


@needs_compiler
@pytest.mark.skipif(sys.platform != "linux", reason="threads are lent, and listed, on Linux")
def test_kernels_of_a_forked_process_do_not_wait_for_threads_that_it_does_not_have() -> None:
    try:
        ctypes.CDLL("libgomp.so.1")
    except OSError:
        pytest.skip("no OpenMP of GNU's")
    told = counting("""
ctypes.CDLL("libgomp.so.1", ctypes.RTLD_GLOBAL)
told()
if os.fork() == 0:
    signal.alarm(5)
    told()
    os._exit(0)
os.wait()
""")
    assert told == [[*_COUNTED, "3"], [*_COUNTED, "1"]]


@needs_compiler
def test_a_label_that_is_no_class_is_refused() -> None:
    backend = compiled_backend()
    assert backend is not None
    target = torch.zeros(1, 40, 40, dtype=torch.long)
    target[0, 39, 39] = 3
    with pytest.raises(ShapeError, match="labels are from 0 to 3 and the logits have 3 classes; expected labels below"):
        pixel_statistics(torch.zeros(1, 3, 10, 10), target, ignore_index=VOID, wanted=Wanted(), backend=backend)
