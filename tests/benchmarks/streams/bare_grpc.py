"""The least that a server in Python can do: unary calls that answer with so many bytes, from one or several processes.

`python -m tests.benchmarks.streams.bare_grpc [PROCESSES]`
"""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import grpc

from tests.benchmarks.streams.source import ready, weights


def _call(request: bytes, context: object) -> bytes:
    return weights(int(request)).tobytes()


def _listen(address: str) -> tuple[grpc.Server, int]:
    """Return a server, which ends when nothing holds it, and its port."""
    server = grpc.server(ThreadPoolExecutor(32), options=[("grpc.so_reuseport", 1)])
    handler = grpc.unary_unary_rpc_method_handler(_call)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("bare", {"call": handler}),))
    port = server.add_insecure_port(address)
    server.start()
    return server, port


def serve(processes: int) -> None:
    """Serve until killed."""
    server, port = _listen("127.0.0.1:0")
    address = f"127.0.0.1:{port}"
    others = [
        subprocess.Popen([sys.executable, "-m", __spec__.name, address], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for _ in range(processes - 1)
    ]
    for other in others:
        assert other.stdout is not None
        other.stdout.readline()
    ready(address)
    server.wait_for_termination()


def serve_beside(address: str) -> None:
    """Serve on the address of another process, until that ends."""
    server, _ = _listen(address)
    print("listening", flush=True)
    sys.stdin.read()
    server.stop(0)


if __name__ == "__main__":
    argument = sys.argv[1] if len(sys.argv) > 1 else "1"
    if argument.isdecimal():
        serve(int(argument))
    else:
        serve_beside(argument)
