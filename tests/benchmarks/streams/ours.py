"""This project: `filler serve` generates, `FillerClient.fill` receives into the array."""

from collections.abc import Callable

from filler_client import FillerClient
from tests.benchmarks.machine import version
from tests.benchmarks.peers.buffers import buffer
from tests.benchmarks.streams.source import given_address


def about() -> str:
    """Return the versions."""
    return f"caffe-filler {version('caffe-filler')}, grpcio {version('grpcio')}"


def prepare(work: str, nbytes: int) -> Callable[[], object]:
    """Fill one blob with the filler of that name, in rows of 1024 inputs."""
    client = FillerClient(given_address())
    out = buffer(nbytes).reshape(-1, 1024)
    return lambda: client.fill(work, out.shape, seed=1701, name="fc6/0", out=out)
