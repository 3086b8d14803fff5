from tests.client.cli.command import fail, run, succeed
from tests.processes import ServerProcess


def test_a_server_that_serves(server: ServerProcess) -> None:
    assert succeed("health", "--server", server.address) == f"{server.address}: SERVING\n".encode()
    succeed("health", "--server", server.address, "--service", "caffe_filler.v1.FillerService")


def test_what_does_not_serve(server: ServerProcess) -> None:
    nobody = fail(1, "health", "--server", "127.0.0.1:1", "--timeout", "0.5")
    assert "127.0.0.1:1: UNAVAILABLE: " in nobody
    assert "Connection refused" in nobody
    assert run("health", "--server", f"{server.address},127.0.0.1:1", "--timeout", "0.5").returncode == 1
    assert "NOT_FOUND" in fail(1, "health", "--server", server.address, "--service", "no.such.Service")
    assert "--server" in fail(2, "health")
