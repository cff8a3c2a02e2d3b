"""What ``torch.compile`` costs at the start of a run, and what is left of it when the same was compiled before.

The first two steps of LR-ASPP in a new process each: as it is (``eager``), compiled into an empty directory (``cold``), and
compiled where that is full (``warm``), as for the next trial of a search. Imports are not counted. Losses must agree:

    python experiments/benchmarks/compiling.py --out experiments/benchmarks/results/compiling.json
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from measuring import Row, Taken, arguments, finish, result, rows_of

from rayseg.build import assemble, torch_settings
from rayseg.engine import LocalReporter, eager_reasons, train_step, wrap
from rayseg.testing import tiny_experiment

LRASPP, SMALL = "torchvision_lraspp_mobilenet_v3_large", "small_unet"
TOLERANCE = 1e-3


def first_steps(model: str, compiled: bool) -> dict[str, object]:
    """Seconds and losses of two steps."""
    config = tiny_experiment(model={"type": model}, **{"train.speed.compile": compiled, "train.threads": 1})
    with torch_settings(config), tempfile.TemporaryDirectory() as folder:
        run = assemble(config, LocalReporter(Path(folder) / "run")).fit
        (batches,) = run.batches(0, 1)
        began = time.process_time(), time.perf_counter()
        wrapped = wrap(run.state.model, batches[0], seed=0, compiled=compiled)
        found = [train_step(run, wrapped, batches)["loss"].item() for _ in range(2)]
        children = os.times()
        cpu_s = time.process_time() - began[0] + children.children_user + children.children_system
    hits = torch._dynamo.utils.counters["inductor"] if compiled else {}  # noqa: SLF001  torch's own
    return {
        "cpu_s": cpu_s,
        "wall_s": time.perf_counter() - began[1],
        "losses": found,
        "cache_hits": hits.get("fxgraph_cache_hit", 0),
        "cache_misses": hits.get("fxgraph_cache_miss", 0),
        "eager": eager_reasons(),
    }


def asked(model: str, way: str, cache: str) -> dict[str, object]:
    """The same of a process of its own."""
    command = [sys.executable, __file__, "--child", way, "--model", model]
    environment = {**os.environ, "RAYSEG_CACHE": cache}
    environment.pop("TORCHINDUCTOR_CACHE_DIR", None)
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    found: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return found


def rows(model: str, rounds: int) -> list[Row]:
    """A row for each way, ratios to the cold one."""
    taken = {way: Taken() for way in ("cold", "warm", "eager")}
    known: dict[str, Row] = {}
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as cache:
            found = {way: asked(model, way, cache) for way in taken}
        assert found["warm"]["cache_misses"] == 0, f"compiled twice: {found}"
        assert not found["cold"]["eager"], found["cold"]["eager"]
        for way, each in found.items():
            torch.testing.assert_close(each["losses"], found["eager"]["losses"], rtol=TOLERANCE, atol=0)
            taken[way].cpu_s.append(each["cpu_s"])  # type: ignore[arg-type]
            taken[way].wall_s.append(each["wall_s"])  # type: ignore[arg-type]
            known[way] = {"graphs_from_disk": each["cache_hits"], "graphs_compiled": each["cache_misses"]}
    return rows_of(f"two steps, {model}", taken, known)


def main() -> None:
    """Measure; the least rounds that show a spread."""
    parser = arguments(__doc__)
    parser.add_argument("--child", choices=("cold", "warm", "eager"))
    parser.add_argument("--model", default=LRASPP)
    parser.set_defaults(rounds=2)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.child:
        print(json.dumps(first_steps(options.model, options.child != "eager")))
        return
    found = rows(SMALL, 1) if options.smoke else rows(options.model, options.rounds)
    finish(result("compiling", found), options)


if __name__ == "__main__":
    main()
