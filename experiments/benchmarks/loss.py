"""What the loss path costs: logits at a quarter of the size, cross-entropy with hard examples and three times Dice, and back.

Every way is run in turn in one process, with one thread and with all, and what counts is CPU time over that of MMSegmentation's
own classes, or of the plain way where these are not there (``--reference DIR`` names a directory with mmsegmentation 1.2,
mmengine and mmcv-lite). Each must agree with the first in loss and gradient. Extra memory is the growth of the largest size
of a process; tensors made, of any and of full size, are counted. ``exp`` is as many exponentials as there are logits at full
size, of values that stay in the first cache. ``cross-entropy alone`` is upsampling and cross-entropy by torch, and by ours:

    python experiments/benchmarks/loss.py --reference /path/to/packages --out loss.json --png loss.png

With ``--device cuda`` the same on a GPU, in float32 and with logits in bfloat16 (see ``loss_cuda.py``). Without a card
``--device cuda --smoke`` runs it on a tiny case under Triton's interpreter.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import types
from collections.abc import Callable
from functools import partial
from math import prod
from typing import Any

import torch
import torch.nn.functional as F
from blocks import VOID, batch, exponentials
from loss_cuda import goals_on, rows_on
from making import made_by
from measuring import Row, arguments, finish, goal, growth_bytes, ratios, result, rows_of, turns
from reference import mmseg
from torch import Tensor

from rayseg.kernels import Strips, Triton, compiled_backend
from rayseg.losses import DiceMmseg1x, cross_entropy
from rayseg.mix import Head, Mix, Term, fused
from rayseg.sampling import ohem_mmseg

#: Images, classes, height, width, stride.
CASES = {"streets": (2, 19, 512, 1024, 4), "camvid": (4, 11, 360, 480, 4)}
SMOKE = {"smoke": (1, 5, 64, 96, 4)}
SMOKE_OF_TRITON = {"smoke": (1, 2, 4, 8, 4)}
THRESH, DICE = 0.7, 3.0
WAYS = ("mmseg", "plain", "compiled", "strips", "fused")
WAYS_OF_A_GPU = ("mmseg", "plain", "compiled", "triton")
#: Where several agree in float32.
TOLERANCE = 5e-5

Step = Callable[[Tensor, Tensor], Tensor]


def min_kept(case: tuple[int, ...]) -> int:
    """Pixels of an image that count at least: a fifth."""
    return case[2] * case[3] // 5


def ours(case: tuple[int, ...], way: str) -> Step:
    """The mix, plainly or by one of its backends."""
    terms = {"ce": Term(cross_entropy, normalize="all"), "dice": Term(DiceMmseg1x("softmax"), DICE)}
    head = Head(terms, partial(ohem_mmseg, thresh=THRESH, min_kept=min_kept(case)))
    backend = {"plain": None, "strips": Strips(), "fused": compiled_backend(), "triton": Triton(device=None)}[way]
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


def of_mmseg(case: tuple[int, ...], reference: str) -> Step:
    """MMSegmentation's classes, in the order of ``BaseDecodeHead.loss_by_feat``."""
    losses, structures = mmseg(reference, "mmseg.models.losses"), mmseg(reference, "mmseg.structures")
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
        return of_mmseg(case, reference)
    return compiled(case) if way == "compiled" else ours(case, way)


def once(step: Step, logits: Tensor, labels: Tensor) -> tuple[float, Tensor]:
    """Loss, and gradient at the logits."""
    loss = step(logits, labels)
    (gradient,) = torch.autograd.grad(loss, logits)
    return loss.item(), gradient


def agree(found: dict[str, tuple[float, Tensor]]) -> dict[str, float]:
    """How far each way is from the first, in loss and gradient; too far is an error."""
    loss, gradient = next(iter(found.values()))
    errors = {
        way: max(abs(other - loss) / loss, float((theirs - gradient).norm() / gradient.norm()))
        for way, (other, theirs) in found.items()
    }
    for way, error in errors.items():
        assert error < TOLERANCE, f"{way}: differs by {error:.1e}"
    return errors


