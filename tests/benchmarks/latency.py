"""Latency: a small blob, and a net of many, from one server with 1, 8 and 32 callers at once."""

import threading
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from caffe_filler.caffe.caffe_pb2 import BlobShape, FillerParameter
from caffe_filler.v1 import filler_pb2
from filler_client import FillerClient
from tests.benchmarks.effort import Effort
from tests.benchmarks.results import Comparison, Results, timed
from tests.benchmarks.servers import OURS, Server
from tests.benchmarks.statistics import alternate
from tests.benchmarks.tables import Table, digits, with_quartiles

SECTION = "Latency"

BLOBS = 400
NET = 'layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 16 } } }\n' + "".join(
    f'layer {{ name: "ip{index}" type: "InnerProduct" bottom: "data" top: "ip{index}" inner_product_param '
    '{ num_output: 32 bias_term: false weight_filler { type: "msra" } } }\n'
    for index in range(BLOBS)
)
"""400 blobs of 2 KiB."""

_CALLS = 50
"""Of those that take one call, so that a round of them takes about as long as one of 400 calls."""

ONE_NET, ONE_FILL, ONE_BY_ONE, PLANNING = "one FillNet", "one Fill", "one call per blob", "one PlanNet, no data"


def run(effort: Effort, results: Results, say: Callable[[str], None]) -> None:
    """Measure both kinds of calls, and the net against its blobs one by one."""
    with (
        Server(*OURS) as ours,
        Server("tests.benchmarks.streams.usual_grpc") as usual,
        FillerClient(ours.address) as client,
    ):
        say(f"{BLOBS} blobs of 2 KiB, {ONE_NET}, {ONE_FILL} and {ONE_BY_ONE}")
        _check(client)
        ways = {
            ONE_NET: timed(lambda: client.init_net(NET, seed=1701), _CALLS),
            ONE_FILL: timed(lambda: sum(len(piece.data) for piece in client.pieces(_fill_request())), _CALLS),
            ONE_BY_ONE: timed(lambda: [_blob(client, index) for index in range(BLOBS)]),
            PLANNING: timed(lambda: client.plan_net(NET), _CALLS),
        }
        runs, failed = alternate(ways, 7)
        comparison = Comparison(SECTION, (f"{BLOBS} blobs",), BLOBS, runs, failed)
        results.comparisons.append(comparison)
        results.tables.append((SECTION, _many(comparison)))
        works: dict[str, tuple[Callable[[], object], int]] = {
            "ours: Fill of 2 KiB": (lambda: _blob(client, 0), effort.calls),
            "a unary call of stock gRPC, 2 KiB of bytes": (_unary(usual.address), effort.calls),
            f"ours: FillNet of {BLOBS} blobs": (lambda: client.init_net(NET, seed=1701), effort.calls // 10),
        }
        results.tables.append((SECTION, _callers(works, results, say)))


def _callers(works: dict[str, tuple[Callable[[], object], int]], results: Results, say: Callable[[str], None]) -> Table:
    table = Table(
        "Milliseconds of a call, and calls per second of all callers together",
        ["call", "callers", "p50", "p99", "calls/s"],
        notes=[
            "Callers are threads of one process and share one channel; client and server share the CPUs.",
            f"{BLOBS} blobs are planned, generated and received into new arrays at every call.",
        ],
    )
    for callers in (1, 8, 32):
        for name, (work, calls) in works.items():
            say(f"{name}, callers: {callers}")
            latencies, seconds = _measure(work, callers, max(calls // callers, 2))
            p50, p99 = (float(value) * 1000 for value in np.quantile(latencies, (0.5, 0.99)))
            table.add(name, str(callers), digits(p50), digits(p99), digits(len(latencies) / seconds))
            results.values |= {f"latency/{name}/{callers}/p50_ms": p50, f"latency/{name}/{callers}/p99_ms": p99}
    return table


def _unary(address: str) -> Callable[[], object]:
    import grpc

    call = grpc.insecure_channel(address).unary_unary("/usual/call")
    return lambda: call(b"")


def _blob(client: FillerClient, index: int) -> NDArray[np.float32]:
    return client.fill("msra", (32, 16), seed=1701, name=f"ip{index}/0")


def _fill_request() -> filler_pb2.FillRequest:
    shape, msra = BlobShape(dim=[32, 16]), FillerParameter(type="msra")
    blobs = [filler_pb2.BlobSpec(name=f"ip{index}/0", filler=msra, shape=shape) for index in range(BLOBS)]
    return filler_pb2.FillRequest(blobs=blobs, seed=1701)


def _check(client: FillerClient) -> None:
    """Both ways give the same bytes."""
    weights = client.init_net(NET, seed=1701)
    if len(weights) != BLOBS or not np.array_equal(weights["ip7/0"], _blob(client, 7)):
        raise AssertionError("a net and its blobs one by one differ")


def _measure(work: Callable[[], object], callers: int, each: int) -> tuple[list[float], float]:
    """Return the seconds of every call, and those of all together."""
    latencies: list[list[float]] = [[] for _ in range(callers)]
    barrier = threading.Barrier(callers + 1)

    def call(taken: list[float]) -> None:
        work()
        barrier.wait()
        for _ in range(each):
            begun = time.perf_counter()
            work()
            taken.append(time.perf_counter() - begun)

    threads = [threading.Thread(target=call, args=(taken,)) for taken in latencies]
    for thread in threads:
        thread.start()
    barrier.wait()
    begun = time.perf_counter()
    for thread in threads:
        thread.join()
    return [seconds for taken in latencies for seconds in taken], time.perf_counter() - begun


def _many(comparison: Comparison) -> Table:
    table = Table(f"{BLOBS} blobs of 2 KiB, one caller", ["way", "milliseconds", f"{ONE_NET} is faster by"])
    for name in comparison.runs:
        ratio = comparison.faster(ONE_NET, name)
        milliseconds = comparison.seconds(name).scaled(1000)
        table.add(name, with_quartiles(milliseconds), "-" if ratio is None else with_quartiles(ratio))
    return table
