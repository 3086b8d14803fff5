"""Files that clients write from what lying servers send: none."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from caffe_filler.errors import DataLoss, LimitExceeded
from filler_client import FillerClient, RetryPolicy
from tests.client.cli.command import run
from tests.client.lies import streams
from tests.client.lies.server import LyingServer

ONCE = RetryPolicy(attempts=1)
NET = """
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: [1, 6] } } }
layer { name: "one" type: "InnerProduct" bottom: "data" top: "one"
        inner_product_param { num_output: 9 weight_filler { type: "xavier" } bias_filler { type: "uniform" } } }
layer { name: "two" type: "InnerProduct" bottom: "one" top: "two"
        inner_product_param { num_output: 3 weight_filler { type: "xavier" } bias_filler { type: "uniform" } } }
"""


@pytest.fixture(scope="module")
def server() -> Iterator[LyingServer]:
    with LyingServer() as server:
        yield server


@pytest.mark.parametrize("piece_bytes", [1, 3, 7, 64, 1 << 20])
@pytest.mark.parametrize("dtype", ["f32", "f64", "bf16"])
def test_pieces_of_any_length(server: LyingServer, tmp_path: Path, piece_bytes: int, dtype: str) -> None:
    """Pieces may end within a value, which is no lie."""
    server.lie, server.piece_bytes = (lambda _, answer: answer), piece_bytes
    embedded = FillerClient.embedded()
    with FillerClient(server.address, retry=ONCE) as client:
        expected = embedded.fill("xavier", (6, 9), seed=3, name="name", dtype=dtype)
        assert client.fill("xavier", (6, 9), seed=3, name="name", dtype=dtype).tobytes() == expected.tobytes()
        tensor = client.tensor("xavier", (6, 9), seed=3, name="name", dtype=dtype)
        values = np.empty(20, tensor.dtype)
        for start in (10, 30, 0):
            tensor.read(start, values)
            assert values.tobytes() == expected.reshape(-1)[start : start + 20].tobytes()
        for saver in (client, embedded):
            saver.save_net(NET, tmp_path / f"{saver is client}.safetensors", seed=3, dtype=dtype)
    server.piece_bytes = 64
    assert (tmp_path / "True.safetensors").read_bytes() == (tmp_path / "False.safetensors").read_bytes()


@pytest.mark.parametrize("lie", streams.FILL)
def test_a_tensor(server: LyingServer, lie: str) -> None:
    server.lie, words = streams.FILL[lie]
    values = np.empty(54, np.float32)
    with FillerClient(server.address, retry=ONCE) as client, pytest.raises((DataLoss, LimitExceeded), match=words):
        client.tensor("xavier", (6, 9), seed=3, name="name").read(0, values)


@pytest.mark.parametrize("ending", ["safetensors", "npz", "caffemodel"])
@pytest.mark.parametrize("lie", streams.PLANNED)
def test_a_file(server: LyingServer, tmp_path: Path, lie: str, ending: str) -> None:
    server.lie, words = streams.PLANNED[lie]
    path = tmp_path / f"net.{ending}"
    path.write_bytes(b"what was there before")
    with FillerClient(server.address, retry=ONCE) as client, pytest.raises(DataLoss, match=words):
        client.save_net(NET, path, seed=3)
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]
    assert path.read_bytes() == b"what was there before"


def test_the_command_line(server: LyingServer, tmp_path: Path) -> None:
    net, output = tmp_path / "net.prototxt", tmp_path / "net.safetensors"
    net.write_text(NET)
    arguments: list[Any] = ["init", net, "-o", output, "--server", server.address]
    lie, words = streams.PLANNED["another shape"]
    server.lie = lambda request, answer: lie(request, answer) if isinstance(answer, list) else answer
    done = run(*arguments)
    assert done.returncode == 1
    assert re.search(words, done.stderr.decode())
    assert not output.exists()
    server.lie = lambda _, answer: answer
    assert run(*arguments).returncode == 0
    assert load_file(output)["one/0"].shape == (9, 6)