def measured(name: str, case: tuple[int, ...], ways: tuple[str, ...], reference: str | None, rounds: int) -> list[Row]:
    """A row for each way, and one for exponentials."""
    logits, labels = batch(case)
    logits.requires_grad_()
    steps = {way: make(way, case, reference) for way in ways}
    errors = agree({way: once(step, logits, labels) for way, step in steps.items()})
    runs: dict[str, Callable[[], object]] = {way: partial(once, step, logits, labels) for way, step in steps.items()}
    taken = turns({**runs, "exp": exponentials(case)}, rounds)
    more: dict[str, Row] = {
        way: {"error": error, "exp_passes": ratios(taken[way].cpu_s, taken["exp"].cpu_s)} for way, error in errors.items()
    }
    for way in set(steps) - {"compiled"}:  # whose own are not seen
        more[way] |= made_by(runs[way], large=prod(case[:4]))
    return rows_of(name, taken, more)


def alone(name: str, case: tuple[int, ...], rounds: int) -> list[Row]:
    """Rows of plain cross-entropy, of torch's functions first."""
    logits, labels = batch(case)
    logits.requires_grad_()

    def by_torch(logits: Tensor, labels: Tensor) -> Tensor:
        z = F.interpolate(logits, size=labels.shape[1:], mode="bilinear", align_corners=False)
        return F.cross_entropy(z, labels, ignore_index=VOID)

    steps: dict[str, Step] = {"torch": by_torch}
    if (backend := compiled_backend()) is not None:
        mix = Mix({"main": fused(Head({"ce": Term(cross_entropy)}), backend)})
        steps["fused"] = lambda logits, labels: mix({"main": logits}, labels, step=0).total
    errors = agree({way: once(step, logits, labels) for way, step in steps.items()})
    taken = turns({way: partial(once, step, logits, labels) for way, step in steps.items()}, rounds)
    return rows_of(f"{name}, cross-entropy alone", taken, {way: {"error": error} for way, error in errors.items()})


def peak_bytes(case: tuple[int, ...], way: str, reference: str | None) -> int:
    """Growth of this process's largest size in one step; two went before."""
    logits, labels = batch(case)
    logits.requires_grad_()
    step = make(way, case, reference)
    for _ in range(2):
        once(step, logits, labels)
    return growth_bytes(lambda: once(step, logits, labels))


def memory(name: str, way: str, reference: str | None) -> int:
    """The same in a process of its own, which gives memory back at once."""
    command = [sys.executable, __file__, "--peak", way, "--case", name, *(["--reference", reference] if reference else [])]
    environment = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, **environment})
    return int(done.stdout.split()[-1])


def with_memory(rows: list[Row], reference: str | None) -> None:
    """Extra memory of every way, and how many times less it is than that of the first."""
    first = 0
    for row in rows:
        if row["way"] == "exp":
            continue
        row["peak_bytes"] = memory(row["case"], row["way"], reference)
        first = first or row["peak_bytes"]
        row["peak_ratio"] = first / row["peak_bytes"]


#: Against MMSegmentation: case -> way -> least ratio of CPU time, least ratio of memory.
AGAINST_MMSEG: dict[str, dict[str, tuple[float, float]]] = {
    "streets": {"fused": (25, 33), "strips": (3.3, 12)},
    "camvid": {"fused": (17, 30)},
}
AGAINST_COMPILED = {"streets": 7.0, "camvid": 4.5}
MOST_PASSES = 2.5
AGAINST_TORCH = 7.0


