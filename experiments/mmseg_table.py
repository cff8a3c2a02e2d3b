#!/usr/bin/env python3
"""How many config files of MMSegmentation can be loaded, built and trained here? The table of docs/mmseg.md.

    python experiments/mmseg_table.py --smoke    one file of each family
    python experiments/mmseg_table.py --write    all of them; minutes; the record and the table in the docs are made anew

The files are those of the directories in RAYSEG_MMSEG_CONFIGS and of an installed mmsegmentation. Each is loaded as it is;
only the pretrained weights that it names and its data set are replaced: no weights, and noise of its number of classes. Then
model, losses, samplers, transforms, schedules and optimizer are built, and the loop of rayseg.engine makes one step, in the
middle of the run, with two crops of 64x64 px (Lite R-ASPP: 400x400), an eighth of whose labels are void. The last norms of
residual blocks start at zero, which would keep the rest of their block still in a first step: they are one half. The step
counts when the loss is finite and every parameter that can learn has moved. Files that differ only in their data, in lengths
and in how they are judged share one step.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # a job's own copy comes before an installed package

import numpy as np  # noqa: E402
import torch  # noqa: E402
from torch import Tensor, nn  # noqa: E402

import rayseg  # noqa: E402
from rayseg.build import assemble, torch_settings  # noqa: E402
from rayseg.compat.mmseg.places import config_trees  # noqa: E402
from rayseg.config import ExperimentConfig  # noqa: E402
from rayseg.engine import Fit, LocalReporter, fit  # noqa: E402
from rayseg.errors import ConfigError, RaysegError  # noqa: E402
from rayseg.types import Batch, Sample  # noqa: E402

FAMILIES = (
    "pspnet",
    "fcn",
    "unet",
    "deeplabv3",
    "deeplabv3plus",
    "stdc",
    "mobilenet_v2",
    "mobilenet_v3",
    "segformer",
    "upernet",
)
STAGES = ("load", "build", "step")
#: What may differ between files that share a step, beside the number of classes.
APART = ("checkpoint", "data", "eval", "schedule", "tracking")
RECORD = ROOT / "experiments" / "mmseg_table.json"
PAGE = ROOT / "docs" / "mmseg.md"
MARKS = ("<!-- made by experiments/mmseg_table.py -->\n", "<!-- end -->\n")
CROP_PX = 64
#: Heads that average windows of 49 px at a stride of 8.
LARGE_HEADS, LARGE_CROP_PX = {"LRASPPHead"}, 400


class Noise:
    """Two pictures of noise, of as many classes as a file wants."""

    palette = None

    def __init__(self, split: str, *, classes: int, side: int, ignore_index: int = 255) -> None:
        self.class_names = tuple(f"class {index}" for index in range(classes))
        self._split, self._shape, self._ignore_index = split, (side, side), ignore_index

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> Sample:
        rng = np.random.default_rng(index)
        image = rng.integers(0, 256, (*self._shape, 3), dtype=np.uint8)
        mask = rng.integers(0, len(self.class_names), self._shape, dtype=np.uint8)
        mask[rng.random(self._shape) < 1 / 8] = self._ignore_index
        return Sample(image, mask, f"{self._split}/{index}")

    def digest(self) -> str:
        """Of what the pictures are made of."""
        return f"noise of {len(self.class_names)} classes"


class Seen:
    """A hook that keeps the loss of the last step."""

    loss = math.nan

    def after_step(self, _run: Fit, parts: dict[str, Tensor]) -> None:
        """Keep it."""
        self.loss = float(parts["loss"])


def main() -> None:
    """Try every file, print the table, and write it where that is asked."""
    args = parse_arguments()
    torch.set_num_threads(1)
    trees = [Path(place) for place in args.configs] or config_trees(os.environ)
    if not trees:
        sys.exit("no config files: install mmsegmentation (pip install --no-deps), or name their directory with --configs")
    done: dict[str, tuple[int, str]] = {}
    record: dict[str, Any] = json.loads(RECORD.read_text(encoding="utf-8")) if args.families else {}
    for tree in trees:
        update(record, generation(tree), tried(tree, done, args.families or FAMILIES, one_each=args.smoke))
    print(table(record))
    if args.write:
        RECORD.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        before, _, rest = PAGE.read_text(encoding="utf-8").partition(MARKS[0])
        PAGE.write_text(before + MARKS[0] + table(record) + MARKS[1] + rest.partition(MARKS[1])[2], encoding="utf-8")


def generation(tree: Path) -> str:
    """Version of the package whose config files these are, or the name of the directory."""
    version = tree.parent.parent / "version.py"
    found = re.search(r"__version__ = '(.+)'", version.read_text(encoding="utf-8")) if version.is_file() else None
    return found[1] if found else tree.name


def update(record: dict[str, Any], name: str, found: dict[str, Any]) -> None:
    """Put families that were tried into the record, in the order of the table."""
    before = record.get(name, {"families": {}, "failures": {}})
    families = {**before["families"], **found["families"]}
    kept = {file: why for file, why in before["failures"].items() if file.partition("/")[0] not in found["families"]}
    order = [family for family in FAMILIES if family in families]
    record[name] = {
        "families": {family: families[family] for family in order},
        "failures": dict(sorted({**kept, **found["failures"]}.items())),
    }


def tried(tree: Path, done: dict[str, tuple[int, str]], families: Sequence[str], *, one_each: bool) -> dict[str, Any]:
    """Of every family how many files there are and how many come through each stage; and why the others do not.

    ``done`` grows: networks that were stepped, and how that went.
    """
    counts: dict[str, dict[str, int]] = {}
    failures: dict[str, str] = {}
    for family in families:
        files = sorted((tree / family).glob("*.py"))
        if one_each:
            files = ([file for file in files if "r18" in file.name] or files)[:1]
        before, started = len(done), time.process_time()
        outcomes = {file: attempt(file, done) for file in files}
        failures |= {f"{family}/{file.name}": reason for file, (_, reason) in outcomes.items() if reason}
        reached = [stage for stage, _ in outcomes.values()]
        stages = {name: sum(stage > index for stage in reached) for index, name in enumerate(STAGES)}
        counts[family] = {"files": len(files), **stages, "networks": len(done) - before}
        print(f"{generation(tree)} {family}: {counts[family]}, {time.process_time() - started:.0f} CPU s", flush=True)
    return {"families": counts, "failures": failures}


def attempt(file: Path, done: dict[str, tuple[int, str]]) -> tuple[int, str]:
    """How many stages a file comes through, and what stops it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # known traps of the files are not what is counted here
        try:
            config = noisy(rayseg.load_config(file, {"init": None}))
        except RaysegError as error:
            return 0, reason_of(error)
        key = network_of(config)
        if key not in done:
            done[key] = built_and_stepped(config)
        return done[key]


