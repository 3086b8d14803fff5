import errno
import io
import os
import resource
import tracemalloc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import ml_dtypes
import numpy as np
import pytest

from caffe_filler.caffe.caffe_pb2 import LayerParameter, NetParameter
from caffe_filler.errors import InvalidArgument, ShapeError
from filler_server.tensors import Tensor
from filler_server.weights.formats.binaryproto import BinaryprotoWriter
from filler_server.weights.formats.caffemodel import CaffemodelWriter
from filler_server.weights.formats.hdf5 import Hdf5Writer
from filler_server.weights.formats.npy import NpyWriter
from filler_server.weights.formats.npz import NpzWriter
from filler_server.weights.formats.safetensors_file import SafetensorsWriter
from filler_server.weights.writer import Writer
from tests.weights.files import announced, tensors, write

F32 = np.dtype(np.float32)


def caffemodel_writer(target: Path | BinaryIO, given: Sequence[Tensor]) -> CaffemodelWriter:
    """A writer whose net has just the layers that the tensors are of."""
    layers = dict.fromkeys(tensor.name.rpartition("/")[0] for tensor in given)
    net = NetParameter(name="net", layer=[LayerParameter(name=name, type="InnerProduct") for name in layers])
    return CaffemodelWriter(target, given, net=net)


WRITERS = {
    "npz": NpzWriter,
    "npy": NpyWriter,
    "safetensors": SafetensorsWriter,
    "hdf5": Hdf5Writer,
    "binaryproto": BinaryprotoWriter,
    "caffemodel": caffemodel_writer,
}
ONE = ("npy", "binaryproto")
"""Formats of a single tensor."""
MANY = {name: make for name, make in WRITERS.items() if name not in ONE}
every_format = pytest.mark.parametrize("make", WRITERS.values(), ids=WRITERS)
formats_of_many = pytest.mark.parametrize("make", MANY.values(), ids=MANY)

SMALL = {"conv1/0": np.arange(12, dtype=F32).reshape(3, 4)}
TWO = [announced("a/0", (2,), F32), announced("a/1", (3,), F32)]


@every_format
def test_the_file_appears_when_it_is_complete(make: type[Writer], tmp_path: Path) -> None:
    path = tmp_path / "weights"
    path.write_bytes(b"older")
    with make(path, tensors(SMALL)) as writer:
        writer.write(SMALL["conv1/0"].tobytes())
        assert path.read_bytes() == b"older"
        assert len(list(tmp_path.iterdir())) == 2
    assert path.read_bytes() != b"older"
    assert list(tmp_path.iterdir()) == [path]


@every_format
@pytest.mark.parametrize("written", [0, 20, 48])
def test_after_an_error_nothing_is_left(make: type[Writer], tmp_path: Path, written: int) -> None:
    path = tmp_path / "weights"
    with pytest.raises(KeyboardInterrupt), make(path, tensors(SMALL)) as writer:
        if written:
            writer.write(bytes(written))
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


@every_format
def test_after_an_error_the_older_file_is_still_there(make: type[Writer], tmp_path: Path) -> None:
    path = tmp_path / "weights"
    path.write_bytes(b"older")
    with pytest.raises(OSError, match="gone"), make(path, tensors(SMALL)) as writer:
        writer.write(bytes(48))
        raise OSError("gone")
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == {"weights": b"older"}


