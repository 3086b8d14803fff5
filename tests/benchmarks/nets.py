"""Whole nets: `filler init` into a file, against a copy of that file and against PyTorch's building and saving."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.benchmarks.effort import Effort
from tests.benchmarks.results import Comparison, Results, Run
from tests.benchmarks.servers import OURS, Server
from tests.benchmarks.statistics import NotAvailable, alternate, spread
from tests.benchmarks.tables import MIB, Table, digits, with_quartiles
from tests.benchmarks.workers import ROOT, WorkerProcess, environment

SECTION = "Whole nets"

FILLER = str(Path(sys.executable).with_name("filler"))


@dataclass(frozen=True, slots=True)
class Net:
    """A net of tests/nets.

    Attributes:
        name: as it is printed.
        file: name of the prototxt.
        options: what `filler init` has to be told besides.
    """

    name: str
    file: str
    options: tuple[str, ...] = ()

    @property
    def arguments(self) -> list[str]:
        """The arguments of `filler init`, the output aside."""
        return [str(ROOT / "tests" / "nets" / self.file), *self.options, "--seed", "1701"]


NETS = [
    Net("CaffeNet", "caffenet.prototxt", ("--input", "data=256,3,227,227")),
    Net("VGG-16", "vgg16_train_val.prototxt", ("--input", "data=64,3,224,224")),
    Net("ResNet-50", "resnet50.prototxt"),
]

LARGE = 256 * MIB
"""From so many bytes on, a net has fewer rounds."""

EMBEDDED, REMOTE, COPY = "ours: embedded", "ours: over a server", "cp"
EMBEDDED_COMMAND, REMOTE_COMMAND = "ours: command, embedded", "ours: command, over a server"
TORCH, TORCH_SAVED, TORCH_COMMAND = "PyTorch: build", "PyTorch: build and save", "PyTorch: command, build and save"
NAMES = [EMBEDDED, REMOTE, COPY, TORCH, TORCH_SAVED, EMBEDDED_COMMAND, REMOTE_COMMAND, TORCH_COMMAND]

NOTES = [
    "Commands are whole: start, imports and all. The others run in a process that has imported what it needs.",
    "Every file is made anew, on one file system, without fsync; removing the one before is not timed. "
    "cp copies the .safetensors file that ours has written.",
    "PyTorch: modules of the same shapes with their default initialization on 2 threads; torch.save of the state_dict.",
    "Over a server: on the same two CPUs, by loopback TCP.",
]


def run(effort: Effort, results: Results, say: Callable[[str], None]) -> None:
    """Compare all ways to a file of each net."""
    folder = ROOT / "build" / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        files = Path(stack.enter_context(TemporaryDirectory(dir=folder, prefix="files-")))
        server = stack.enter_context(Server(*OURS))
        workers = {
            EMBEDDED: stack.enter_context(WorkerProcess("peers.ours_nets")),
            REMOTE: stack.enter_context(WorkerProcess("peers.ours_nets", server=server.pid)),
        }
        unavailable = {}
        try:
            workers[TORCH] = stack.enter_context(WorkerProcess("peers.pytorch_nets"))
        except NotAvailable as error:
            unavailable = dict.fromkeys((TORCH, TORCH_SAVED, TORCH_COMMAND), str(error))
        for net in NETS:
            say(net.name)
            contenders, nbytes = _contenders(net, files, server, workers)
            runs, failed = alternate(contenders, effort.net_rounds if nbytes < LARGE else effort.large_net_rounds)
            for file in files.iterdir():
                file.unlink()
            comparison = Comparison(SECTION, (net.name,), nbytes, runs, {**unavailable, **failed})
            results.comparisons.append(comparison)
            results.tables.append((SECTION, _table(comparison)))


def _contenders(
    net: Net, files: Path, server: Server, workers: dict[str, WorkerProcess]
) -> tuple[dict[str, Callable[[], Run]], int]:
    """Return what writes each file anew, by name, and the length of ours."""
    original = files / "original.safetensors"
    command(FILLER, "init", *net.arguments, "-o", str(original))
    with original.open("rb+") as file:
        os.fsync(file.fileno())
    remote = ("--server", server.address)

    def fresh(name: str, make: Callable[[Path], Callable[[], Run]]) -> Callable[[], Run]:
        path = files / name
        call = make(path)
        path.unlink(missing_ok=True)

        def anew() -> Run:
            try:
                return call()
            finally:
                # At once, so that the system does not begin to write it to the disk while others are timed.
                path.unlink(missing_ok=True)

        return anew

    def ours(name: str, *options: str) -> Callable[[Path], Callable[[], Run]]:
        return lambda path: workers[name].prepare("init", arguments=[*net.arguments, *options, "-o", str(path)])

    def init(*options: str) -> Callable[[Path], Callable[[], Run]]:
        return lambda path: lambda: command(FILLER, "init", *net.arguments, *options, "-o", str(path))

    def served(call: Callable[[], Run]) -> Callable[[], Run]:
        """The worker of the server pauses it; a command needs it awake."""

        def run() -> Run:
            with server.awake():
                return call()

        return run

    copy = shutil.which("cp") or "cp"
    contenders = {
        EMBEDDED: fresh("embedded.safetensors", ours(EMBEDDED)),
        REMOTE: fresh("remote.safetensors", ours(REMOTE, *remote)),
        COPY: fresh("copy.safetensors", lambda path: lambda: command(copy, str(original), str(path))),
        EMBEDDED_COMMAND: fresh("embedded-command.safetensors", init()),
        REMOTE_COMMAND: served(fresh("remote-command.safetensors", init(*remote))),
    }
    if TORCH in workers:
        layers = layer_shapes(net)
        program = (sys.executable, "-m", "tests.benchmarks.peers.pytorch_nets")
        description = files / "layers.txt"
        description.write_text(repr(layers), encoding="utf-8")
        contenders |= {
            TORCH: workers[TORCH].prepare("build", layers=layers),
            TORCH_SAVED: fresh(
                "torch.pt", lambda path: workers[TORCH].prepare("save", layers=layers, output=str(path))
            ),
            TORCH_COMMAND: fresh(
                "torch-command.pt", lambda path: lambda: command(*program, str(description), str(path))
            ),
        }
    return contenders, original.stat().st_size


def layer_shapes(net: Net) -> list[tuple[str, list[int]]]:
    """Return type and weight shape of each layer that PyTorch has a module for; BatchNorm's does Scale's part, too."""
    from filler_client import FillerClient

    options = dict(option.split("=") for option in net.options[1::2])
    inputs = {name: [int(dim) for dim in dims.split(",")] for name, dims in options.items()}
    plan = FillerClient.embedded().plan_net(Path(net.arguments[0]), inputs=inputs)
    return [
        (layer.type, list(layer.blobs[0].known_shape or ()))
        for layer in plan.layers
        if layer.blobs and layer.type != "Scale"
    ]


def command(*words: str, **changes: str) -> Run:
    """Run a program to its end.

    Args:
        words: its name and its arguments.
        changes: what its environment has besides.

    Raises:
        NotAvailable: it cannot be started, or fails.
    """
    begun = time.perf_counter()
    process = subprocess.Popen(
        words,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(**changes),
        cwd=ROOT,
    )
    assert process.stderr is not None
    with process.stderr:
        message = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - begun
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise NotAvailable(f"{words[0]} ended with {process.returncode}: {message.strip()[-200:]}")
    return Run(seconds, client_cpu=usage.ru_utime + usage.ru_stime, client_peak=usage.ru_maxrss << 10)


def _table(comparison: Comparison) -> Table:
    table = Table(
        f"{comparison.case[0]}: {comparison.amount / MIB:.0f} MiB into a file",
        ["contender", "seconds", "time / cp's", "CPU s", "peak MiB"],
        notes=NOTES if comparison.case[0] == NETS[0].name else [],
    )
    for name in NAMES:
        if name not in comparison.runs:
            table.add(name, *["not available"] * 4)
            table.notes.append(f"{name}: not available: {comparison.unavailable[name]}")
            continue
        runs = comparison.runs[name]
        ratio = comparison.faster(COPY, name)
        table.add(
            name,
            with_quartiles(comparison.seconds(name)),
            "-" if ratio is None else with_quartiles(ratio),
            digits(spread([run.client_cpu + run.server_cpu for run in runs]).median),
            digits(max(run.client_peak for run in runs) / MIB),
        )
    return table
