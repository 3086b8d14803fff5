"""The server's memory while clients read slowly."""

import time
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from filler_client import FillerClient, _requests
from tests.processes import ServerProcess

MIB = 1 << 20


def resident(process: ServerProcess) -> int:
    return int(psutil.Process(process.process.pid).memory_info().rss)


def read_slowly(address: str, nbytes: int, pause: float, watch: ServerProcess) -> int:
    """Read a blob with pauses; return the most that the server held meanwhile."""
    most = 0
    with FillerClient(address) as client:
        for number, _ in enumerate(client.pieces(_requests.fill_request("msra", (nbytes // 4096, 1024)))):
            if number % 16 == 0:
                time.sleep(pause)
                most = max(most, resident(watch))
    return most


@pytest.mark.slow
def test_a_slow_reader_of_4_gib() -> None:
    process = ServerProcess(anew=True)
    read_slowly(process.address, 64 * MIB, 0, process)
    before = resident(process)
    most = read_slowly(process.address, 4096 * MIB, 0.01, process)
    assert process.stop() == 0
    assert most - before < 64 * MIB


@pytest.mark.slow
def test_32_streams_at_once() -> None:
    process = ServerProcess(anew=True)
    read_slowly(process.address, 64 * MIB, 0, process)
    before = resident(process)
    with ThreadPoolExecutor(32) as pool:
        readers = [pool.submit(read_slowly, process.address, 64 * MIB, 0.2, process) for _ in range(32)]
        most = max(reader.result() for reader in readers)
    assert process.stop() == 0
    assert most - before < 256 * MIB
