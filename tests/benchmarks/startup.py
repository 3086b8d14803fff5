"""Start-up: the command line, the client's import, and the server until it answers SERVING."""

import sys
import time
from collections.abc import Callable
from tempfile import TemporaryDirectory

from tests.benchmarks.effort import Effort
from tests.benchmarks.nets import FILLER, command
from tests.benchmarks.results import Comparison, Results, Run
from tests.benchmarks.servers import OURS, Server
from tests.benchmarks.statistics import alternate, spread
from tests.benchmarks.tables import Table, with_quartiles

SECTION = "Start-up"

BARE = "the interpreter alone"
IMPORT = "import filler_client"
BELOW = "import grpc, numpy, google.protobuf"
HELP = "filler --help"
PLAN = "filler plan lenet.prototxt"
INIT = "filler init lenet.prototxt"
WARM = "server to SERVING, kernels cached"
COLD = "server to SERVING, nothing cached"


def run(effort: Effort, results: Results, say: Callable[[str], None]) -> None:
    """Start each program again and again."""
    python = sys.executable
    programs: dict[str, Callable[[], Run]] = {
        BARE: lambda: command(python, "-c", "pass"),
        IMPORT: lambda: command(python, "-c", "import filler_client"),
        BELOW: lambda: command(
            python, "-c", "import grpc, numpy, google.protobuf.descriptor_pb2, google.protobuf.text_format"
        ),
        HELP: lambda: command(FILLER, "--help"),
        PLAN: lambda: command(FILLER, "plan", "tests/nets/lenet.prototxt"),
    }
    with TemporaryDirectory() as cache:
        net, weights = "tests/nets/lenet.prototxt", f"{cache}/lenet.safetensors"
        programs[INIT] = lambda: command(FILLER, "init", net, "-o", weights)
        for program in programs.values():
            program()
        say(", ".join(programs))
        runs, failed = alternate(programs, effort.start_rounds)
    say(COLD)
    with TemporaryDirectory() as cache:
        runs[COLD] = [_serving(cache)]
        command(FILLER, "warm-up", NUMBA_CACHE_DIR=cache)
        say(WARM)
        runs[WARM] = [_serving(cache) for _ in range(min(effort.start_rounds, 7))]
    comparison = Comparison(SECTION, ("programs",), 1, runs, failed)
    results.comparisons.append(comparison)
    table = Table(
        "Milliseconds to the end of a program, or until SERVING",
        ["program", "milliseconds", "above the interpreter"],
        notes=[f"{BELOW}: what the client stands on. SERVING: as asked by grpc.health.v1 every 10 ms."],
    )
    for name in runs:
        table.add(name, with_quartiles(comparison.seconds(name).scaled(1000)), _above(comparison, name))
    results.tables.append((SECTION, table))


def _serving(cache: str) -> Run:
    """Start a server whose kernels are cached in a folder, and ask until it serves."""
    begun = time.perf_counter()
    with Server(*OURS, env={"NUMBA_CACHE_DIR": cache}) as server:
        _wait_until_serving(server.address)
        return Run(time.perf_counter() - begun)


def _wait_until_serving(address: str) -> None:
    import grpc
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    with grpc.insecure_channel(address) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        request = health_pb2.HealthCheckRequest()
        while health.Check(request, wait_for_ready=True).status != health_pb2.HealthCheckResponse.SERVING:
            time.sleep(0.01)


def above_bare(comparison: Comparison, name: str) -> list[float]:
    """Return the seconds of each start beyond those of the interpreter in the same round."""
    pairs = zip(comparison.runs[name], comparison.runs[BARE], strict=True)
    return [run.seconds - bare.seconds for run, bare in pairs]


def _above(comparison: Comparison, name: str) -> str:
    if name in (BARE, COLD, WARM):
        return "-"
    return with_quartiles(spread(above_bare(comparison, name)).scaled(1000))
