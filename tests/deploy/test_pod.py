"""The server of a pod: its settings, its files and its read-only file system, without Kubernetes."""

import sys
from pathlib import Path

import pytest
import yaml

from caffe_filler.errors import Unauthenticated
from filler_client import FillerClient, RetryPolicy, Tls
from tests.client.cli.command import succeed
from tests.conftest import ROOT
from tests.processes import ServerProcess
from tests.read_only import read_only, require_read_only
from tests.service.certificates import Authority

SECRETS = "/run/secrets"


def test_the_settings_of_the_manifests_serve(tmp_path: Path, server: ServerProcess) -> None:
    """`server` has compiled the kernels, which here are the volume; all else cannot be written."""
    require_read_only(tmp_path)
    authority = Authority(tmp_path)
    tls = tmp_path / "filler-tls"
    tokens = tmp_path / "filler-tokens"
    for folder in (tls, tokens):
        folder.mkdir()
    pem = authority.sign("filler-tls/tls", "127.0.0.1")
    assert pem.certificate.parent == tls
    (tokens / "tokens").write_text("secret\n")
    manifest = ROOT / "filler_server" / "deploy" / "kubernetes" / "configmap.yaml"
    content = yaml.safe_load(manifest.read_text())["data"]["filler.toml"]
    assert SECRETS in content
    config = tmp_path / "filler.toml"
    config.write_text(content.replace(SECRETS, str(tmp_path)).replace("0.0.0.0:", "127.0.0.1:"))
    free = [f"--{name}listen=127.0.0.1:0" for name in ("", "health-", "metrics-")]
    kernels = [folder for folder in (ROOT / "filler_server").rglob("__pycache__") if list(folder.glob("*.nbi"))]
    assert kernels
    command = [sys.executable, "-B", "-m", "filler_client.cli", "serve", "--config", str(config), *free]
    process = ServerProcess(command=read_only(command, *kernels))
    health = process.wait_for(r"health checks alone on ([^\s\"]+)")
    assert succeed("health", "--server", health) == f"{health}: SERVING\n".encode()
    with FillerClient(process.address, credentials=Tls(ca=authority.ca), token="secret") as client:
        assert client.fill("constant", (3,)).tolist() == [0, 0, 0]
    with (
        FillerClient(process.address, credentials=Tls(ca=authority.ca), retry=RetryPolicy(attempts=1)) as client,
        pytest.raises(Unauthenticated),
    ):
        client.list_fillers()
    assert process.stop() == 0
    assert "Traceback" not in process.log
