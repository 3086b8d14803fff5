"""Growth: what a call costs as blobs become larger, as there are more of them, and as more streams run at once."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from caffe_filler.caffe.caffe_pb2 import BlobShape, FillerParameter
from caffe_filler.v1 import filler_pb2
from filler_client import FillerClient
from tests.benchmarks.effort import Effort
from tests.benchmarks.results import Comparison, Results, Run, timed
from tests.benchmarks.servers import OURS, Server
from tests.benchmarks.statistics import alternate
from tests.benchmarks.tables import KIB, MIB, Table, digits, size, with_quartiles

SECTION = "Growth"

SIZES = [4 * KIB << (2 * step) for step in range(9)]
BLOBS = [1, 4, 16, 64, 256, 1024, 4096]
STREAMS = [1, 2, 4, 8, 16, 32]
STREAM_BYTES = 32 * MIB
SHORT = 0.02
"""Seconds."""
SMALL = (32, 16)
"""2 KiB."""


def run(effort: Effort, results: Results, say: Callable[[str], None]) -> None:
    """Measure the three curves, each point alternating with the others of its curve."""
    with Server(*OURS) as server, FillerClient(server.address) as client, FillerClient.embedded() as embedded:
        say("size of a blob")
        sizes = _alternate("size of a blob", _by_size(client, embedded), effort.growth_rounds, results)
        table = Table(
            "One blob of msra into an array that exists",
            ["size", "embedded, ms", "embedded, GB/s", "over a server, ms", "over a server, GB/s"],
        )
        for nbytes in SIZES:
            cells = []
            for way in ("embedded", "server"):
                seconds = sizes.seconds(f"{way} {nbytes}")
                cells += [with_quartiles(seconds.scaled(1000)), digits(nbytes / seconds.median / 1e9)]
            table.add(size(nbytes), *cells)
        results.tables.append((SECTION, table))

        say("number of blobs")
        counts = _alternate("number of blobs", _by_blobs(client), effort.growth_rounds, results)
        table = Table("Blobs of 2 KiB in one Fill over a server", ["blobs", "ms", "microseconds a blob"])
        for count in BLOBS:
            seconds = counts.seconds(str(count))
            table.add(str(count), with_quartiles(seconds.scaled(1000)), digits(seconds.median / count * 1e6))
        results.tables.append((SECTION, table))

        say("number of streams")
        streams = _alternate("number of streams", _by_streams(client), effort.growth_rounds, results)
        table = Table(
            f"Streams of {size(STREAM_BYTES)} of msra at once, one process and one channel",
            ["streams", "ms", "GB/s of all together"],
        )
        for count in STREAMS:
            seconds = streams.seconds(str(count))
            rate = digits(count * STREAM_BYTES / seconds.median / 1e9)
            table.add(str(count), with_quartiles(seconds.scaled(1000)), rate)
        results.tables.append((SECTION, table))


def _alternate(curve: str, points: dict[str, Callable[[], object]], rounds: int, results: Results) -> Comparison:
    for point in points.values():
        point()
    runs, failed = alternate({name: _warm(point) for name, point in points.items()}, rounds)
    comparison = Comparison(SECTION, (curve,), 1, runs, failed)
    results.comparisons.append(comparison)
    return comparison


def _warm(point: Callable[[], object]) -> Callable[[], Run]:
    """Time the second of two calls where they are short: the first warms what a larger point has cooled."""
    run = timed(point)

    def warm() -> Run:
        first = run()
        return run() if first.seconds < SHORT else first

    return warm


def _by_size(client: FillerClient, embedded: FillerClient) -> dict[str, Callable[[], object]]:
    largest = np.zeros(SIZES[-1] // 4, np.float32)

    def fill(who: FillerClient, nbytes: int) -> Callable[[], object]:
        out = largest[: nbytes // 4].reshape(-1, 256)
        return lambda: who.fill("msra", out.shape, seed=1701, name="fc6/0", out=out)

    ways = {"embedded": embedded, "server": client}
    return {f"{way} {nbytes}": fill(who, nbytes) for way, who in ways.items() for nbytes in SIZES}


def _by_blobs(client: FillerClient) -> dict[str, Callable[[], object]]:
    def fill(count: int) -> Callable[[], object]:
        blobs = [
            filler_pb2.BlobSpec(name=f"ip{index}/0", filler=FillerParameter(type="msra"), shape=BlobShape(dim=SMALL))
            for index in range(count)
        ]
        request = filler_pb2.FillRequest(blobs=blobs, seed=1701)
        return lambda: sum(len(piece.data) for piece in client.pieces(request))

    return {str(count): fill(count) for count in BLOBS}


def _by_streams(client: FillerClient) -> dict[str, Callable[[], object]]:
    arrays = [np.zeros((STREAM_BYTES // 4096, 1024), np.float32) for _ in range(STREAMS[-1])]
    pool = ThreadPoolExecutor(STREAMS[-1])

    def one(index: int) -> object:
        array = arrays[index]
        return client.fill("msra", array.shape, seed=1701, name=f"fc{index}/0", out=array)

    def many(count: int) -> Callable[[], object]:
        return lambda: list(pool.map(one, range(count)))

    return {str(count): many(count) for count in STREAMS}
