"""The same parameters for any number of processes, in any sharding, embedded and over a server."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from filler_client import FillerClient
from tests.processes import ServerProcess

pytestmark = pytest.mark.frameworks
pytest.importorskip("torch")

ROOT = Path(__file__).resolve().parents[3]
MODELS = ["plain", "FSDP2", "FSDP2, offloaded", "tensor parallel", "FSDP2 x tensor parallel", "HSDP", "pipeline"]


@pytest.fixture(scope="module")
def found(server: ServerProcess) -> dict[str, dict[str, str]]:
    """By case the SHA-256 of each gathered parameter."""
    command = [sys.executable, "-m", "tests.client.torch.sharded", server.address]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, timeout=240)
    assert result.returncode == 0, result.stderr[-4000:]
    cases: dict[str, dict[str, str]] = json.loads(result.stdout)
    return cases


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_gathered_parameters_have_one_digest_each(found: dict[str, dict[str, str]], dtype: str) -> None:
    cases = {case: digests for case, digests in found.items() if case.endswith(dtype)}
    for kind in [*MODELS, *(["checkpoint"] if dtype == "float32" else [])]:
        for where in ("embedded", "server"):
            assert any(f"{where}: {kind}, torch.{dtype}" in case for case in cases), (kind, where)
    wanted = cases[f"1 processes, embedded: plain, torch.{dtype}"]
    assert len(wanted) == 13
    assert [case for case, digests in cases.items() if digests != wanted] == []


def test_flat_partitions_have_the_values_of_whole_parameters(found: dict[str, dict[str, str]]) -> None:
    cases = {case: digests for case, digests in found.items() if "Block" in case}
    assert len(cases) == 2 * 4 * 2
    wanted = cases["1 processes, embedded: Block, plain"]
    assert len(wanted) == 6
    assert [case for case, digests in cases.items() if digests != wanted] == []


def test_every_placement_gives_the_tensor_of_the_client(found: dict[str, dict[str, str]]) -> None:
    filler = 'type: "xavier" variance_norm: AVERAGE'
    whole = FillerClient.embedded().fill(filler, (13, 10), seed=1701, name="w")
    wanted = {"w": hashlib.sha256(whole.tobytes()).hexdigest()}
    cases = {case: digests for case, digests in found.items() if digests.keys() == {"w"}}
    assert len(cases) == 2 * (4 * 4 + 5)
    assert [case for case, digests in cases.items() if digests != wanted] == []
