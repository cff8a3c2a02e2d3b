"""What the loss path costs: logits at a quarter of the size, cross-entropy with hard examples and three times Dice, and back.

Every way is run in turn in one process, one thread, and what counts is CPU time over that of MMSegmentation's own classes, or
of the plain way where these are not there (``--reference DIR`` names a directory with mmsegmentation 1.2, mmengine and
mmcv-lite). Each must agree with the first in loss and gradient. Extra memory is the growth of the largest size of a process:

    python experiments/benchmarks/loss.py --reference /path/to/packages --out loss.json --png loss.png
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
import types
from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from rayseg.kernels import Strips, compiled_backend
from rayseg.kernels.compiler import instruction_set
from rayseg.losses import DiceMmseg1x, cross_entropy
from rayseg.mix import Head, Mix, Term, fused
from rayseg.sampling import ohem_mmseg

#: Images, classes, height, width, stride.
CASES = {"streets": (2, 19, 512, 1024, 4), "camvid": (4, 11, 360, 480, 4)}
SMOKE = {"smoke": (1, 5, 64, 96, 4)}
THRESH, DICE, VOID = 0.7, 3.0, 255
WAYS = ("mmseg", "plain", "compiled", "strips", "fused")
#: Where several agree in float32.
TOLERANCE = 5e-5

Step = Callable[[Tensor, Tensor], Tensor]


def batch(case: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Blocks of labels, and logits that know most of them: few pixels are below the threshold, so the k-th must be found."""
    n, c, height, width, stride = case
    generator = torch.Generator().manual_seed(0)
    coarse = torch.randn(n, c, max(3, height // 64), max(3, width // 64), generator=generator)
    labels = F.interpolate(coarse, size=(height, width), mode="bicubic").argmax(1)
    low = labels[:, ::stride, ::stride]
    logits = F.one_hot(low, c).movedim(-1, 1) * 9.0 + torch.randn(n, c, *low.shape[1:], generator=generator) * 1.8
    labels[:, : height // 12] = VOID
    return logits.contiguous().requires_grad_(), labels


def min_kept(case: tuple[int, ...]) -> int:
    """Pixels of an image that count at least: a fifth."""
    return case[2] * case[3] // 5


def ours(case: tuple[int, ...], way: str) -> Step:
    """The mix, plainly or by one of its backends."""
    terms = {"ce": Term(cross_entropy, normalize="all"), "dice": Term(DiceMmseg1x("softmax"), DICE)}
    head = Head(terms, partial(ohem_mmseg, thresh=THRESH, min_kept=min_kept(case)))
    backend = {"plain": None, "strips": Strips(), "fused": compiled_backend()}[way]
    mix = Mix({"main": head if backend is None else fused(head, backend)})
    return lambda logits, labels: mix({"main": logits}, labels, step=0).total


def compiled(case: tuple[int, ...]) -> Step:
    """One log-softmax for all that is needed, through ``torch.compile``."""
    kept = min_kept(case) * case[0]

    @torch.compile(dynamic=False)
    def statistics(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        z = F.interpolate(logits, size=labels.shape[1:], mode="bilinear", align_corners=False)
        valid = labels != VOID
        log_p = F.log_softmax(z, 1)
        nll = -log_p.gather(1, labels.where(valid, 0)[:, None])[:, 0] * valid
        p = log_p.exp()
        return nll, ((-nll).exp() * valid).flatten(1).sum(1), (p * p).flatten(1).sum(1)

    def step(logits: Tensor, labels: Tensor) -> Tensor:
        nll, hit, squares = statistics(logits, labels)
        valid = labels != VOID
        with torch.no_grad():
            p = (-nll).exp()[valid]
            least = p.kthvalue(min(kept, p.numel() - 1) + 1)[0].clamp(min=THRESH)
            counted = ((-nll).exp() < least) & valid
        truth = valid.flatten(1).sum(1)
        return (nll * counted).sum() / labels.numel() + DICE * (1 - 2 * hit / (squares + truth + 2e-3)).mean()

    return step


def mmseg(case: tuple[int, ...], reference: str) -> Step:
    """MMSegmentation's classes, in the order of ``BaseDecodeHead.loss_by_feat``."""
    sys.path.append(reference)
    vars(import_module("mmcv"))["__version__"] = "2.1.0"  # of mmcv-lite, later ones are refused
    operators = types.ModuleType("mmcv._ext")
    operators.__spec__ = ModuleSpec("mmcv._ext", None)
    vars(operators)["__getattr__"] = lambda name: name and None  # nothing of it is called
    sys.modules["mmcv._ext"] = operators
    losses, structures = import_module("mmseg.models.losses"), import_module("mmseg.structures")
    context = types.SimpleNamespace(ignore_index=VOID)
    sampler = structures.OHEMPixelSampler(context, THRESH, min_kept(case))
    ce, dice = losses.CrossEntropyLoss(), losses.DiceLoss(use_sigmoid=False, loss_weight=DICE)

    def step(logits: Tensor, labels: Tensor) -> Tensor:
        z = F.interpolate(logits, size=labels.shape[1:], mode="bilinear", align_corners=False)
        weight = sampler.sample(z, labels[:, None])
        total: Tensor = ce(z, labels, weight=weight, ignore_index=VOID) + dice(z, labels, ignore_index=VOID)
        return total

    return step


def make(way: str, case: tuple[int, ...], reference: str | None) -> Step:
    """One of WAYS."""
    if way == "mmseg":
        assert reference is not None
        return mmseg(case, reference)
    return compiled(case) if way == "compiled" else ours(case, way)


def once(step: Step, logits: Tensor, labels: Tensor) -> tuple[float, Tensor]:
    """Loss, and gradient at the logits."""
    loss = step(logits, labels)
    (gradient,) = torch.autograd.grad(loss, logits)
    return loss.item(), gradient


def cpu_ms(run: Callable[[], object]) -> float:
    """CPU time of this process."""
    began = time.process_time()
    run()
    return (time.process_time() - began) * 1e3


def exponentials(case: tuple[int, ...]) -> Callable[[], None]:
    """As many exponentials as there are logits at full size, of values that stay in the first cache."""
    values = torch.randn(8192)
    out, repeats = torch.empty_like(values), case[0] * case[1] * case[2] * case[3] // 8192

    def run() -> None:
        for _ in range(repeats):
            torch.exp(values, out=out)

    return run


def times(case: tuple[int, ...], ways: tuple[str, ...], reference: str | None, rounds: int) -> dict[str, Any]:
    """Least CPU time of each way over the rounds, in which all take turns; fast ones three times in each."""
    logits, labels = batch(case)
    steps = {way: make(way, case, reference) for way in ways}
    found = {way: once(step, logits, labels) for way, step in steps.items()}
    loss, gradient = found[ways[0]]
    errors = {}
    for way, (other, theirs) in found.items():
        errors[way] = max(abs(other - loss) / loss, float((theirs - gradient).norm() / gradient.norm()))
        assert errors[way] < TOLERANCE, f"{way}: differs by {errors[way]:.1e}"
    exp = exponentials(case)
    taken: dict[str, list[float]] = {way: [] for way in (*ways, "exp")}
    for _ in range(rounds):
        taken["exp"].append(cpu_ms(exp))
        for way, step in steps.items():
            for _ in range(3 if way == "fused" else 1):
                taken[way].append(cpu_ms(lambda step=step: once(step, logits, labels)))  # type: ignore[misc]
    return {"cpu_ms": {way: min(values) for way, values in taken.items()}, "error": errors}


def status_bytes(name: str) -> int:
    """A size of this process, such as VmRSS."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) * 1024


def peak_bytes(case: tuple[int, ...], way: str, reference: str | None) -> int:
    """Growth of this process's largest size in one step; two went before."""
    logits, labels = batch(case)
    step = make(way, case, reference)
    for _ in range(2):
        once(step, logits, labels)
    before = status_bytes("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    once(step, logits, labels)
    return status_bytes("VmHWM") - before


def memory(name: str, way: str, reference: str | None) -> int:
    """The same in a process of its own, which gives memory back at once."""
    command = [sys.executable, __file__, "--peak", way, "--case", name, *(["--reference", reference] if reference else [])]
    environment = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, **environment})
    return int(done.stdout.split()[-1])


def machine() -> str:
    """Processor and instruction set."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
    return f"{model} ({instruction_set()}), torch {torch.__version__}"


def table(results: Mapping[str, Any]) -> str:
    """Markdown: how many times faster and smaller than the first way."""
    rows = ["| case | way | CPU time | times faster | extra memory | times smaller |", "| --- | --- | --- | --- | --- | --- |"]
    for name, case in results["cases"].items():
        taken, peak = case["cpu_ms"], case["peak_bytes"]
        first = next(iter(peak))
        for way in peak:
            ratio, smaller = taken[first] / taken[way], peak[first] / peak[way]
            cells = (name, way, f"{taken[way]:.1f} ms", f"{ratio:.1f}", f"{peak[way] / 2**20:.1f} MiB", f"{smaller:.1f}")
            rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def plot(results: Mapping[str, Any], file: Path) -> None:
    """Bars of both ratios."""
    from matplotlib.figure import Figure  # noqa: PLC0415  for the picture only

    figure = Figure(figsize=(10, 3.6), layout="constrained")
    axes = figure.subplots(1, 2)
    for axis, what, title in zip(axes, ("cpu_ms", "peak_bytes"), ("CPU time", "extra memory"), strict=True):
        for shift, (name, case) in enumerate(results["cases"].items()):
            ways = list(case["peak_bytes"])
            ratios = [case[what][ways[0]] / case[what][way] for way in ways]
            bars = axis.bar([place + 0.4 * shift for place in range(len(ways))], ratios, width=0.38, label=name)
            axis.bar_label(bars, fmt="%.1f", fontsize=8)
        axis.set_xticks([place + 0.2 for place in range(len(ways))], ways)
        axis.set_yscale("log")
        axis.margins(y=0.15)
        axis.set_title(f"{title}: times less than {ways[0]}")
        axis.legend(frameon=False)
    figure.savefig(file, dpi=110)


def main() -> None:
    """Measure, and write what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reference", help="directory with mmsegmentation 1.2, mmengine and mmcv-lite")
    parser.add_argument("--ways", nargs="+", choices=WAYS, help="default: all that are there")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--png", type=Path)
    parser.add_argument("--smoke", action="store_true", help="a tiny case, once, without torch.compile")
    parser.add_argument("--case", choices=CASES | SMOKE, help=argparse.SUPPRESS)
    parser.add_argument("--peak", choices=WAYS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.peak:
        print(peak_bytes((CASES | SMOKE)[options.case], options.peak, options.reference))
        return
    absent = {"mmseg": not options.reference, "compiled": options.smoke, "fused": compiled_backend() is None}
    ways = tuple(options.ways or (way for way in WAYS if not absent.get(way)))
    results: dict[str, Any] = {"machine": machine(), "date": time.strftime("%Y-%m-%d"), "cases": {}}
    for name, case in (SMOKE if options.smoke else CASES).items():
        found = times(case, ways, options.reference, 1 if options.smoke else options.rounds)
        peaks: dict[str, int] = {} if options.smoke else {way: memory(name, way, options.reference) for way in ways}
        results["cases"][name] = {**found, "peak_bytes": peaks}
        in_exp = ", ".join(f"{way} {found['cpu_ms'][way] / found['cpu_ms']['exp']:.1f}" for way in ways)
        print(f"{name}: CPU time in passes of exp over all elements: {in_exp}")
    if options.smoke:
        return
    print(f"{results['machine']}, {results['date']}\n{table(results)}")
    if options.out:
        options.out.write_text(json.dumps(results, indent=2) + "\n")
    if options.png:
        plot(results, options.png)


if __name__ == "__main__":
    main()