def reason_of(error: Exception) -> str:
    """Every fault, in one line."""
    faults = [str(problem) for problem in error.problems] if isinstance(error, ConfigError) else [str(error)]
    return " ".join("; ".join(faults).split())[:400]


def noisy(config: ExperimentConfig) -> ExperimentConfig:
    """The experiment on noise of its own number of classes, as small as its head allows."""
    head = config.model.kwargs["decode_head"]
    classes, side = head["num_classes"], LARGE_CROP_PX if head["type"] in LARGE_HEADS else CROP_PX
    ignored = {} if config.data.ignore_index >= classes else {"data.ignore_index": 255}
    return config.with_({"data.dataset": {"type": "noise", "classes": classes, "side": side}, "data.num_workers": 0, **ignored})


def network_of(config: ExperimentConfig) -> str:
    """What files that share a step have in common."""
    tree = {key: value for key, value in config.to_dict().items() if key not in APART}
    tree["train"] = {**tree["train"], "steps": None, "epochs": None, "batch_size": None}
    return re.sub(r'"num_classes": \d+', "", json.dumps(tree, sort_keys=True))


def built_and_stepped(config: ExperimentConfig) -> tuple[int, str]:
    """Build the experiment and make one step of it."""
    with torch_settings(config), tempfile.TemporaryDirectory() as folder:
        try:
            run = assemble(config, LocalReporter(Path(folder)), {"noise": Noise}).fit
        except (RaysegError, ValueError, RuntimeError) as error:
            return 1, reason_of(error)
        try:
            return step(run, Noise("train", **config.data.dataset.kwargs))
        except (RaysegError, ValueError, RuntimeError) as error:
            return 2, reason_of(error)


