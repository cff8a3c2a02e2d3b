"""What a training step costs on a GPU: DeepLabV3-R50 at 512 x 1024 px beside torchvision's own reference for training it.

The step of the reference (``references/segmentation/train.py``): logits at full size, cross-entropy and half of the auxiliary
head's, SGD with ten times the rate there, a polynomial schedule, and the loss read by the host in every step; float32, or
fp16 with ``--amp``. rayseg's is that of its loop with what it keeps of every step, and nothing is read. Its ways add up:
``bf16`` with channels last and the fused optimizer, then ``compiled``; ``graph`` is ``bf16`` as a CUDA graph, whose rate is
that of one step, so no run can ask for it. What the ways lose in their first steps must agree, and a step of rayseg is made
with waiting for the GPU being an error.

``flops`` are those of convolutions and products of matrices, ``floor`` what they take at the rate of a large product in
bfloat16 in the same run, ``floors`` how many times as long a way takes; ``moved`` the bytes of all that operations read and
write, and ``moved_floor`` what these take at the bandwidth of a large copy:

    python experiments/benchmarks/step_cuda.py --out experiments/benchmarks/results/step_cuda.json --png step_cuda.png

Without a card ``--smoke`` runs a small network on the CPU, where nothing is compiled and a graph is the step itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from blocks import VOID, batch
from card import bytes_per_ms, captured, counted_bytes, flops_per_ms, peak_bytes, rows_of_turns, turns_on
from measuring import Row, arguments, finish, goal, result, spread
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from rayseg.engine import Fit, LocalReporter, Plan, TrainState, train_step, wrap
from rayseg.engine.guard import FiniteGuard
from rayseg.kernels import Triton, why_no_triton
from rayseg.losses import cross_entropy
from rayseg.mix import Head, Mix, Term, fused
from rayseg.models import prepare, torchvision_deeplabv3_mobilenet_v3_large, torchvision_deeplabv3_resnet50
from rayseg.types import Batch

#: Images, classes, height, width; the network; steps of a measurement.
CASE, NETWORK, STEPS = (8, 19, 512, 1024), "deeplabv3_resnet50", 10
SMOKE, SMALL = (2, 3, 32, 32), "deeplabv3_mobilenet_v3_large"
OURS = {"deeplabv3_resnet50": torchvision_deeplabv3_resnet50, SMALL: torchvision_deeplabv3_mobilenet_v3_large}
WAYS = ("torchvision", "torchvision, amp", "rayseg", "rayseg, bf16", "rayseg, compiled", "rayseg, graph")
#: How far the losses of the first steps may be from those of the first way; of low precision, of the first.
FIRST, EXACT = 4, {"torchvision": 0.0, "rayseg": 2e-3}
LOW_PRECISION = 2e-2
LEAST = {"torchvision": 3.0, "torchvision, amp": 1.3}
AUXILIARY, RATE, TOTAL = 0.5, 0.01, 40_000

Step = Callable[[], Tensor | float]


def data(case: tuple[int, ...], device: torch.device) -> Batch:
    """Noise, blocks of labels, and the numbers of the samples."""
    images = torch.randn(case[0], 3, *case[2:], generator=torch.Generator().manual_seed(1))
    return Batch(images.to(device), batch((*case, 8))[1].to(device), torch.arange(case[0], device=device))


def groups(backbone: nn.Module, head: nn.Module, auxiliary: nn.Module) -> list[dict[str, Any]]:
    """The reference's."""
    parts = [{"params": [*each.parameters()], "lr": RATE} for each in (backbone, head)]
    return [*parts, {"params": [*auxiliary.parameters()], "lr": 10 * RATE}]


def sgd(parameters: list[dict[str, Any]], **more: Any) -> torch.optim.Optimizer:
    """The reference's."""
    return torch.optim.SGD(parameters, lr=RATE, momentum=0.9, weight_decay=1e-4, **more)


def polynomial(step: int, total_steps: int) -> float:
    """The reference's schedule."""
    return (1 - step / total_steps) ** 0.9


