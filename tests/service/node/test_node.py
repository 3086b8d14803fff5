"""A client in another language, made by others of the published .proto files alone."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from filler_client import FillerClient, Flat, Tls
from tests.processes import ServerProcess
from tests.service.certificates import Authority

HERE = Path(__file__).resolve().parent
PROTOS = HERE.parents[2] / "protos"
TOKEN = "a-token-of-node"


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The client with what it needs, in a folder of its own."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("there is no Node.js here")
    folder = tmp_path_factory.mktemp("node")
    for name in ("package.json", "client.js"):
        shutil.copy(HERE / name, folder)
    try:
        installed = subprocess.run(
            [npm, "install", "--no-audit", "--no-fund", "--fetch-retries=1"],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    except subprocess.TimeoutExpired:
        pytest.skip("the registry of npm does not answer")
    if installed.returncode:
        pytest.skip(f"the registry of npm cannot be used: {installed.stderr[-300:]}")
    return folder / "client.js"


@pytest.mark.slow
def test_a_client_in_node(program: Path, tmp_path: Path) -> None:
    pem = Authority(tmp_path).sign("server", "localhost")
    tokens = tmp_path / "tokens"
    tokens.write_text(f"{TOKEN}\n")
    server = ServerProcess(*pem.server_options, "--token-file", str(tokens), listen="localhost:0")
    run = subprocess.run(
        ["node", program, server.address, pem.ca, TOKEN, PROTOS, tmp_path],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    found = json.loads(run.stdout)
    with FillerClient(server.address, credentials=Tls(ca=pem.ca), token=TOKEN) as client:
        assert found["fillers"] == [filler.type for filler in client.list_fillers().fillers]
        expected = [
            client.fill('type: "gaussian" std: 0.005', (1024, 1024), seed=1701, name="fc6/0"),
            client.fill("xavier", (96, 3, 11, 11), seed=1701, name="conv1/0", region=Flat(7, 5000)),
        ]
    for index, array in enumerate(expected):
        values = np.frombuffer((tmp_path / f"{index}.bin").read_bytes(), "<f4")
        np.testing.assert_array_equal(values, array.reshape(-1))
    whole = sum(array.nbytes for array in expected)
    assert found["received"] == whole
    assert 1_500_000 <= found["first"] < whole
    assert found["first"] + found["second"] == whole
    assert found["same"]
    assert found["refusal"] == "UNAUTHENTICATED"
    assert found["bad"][0] == "NOT_FOUND"
    assert "unknown filler type" in found["bad"][1]
    assert server.stop() == 0
    assert "node/1" in server.log
