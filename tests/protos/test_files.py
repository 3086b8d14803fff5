import os
import threading
from pathlib import Path

import pytest

from caffe_filler.errors import DeadlineExceeded, InvalidArgument, LimitExceeded
from caffe_filler.files import open_file, read_file


def test_a_regular_file(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"name")
    assert read_file(tmp_path / "f", 4) == b"name"
    with pytest.raises(LimitExceeded, match=r"f: over the limit bytes=3. Received: 4"):
        read_file(tmp_path / "f", 3)


def test_a_file_with_holes_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "f").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(LimitExceeded, match="over the limit bytes=1000"):
        read_file(tmp_path / "f", 1000)


def test_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "f")
    content = os.urandom(300_000)
    writer = threading.Thread(target=(tmp_path / "f").write_bytes, args=(content,))
    writer.start()
    assert read_file(tmp_path / "f", 1 << 20) == content
    writer.join()


def test_an_open_pipe_of_a_shell() -> None:
    reader, writer = os.pipe()
    os.write(writer, b"name")
    os.close(writer)
    assert read_file(Path(f"/proc/self/fd/{reader}"), 4) == b"name"
    os.close(reader)


def test_a_pipe_to_which_nobody_writes(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "f")
    with pytest.raises(DeadlineExceeded, match=r"f: nobody writes to the pipe. Waited: 0.05 s"):
        read_file(tmp_path / "f", 4, patience=0.05)
    open_file(tmp_path / "f").close()


def test_a_pipe_without_end() -> None:
    reader, writer = os.pipe()
    os.write(writer, bytes(5))
    with pytest.raises(LimitExceeded, match="over the limit bytes=4"):
        read_file(Path(f"/proc/self/fd/{reader}"), 4)
    os.close(reader)
    os.close(writer)


def test_a_device() -> None:
    with pytest.raises(InvalidArgument, match="/dev/zero: this is a device"):
        read_file(Path("/dev/zero"), 4)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_file(tmp_path / "f", 4)
