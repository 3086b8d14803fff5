"""Raw TCP: sendall of memory that exists, recv_into the array, 1 MiB at a time; the kernel sizes the socket buffers."""

import platform
import socket
from collections.abc import Callable

import numpy as np

from tests.benchmarks.peers.buffers import buffer
from tests.benchmarks.streams.source import MESSAGE, given_address, ready, weights


def about() -> str:
    """Return the system."""
    return f"sockets of {platform.system()} {platform.release()}"


def prepare(work: str, nbytes: int) -> Callable[[], object]:
    """Ask for so many bytes on a connection that stays open."""
    host, port = given_address().split(":")
    connection = socket.create_connection((host, int(port)))
    view = buffer(nbytes).view(np.uint8).data

    def call() -> None:
        connection.sendall(nbytes.to_bytes(8, "little"))
        received = 0
        while received < nbytes:
            count = connection.recv_into(view[received : received + MESSAGE])
            if count == 0:
                raise ConnectionError("the server has closed the connection")
            received += count

    return call


def serve() -> None:
    """Serve one connection after another."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        ready(f"127.0.0.1:{listening.getsockname()[1]}")
        while True:
            connection, _ = listening.accept()
            with connection:
                _answer(connection)


def _answer(connection: socket.socket) -> None:
    while request := connection.recv(8, socket.MSG_WAITALL):
        view = weights(int.from_bytes(request, "little")).view(np.uint8).data
        for start in range(0, len(view), MESSAGE):
            connection.sendall(view[start : start + MESSAGE])


if __name__ == "__main__":
    serve()
