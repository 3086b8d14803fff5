"""Callers of servers: threads of one process that call again and again.

`python -m tests.benchmarks.caller` reads lines of JSON from standard input, with the address of a server, what to call
there, the number of threads and the seconds, and answers each with the number of calls.
"""

import json
import sys
import threading
import time
from collections.abc import Callable
from functools import cache

import grpc

from filler_client import FillerClient
from tests.benchmarks.latency import NET

FILL, FILL_NET, BARE_SMALL, BARE_LARGE = "fill", "fill net", "bare, small", "bare, large"
_BYTES = {BARE_SMALL: b"2048", BARE_LARGE: b"819200"}


@cache
def work(address: str, kind: str) -> Callable[[], object]:
    """Return what calls once."""
    if kind in _BYTES:
        call = grpc.insecure_channel(address, [("grpc.max_receive_message_length", -1)]).unary_unary("/bare/call")
        return lambda: call(_BYTES[kind])
    client = FillerClient(address)
    if kind == FILL_NET:
        return lambda: client.init_net(NET, seed=1701)
    return lambda: client.fill("msra", (32, 16), seed=1701, name="ip0/0")


def run(address: str, kind: str, callers: int, seconds: float) -> int:
    """Call from so many threads for so long; return the number of calls."""
    once = work(address, kind)
    once()
    done = [0] * callers
    end = time.perf_counter() + seconds

    def call(number: int) -> None:
        while time.perf_counter() < end:
            once()
            done[number] += 1

    threads = [threading.Thread(target=call, args=(number,)) for number in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(done)


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps(run(**json.loads(line))), flush=True)
