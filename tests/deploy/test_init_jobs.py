"""The jobs that fill a giant net: against Kubernetes' schemas and each other, and their commands, run for each pod."""

import copy
from pathlib import Path
from typing import Any

import click
import kubernetes_validate
import pytest
import yaml

from filler_client import FillerClient, verify
from filler_client.cli.main import filler
from tests.conftest import ROOT
from tests.deploy.test_kubernetes import VERSIONS

KUBERNETES = ROOT / "filler_server" / "deploy" / "kubernetes"
FILES = sorted((KUBERNETES / "init").glob("*.yaml"))
PARTS, FINISH = "parts", "finish"
SHARD = 1


@pytest.fixture(scope="module")
def manifests() -> dict[str, Any]:
    return {file.stem: yaml.safe_load(file.read_text(encoding="utf-8")) for file in FILES}


def pod(manifest: Any) -> Any:
    return manifest["spec"]["template"]["spec"]


def container(manifest: Any) -> Any:
    (container,) = pod(manifest)["containers"]
    return container


def run(manifest: Any, folder: Path, monkeypatch: pytest.MonkeyPatch, index: int | None = None) -> None:
    """Run the command of a job's container in this process, over LeNet and shards that fit it."""
    program, *arguments = container(manifest)["command"]
    assert program == "filler"
    lenet = str(ROOT / "tests" / "nets" / "lenet.prototxt")
    changes = {"/net/net.prototxt": lenet, "/weights": str(folder), "=5GB": f"={SHARD}"}
    for old, new in changes.items():
        assert any(old in argument for argument in arguments)
        arguments = [argument.replace(old, new) for argument in arguments]
    with monkeypatch.context() as environment:
        if index is not None:
            environment.setenv("JOB_COMPLETION_INDEX", str(index))
        filler.main(arguments, standalone_mode=False)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_schemas_of_kubernetes_accept_it(file: Path, version: str) -> None:
    kubernetes_validate.validate(yaml.safe_load(file.read_text(encoding="utf-8")), version, strict=True)


def test_the_server_is_applied_without_them() -> None:
    # `kubectl apply --filename FOLDER` takes the files of the folder itself.
    assert {file.parent.name for file in FILES} == {"init"}
    assert not {file.name for file in FILES} & {file.name for file in KUBERNETES.glob("*.yaml")}


def test_pods_are_as_many_as_parts_and_their_failures_are_told_apart(manifests: dict[str, Any]) -> None:
    spec = manifests[PARTS]["spec"]
    assert spec["completionMode"] == "Indexed"
    (part,) = [argument for argument in container(manifests[PARTS])["command"] if argument.startswith("--part")]
    assert part == f"--part=JOB_COMPLETION_INDEX/{spec['completions']}"
    for name in (PARTS, FINISH):
        # What Kubernetes asks of a job that has a policy of failures.
        assert pod(manifests[name])["restartPolicy"] == "Never"
        usage, disruption = manifests[name]["spec"]["podFailurePolicy"]["rules"]
        assert usage["onExitCodes"]["containerName"] == container(manifests[name])["name"]
        assert usage["onExitCodes"]["values"] == [click.UsageError.exit_code]
        assert (usage["action"], disruption["action"]) == ("FailJob", "Ignore")


def test_both_jobs_are_of_one_set(manifests: dict[str, Any]) -> None:
    parts, finish = (container(manifests[name])["command"] for name in (PARTS, FINISH))
    assert [*parts[:-1], "--finish", "--manifest"] == finish
    parts_pod, finish_pod = (copy.deepcopy(pod(manifests[name])) for name in (PARTS, FINISH))
    parts_pod["containers"][0]["command"] = finish
    del parts_pod["topologySpreadConstraints"]
    assert parts_pod == finish_pod


def test_what_is_mounted_is_there(manifests: dict[str, Any]) -> None:
    spec = pod(manifests[PARTS])
    volumes = {volume["name"]: volume for volume in spec["volumes"]}
    claim = manifests["volume"]
    assert volumes["weights"]["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
    mounts = {mount["name"]: mount for mount in container(manifests[PARTS])["volumeMounts"]}
    assert mounts.keys() == volumes.keys()
    assert mounts["net"]["readOnly"]
    server = yaml.safe_load((KUBERNETES / "deployment.yaml").read_text(encoding="utf-8"))["spec"]["template"]["spec"]
    # The image is one and the same, and so are the ways to its kernels and its user.
    assert spec["initContainers"] == server["initContainers"]
    assert container(manifests[PARTS])["image"] == server["containers"][0]["image"]
    assert container(manifests[PARTS])["securityContext"] == server["containers"][0]["securityContext"]
    assert mounts["kernels"] in server["containers"][0]["volumeMounts"]
    assert server["securityContext"].items() <= spec["securityContext"].items()
    assert spec["automountServiceAccountToken"] is spec["enableServiceLinks"] is False


def test_the_commands_of_all_pods_write_the_set(
    manifests: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, divided = tmp_path / "whole", tmp_path / "divided"
    for folder in (whole, divided):
        folder.mkdir()
    lenet = ROOT / "tests" / "nets" / "lenet.prototxt"
    manifest = whole / "net.safetensors.manifest.json"
    FillerClient.embedded().save_net(
        lenet, whole / "net.safetensors", seed=1701, max_shard_bytes=SHARD, manifest=manifest
    )
    for index in range(manifests[PARTS]["spec"]["completions"]):
        run(manifests[PARTS], divided, monkeypatch, index)
    before = {path: path.stat().st_mtime_ns for path in divided.iterdir()}
    # A pod that takes the place of one that was killed after its work.
    capsys.readouterr()
    run(manifests[PARTS], divided, monkeypatch, 0)
    assert "part 1 of 16: 1 tensor, complete already" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in divided.iterdir()} == before
    run(manifests[FINISH], divided, monkeypatch)
    contents = [{path.name: path.read_bytes() for path in folder.iterdir()} for folder in (whole, divided)]
    assert contents[0] == contents[1]
    assert verify(divided).is_equal
    run(manifests[PARTS], divided, monkeypatch, 0)
    assert (divided / "net.safetensors.index.json").exists()
