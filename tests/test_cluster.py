"""cluster.yaml and the Kubernetes manifests, as far as they can be checked without a cloud.

Nothing is launched. Ray's own checks see the shape; the rest of this file sees that the pieces fit the repository.
"""

from __future__ import annotations

import copy
import json
import os
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
CLUSTER = ROOT / "cluster.yaml"
PAGE = ROOT / "docs" / "cluster.md"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PINS = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line)
COMMANDS = (
    "setup_commands",
    "head_setup_commands",
    "worker_setup_commands",
    "head_start_ray_commands",
    "worker_start_ray_commands",
)
#: Mounted files that are not in the repository, and the documented command that makes them.
MADE = {"~/.ray/auth_token": "ray get-auth-token --generate"}


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("."))


def _bound(name: str) -> str:
    """The lower bound that pyproject.toml sets for a dependency."""
    (found,) = (match[1] for each in PROJECT["dependencies"] if (match := re.match(rf"{name}(?:\[.*\])?>=([\d.]+)", each)))
    return found


@pytest.fixture
def cluster() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(CLUSTER.read_text())
    return loaded


def _check(config: dict[str, Any]) -> dict[str, Any]:
    """What ``ray up`` does with a file before it talks to the cloud: fill in, then validate."""
    from ray.autoscaler._private.util import prepare_config, validate_config

    prepared: dict[str, Any] = prepare_config(copy.deepcopy(config))
    validate_config(prepared)
    return prepared


def _commands(config: dict[str, Any]) -> list[str]:
    return [command for key in COMMANDS for command in config[key]]


def test_ray_accepts_the_file(cluster: dict[str, Any]) -> None:
    prepared = _check(cluster)
    assert prepared["available_node_types"]["head"]["max_workers"] == 0
    assert prepared["head_setup_commands"][: len(cluster["setup_commands"])] == cluster["setup_commands"]


@pytest.mark.parametrize(("key", "wrong"), [("head_node_type", "head_node_typ"), ("file_mounts", "files_mounts")])
def test_ray_refuses_a_misspelt_key(cluster: dict[str, Any], key: str, wrong: str) -> None:
    cluster[wrong] = cluster.pop(key)
    with pytest.raises((jsonschema.ValidationError, ValueError), match=wrong):
        _check(cluster)


def test_ray_accepts_the_file_for_machines_of_ones_own_that_the_page_shows() -> None:
    (block,) = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    prepared = _check(yaml.safe_load(block))
    assert prepared["available_node_types"]["local.cluster.node"]["min_workers"] == 2


def test_ray_refuses_a_misspelt_key_of_a_node_type(cluster: dict[str, Any]) -> None:
    cluster["available_node_types"]["gpu"]["minworkers"] = 0
    with pytest.raises(jsonschema.ValidationError, match="minworkers"):
        _check(cluster)


def test_every_mounted_file_is_in_the_repository_or_made_by_a_documented_command(cluster: dict[str, Any]) -> None:
    for local in cluster["file_mounts"].values():
        if local in MADE:
            assert MADE[local] in CLUSTER.read_text()
            assert MADE[local] in PAGE.read_text()
        else:
            assert (ROOT / local).is_file(), local


def test_the_head_has_no_gpu_and_the_workers_go_down_to_none(cluster: dict[str, Any]) -> None:
    types = cluster["available_node_types"]
    assert cluster["head_node_type"] == "head"
    assert not types["head"]["node_config"]["InstanceType"].startswith(("g", "p"))
    assert types["gpu"]["min_workers"] == 0 < types["gpu"]["max_workers"] <= cluster["max_workers"]


def test_every_command_is_bash(cluster: dict[str, Any]) -> None:
    for command in _commands(cluster):
        shell = subprocess.run(["bash", "-n", "-c", f"export X=1 && ({command})"], capture_output=True, text=True, check=False)
        assert shell.returncode == 0, f"{command}\n{shell.stderr}"


