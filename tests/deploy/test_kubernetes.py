"""The manifests, against Kubernetes' own schemas and against each other."""

from pathlib import Path, PurePosixPath
from typing import Any

import kubernetes_validate
import pytest
import yaml
from dockerfile_parse import DockerfileParser
from grpc_health.v1 import health_pb2

from caffe_filler.v1 import filler_pb2
from filler_server.service.configuration import ALL, build, read_file
from filler_server.service.settings import Settings
from tests.conftest import ROOT

DEPLOY = ROOT / "filler_server" / "deploy"
FILES = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
VERSIONS = ["1.32", "1.34", "1.37"]
"""Before these `preStop` had no `sleep`, or did not have it by default."""


def load(file: Path) -> Any:
    return yaml.safe_load(file.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def manifests() -> dict[str, Any]:
    return {manifest["kind"]: manifest for manifest in map(load, FILES)}


@pytest.fixture(scope="module")
def pod(manifests: dict[str, Any]) -> Any:
    return manifests["Deployment"]["spec"]["template"]


@pytest.fixture(scope="module")
def container(pod: Any) -> Any:
    (container,) = pod["spec"]["containers"]
    return container


@pytest.fixture(scope="module")
def settings(manifests: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Return the settings that the server of a pod reads."""
    ((name, content),) = manifests["ConfigMap"]["data"].items()
    file = tmp_path_factory.mktemp("config") / name
    file.write_text(content)
    return build(read_file(file))


@pytest.fixture(scope="module")
def image_env() -> dict[str, str]:
    return dict(DockerfileParser(str(DEPLOY / "Dockerfile")).envs)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_schemas_of_kubernetes_accept_it(file: Path, version: str) -> None:
    kubernetes_validate.validate(load(file), version, strict=True)


def test_the_validator_would_notice() -> None:
    manifest = load(DEPLOY / "kubernetes" / "deployment.yaml")
    manifest["spec"]["template"]["spec"]["containers"][0]["readinesProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(manifest, VERSIONS[-1], strict=True)


def test_all_that_is_needed_is_there(manifests: dict[str, Any]) -> None:
    assert set(manifests) == {"ConfigMap", "Deployment", "NetworkPolicy", "PodDisruptionBudget", "Service"}
    assert len(FILES) == len(manifests)


def test_everything_selects_the_pods(manifests: dict[str, Any], pod: Any) -> None:
    labels = pod["metadata"]["labels"]
    assert manifests["Deployment"]["spec"]["selector"]["matchLabels"] == labels
    assert manifests["Service"]["spec"]["selector"] == labels
    assert manifests["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == labels
    assert manifests["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"] == labels
    assert manifests["Service"]["spec"]["clusterIP"] == "None"
    assert manifests["PodDisruptionBudget"]["spec"]["maxUnavailable"] < manifests["Deployment"]["spec"]["replicas"]


def test_every_container_is_restricted(pod: Any) -> None:
    assert pod["spec"]["securityContext"]["runAsNonRoot"]
    assert pod["spec"]["securityContext"]["runAsUser"] > 0
    assert pod["spec"]["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["spec"]["automountServiceAccountToken"] is False
    for entry in (*pod["spec"]["containers"], *pod["spec"]["initContainers"]):
        assert entry["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert {"cpu", "memory"} <= set(entry["resources"]["requests"])
        assert "memory" in entry["resources"]["limits"]
        assert not entry["image"].endswith(":latest")
        assert ":" in entry["image"]


def test_the_user_is_that_of_the_image(pod: Any) -> None:
    context = pod["spec"]["securityContext"]
    users = [
        entry["value"]
        for entry in DockerfileParser(str(DEPLOY / "Dockerfile")).structure
        if entry["instruction"] == "USER"
    ]
    assert users == [f"{context['runAsUser']}:{context['runAsGroup']}"]
    assert context["fsGroup"] == context["runAsGroup"]


def test_ports_are_those_of_the_settings(manifests: dict[str, Any], container: Any, settings: Settings) -> None:
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    (listen,) = settings.listen
    addresses = {"grpc": listen, "health": settings.health_listen, "metrics": settings.metrics_listen}
    assert addresses == {name: f"0.0.0.0:{port}" for name, port in ports.items()}
    (service_port,) = manifests["Service"]["spec"]["ports"]
    assert service_port["targetPort"] in ports
    ruled = {port["port"] for rule in manifests["NetworkPolicy"]["spec"]["ingress"] for port in rule["ports"]}
    assert ruled == set(ports)
    scraped = manifests["Deployment"]["spec"]["template"]["metadata"]["annotations"]["prometheus.io/port"]
    assert scraped == str(ports["metrics"])


def test_probes_ask_where_neither_token_nor_certificate_is_needed(container: Any, settings: Settings) -> None:
    assert settings.tls.certificate is not None
    assert settings.token_file is not None
    services = {
        service.full_name
        for file in (filler_pb2.DESCRIPTOR, health_pb2.DESCRIPTOR)
        for service in file.services_by_name.values()
    }
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        asked = container[probe]["grpc"]
        assert str(asked["port"]) == str(settings.health_listen).rpartition(":")[2]
        assert asked.get("service", "caffe_filler.v1.FillerService") in services
    startup = container["startupProbe"]
    # Compiling every kernel anew takes a minute or two on two CPUs.
    assert startup["periodSeconds"] * startup["failureThreshold"] >= 300


def test_there_is_time_to_end(pod: Any, container: Any, settings: Settings) -> None:
    before = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert before + settings.grace < pod["spec"]["terminationGracePeriodSeconds"]


def test_files_of_the_settings_are_mounted(
    manifests: dict[str, Any], pod: Any, container: Any, settings: Settings, image_env: dict[str, str]
) -> None:
    mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in pod["spec"]["volumes"]}
    assert {mount["name"] for mount in mounts.values()} == set(volumes)
    for path in (settings.tls.certificate, settings.tls.key, settings.token_file):
        assert path is not None
        mount = mounts[str(path.parent)]
        assert "secret" in volumes[mount["name"]]
        assert "subPath" not in mount
        assert mount["readOnly"]
    assert {str(path.name) for path in (settings.tls.certificate, settings.tls.key) if path} == {"tls.crt", "tls.key"}
    config = PurePosixPath(image_env["FILLER_SERVE_CONFIG"])
    name = volumes[mounts[str(config.parent)]["name"]]["configMap"]["name"]
    assert name == manifests["ConfigMap"]["metadata"]["name"]
    assert config.name in manifests["ConfigMap"]["data"]


def test_kernels_are_copied_from_the_image_to_where_numba_looks(
    pod: Any, container: Any, image_env: dict[str, str]
) -> None:
    cache = image_env["NUMBA_CACHE_DIR"]
    (volume,) = [mount for mount in container["volumeMounts"] if mount["mountPath"] == cache]
    assert "emptyDir" in {entry["name"]: entry for entry in pod["spec"]["volumes"]}[volume["name"]]
    # The root of the volume can be written by all, which Numba's cache must not be.
    assert volume["subPath"] == PurePosixPath(cache).name
    (init,) = pod["spec"]["initContainers"]
    ((mount),) = init["volumeMounts"]
    assert mount["name"] == volume["name"]
    assert "subPath" not in mount
    assert init["command"] == ["cp", "-a", cache, mount["mountPath"]]
    assert mount["mountPath"] != cache
    assert init["image"] == container["image"]


def test_variables_are_settings(pod: Any, container: Any) -> None:
    known = {entry.variable for entry in ALL}
    for entry in container["env"]:
        assert entry["name"] in known or not entry["name"].startswith("FILLER_")
        assert entry["valueFrom"]["resourceFieldRef"]["resource"] == "limits.cpu"
    assert container["resources"]["limits"]["cpu"].isdecimal()
    assert pod["spec"]["enableServiceLinks"] is False
