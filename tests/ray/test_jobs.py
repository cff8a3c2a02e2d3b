"""``ray job submit`` against a real ``ray start --head`` with token authentication, as docs/cluster.md tells it.

The cluster has a home, ports and a temporary directory of its own, so that no other Ray is touched.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from rayseg.load import load_config

pytestmark = pytest.mark.ray

ROOT = Path(__file__).resolve().parents[2]
RAY = str(Path(sys.executable).parent / "ray")
TRIVIAL = "tests/ray/data/table.py"
EXPERIMENT = "experiments/ohem_sweep.py"
FINAL_TABLE = re.compile(r"^(rank|trial) +val/mIoU.*\n.*\d", re.MULTILINE)
START_S, JOB_S, EXPERIMENT_S = 120, 180, 1500


@dataclass(frozen=True)
class Head:
    """A running head node: what a user's terminal would have exported, and the home that it was started in."""

    environment: Mapping[str, str]
    home: Path

    def submit(
        self, *arguments: str, timeout_s: int = JOB_S, environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """``ray job submit ARGUMENTS`` from the root of the repository; stdout and stderr in one."""
        return _run(RAY, "job", "submit", *arguments, environment=environment or self.environment, timeout_s=timeout_s)


def _run(*command: str, environment: Mapping[str, str], timeout_s: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=ROOT,
        env=dict(environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout_s,
        check=False,
    )


def _free_ports(count: int) -> list[int]:
    """Distinct ports that nobody listens on; all are held until the last is chosen."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]


def _environment(home: Path, dashboard: int, **more: str) -> dict[str, str]:
    """The caller's environment without its Ray, with a home, a token mode and a dashboard of its own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "MLFLOW_"))}
    return kept | {
        "HOME": str(home),
        "PATH": f"{Path(RAY).parent}{os.pathsep}{os.environ['PATH']}",
        "RAY_AUTH_MODE": "token",
        "RAY_API_SERVER_ADDRESS": f"http://127.0.0.1:{dashboard}",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.2",
        **more,
    }


def _answers(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=5).close()
    except urllib.error.HTTPError:
        return True  # it is there, and asks for the token
    except OSError:
        return False
    return True


def _wait_until_up(head: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + START_S
    while not _answers(f"{url}/api/version"):
        if head.poll() is not None or time.monotonic() > deadline:
            pytest.fail(f"ray start did not bring up {url} within {START_S} s:\n{log.read_text()[-4000:]}")
        time.sleep(0.5)


def _end(process: subprocess.Popen[bytes], marks: str) -> None:
    """End a head, its descendants, and whatever of it has lost its parent (its command line names ``marks``)."""
    family = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
    process.terminate()
    psutil.wait_procs([*family, psutil.Process(process.pid)] if process.poll() is None else family, timeout=10)
    strays = [each for each in psutil.process_iter(["cmdline"]) if any(marks in word for word in each.info["cmdline"] or ())]
    for each in {*family, *strays}:
        try:
            each.kill()
        except psutil.NoSuchProcess:
            continue
    process.kill()
    process.wait(timeout=30)


@contextmanager
def _head(folder: Path, **more: str) -> Iterator[Head]:
    """A head of two CPUs, ended with everything that it started however the block ends."""
    home = folder / "home"
    home.mkdir()
    port, dashboard, agent, client = _free_ports(4)
    environment = _environment(home, dashboard, **more)
    made = _run(RAY, "get-auth-token", "--generate", environment=environment, timeout_s=START_S)
    assert made.returncode == 0, made.stdout
    command = [RAY, "start", "--head", "--block", "--num-cpus=2", "--num-gpus=0", f"--port={port}"]
    command += [f"--dashboard-port={dashboard}", f"--dashboard-agent-listen-port={agent}", f"--ray-client-server-port={client}"]
    command += [f"--temp-dir={folder / 'ray'}", "--node-ip-address=127.0.0.1", "--object-store-memory=200000000"]
    log = folder / "head.log"
    with log.open("wb") as output:
        started = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        _wait_until_up(started, environment["RAY_API_SERVER_ADDRESS"], log)
        yield Head(environment, home)
    finally:
        _end(started, str(folder))


@pytest.fixture(scope="module")
def head() -> Iterator[Head]:
    # Not tmp_path: the sockets of Ray lie below it, and the length of their path is limited to about 100 characters.
    folder = Path(tempfile.mkdtemp(prefix="rj", dir="/tmp"))
    try:
        with _head(folder, STORE=str(folder / "store")) as running:
            yield running
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _finished(job: subprocess.CompletedProcess[str]) -> str:
    assert job.returncode == 0, job.stdout
    assert FINAL_TABLE.search(job.stdout), job.stdout
    return job.stdout


@pytest.fixture(scope="module")
def uploaded(head: Head) -> str:
    """Output of a job that was submitted with the working directory and a variable of the cluster."""
    return _finished(head.submit("--working-dir", ".", "--", "sh", "-c", f"python {TRIVIAL} --storage $STORE"))


def test_a_job_runs_the_code_that_was_uploaded(uploaded: str) -> None:
    (cwd,) = re.findall(r"^cwd: (.*)$", uploaded, re.MULTILINE)
    assert str(ROOT) not in cwd
    assert re.findall(r"^package: (.*)$", uploaded, re.MULTILINE) == [cwd, cwd]


def test_a_variable_of_the_cluster_is_expanded_on_the_cluster(head: Head, uploaded: str) -> None:
    assert f"['--storage', '{head.home.parent / 'store'}']" in uploaded


def test_a_script_with_a_shebang_is_submitted_by_its_name_alone(head: Head) -> None:
    assert f"cwd: {ROOT}\n" in _finished(head.submit(TRIVIAL))


def test_a_job_gets_its_arguments_and_if_it_fails_so_does_the_command(head: Head) -> None:
    job = head.submit("--working-dir", ".", "--", "python", TRIVIAL, "--fail", "3")
    assert job.returncode == 1, job.stdout
    assert "['--fail', '3']" in job.stdout


def test_a_stranger_without_the_token_is_refused(head: Head, tmp_path: Path) -> None:
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").write_text("0" * 64)
    job = head.submit("--", "python", TRIVIAL, environment={**head.environment, "HOME": str(tmp_path)})
    assert job.returncode != 0, job.stdout
    assert "uthenticat" in job.stdout, job.stdout


def test_two_sweeps_run_as_jobs_at_once_and_share_nothing_but_the_store(head: Head, tmp_path: Path) -> None:
    from mlflow import MlflowClient

    forms = {"uploaded": ("--working-dir", ".", "--", "python", EXPERIMENT), "by-name": ("--", EXPERIMENT)}
    small = ("model.width=4", "data.dataset.length=8", "data.dataset.size=[32,64]", "train.batch_size=4")

    def submit(name: str) -> str:
        own = ("--smoke", "--num-samples", "2", "--storage", str(tmp_path), "--name", name, *small)
        return _finished(head.submit(*forms[name], *own, timeout_s=EXPERIMENT_S))

    with ThreadPoolExecutor() as pool:
        printed = dict(zip(forms, pool.map(submit, forms), strict=True))
    client = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    runs = client.search_runs([each.experiment_id for each in client.search_experiments()])
    for name, text in printed.items():
        best = tmp_path / name / "best.yaml"
        assert f"best recipe: {best}\n" in text
        (sweep,) = [run for run in runs if run.info.run_name == name]
        children = [run for run in runs if run.data.tags.get("mlflow.parentRunId") == sweep.info.run_id]
        trials = [path.name for path in (tmp_path / name).glob(f"{name}-*")]
        assert sorted(run.info.run_name for run in children) == sorted(trials)
        assert len(trials) == 3
        winner = f"{name}-{sweep.data.tags['rayseg.best']}"
        assert load_config(best).optim == load_config(tmp_path / name / winner / "config.yaml").optim
        assert next(run for run in runs if run.info.run_name == f"{name}-best").info.status == "FINISHED"
    assert {path.name for path in tmp_path.iterdir() if path.suffix == ".yaml"} == set()