def test_a_server_in_the_background_does_not_hold_the_connection(cluster: dict[str, Any], tmp_path: Path) -> None:
    """The launcher waits for the end of what a command writes: so a server must write elsewhere."""
    (start,) = (each for each in cluster["head_start_ray_commands"] if "mlflow server" in each)
    for name, script in {"curl": "exit 7", "mlflow": 'echo "$@"; exec sleep 60'}.items():
        (tmp_path / name).write_text(f"#!/bin/sh\necho $$ >> {tmp_path}/{name}.pid\n{script}\n")
        (tmp_path / name).chmod(0o755)
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "HOME": str(tmp_path), "RAYSEG_BUCKET": "s3://bucket"}
    try:
        done = subprocess.run(
            ["bash", "-c", f"({start})"], env=environment, capture_output=True, text=True, timeout=20, check=False
        )
        assert (done.returncode, done.stdout) == (0, ""), done.stderr
        log = tmp_path / "rayseg/mlflow/server.log"
        subprocess.run(["bash", "-c", f"until grep -q sqlite {log}; do sleep 0.05; done"], timeout=20, check=True)
        assert f"sqlite:///{tmp_path}/rayseg/mlflow/mlflow.db --artifacts-destination s3://bucket/mlflow" in log.read_text()
    finally:
        if (tmp_path / "mlflow.pid").exists():
            subprocess.run(["kill", "-9", *(tmp_path / "mlflow.pid").read_text().split()], check=False)


def test_every_node_has_the_token_mode_and_the_address_of_mlflow(cluster: dict[str, Any]) -> None:
    assert any("RAY_AUTH_MODE=token" in command for command in cluster["setup_commands"])
    for key in ("head_start_ray_commands", "worker_start_ray_commands"):
        (start,) = (command for command in cluster[key] if "ray start" in command)
        assert "MLFLOW_TRACKING_URI=" in start


def test_the_region_is_said_twice_and_is_the_same(cluster: dict[str, Any]) -> None:
    said = re.findall(r"AWS_DEFAULT_REGION=(\S+)", "\n".join(_commands(cluster)))
    assert said == [cluster["provider"]["region"]]


def test_the_versions_are_those_of_the_project(cluster: dict[str, Any]) -> None:
    commands = "\n".join(_commands(cluster))
    (python,) = re.findall(r"uv venv --python ([\d.]+)", commands)
    assert _version(python) >= _version(PROJECT["requires-python"].removeprefix(">="))
    assert "-r ~/rayseg/pyproject.toml -c ~/rayseg/constraints.txt" in commands
    assert _version(PINS["ray"]) >= _version(_bound("ray"))


@pytest.mark.parametrize("path", ["cluster.yaml", "docs/cluster.md", "docs/kuberay.yaml", "docs/kuberay-job.yaml"])
def test_a_ray_version_that_is_written_out_is_the_pinned_one(path: str) -> None:
    text = (ROOT / path).read_text()
    said = re.findall(r"ray(?:\[default\])?==([\d.]+\d)|rayproject/ray:([\d.]+\d)|rayVersion: ['\"]?([\d.]+\d)", text)
    assert {version for each in said for version in each if version} <= {PINS["ray"]}


def _manifests() -> dict[str, dict[str, Any]]:
    files = [ROOT / "docs" / name for name in ("kuberay.yaml", "kuberay-job.yaml")]
    return {each["kind"]: each for file in files for each in yaml.safe_load_all(file.read_text())}


def test_the_kubernetes_cluster_authenticates_with_tokens_in_a_version_that_can() -> None:
    spec = _manifests()["RayCluster"]["spec"]
    assert spec["authOptions"] == {"mode": "token"}
    assert _version(spec["rayVersion"]) >= (2, 52, 0)