class Reference:
    """torchvision's ``train_one_epoch``, a step of it."""

    def __init__(self, network: str, case: tuple[int, ...], device: torch.device, *, amp: bool) -> None:
        torch.manual_seed(0)
        build = getattr(import_module("torchvision.models.segmentation"), network)
        self.model = build(weights=None, weights_backbone=None, num_classes=case[1], aux_loss=True).to(device).train()
        self.optimizer = sgd(groups(self.model.backbone, self.model.classifier, self.model.aux_classifier))
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimizer, lambda step: polynomial(step, TOTAL))
        self.batch, self.device = data(case, device), device
        self.scaler = torch.amp.GradScaler(device.type) if amp else None

    def __call__(self) -> float:
        """Its loss, read by the host."""
        half = torch.float16 if self.device.type == "cuda" else torch.bfloat16
        with nullcontext() if self.scaler is None else torch.autocast(self.device.type, half):
            output = self.model(self.batch.images)
            losses = {name: F.cross_entropy(z, self.batch.masks, ignore_index=VOID) for name, z in output.items()}
            loss = losses["out"] + AUXILIARY * losses["aux"]
        self.optimizer.zero_grad()
        if self.scaler is None:
            loss.backward()
            self.optimizer.step()
        else:
            self.scaler.scale(loss).backward()
            self.scaler.step(self.optimizer)
            self.scaler.update()
        self.schedule.step()
        return loss.item()


class Ours:
    """A step of ``rayseg.engine.fit`` and what it keeps of every step."""

    def __init__(
        self, network: str, case: tuple[int, ...], device: torch.device, *, fast: bool = False, compiled: bool = False
    ) -> None:
        torch.manual_seed(0)
        model = prepare(OURS[network](case[1], aux=True), norm="sync").to(device)
        model = model.to(memory_format=torch.channels_last) if fast else model
        optimizer = sgd(groups(model.backbone, model.decode_head, model.auxiliary_head), fused=True if fast else None)  # type: ignore[arg-type]
        plan = Plan(total_steps=TOTAL, eval_every=TOTAL, precision="bf16" if fast else "fp32")
        heads = {"main": Head({"ce": Term(cross_entropy)}), "auxiliary": Head({"ce": Term(cross_entropy)}, weight=AUXILIARY)}
        if why_no_triton(device) is None:
            heads = {name: fused(head, Triton()) for name, head in heads.items()}
        self.batches = [data(case, device)]
        state = TrainState(model, optimizer)
        self.fit = Fit(state, plan, Mix(heads), lambda *_: iter(()), lambda _: {}, LocalReporter(Path("unused")), polynomial)
        self.model, self.guard, self.device = wrap(model, self.batches[0], seed=0, compiled=compiled), FiniteGuard(), device
        self.train = lambda: train_step(self.fit, self.model, self.batches)

    def __call__(self) -> Tensor:
        """Its loss, which nobody waits for."""
        parts = self.train()
        self.guard.observe(self.fit.state.step, parts)
        self.fit.state.meter.add(parts)
        self.fit.state.step += 1
        return parts["loss"]

    def as_graph(self) -> None:
        """From now on the step is a CUDA graph, at the rate that it had."""
        kept: list[dict[str, Tensor]] = []
        replay = captured(lambda: kept.append(train_step(self.fit, self.model, self.batches)))
        self.train = lambda: (replay(), kept[-1])[1]

    @contextmanager
    def without_waiting(self) -> Iterator[None]:
        """Waiting for the GPU is an error inside."""
        if self.device.type == "cuda":
            torch.cuda.set_sync_debug_mode("error")
        try:
            yield
        finally:
            if self.device.type == "cuda":
                torch.cuda.set_sync_debug_mode("default")


def make(way: str, network: str, case: tuple[int, ...], device: torch.device) -> Reference | Ours:
    """One of WAYS."""
    if way.startswith("torchvision"):
        return Reference(network, case, device, amp=way.endswith("amp"))
    return Ours(network, case, device, fast=way != "rayseg", compiled=way.endswith("compiled"))


@contextmanager
def exactly(model: nn.Module) -> Iterator[None]:
    """No dropout, which draws elsewhere here than there, and no TF32."""
    drops = [(each, each.p) for each in model.modules() if isinstance(getattr(each, "p", None), float)]
    allowed = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    try:
        for each, _ in drops:
            each.p = 0.0  # type: ignore[assignment]
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = allowed
        for each, p in drops:
            each.p = p  # type: ignore[assignment]