def goals(rows: list[Row]) -> list[dict[str, Any]]:
    """Of the case of a table; those whose ways were not run are left out."""
    case, by_way = rows[0]["case"], {row["way"]: row for row in rows}
    found: list[dict[str, Any]] = []
    for way, (faster, smaller) in AGAINST_MMSEG[case].items():
        if "mmseg" in by_way and way in by_way:
            found.append(
                goal(f"loss, {case}: {way} against MMSegmentation, CPU time", by_way[way]["cpu_ratio"][1], least=faster)
            )
            found.append(goal(f"loss, {case}: {way} against MMSegmentation, memory", by_way[way]["peak_ratio"], least=smaller))
    if "fused" in by_way:
        passes = by_way["fused"]["exp_passes"]
        if "compiled" in by_way:
            ratio = by_way["compiled"]["exp_passes"][1] / passes[1]
            found.append(goal(f"loss, {case}: fused against `torch.compile`, CPU time", ratio, least=AGAINST_COMPILED[case]))
        found.append(goal(f"loss, {case}: fused in passes of `exp` over all elements", passes[1], most=MOST_PASSES))
    return found


def on_gpu(options: argparse.Namespace) -> None:
    """The same on a GPU; under Triton's interpreter where there is none, if it is only to be seen whether it runs."""
    if not torch.cuda.is_available():
        if not options.smoke:
            raise SystemExit("no CUDA device; --smoke runs a tiny case under Triton's interpreter")
        os.environ["TRITON_INTERPRET"] = "1"
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    absent = {"mmseg": not options.reference, "compiled": options.smoke}
    ways = options.ways or [way for way in WAYS_OF_A_GPU if not absent.get(way)]
    rows, reached = [], []
    for name, case in (SMOKE_OF_TRITON if options.smoke else CASES).items():
        for dtype in (torch.float32, torch.bfloat16):
            logits, labels = batch(case)
            logits = logits.to(device, dtype).requires_grad_()
            steps = {way: make(way, case, options.reference) for way in ways}
            named = name if dtype == torch.float32 else f"{name}, bf16"
            rounds = 1 if options.smoke else options.rounds
            of_case = rows_on(named, steps, ours(case, "plain"), logits, labels.to(device), rounds)
            rows += of_case
            reached += goals_on(of_case) if "triton" in ways and device.type == "cuda" else []
    finish(result("loss_cuda", rows, reached, device.type), options, what=("gpu_ratio", "peak_ratio"))


def on_cpu(name: str, case: tuple[int, ...], options: argparse.Namespace, *, main: bool) -> tuple[list[Row], list[Any]]:
    """Rows of a case; in its main table memory and goals, too."""
    absent = {"mmseg": not options.reference, "compiled": options.smoke, "fused": compiled_backend() is None}
    ways = tuple(options.ways or (way for way in WAYS if not absent.get(way)))
    rounds = 1 if options.smoke else options.rounds
    rows, simple = measured(name, case, ways, options.reference, rounds), alone(name, case, rounds)
    if not main:
        return [*rows, *simple], []
    with_memory(rows, options.reference)
    reached = goals(rows)
    words = f"loss, {name}: cross-entropy alone against torch's functions, CPU time"
    return [*rows, *simple], [*reached, *(goal(words, row["cpu_ratio"][1], least=AGAINST_TORCH) for row in simple[1:])]


def main() -> None:
    """Measure, and write what was found."""
    parser = arguments(__doc__)
    parser.add_argument("--ways", nargs="+", choices=sorted({*WAYS, *WAYS_OF_A_GPU}), help="default: all that are there")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--case", choices=CASES | SMOKE, help=argparse.SUPPRESS)
    parser.add_argument("--peak", choices=WAYS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.device == "cuda":
        on_gpu(options)
        return
    if options.peak:
        print(peak_bytes((CASES | SMOKE)[options.case], options.peak, options.reference))
        return
    rows, reached = [], []
    for threads in (1,) if options.smoke else sorted({1, len(os.sched_getaffinity(0))}):
        torch.set_num_threads(threads)
        for name, case in (SMOKE if options.smoke else CASES).items():
            found, goals_of_case = on_cpu(name, case, options, main=threads == 1 and not options.smoke)
            rows += found
            reached += goals_of_case
    finish(result("loss", rows, reached), options)


if __name__ == "__main__":
    main()
