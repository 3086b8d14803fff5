"""Servers to do harm to."""

from collections.abc import Callable, Iterator

import psutil
import pytest

from filler_client import FillerClient
from tests.processes import ServerProcess

MIB = 1 << 20


def resident(process: ServerProcess) -> int:
    """Memory of a server, in bytes."""
    return int(psutil.Process(process.process.pid).memory_info().rss)


def check_serves(process: ServerProcess) -> None:
    """Make sure that the server answers, and rightly."""
    with FillerClient(process.address, timeout=60) as client, FillerClient.embedded() as here:
        assert (client.fill("xavier", (5, 3), seed=9) == here.fill("xavier", (5, 3), seed=9)).all()


@pytest.fixture(scope="module")
def start() -> Iterator[Callable[..., ServerProcess]]:
    """Starts servers, which must serve in the end as they did before, and must have had nothing to tell of."""
    started: list[ServerProcess] = []

    def start_one(*options: str) -> ServerProcess:
        process = ServerProcess(*options)
        started.append(process)
        check_serves(process)
        return process

    yield start_one
    for process in started:
        check_serves(process)
        assert process.stop() == 0, process.log
        assert "Traceback" not in process.log


@pytest.fixture(scope="module")
def impatient(start: Callable[..., ServerProcess]) -> ServerProcess:
    """A server that soon ends calls whose client neither sends nor reads."""
    return start("--max-request-seconds", "2", "--max-stall-seconds", "2", "--max-ping-seconds", "1")