def agreeing(ways: list[str], network: str, case: tuple[int, ...], device: torch.device) -> None:
    """The first losses of every way are those of the first, and a graph's that of its step; no step of rayseg waits."""
    expected: list[float] = []
    for way in ways:
        step = make(way, network, case, device)
        with exactly(step.model):
            found = [float(step()) for _ in range(FIRST)]
            if isinstance(step, Ours):
                with step.without_waiting():
                    step()
            if way.endswith("graph"):
                replays_as_it_was(step)  # type: ignore[arg-type]
        expected = expected or found
        few = slice(None, None if way in EXACT else 1)
        tolerance = EXACT.get(way, LOW_PRECISION)
        torch.testing.assert_close(found[few], expected[few], rtol=tolerance, atol=0, msg=f"{way}: {found}, {expected}")


def replays_as_it_was(step: Ours) -> None:
    """The graph's loss is that of the step, at the same weights."""
    step.as_graph()
    weights = [each.detach().clone() for each in step.model.parameters()]
    replayed = float(step())
    with torch.no_grad():
        for each, kept in zip(step.model.parameters(), weights, strict=True):
            each.copy_(kept)
    plain = float(train_step(step.fit, step.model, step.batches)["loss"])
    torch.testing.assert_close(replayed, plain, rtol=EXACT["rayseg"], atol=0)


def rows(ways: list[str], network: str, case: tuple[int, ...], device: torch.device, rounds: int, steps: int) -> list[Row]:
    """A row for each way, ratios to the first; all take turns."""
    made, known = {}, dict[str, Row]()
    for way in ways:
        began = time.perf_counter()
        made[way] = step = make(way, network, case, device)
        step()
        float(step())
        known[way] = {"start_s": time.perf_counter() - began, "peak_bytes": peak_bytes(step, device)}
        if way.endswith("graph"):
            step.as_graph()  # type: ignore[union-attr]
        elif not way.endswith("compiled"):
            known[way]["moved_bytes"] = counted_bytes(step)
    many = {way: lambda step=step: [step() for _ in range(steps)] for way, step in made.items()}  # type: ignore[misc]
    taken = {way: [ms / steps for ms in each] for way, each in turns_on(device, many, rounds).items()}
    with FlopCounterMode(display=False) as counter:
        made[ways[0]]()
    flops, per_ms = counter.get_total_flops(), bytes_per_ms(device)
    for way, each in taken.items():
        known[way] |= {"images_per_second": case[0] / spread(each)[1] * 1e3, "gflops": flops / 1e9}
        if "moved_bytes" in known[way]:
            known[way]["moved_floor_ms"] = known[way]["moved_bytes"] / per_ms
    return rows_of_turns(f"{case[0]}x{case[2]}x{case[3]}", taken, known, flops / flops_per_ms(device))


def goals(found: list[Row]) -> list[dict[str, Any]]:
    """Of the fastest way that a run can ask for."""
    taken = {row["way"]: row["gpu_ms"] for row in found}
    ours = [ms for way, ms in taken.items() if way.startswith("rayseg") and not way.endswith("graph")]
    words = "step on a GPU, DeepLabV3-R50: rayseg's fastest against"
    return [goal(f"{words} {peer}", taken[peer] / min(ours), least=least) for peer, least in LEAST.items() if peer in taken]


def main() -> None:
    """Measure, and write what was found."""
    parser = arguments(__doc__)
    parser.add_argument("--ways", nargs="+", choices=WAYS, help="default: all; the first is what others are compared with")
    parser.add_argument("--batch", type=int, default=CASE[0], help="images in a step")
    options = parser.parse_args()
    if not torch.cuda.is_available() and not options.smoke:
        raise SystemExit("no CUDA device; --smoke runs a small network on the CPU")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.backends.cudnn.benchmark = True  # as the reference has it, and a run with train.deterministic off
    ways = options.ways or [way for way in WAYS if not (options.smoke and way.endswith("compiled"))]
    case, network = (SMOKE, SMALL) if options.smoke else ((options.batch, *CASE[1:]), NETWORK)
    agreeing(ways, network, case, device)
    found = rows(ways, network, case, device, 1 if options.smoke else options.rounds, 1 if options.smoke else STEPS)
    reached = goals(found) if device.type == "cuda" and not options.smoke else []
    finish(result("step_cuda", found, reached, device.type), options, what=("gpu_ratio", "peak_ratio"))


if __name__ == "__main__":
    main()