def test_the_kubernetes_pieces_refer_to_each_other() -> None:
    manifests = _manifests()
    assert set(manifests) == {"PersistentVolumeClaim", "StatefulSet", "Service", "RayCluster", "RayJob"}
    own = {each["metadata"]["name"] for each in manifests["StatefulSet"]["spec"]["volumeClaimTemplates"]}
    spec = manifests["RayCluster"]["spec"]
    assert manifests["RayJob"]["spec"]["clusterSelector"] == {"ray.io/cluster": manifests["RayCluster"]["metadata"]["name"]}
    assert (
        manifests["Service"]["spec"]["selector"].items()
        <= manifests["StatefulSet"]["spec"]["template"]["metadata"]["labels"].items()
    )
    pods = [manifests["StatefulSet"]["spec"]["template"], spec["headGroupSpec"]["template"]]
    pods += [group["template"] for group in spec["workerGroupSpecs"]]
    for pod in (each["spec"] for each in pods):
        claims = {
            volume["persistentVolumeClaim"]["claimName"] for volume in pod["volumes"] if "persistentVolumeClaim" in volume
        }
        assert claims == {manifests["PersistentVolumeClaim"]["metadata"]["name"]}
        for container in pod["containers"]:
            assert {mount["name"] for mount in container["volumeMounts"]} <= {volume["name"] for volume in pod["volumes"]} | own


def test_the_kubernetes_nodes_know_the_address_of_mlflow() -> None:
    manifests = _manifests()
    name, port = manifests["Service"]["metadata"]["name"], manifests["Service"]["spec"]["ports"][0]["port"]
    spec = manifests["RayCluster"]["spec"]
    for template in [spec["headGroupSpec"]["template"], *(group["template"] for group in spec["workerGroupSpecs"])]:
        (container,) = template["spec"]["containers"]
        assert {"name": "MLFLOW_TRACKING_URI", "value": f"http://{name}:{port}"} in container["env"]


def test_rayseg_is_told_that_the_cluster_can_grow_in_the_words_that_it_reads(cluster: dict[str, Any]) -> None:
    read = "\n".join(path.read_text() for path in (ROOT / "rayseg" / "launch").glob("*.py"))
    (variable,) = set(re.findall(r"RAYSEG_\w*GROW\w*", read))
    assert f"export {variable}=1\n" in "\n".join(cluster["setup_commands"])
    (head,) = _manifests()["RayCluster"]["spec"]["headGroupSpec"]["template"]["spec"]["containers"]
    assert {"name": variable, "value": "1"} in head["env"]


def test_the_documented_storage_is_a_directory_that_every_node_shares(cluster: dict[str, Any]) -> None:
    manifests = _manifests()
    said = [CLUSTER.read_text(), PAGE.read_text(), manifests["RayJob"]["spec"]["entrypoint"]]
    assert all("experiments/ohem_sweep.py --gpu --storage /runs" in text for text in said)
    assert any("/runs *(rw" in command for command in cluster["head_setup_commands"])
    starts = cluster["worker_start_ray_commands"]
    (mount,), (start,) = ([i for i, each in enumerate(starts) if word in each] for word in ("mount -t nfs4", "ray start"))
    assert mount < start
    spec = manifests["RayCluster"]["spec"]
    for template in [spec["headGroupSpec"]["template"], *(group["template"] for group in spec["workerGroupSpecs"])]:
        assert {"name": "runs", "mountPath": "/runs"} in template["spec"]["containers"][0]["volumeMounts"]


def test_the_policies_of_the_page_are_json_and_allow_what_the_head_does(cluster: dict[str, Any]) -> None:
    policies = [json.loads(text) for text in re.findall(r"<<'JSON'\n(.*?)\nJSON\n", PAGE.read_text(), re.DOTALL)]
    actions = {statement["Action"] for policy in policies for statement in policy["Statement"]}
    assert actions == {"sts:AssumeRole", "s3:*", "ssm:GetParameters"}
    profile = cluster["available_node_types"]["head"]["node_config"]["IamInstanceProfile"]["Name"]
    assert f"create-instance-profile --instance-profile-name {profile}\n" in PAGE.read_text()
