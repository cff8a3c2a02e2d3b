"""What every test may ask for."""

from __future__ import annotations

import gc
import itertools
import logging
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings

for _variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")

# Compiled once for all tests, and in processes that they start.
os.environ.setdefault("RAYSEG_KERNELS", str(Path(__file__).resolve().parent.parent / ".rayseg_cache" / "kernels"))

# Property tests are the same on every machine, and a busy one does not fail them.
settings.register_profile(
    "rayseg",
    max_examples=30,
    deadline=None,
    derandomize=True,
    database=None,
    phases=(Phase.explicit, Phase.generate, Phase.shrink),
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("rayseg")

ROOT = Path(__file__).resolve().parent.parent


def _shared() -> Path:
    return Path(os.environ.get("RAYSEG_SHARED", str(ROOT.parent / "shared"))).resolve()


def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


def pytest_configure(config: pytest.Config) -> None:
    """Triton looks at its environment once, when it is imported; only its own tier wants the interpreter."""
    if config.getoption("markexpr").startswith("triton"):
        os.environ["TRITON_INTERPRET"] = "1"
    gc.disable()


def pytest_collection_finish() -> None:
    """What has been imported is no garbage, and is not looked through for it."""
    gc.freeze()
    gc.enable()


def pytest_unconfigure() -> None:
    """At the end it is garbage: libraries complain of what is left."""
    gc.unfreeze()


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out modules that can have no test of the tier: importing what they import takes seconds, in every tier.

    ``-m`` of the default tier is ``not (ray or ...)``, that of another ``ray`` or ``ray and ...``; see ``tests/tiers.py``.
    """
    asked = config.getoption("markexpr").strip()
    others, tier = re.fullmatch(r"not \(([\w ]+)\)", asked), re.match(r"(?!not\b)(\w+)(?= and |$)", asked)
    if not collection_path.name.startswith("test_") or not (others or tier):
        return None
    text = collection_path.read_text(encoding="utf-8")
    if others:
        marked = re.search(rf"^pytestmark = \[?pytest\.mark\.({others[1].replace(' or ', '|')})\b", text, re.MULTILINE)
        return marked is not None or None
    return re.search(rf"\bmark\.{tier[1]}\b", text) is None or None  # type: ignore[index]


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip, with a reason, what this machine cannot run."""
    if item.get_closest_marker("shared") and not (_shared() / "data").is_dir():
        pytest.skip(f"no data sets in {_shared() / 'data'}; set RAYSEG_SHARED to the directory that holds data/")
    if item.get_closest_marker("gpu") and not _has_gpu():
        pytest.skip("no CUDA device")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The directory of the real data sets; mark such a test ``shared``."""
    data = _shared() / "data"
    if not data.is_dir():
        pytest.skip(f"no data sets in {data}; set RAYSEG_SHARED to the directory that holds data/")
    return data


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Sums do not depend on the machine's number of cores."""
    import torch

    torch.set_num_threads(1)


_numbers = itertools.count()


@pytest.fixture
def tmp_path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As pytest's, without the search for a free number and the link to the newest: they took as long as most tests."""
    name = re.sub(r"\W", "_", request.node.name)[:30]
    return tmp_path_factory.mktemp(f"{name}-{next(_numbers)}", numbered=False)


@pytest.fixture
def logged() -> Iterator[list[str]]:
    """What rayseg warns of during the test."""
    told: list[str] = []
    logger, handler = logging.getLogger("rayseg"), logging.Handler(logging.WARNING)
    handler.emit = lambda record: told.append(record.getMessage())  # type: ignore[method-assign]
    logger.addHandler(handler)
    yield told
    logger.removeHandler(handler)


@pytest.fixture(scope="session")
def ray_cpus() -> int:
    """Logical CPUs of the cluster: two groups of two workers, or a worker more than most machines here have cores."""
    return 4


@pytest.fixture(scope="session")
def ray_cluster(ray_cpus: int) -> Iterator[None]:
    """A local Ray cluster, started when first asked for; mark such a test ``ray``."""
    import ray

    os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.2")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    own = {"address": "local", "num_cpus": ray_cpus, "num_gpus": 0}  # not one that somebody else has on this machine
    ray.init(**own, include_dashboard=False, log_to_driver=False, ignore_reinit_error=True)
    yield
    ray.shutdown()
