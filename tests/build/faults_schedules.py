"""What users get wrong in schedules, and what is said about each."""

from __future__ import annotations

from typing import Any

from tests.build.wrong import Wrong

STEP_LR = {"type": "torch.optim.lr_scheduler:StepLR", "step_size": 1}
ONE_CYCLE_LR = {"type": "torch.optim.lr_scheduler:OneCycleLR", "max_lr": 0.1, "total_steps": 2}
PLATEAU = {"type": "plateau", "patience": 1}
SGD = {"type": "sgd", "lr": 0.1, "momentum": 0.9}


def schedule(says: str, path: str, *parts: str, momentum: Any = None, steps: Any = 2, **own: Any) -> Wrong:
    """A fault of the schedule, with an optimizer that has momentum."""
    moved = {} if momentum is None else {"momentum": momentum}
    where = ".".join(each for each in ("schedule", path) if each)
    return Wrong(says, {"optim": SGD, "train.steps": steps, "schedule": {**own, **moved}}, where, parts)


SCHEDULES = [
    schedule(
        "a warm-up of the whole run", "warmup.length", "2 steps in a run of 2", "give less", type="poly", warmup={"length": 2}
    ),
    schedule(
        "a milestone after the end", "milestones", "step 9 is not in a run", "leave it out", type="step", milestones=[1, 9]
    ),
    schedule("a period after the end", "every", "4 of 2 steps", "never change", type="step", every={"epochs": 2}),
    schedule("periods that end early", "periods", "end after 1 of 2 steps", "give more", type="cosine_restarts", periods=[1]),
    schedule("a period too many", "periods", "the last one begins at step 2", type="cosine_restarts", periods=[1, 1, 4]),
    schedule("one period that is not over", "periods", "no restart", "use cosine", type="cosine_restarts", periods=5),
    schedule("a rise that is not over", "up", "4 of 2 steps", "never be reached", type="triangular", peak=2.0, up=4),
    schedule("cycles without steps", "cycles", "a step to rise", "fewer", type="cyclic", cycles=2),
    schedule("half a length", "every", "is no length", "got {'epochs': -1}", type="step", every={"epochs": -1}),
    schedule("both ways to fall", "milestones", "exactly one of", type="step", milestones=[1], every=1),
    schedule("phases and a type", "", "has phases, and type 'poly' besides", type="poly", phases={"a": {"type": "poly"}}),
    schedule("phases without a length", "", "'a' has no length", phases={"a": {"type": "poly"}, "b": {"type": "poly"}}),
    schedule(
        "a phase after the end",
        "phases.b",
        "begins at step 3 of 2",
        "shorten",
        phases={"a": {"type": "linear", "length": 3}, "b": {"type": "poly"}},
    ),
    schedule(
        "an argument of a phase",
        "phases.a.powr",
        "'poly' has no parameter",
        "mean 'power'",
        phases={"a": {"type": "poly", "powr": 2}},
    ),
    schedule("epochs in a run of one", "by_epoch", "not longer than one epoch", type="poly", by_epoch=True),
    schedule("a schedule that is a number", "", "gives float, expected a function", type="number"),
    schedule(
        "a scheduler's argument",
        "step_sise",
        "'torch.optim.lr_scheduler:StepLR' has no",
        "mean 'step_size'",
        **{**STEP_LR, "step_sise": 1},
    ),
    schedule("a scheduler that fails", "", "raised ZeroDivisionError", **{**STEP_LR, "step_size": 0}),
    schedule(
        "a scheduler that wants scores",
        "type",
        "needs a score",
        "built-in 'plateau'",
        type="torch.optim.lr_scheduler:ReduceLROnPlateau",
    ),
    schedule(
        "a scheduler that ends before the run",
        "",
        "Tried to step 3 times",
        "run over the whole training on an optimizer with one group",
        steps=4,
        **ONE_CYCLE_LR,
    ),
    schedule("a scheduler for momentum", "momentum.type", "sets rates", "one_cycle", type="poly", momentum=STEP_LR),
    schedule(
        "momentum moved twice", "momentum", "moves momentum too", "cycle_momentum", momentum={"type": "poly"}, **ONE_CYCLE_LR
    ),
    schedule("a phase that moves momentum", "phases.a", "which a phase cannot", phases={"a": ONE_CYCLE_LR}),
    schedule("steps for a function of epochs", "by_epoch", "takes an epoch", "set this to true", type="adjust"),
    schedule(
        "steps where epochs are counted",
        "step_size",
        "counts whole epochs",
        by_epoch=True,
        **{**STEP_LR, "step_size": {"steps": 2}},
    ),
    schedule(
        "a function that is not there", "function", "cannot import 'my_parts_'", type="lambda", function="my_parts_:halved"
    ),
    schedule(
        "a function for each group",
        "lr_lambda",
        "is a list; name one function",
        "lr_mult",
        type="torch.optim.lr_scheduler:LambdaLR",
        lr_lambda=["tests.build.small:halved"],
    ),
    schedule(
        "a line that does not say whereto",
        "phases.a.end",
        "not given, and start is 0.1",
        "say 1 to warm up",
        phases={"a": {"type": "linear", "start": 0.1, "length": 1}, "b": {"type": "poly"}},
    ),
    schedule("a plateau in a phase", "phases.a.type", "stands alone", phases={"a": PLATEAU}),
    schedule("a plateau of momentum", "momentum.type", "stands alone", type="poly", momentum=PLATEAU),
    schedule(
        "a plateau of no metric",
        "monitor",
        "no metric is called 'val/miou'",
        "mean 'val/mIoU'",
        **PLATEAU,
        monitor="val/miou",
        steps=8,
    ),
    schedule("a plateau the wrong way", "mode", "a larger val/loss is not better", **PLATEAU, monitor="val/loss", steps=8),
    schedule("a plateau that cannot fall", "patience", "only 2 evaluations", "eval.every", steps=3, **PLATEAU),
    schedule("a momentum that stays", "momentum", "nothing would change", type="poly", momentum={"type": "constant"}),
    schedule(
        "a momentum above 1",
        "momentum",
        "at step 0 of 2 it is 1.8",
        "must not exceed 1",
        type="poly",
        momentum={"type": "linear", "start": 2.0, "end": 1.0},
    ),
]
