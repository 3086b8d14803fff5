"""Files that appear whole or not at all, and the remains of processes that were killed."""

import errno
import fcntl
import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, BinaryIO, cast

import pytest

from filler_server.output import AtomicFile, OpenFile, remove_remains, unfinished, write_atomically

KILLED = """
import os, signal, sys
from pathlib import Path
from typing import Any, BinaryIO, cast
from filler_server.output import AtomicFile
file = AtomicFile(Path(sys.argv[1]))
file.file.write(b"half")
file.file.flush()
os.kill(os.getpid(), signal.SIGKILL)
"""


def killed(path: Path) -> None:
    """Let a process be killed while it writes a file."""
    done = subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False, capture_output=True, text=True)
    assert done.returncode == -9, done.stderr


def hidden(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.startswith(".")]


def test_a_file_appears_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "w.npz"
    path.write_bytes(b"older")
    file = AtomicFile(path)
    file.file.write(b"newer")
    assert path.read_bytes() == b"older"
    assert len(hidden(tmp_path)) == 1
    file.commit()
    assert path.read_bytes() == b"newer"
    assert (file.files, hidden(tmp_path)) == ((path,), [])


def test_a_discarded_file_leaves_nothing(tmp_path: Path) -> None:
    file = AtomicFile(tmp_path / "w.npz")
    file.file.write(b"newer")
    file.discard()
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_has_left_is_removed_by_the_next(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    killed(path)
    killed(tmp_path / "other.safetensors")
    assert len(hidden(tmp_path)) == 2
    write_atomically(path, b"whole")
    assert path.read_bytes() == b"whole"
    # Only of the same file: another may be written to a place that cannot be seen from here.
    (left,) = hidden(tmp_path)
    assert left.startswith(".other.safetensors.")


@pytest.mark.parametrize("left", ["w.safetensors.index.json", "w-00001-of-00003.safetensors", "w.safetensors"])
def test_remains_of_shards_and_their_index_are_of_the_same_file(tmp_path: Path, left: str) -> None:
    killed(tmp_path / left)
    remove_remains(tmp_path / "w.safetensors")
    assert hidden(tmp_path) == []


@pytest.mark.parametrize(
    "name",
    [".w.npz.part", ".w.npz.0123abcd.part.txt", ".w.npz.0123abc.part", ".w2.npz.0123abcd.part", "w.npz.0123abcd.part"],
)
def test_files_of_others_stay(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"mine")
    write_atomically(tmp_path / "w.npz", b"")
    assert (tmp_path / name).read_bytes() == b"mine"


def test_a_file_that_is_being_written_stays(tmp_path: Path) -> None:
    path = tmp_path / "w.npz"
    first = AtomicFile(path)
    first.file.write(b"first")
    second = AtomicFile(path)
    assert len(hidden(tmp_path)) == 2
    second.file.write(b"second")
    second.commit()
    first.commit()
    assert path.read_bytes() == b"first"


def test_a_set_belongs_to_whoever_writes_one_of_its_files(tmp_path: Path) -> None:
    index = AtomicFile(tmp_path / "w.safetensors.index.json")
    shard = AtomicFile(tmp_path / "w-00001-of-00002.safetensors", index.token)
    shard.file.close()
    remove_remains(tmp_path / "w.safetensors")
    assert len(hidden(tmp_path)) == 2
    shard.commit()
    index.commit()
    assert hidden(tmp_path) == []


def test_remains_are_removed_where_only_what_is_open_for_writing_can_be_locked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on NFS."""
    lock = fcntl.flock

    def lock_of_nfs(file: int, operation: int) -> None:
        if fcntl.fcntl(file, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        lock(file, operation)

    path = tmp_path / "w.npz"
    killed(path)
    assert [file.name for file in unfinished(path)] == hidden(tmp_path)
    monkeypatch.setattr(fcntl, "flock", lock_of_nfs)
    remove_remains(path)
    assert hidden(tmp_path) == []
    assert unfinished(path) == unfinished(tmp_path / "missing" / "w.npz") == []


def test_a_folder_that_does_not_exist_is_named(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "w.npz"
    with pytest.raises(FileNotFoundError) as caught:
        AtomicFile(path)
    assert caught.value.filename == str(path)


def test_an_open_file_is_left_open(tmp_path: Path) -> None:
    with (tmp_path / "w").open("wb") as file:
        output = OpenFile(file)
        output.file.write(b"here")
        output.discard()
        output.commit()
        assert not file.closed
    assert (output.files, output.replaced, (tmp_path / "w").read_bytes()) == ((), (), b"here")


INTERRUPTED = """
import sys
from pathlib import Path
from typing import Any, BinaryIO, cast
from filler_server import output

def interrupt(file):
    assert len(list(Path(sys.argv[1]).iterdir())) == 1
    raise KeyboardInterrupt

output._lock = interrupt
output.AtomicFile(Path(sys.argv[1]) / "w")
"""


def test_a_signal_before_anybody_has_the_file_leaves_nothing(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", INTERRUPTED, tmp_path], capture_output=True, text=True, check=False)
    assert done.stderr.splitlines()[-1] == "KeyboardInterrupt"
    assert list(tmp_path.iterdir()) == []


def test_a_file_keeps_the_mode_of_the_one_that_it_replaces(tmp_path: Path) -> None:
    path = tmp_path / "w.npz"
    path.write_bytes(b"older")
    path.chmod(0o640)
    write_atomically(path, b"newer")
    assert path.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("target", ["real.npz", "folder/real.npz", "folder/other"])
def test_a_symbolic_link_stays(tmp_path: Path, target: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "real.npz").write_bytes(b"older")
    link = tmp_path / "w.npz"
    link.symlink_to(target)
    write_atomically(link, b"newer")
    assert link.is_symlink()
    assert (tmp_path / target).read_bytes() == b"newer"
    assert hidden(tmp_path) == hidden(tmp_path / "folder") == []


def test_links_in_a_circle_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OSError, match="Too many levels of symbolic links"):
        write_atomically(tmp_path / "a", b"")


@pytest.mark.parametrize("length", [230, 241, 255])
def test_names_up_to_the_limit_of_the_file_system(tmp_path: Path, length: int) -> None:
    path = tmp_path / ("é" * (length // 2) + "n" * (length % 2))
    killed(path)
    assert len(hidden(tmp_path)) == 1
    write_atomically(path, b"whole")
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_a_name_over_the_limit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"File name too long: .*/nnn"):
        write_atomically(tmp_path / ("n" * 256), b"")
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_regular_file_is_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match=r"not a regular file: .*pipe"):
        write_atomically(tmp_path / "pipe", b"")
    with pytest.raises(IsADirectoryError, match="folder"):
        write_atomically(tmp_path / "folder", b"")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["folder", "pipe"]


class Narrow(io.RawIOBase):
    """A file that takes few bytes at a time."""

    def __init__(self) -> None:
        self.taken = b""

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        self.taken += bytes(data[:1000])
        return min(len(data), 1000)


def test_a_file_that_takes_a_part_is_given_the_rest() -> None:
    raw = Narrow()
    file = OpenFile(cast(BinaryIO, raw))
    file.file.write(bytes(range(256)) * 100)
    file.commit()
    assert raw.taken == bytes(range(256)) * 100
    assert not raw.closed
    file = OpenFile(cast(BinaryIO, Narrow()))
    file.file.write(b"some")
    file.discard()
