"""Delivery of what a server sent before it ended."""

import signal
import socket
import threading
import time

import grpc
import pytest

from caffe_filler.v1 import filler_pb2_grpc
from filler_server.service.delivery import Delivery
from tests.processes import ServerProcess
from tests.proxy import Proxy, throttle
from tests.service.test_life import fill

MIB = 1 << 20


def peer_of(connection: socket.socket) -> str:
    """Name a peer as gRPC does."""
    host, port = connection.getpeername()[:2]
    return f"ipv6:%5B{host}%5D:{port}" if connection.family == socket.AF_INET6 else f"ipv4:{host}:{port}"


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_it_waits_for_the_one_client_that_does_not_read(host: str) -> None:
    with socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET) as listener:
        address = listener.getsockname()[:2]
        with (
            socket.create_connection(address) as slow,
            listener.accept()[0] as to_slow,
            socket.create_connection(address),
            listener.accept()[0] as to_quick,
        ):
            to_slow.setblocking(False)
            sent = to_slow.send(bytes(64 * MIB))
            delivery = Delivery([address[1]])
            is_wanted = threading.Event()
            is_wanted.set()
            delivery.wait_for(peer_of(to_quick), lambda: False)
            delivery.wait_for(peer_of(to_slow), lambda: False)
            delivery.wait_for_all(-1.0)
            before = time.monotonic()
            delivery.wait_for_all(0.2)
            assert time.monotonic() - before >= 0.2
            threads = [
                threading.Thread(target=delivery.wait_for, args=(peer_of(to_slow), is_wanted.is_set)),
                threading.Thread(target=delivery.wait_for_all, args=(60.0,)),
            ]
            for thread in threads:
                thread.start()
            threads[0].join(0.2)
            assert all(thread.is_alive() for thread in threads)
            while sent:
                sent -= len(slow.recv(MIB))
            for thread in threads:
                thread.join(30)
            assert not any(thread.is_alive() for thread in threads)
    delivery.wait_for_all(60.0)


def test_other_connections_of_the_process_are_not_waited_for() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname()),
        listener.accept()[0] as connection,
    ):
        connection.setblocking(False)
        connection.send(bytes(64 * MIB))
        before = time.monotonic()
        Delivery([1]).wait_for_all(60.0)
        assert time.monotonic() - before < 30


@pytest.mark.parametrize("rows", [1, 8])
def test_a_client_behind_a_slow_network_gets_all_of_its_stream(rows: int) -> None:
    server = ServerProcess("--grace", "600")
    with Proxy(server.address, throttle(8 * MIB)) as proxy, grpc.insecure_channel(proxy.address) as channel:
        stream = filler_pb2_grpc.FillerServiceStub(channel).Fill(fill(rows))
        received = sum(len(piece.data) for piece in next(stream).pieces)
        server.process.send_signal(signal.SIGTERM)
        server.wait_for("stopping")
        received += sum(len(piece.data) for response in stream for piece in response.pieces)
        assert received == rows * MIB
    assert server.wait() == 0
