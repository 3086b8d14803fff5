"""`filler init --ray` on three nodes of one machine: a signal, a lost node, and what a cluster may lack."""

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from caffe_filler.errors import InvalidArgument, Unavailable
from filler_client import FillerClient, verify
from tests.conftest import ROOT

pytestmark = pytest.mark.frameworks
ray = pytest.importorskip("ray")

from ray.exceptions import WorkerCrashedError  # noqa: E402

from filler_client.ray._cluster import joined  # noqa: E402 - it needs Ray
from filler_client.ray._tasks import _Progress, _result  # noqa: E402
from filler_client.ray._work import Order, write_file  # noqa: E402

WIDTH = 1600
"""Width of a matrix that takes longer to make orthogonal than a look at a process takes."""

LAYERS = 6
NET = f'layer {{ name: "data" type: "Input" top: "x0" input_param {{ shape {{ dim: [1, {WIDTH}] }} }} }}\n' + "\n".join(
    f'layer {{ name: "ip{number}" type: "InnerProduct" bottom: "x{number}" top: "x{number + 1}" inner_product_param '
    f'{{ num_output: {WIDTH} weight_filler {{ type: "orthogonal" }} bias_filler {{ type: "uniform" }} }} }}'
    for number in range(LAYERS)
)
SHARD = 100_000
SEED = 1701