@contextmanager
def small_files() -> Iterator[None]:
    """Let no file of this process grow beyond 10 kB, as a full disk would; the log of the tests may be such a file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@every_format
@pytest.mark.parametrize("piece", [100, 9_000, 40_000])
def test_on_a_full_disk_nothing_is_left(make: type[Writer], tmp_path: Path, piece: int) -> None:
    with (
        small_files(),
        pytest.raises(OSError, match="File too large"),
        make(tmp_path / "weights", [announced("a/0", (10_000,), F32)]) as writer,
    ):
        for start in range(0, 40_000, piece):
            writer.write(bytes(min(piece, 40_000 - start)))
    assert list(tmp_path.iterdir()) == []


@every_format
def test_on_a_disk_that_is_full_at_the_end_nothing_is_left(make: type[Writer], tmp_path: Path) -> None:
    with (
        small_files(),
        pytest.raises(OSError, match="File too large"),
        make(tmp_path / "weights", [announced("a/0", (2_498,), F32)]) as writer,
    ):
        writer.write(bytes(9_992))
    assert list(tmp_path.iterdir()) == []


@every_format
@pytest.mark.parametrize("written", [0, 1, 47])
def test_missing_bytes_are_refused(make: type[Writer], tmp_path: Path, written: int) -> None:
    with (
        pytest.raises(InvalidArgument, match=r"tensor 'conv1/0' is missing\. Received: 0 of 1 tensor$"),
        make(tmp_path / "weights", tensors(SMALL)) as writer,
    ):
        if written:
            writer.write(bytes(written))
    assert list(tmp_path.iterdir()) == []


@every_format
@pytest.mark.parametrize("pieces", [[49], [40, 9]])
def test_too_many_bytes_are_refused(make: type[Writer], tmp_path: Path, pieces: list[int]) -> None:
    with (
        pytest.raises(InvalidArgument, match=r"tensor 'conv1/0' has 48 bytes. Received: 49"),
        make(tmp_path / "weights", tensors(SMALL)) as writer,
    ):
        for piece in pieces:
            writer.write(bytes(piece))
    assert list(tmp_path.iterdir()) == []


@every_format
def test_bytes_behind_the_last_tensor_are_refused(make: type[Writer], tmp_path: Path) -> None:
    with (
        pytest.raises(InvalidArgument, match=r"all is written already\. Received: more than 1 tensor$"),
        make(tmp_path / "weights", tensors(SMALL)) as writer,
    ):
        writer.write(bytes(48))
        writer.write(b"")
    assert list(tmp_path.iterdir()) == []


@formats_of_many
def test_names_that_come_twice_are_refused(make: type[Writer], tmp_path: Path) -> None:
    twice = [*TWO, announced("a/0", (1,), F32)]
    with pytest.raises(InvalidArgument, match=r"two tensors of a file have one name. Received: name='a/0'"):
        make(tmp_path / "weights", twice)
    assert list(tmp_path.iterdir()) == []


@every_format
def test_shapes_that_no_array_has_are_refused(make: type[Writer], tmp_path: Path) -> None:
    with pytest.raises(ShapeError, match="tensor 'a/0': an array has dimensions from 0"):
        make(tmp_path / "weights", [announced("a/0", (10**30, 0), F32)])
    assert list(tmp_path.iterdir()) == []


@every_format
def test_writes_of_no_bytes_change_nothing(make: type[Writer], tmp_path: Path) -> None:
    plain = write(make, tmp_path / "plain", SMALL)
    with make(tmp_path / "other", tensors(SMALL)) as writer:
        for piece in (b"", b"", SMALL["conv1/0"].tobytes()[:5], b"", SMALL["conv1/0"].tobytes()[5:]):
            writer.write(piece)
    assert (tmp_path / "other").read_bytes() == plain


@every_format
def test_memory_of_any_kind_is_taken(make: type[Writer], tmp_path: Path) -> None:
    plain = write(make, tmp_path / "plain", SMALL)
    with make(tmp_path / "other", tensors(SMALL)) as writer:
        writer.write(SMALL["conv1/0"].data)
    assert (tmp_path / "other").read_bytes() == plain


@every_format
@pytest.mark.parametrize("piece", [1, 7, 48, 1000])
def test_equal_tensors_make_equal_files(make: type[Writer], tmp_path: Path, piece: int) -> None:
    assert write(make, tmp_path / "one", SMALL) == write(make, tmp_path / "other", SMALL, piece)


@every_format
def test_a_closed_writer_stays_closed(make: type[Writer], tmp_path: Path) -> None:
    with make(tmp_path / "weights", tensors(SMALL)) as writer:
        writer.write(bytes(48))
        writer.close()
        complete = (tmp_path / "weights").read_bytes()
        writer.close()
    assert (tmp_path / "weights").read_bytes() == complete


@every_format
def test_a_folder_that_does_not_exist(make: type[Writer], tmp_path: Path) -> None:
    path = tmp_path / "missing" / "weights"
    with pytest.raises(FileNotFoundError) as caught:
        make(path, tensors(SMALL))
    assert caught.value.filename == str(path)


@every_format
def test_memory_does_not_grow_with_the_file(make: type[Writer], tmp_path: Path) -> None:
    piece = bytes(1 << 20)
    large = announced("large/0", (64, 1 << 18), F32)
    path = tmp_path / "weights"
    with make(path, [large]) as writer:
        writer.write(piece)
        tracemalloc.start()
        try:
            for _ in range(63):
                writer.write(piece)
            assert tracemalloc.get_traced_memory()[1] < 1 << 18
        finally:
            tracemalloc.stop()
    assert path.stat().st_size > large.nbytes


def test_an_open_file_gets_the_bytes_and_stays_open() -> None:
    file = io.BytesIO()
    with NpyWriter(file, tensors(SMALL)) as writer:
        writer.write(SMALL["conv1/0"].tobytes())
    file.seek(0)
    np.testing.assert_array_equal(np.load(file), SMALL["conv1/0"])


class Pipe(io.RawIOBase):
    """A file that only takes bytes, as a pipe does."""

    def __init__(self) -> None:
        self.taken = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.taken += data
        return len(data)


@every_format
def test_a_pipe_gets_what_a_file_gets(make: type[Writer], tmp_path: Path) -> None:
    if make in (Hdf5Writer, NpzWriter):
        with pytest.raises(InvalidArgument, match="pipe"):
            make(io.BufferedWriter(Pipe()), tensors(SMALL))
        return
    pipe = Pipe()
    with make(io.BufferedWriter(pipe), tensors(SMALL)) as writer:
        writer.write(SMALL["conv1/0"].tobytes())
    assert bytes(pipe.taken) == write(make, tmp_path / "weights", SMALL)


@pytest.mark.parametrize(
    ("make", "given", "text"),
    [
        (NpyWriter, [], "a .npy file holds one tensor. Received: 0 tensors"),
        (NpyWriter, TWO, "a .npy file holds one tensor. Received: 2 tensors"),
        (
            NpyWriter,
            [announced("a", (2,), np.dtype(ml_dtypes.bfloat16))],
            "npy has no bfloat16, safetensors has. Received",
        ),
        (
            NpzWriter,
            [announced("a", (2,), np.dtype(ml_dtypes.bfloat16))],
            "npz has no bfloat16, safetensors has. Received",
        ),
        (NpzWriter, [announced("a\0b", (2,), F32)], r"Received: name='a\\x00b'"),
        (NpzWriter, [announced("a" * 70_000, (2,), F32)], "an npz has names of up to 65000 bytes"),
        (SafetensorsWriter, [announced("a", (2,), np.dtype(np.int32))], "Received: dtype=int32"),
        (SafetensorsWriter, [announced("__metadata__", (2,), F32)], "Received: name='__metadata__'"),
    ],
)
def test_what_a_format_cannot_hold_is_refused_before_a_file_is_made(
    make: type[Writer], given: Sequence[Tensor], text: str, tmp_path: Path
) -> None:
    with pytest.raises(InvalidArgument, match=text):
        make(tmp_path / "weights", given)
    assert list(tmp_path.iterdir()) == []


@formats_of_many
def test_a_file_of_no_tensors(make: type[Writer], tmp_path: Path) -> None:
    assert write(make, tmp_path / "weights", {})


def test_an_error_of_the_target_is_not_hidden() -> None:
    class Full(io.BytesIO):
        def write(self, data: Any) -> int:
            raise OSError("no space left")

    target: BinaryIO = Full()
    with pytest.raises(OSError, match="no space left"):
        SafetensorsWriter(target, tensors(SMALL))


def refuse_to_copy(*arguments: Any) -> int:
    raise OSError(errno.EXDEV, "another file system")


def copy_a_little(source: int, target: int, count: int, source_offset: int, target_offset: int) -> int:
    return os.pwrite(target, os.pread(source, min(count, 7), source_offset), target_offset)


@every_format
@pytest.mark.parametrize("how", [None, refuse_to_copy, copy_a_little, "missing"])
def test_bytes_of_another_file_are_copied(
    make: type[Writer], how: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    array = np.arange(1000, dtype=F32).reshape(10, 100)
    plain = write(make, tmp_path / "plain", {"ip/0": array})
    (tmp_path / "source").write_bytes(b"front" + array.tobytes() + b"behind")
    if how == "missing":
        monkeypatch.delattr(os, "copy_file_range")
    elif how is not None:
        monkeypatch.setattr(os, "copy_file_range", how)
    with (tmp_path / "source").open("rb") as source, make(tmp_path / "w", tensors({"ip/0": array})) as writer:
        writer.write(array.tobytes()[:10])
        writer.copy(source.fileno(), 5 + 10, 1000)
        writer.write(array.tobytes()[1010:2000])
        writer.copy(source.fileno(), 5 + 2000, 2000)
    assert (tmp_path / "w").read_bytes() == plain


@every_format
def test_a_file_that_became_shorter_leaves_nothing(make: type[Writer], tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(bytes(30))
    with (
        pytest.raises(OSError, match="became shorter"),
        (tmp_path / "source").open("rb") as source,
        make(tmp_path / "w", tensors(SMALL)) as writer,
    ):
        writer.copy(source.fileno(), 0, 48)
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_too_many_bytes_of_another_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(bytes(100))
    with (
        pytest.raises(InvalidArgument, match=r"has 48 bytes. Received: 49"),
        (tmp_path / "source").open("rb") as source,
        NpyWriter(tmp_path / "w", tensors(SMALL)) as writer,
    ):
        writer.copy(source.fileno(), 0, 49)
