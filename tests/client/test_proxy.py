"""The proxy of the environment gets to see no call to this machine."""

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from tests.processes import ServerProcess

VARIABLES = ("http_proxy", "https_proxy", "grpc_proxy")
PROGRAM = """
import asyncio, sys
from filler_client import AsyncFillerClient, FillerClient, RetryPolicy
address, policy = sys.argv[1], RetryPolicy(attempts=2)
with FillerClient(address, token="secret", retry=policy, timeout=30) as client:
    client.list_fillers()
async def run():
    async with AsyncFillerClient(address, token="secret", retry=policy, timeout=30) as client:
        await client.list_fillers()
asyncio.run(run())
"""


class Proxy:
    """Notes what is said to it, and hangs up."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(60)

    def _listen(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(10)
                self.heard.append(connection.recv(4096))


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    proxy = Proxy()
    yield proxy
    proxy.close()


def environment(proxy: Proxy) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if name.lower() not in (*VARIABLES, "no_proxy")}
    return clean | dict.fromkeys(VARIABLES, proxy.url)


@pytest.mark.parametrize("address", ["{}", "ipv4:{}", "dns:///{}", "localhost:{port}"])
def test_calls_to_this_machine_stay_here(server: ServerProcess, proxy: Proxy, address: str) -> None:
    target = address.format(server.address, port=server.address.rpartition(":")[2])
    command = [sys.executable, "-c", PROGRAM, target]
    done = subprocess.run(command, env=environment(proxy), capture_output=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr.decode()
    command = [sys.executable, "-m", "filler_client.cli", "health", "--server", target]
    done = subprocess.run(command, env=environment(proxy), capture_output=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr.decode()
    assert proxy.heard == []


def test_calls_to_other_machines_go_through_it(proxy: Proxy) -> None:
    program = PROGRAM.replace('token="secret", ', "").replace("timeout=30", "timeout=5")
    command = [sys.executable, "-c", program, "filler.invalid:50051"]
    done = subprocess.run(command, env=environment(proxy), capture_output=True, timeout=120, check=False)
    assert done.returncode != 0
    assert any(b"CONNECT filler.invalid:50051" in heard for heard in proxy.heard)
