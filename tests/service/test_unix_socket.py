"""One living server for each socket in the file system."""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from caffe_filler.errors import InvalidArgument
from filler_client import FillerClient
from filler_server.service.server import FillerServer
from filler_server.service.settings import Settings
from filler_server.service.unix_socket import UnixSocket


class Listener:
    """Binds sockets as gRPC does: in place of whatever is there."""

    def __init__(self) -> None:
        self._sockets: list[socket.socket] = []

    def bind(self, address: str) -> None:
        path = Path(address.removeprefix("unix:"))
        path.unlink(missing_ok=True)
        bound = socket.socket(socket.AF_UNIX)
        bound.bind(str(path))
        bound.listen()
        self._sockets.append(bound)

    def close(self) -> None:
        for bound in self._sockets:
            bound.close()


@pytest.fixture
def listener() -> Iterator[Listener]:
    made = Listener()
    yield made
    made.close()


def test_a_living_server_keeps_its_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, listener: Listener) -> None:
    monkeypatch.chdir(tmp_path)
    first = UnixSocket("unix:a.sock", listener.bind)
    inode = Path("a.sock").stat().st_ino
    (tmp_path / "link").symlink_to("a.sock")
    for address in ("unix:a.sock", f"unix:{tmp_path}/a.sock", f"unix://{tmp_path}/a.sock", "unix:link"):
        with pytest.raises(InvalidArgument, match=f"another server listens there. Received: listen={address}$"):
            UnixSocket(address, listener.bind)
    assert Path("a.sock").stat().st_ino == inode
    monkeypatch.chdir("/")
    first.close()
    assert {path.name for path in tmp_path.iterdir()} == {"link"}


def test_the_socket_of_a_dead_server_is_replaced(tmp_path: Path, listener: Listener) -> None:
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(tmp_path / "a.sock"))
    dead.close()
    UnixSocket(f"unix:{tmp_path}/a.sock", listener.bind).close()
    assert list(tmp_path.iterdir()) == []


def test_the_socket_of_a_later_server_is_left_alone(tmp_path: Path, listener: Listener) -> None:
    first = UnixSocket(f"unix:{tmp_path}/a.sock", listener.bind)
    listener.close()
    second = UnixSocket(f"unix:{tmp_path}/a.sock", listener.bind)
    first.close()
    assert [path.name for path in tmp_path.iterdir()] == ["a.sock"]
    second.close()
    assert list(tmp_path.iterdir()) == []


def test_other_files_are_not_replaced(tmp_path: Path, listener: Listener) -> None:
    (tmp_path / "notes").write_text("mine")
    with pytest.raises(InvalidArgument, match="there is a file that is not a socket"):
        UnixSocket(f"unix:{tmp_path}/notes", listener.bind)
    assert (tmp_path / "notes").read_text() == "mine"
    with pytest.raises(InvalidArgument, match="cannot listen there: No such file or directory"):
        UnixSocket(f"unix:{tmp_path}/none/a.sock", listener.bind)


@pytest.mark.skipif(sys.platform != "linux", reason="goes through /proc")
def test_a_short_path_in_a_folder_far_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, listener: Listener) -> None:
    deep = tmp_path / ("d" * 100) / ("e" * 100)
    deep.mkdir(parents=True)
    monkeypatch.chdir(deep)
    first = UnixSocket("unix:a.sock", listener.bind)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect("a.sock")
    with pytest.raises(InvalidArgument, match="another server listens there"):
        UnixSocket("unix:a.sock", listener.bind)
    first.close()
    assert list(deep.iterdir()) == []


def test_of_many_that_start_at_once_one_has_the_socket(tmp_path: Path, listener: Listener) -> None:
    outcomes: list[UnixSocket | InvalidArgument] = []
    barrier = threading.Barrier(8)

    def start() -> None:
        barrier.wait()
        try:
            outcomes.append(UnixSocket(f"unix:{tmp_path}/a.sock", listener.bind))
        except InvalidArgument as error:
            outcomes.append(error)

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(isinstance(outcome, UnixSocket) for outcome in outcomes) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["a.sock"]


@pytest.mark.parametrize("scheme", ["unix", "unix-abstract"])
def test_servers(tmp_path: Path, scheme: str) -> None:
    address = f"unix:{tmp_path}/a.sock" if scheme == "unix" else f"unix-abstract:{tmp_path.name}-{os.getpid()}"
    first = FillerServer(Settings(listen=[address]))
    try:
        with pytest.raises(InvalidArgument, match="listen"):
            FillerServer(Settings(listen=[address]))
        first.start()
        with FillerClient(address) as client:
            assert client.list_fillers()
    finally:
        first.stop(0)
    assert list(tmp_path.iterdir()) == []
    second = FillerServer(Settings(listen=[address]))
    second.stop(0)


def test_after_a_server_was_killed(tmp_path: Path) -> None:
    address = f"unix:{tmp_path}/a.sock"
    code = (
        "import sys, time; from filler_server.service.server import FillerServer; "
        "from filler_server.service.settings import Settings; "
        f"server = FillerServer(Settings(listen=[{address!r}])); print('bound', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"bound\n"
        process.send_signal(signal.SIGSTOP)
        with pytest.raises(InvalidArgument, match="another server listens there"):
            FillerServer(Settings(listen=[address]))
        process.kill()
    assert [path.name for path in tmp_path.iterdir()] == ["a.sock"]
    FillerServer(Settings(listen=[address])).stop(0)
    assert list(tmp_path.iterdir()) == []