def step(run: Fit, noise: Noise) -> tuple[int, str]:
    """One step in the middle of the run, where no warm-up holds it back; nothing is logged, judged or saved there."""
    seen, batch = Seen(), batch_of(noise)
    run.state.hooks, run.state.step = {"seen": seen}, run.plan.total_steps // 2
    run.batches = lambda _first, _last: only(batch)
    run.plan = replace(run.plan, eval_every=run.plan.total_steps, checkpoint_every=None, log_every=run.plan.total_steps)
    awaken(run.state.model)
    before = {name: value.detach().clone() for name, value in run.state.model.named_parameters() if value.requires_grad}
    fit(run)
    if not math.isfinite(seen.loss):
        return 2, f"the loss is {seen.loss}"
    after = dict(run.state.model.named_parameters())
    still = [name for name, value in before.items() if torch.equal(value, after[name])]
    return (2, f"{len(still)} of {len(before)} parameters did not move: {', '.join(still[:4])}") if still else (3, "")


def awaken(model: nn.Module) -> None:
    """What starts at zero, such as the last norm of a residual block, hides what lies below it from the first gradient."""
    for name, value in model.named_parameters():
        if name.endswith(".weight") and not value.any():
            nn.init.constant_(value, 0.5)


def only(batch: Batch) -> Iterator[Sequence[Batch]]:
    """The micro-batches of one step."""
    yield [batch]


def batch_of(noise: Noise) -> Batch:
    """Both pictures, ``(2, 3, H, W)``, of mean 0 and standard deviation 1."""
    samples = [noise[index] for index in range(len(noise))]
    images = torch.stack([torch.from_numpy(sample.image) for sample in samples]).permute(0, 3, 1, 2).float()
    masks = torch.stack([torch.from_numpy(sample.mask) for sample in samples]).long()
    return Batch((images - 127.5) / 73.9, masks, torch.arange(len(samples)))


def table(record: dict[str, Any]) -> str:
    """The record as Markdown: files, and how many come through each stage, by family and generation; then what does not."""
    names = list(record)
    lines = ["| family | " + " | ".join(f"{name}: files | load | build | step" for name in names) + " |"]
    lines.append("| --- " * (1 + 4 * len(names)) + "|")
    for family in (*FAMILIES, "all"):
        cells = [str(count(record[name], family, column)) for name in names for column in ("files", *STAGES)]
        lines.append(f"| {family} | " + " | ".join(cells) + " |")
    failures = [f"- {name}: {line}" for name in names for line in grouped(record[name]["failures"])]
    return "\n".join([*lines, *(["", *failures] if failures else []), ""])


def grouped(failures: dict[str, str]) -> Iterator[str]:
    """A line for each reason, with the files that it stops."""
    for reason in dict.fromkeys(failures.values()):
        files = [f"`{file}`" for file, other in failures.items() if other == reason]
        more = f" and {len(files) - 3} more" if len(files) > 3 else ""
        yield f"{', '.join(files[:3])}{more}: {reason}"


def count(record: dict[str, Any], family: str, column: str) -> int:
    """Of one family, or of all."""
    rows = record["families"]
    return int(sum(row[column] for row in rows.values()) if family == "all" else rows[family][column])


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--configs", nargs="+", default=[], metavar="DIR", help="trees of config files, instead of those found")
    parser.add_argument("--families", nargs="+", choices=FAMILIES, default=[], help="these alone; the record keeps the others")
    parser.add_argument("--write", action="store_true", help="write the record, and the table into docs/mmseg.md")
    parser.add_argument("--smoke", action="store_true", help="one file of each family, with a ResNet-18 if there is one")
    args = parser.parse_args()
    if args.smoke and args.write:
        parser.error("--smoke tries a few files only, which is no table for the docs")
    return args


if __name__ == "__main__":
    main()