@dataclass
class Nodes:
    """A cluster.

    Attributes:
        address: of its head.
        raylets: the process of each node, that of the head first.
    """

    address: str
    raylets: list[psutil.Process]


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    command = [sys.executable, "-m", "tests.client.ray.cluster", "3"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        found = json.loads(next(line for line in process.stdout if line.startswith("{")))
        everything = psutil.Process(process.pid).children(recursive=True)
        try:
            yield Nodes(found["address"], [psutil.Process(pid) for pid in found["raylets"]])
        finally:
            process.communicate(timeout=120)
    assert process.returncode == 0
    _, alive = psutil.wait_procs(everything, timeout=60)
    assert alive == []


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("net") / "net.prototxt"
    path.write_text(NET)
    return path


@pytest.fixture(scope="module")
def whole(net: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of one machine."""
    folder = tmp_path_factory.mktemp("whole")
    FillerClient.embedded().save_net(net, folder / "w.safetensors", seed=SEED, max_shard_bytes=SHARD)
    return contents(folder)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def hidden(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.startswith(".")]


def told(errors: str) -> list[str]:
    """The lines of an output, but for the one of a machine that is slow."""
    return [line for line in errors.splitlines() if not line.startswith("waiting for the Ray cluster")]


def start(net: Path, folder: Path, address: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "filler_client.cli", "init", net, "-o", folder / "w.safetensors"]
    options = ["--seed", SEED, "--max-shard-size", SHARD, "--ray", address]
    return subprocess.Popen(
        [*map(str, (*command, *options))], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def stopped_writer(node: psutil.Process, folder: Path, driver: "subprocess.Popen[str]") -> psutil.Process:
    """Return a worker of a node that is in the middle of a file, and does not go on."""
    while driver.poll() is None:
        for worker in node.children(recursive=True):
            try:
                if not writes(worker, folder):
                    continue
                worker.suspend()
                if writes(worker, folder):
                    return worker
                worker.resume()
            except psutil.Error:
                continue
        time.sleep(0.01)
    raise AssertionError(f"no worker of the node wrote a file: {driver.communicate()}")


def writes(worker: psutil.Process, folder: Path) -> bool:
    """Whether a process has a shard open that is not complete."""
    return any(file.path.startswith(f"{folder}/.w-") for file in worker.open_files())


def test_a_signal_ends_the_tasks_and_leaves_nothing_hidden(
    nodes: Nodes, net: Path, whole: dict[str, bytes], tmp_path: Path
) -> None:
    driver = start(net, tmp_path, nodes.address)
    # It cannot end as it is asked to, so that Ray kills it.
    writer = stopped_writer(nodes.raylets[1], tmp_path, driver)
    driver.terminate()
    _, errors = driver.communicate(timeout=120)
    assert (driver.returncode, told(errors)) == (128 + 15, ["filler: ended by SIGTERM"])
    assert hidden(tmp_path) == []
    assert not writer.is_running() or writer.status() == psutil.STATUS_ZOMBIE
    left = contents(tmp_path)
    assert left.items() < whole.items()
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    again = start(net, tmp_path, nodes.address)
    output, errors = again.communicate(timeout=120)
    assert (again.returncode, told(errors)) == (0, [])
    assert f"{tmp_path}/w.safetensors.index.json" in output
    assert contents(tmp_path) == whole
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_a_node_of_another_version_is_refused(nodes: Nodes, net: Path, tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from filler_client.ray import _tasks, save_net\n"
        "_tasks.library = lambda: 'caffe-filler 9'\n"
        "try:\n"
        "    save_net(Path(sys.argv[1]), sys.argv[2], address=sys.argv[3], max_shard_bytes=100000)\n"
        "except ConnectionError as error:\n"
        "    print(error)\n"
    )
    command = [sys.executable, "-c", program, net, tmp_path / "w.safetensors", nodes.address]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert "need the library of this process, caffe-filler 9. Received: caffe-filler" in done.stdout
    assert contents(tmp_path) == {}


def test_a_lost_node_is_made_up_for(nodes: Nodes, net: Path, whole: dict[str, bytes], tmp_path: Path) -> None:
    driver = start(net, tmp_path, nodes.address)
    node = nodes.raylets[2]
    writer = stopped_writer(node, tmp_path, driver)
    # As when a machine loses its power.
    for process in (*node.children(recursive=True), node):
        process.kill()
    writer.wait(60)
    assert hidden(tmp_path)
    output, errors = driver.communicate(timeout=240)
    assert (driver.returncode, told(errors)) == (0, [])
    assert f"{tmp_path}/w.safetensors.index.json" in output
    assert contents(tmp_path) == whole
    assert verify(tmp_path).is_equal


@pytest.fixture
def order(tmp_path: Path) -> Order:
    target, token = tmp_path / "w.safetensors", tmp_path / ".w.safetensors.01234567.part"
    token.touch()
    return Order(NET.encode(), target, token, 2 * LAYERS, "cli", {"max_shard_bytes": SHARD})


def test_a_task_writes_its_file(order: Order, tmp_path: Path) -> None:
    assert write_file(order, 2) == ()
    assert {path.name for path in tmp_path.iterdir()} == {order.token.name, "w-00002-of-00012.safetensors"}


def test_a_folder_that_a_node_does_not_have_is_refused(order: Order) -> None:
    order.token.unlink()
    with pytest.raises(InvalidArgument, match=r"^node .*: the folder of the output is not one .*--output /.*/w.safe"):
        write_file(order, 2)


def test_a_node_that_cannot_write_is_named(order: Order, tmp_path: Path) -> None:
    path = tmp_path / "w-00002-of-00012.safetensors"
    path.mkdir()
    with pytest.raises(IsADirectoryError) as caught:
        write_file(order, 2)
    assert caught.value.filename == f"{socket.gethostname()}:{path}"


def test_a_signal_that_comes_while_a_cluster_is_joined_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    def init(*_: Any, **__: Any) -> None:
        # As Ray does, and as it fares then.
        signal.signal(signal.SIGTERM, lambda number, _: sys.exit(number))
        signal.raise_signal(signal.SIGTERM)

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(ray, "init", init)
    monkeypatch.setenv("RAY_ADDRESS", "auto")
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        with pytest.raises(KeyboardInterrupt), joined(None):
            raise AssertionError
        assert signal.getsignal(signal.SIGTERM) is interrupt
    finally:
        signal.signal(signal.SIGTERM, before)


def test_progress_is_what_is_to_be_seen_in_the_folder(order: Order, tmp_path: Path) -> None:
    told: list[tuple[int, str]] = []
    progress = _Progress(order, [10, 20, 30], lambda nbytes, name: told.append((nbytes, name)))
    progress.look()
    first, second = (tmp_path / f".w-0000{number}-of-00003.safetensors.0123456{number}.part" for number in (1, 2))
    first.write_bytes(bytes(8))
    progress.look()
    second.write_bytes(bytes(12))
    progress.look()
    first.unlink()
    progress.ended(1)
    progress.look()
    # Its machine is lost, and a second one has not got so far.
    second.write_bytes(bytes(4))
    progress.look()
    second.write_bytes(bytes(100))
    progress.look()
    second.unlink()
    progress.ended(2)
    progress.ended(3)
    progress.look()
    assert told == [(8, "0 of 3 files"), (12, "0 of 3 files"), (2, "1 of 3 files"), (38, "1 of 3 files")]


def test_a_file_that_ray_gives_up_is_told() -> None:
    future: Future[Any] = Future()
    future.set_exception(WorkerCrashedError())
    with pytest.raises(Unavailable, match=r"^Ray gave a file up, after 8 retries .* was lost: The worker died"):
        _result(future)
