"""Caffe's HDF5 weights, against h5py."""

import errno
import os
import random
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from caffe_filler.errors import FillerError, InvalidArgument, LimitExceeded, Unavailable, WeightsError
from filler_server import output
from filler_server.weights import names
from filler_server.weights.formats import hdf5
from filler_server.weights.formats.hdf5 import Hdf5Writer
from filler_server.weights.opening import open_weights
from tests.weights.files import announced, same, write

h5py = pytest.importorskip("h5py")

F32 = np.dtype(np.float32)
SIX = np.arange(6, dtype=np.float32).reshape(2, 3)
LARGE = np.random.default_rng(1).standard_normal((3, 700, 900)).astype(np.float32)


def test_as_caffe_writes_it(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "w", "w") as file:
        for layer in ("data", "ip", "relu"):
            file.create_group(f"data/{layer}")
            file.create_group(f"diff/{layer}")
        file["data/ip/0"], file["data/ip/1"], file["diff/ip/0"] = SIX, SIX[0].astype(np.float64), SIX
    with open_weights(tmp_path / "w") as weights:
        assert weights.format == "hdf5"
        assert [(layer.name, len(layer.tensors)) for layer in weights.layers] == [("data", 0), ("ip", 2), ("relu", 0)]
        assert same(weights["ip/0"].array(), SIX)
        assert same(weights["ip/1"].array(), SIX[0].astype(np.float64))
        assert weights["ip/0"].place is not None


def test_slashes_in_the_names_of_layers(tmp_path: Path) -> None:
    arrays = {"inception_3a/1x1/0": SIX, "inception_3a/1x1/1": SIX[0], "inception_3a/0": SIX[1], "conv/0": SIX}
    write(Hdf5Writer, tmp_path / "w.h5", arrays)
    with h5py.File(tmp_path / "w.h5") as file:
        assert same(file["data/inception_3a/1x1/0"][()], SIX)
    with open_weights(tmp_path / "w.h5") as weights:
        assert {layer.name: len(layer.tensors) for layer in weights.layers} == {
            "conv": 1,
            "inception_3a": 1,
            "inception_3a/1x1": 2,
        }
        for name, array in arrays.items():
            assert same(weights[name].array(), array)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
def test_h5py_reads_what_is_written(tmp_path: Path, dtype: type) -> None:
    arrays = {
        "ip/0": SIX.astype(dtype),
        "ip/1": np.array(0.25, dtype),
        "ip/2": np.empty((0, 3), dtype),
        "日本語/0": SIX.astype(dtype),
    }
    content = write(Hdf5Writer, tmp_path / "w.h5", arrays, 7)
    with h5py.File(tmp_path / "w.h5") as file:
        for name, array in arrays.items():
            assert same(file[f"data/{name}"][()], array)
    with open_weights(tmp_path / "w.h5") as weights:
        assert {tensor.name for tensor in weights.tensors} == set(arrays)
        assert all(same(weights[name].array(), array) for name, array in arrays.items())
    assert write(Hdf5Writer, tmp_path / "other.h5", arrays) == content


@pytest.mark.parametrize("chunks", [(1, 100, 900), (3, 700, 1)])
def test_compressed_chunks(tmp_path: Path, chunks: tuple[int, ...]) -> None:
    with h5py.File(tmp_path / "w", "w") as file:
        file.create_dataset("data/ip/0", data=LARGE, chunks=chunks, compression="gzip", compression_opts=1)
        file.create_dataset("data/ip/1", data=LARGE[:, :2].astype(">f4"))
        file.create_dataset("data/ip/2", shape=(2_000_000, 2), dtype=np.float32)
    with open_weights(tmp_path / "w") as weights:
        for name, array in (("ip/0", LARGE), ("ip/1", LARGE[:, :2]), ("ip/2", np.zeros((2_000_000, 2), np.float32))):
            assert same(weights[name].array(), np.ascontiguousarray(array))
            blocks = [block.copy() for block in weights[name].blocks()]
            assert max(block.size for block in blocks) <= 1 << 20
            assert same(np.concatenate(blocks), array.reshape(-1))


@pytest.mark.parametrize("start", [0, 1, 20, 21, 59, 60, 100, 119])
def test_chunks_are_unpacked_once_wherever_a_reader_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, start: int
) -> None:
    values = np.arange(120, dtype=np.float32).reshape(12, 10)
    with h5py.File(tmp_path / "w", "w") as file:
        file.create_dataset("data/ip/0", data=values, chunks=(3, 10), compression="gzip")
    monkeypatch.setattr(hdf5, "_UNPACKED_AT_ONCE", 4 * 10 * 5)
    monkeypatch.setattr(hdf5, "BLOCK", 7)
    read: list[tuple[int, int]] = []
    get = h5py.Dataset.__getitem__

    def counting(self: h5py.Dataset, key: tuple[slice]) -> object:
        read.append((key[0].start, key[0].stop))
        return get(self, key)

    monkeypatch.setattr(h5py.Dataset, "__getitem__", counting)
    with open_weights(tmp_path / "w") as weights:
        out = np.empty(120 - start, np.float32)
        weights["ip/0"].read(start, out)
    assert out.tolist() == list(range(start, 120))
    assert read == [(first, first + 3) for first in range(start // 30 * 3, 12, 3)]


def test_what_would_be_far_longer_unpacked_is_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "w", "w") as file:
        file.create_dataset("data/ip/0", shape=(1 << 20, 1 << 20), dtype=np.float32, chunks=(1, 1 << 10))
    with pytest.raises(LimitExceeded, match="unpacked_bytes"):
        open_weights(tmp_path / "w")


def test_what_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(bytes(24))
    with h5py.File(tmp_path / "w", "w") as file:
        file["data/ip/0"] = SIX
        file["data/soft"] = h5py.SoftLink("/data/ip")
        file["data/outside"] = h5py.ExternalLink("other.h5", "/data")
    with open_weights(tmp_path / "w") as weights:
        assert [tensor.name for tensor in weights.tensors] == ["ip/0"]
    with h5py.File(tmp_path / "w", "w") as file:
        file.create_dataset("data/ip/0", (6,), np.float32, external=[(str(tmp_path / "secret"), 0, 24)])
    with pytest.raises(WeightsError, match="values in other files"):
        open_weights(tmp_path / "w")
    with h5py.File(tmp_path / "w", "w") as file:
        loop = file.create_group("data/a")
        loop["b"] = file["data"]
    with pytest.raises(WeightsError, match="nested deeper"):
        open_weights(tmp_path / "w")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda file: file.create_group("weights"), "no group 'data'"),
        (lambda file: file.__setitem__("data", SIX), "no group 'data'"),
        (lambda file: file.__setitem__("data/ip/0", "text"), "holds no numbers"),
        (lambda file: file.create_dataset("data/ip/0", data=h5py.Empty("f")), "holds no numbers"),
    ],
)
def test_other_hdf5_files(tmp_path: Path, make: object, message: str) -> None:
    with h5py.File(tmp_path / "w", "w") as file:
        make(file)  # type: ignore[operator]
    with pytest.raises(WeightsError, match=message):
        open_weights(tmp_path / "w")


def test_damaged_files_are_refused_cleanly(tmp_path: Path) -> None:
    write(Hdf5Writer, tmp_path / "w", {"ip/0": SIX, "ip/1": SIX[0]})
    original = (tmp_path / "w").read_bytes()
    with pytest.raises(WeightsError, match="cut short"):
        (tmp_path / "w").write_bytes(original[:-10])
        open_weights(tmp_path / "w")
    chance = random.Random(1701)
    refused = 0
    for _ in range(150):
        content = bytearray(original)
        content[chance.randrange(8, len(content))] = chance.randrange(256)
        (tmp_path / "w").write_bytes(content)
        try:
            with open_weights(tmp_path / "w") as weights:
                for tensor in weights.tensors:
                    tensor.array()
        except FillerError:
            refused += 1
    assert 0 < refused < 150


def test_without_h5py_it_is_said_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(Hdf5Writer, tmp_path / "w.h5", {"ip/0": SIX})
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(Unavailable, match=r"w.h5: HDF5 needs h5py: pip install 'caffe-filler\[hdf5\]'"):
        open_weights(tmp_path / "w.h5")
    with pytest.raises(Unavailable, match="HDF5 needs h5py"):
        Hdf5Writer(tmp_path / "other.h5", [announced("ip/0", (1,), np.dtype(np.float32))])
    assert [path.name for path in tmp_path.iterdir()] == ["w.h5"]


@pytest.mark.parametrize("name", ["", "a//0", "./0", "/0", "a\0/0", "a/"])
def test_names_that_would_mean_another_place(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidArgument, match="parts of a name in HDF5"):
        Hdf5Writer(tmp_path / "w.h5", [announced(name, (1,), np.dtype(np.float32))])
    assert list(tmp_path.iterdir()) == []


def test_a_long_name_of_many_blobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The name of a group is part of the names of all that lies in it."""
    with h5py.File(tmp_path / "w", "w") as file:
        group = file.create_group("data").create_group("n" * 4000)
        values = group.create_dataset("0", data=np.zeros(1, np.float32))
        for index in range(1, 200):
            # Links to the same values, which take next to nothing of the file.
            group[str(index)] = values
    with open_weights(tmp_path / "w") as weights:
        assert len(weights.tensors) == 200
    monkeypatch.setattr(names, "_NAMES_BYTES", 100_000)
    monkeypatch.setattr(names, "_TIMES", 0)
    with pytest.raises(LimitExceeded, match=r"over the limit names_bytes=100000\. Received: 1"):
        open_weights(tmp_path / "w")


def test_a_blob_and_a_layer_of_one_name(tmp_path: Path) -> None:
    both = [announced("a/0", (1,), np.dtype(np.float32)), announced("a/0/0", (1,), np.dtype(np.float32))]
    with pytest.raises(InvalidArgument, match=r"cannot hold a tensor of this name.*Received: name='a/0/0'"):
        Hdf5Writer(tmp_path / "w.h5", both)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("room", [0, 100, 2_000, 10_000])
def test_a_full_disk_is_told_whatever_h5py_calls_after_it(
    room: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_to_disk = output._NamedFile.write

    def write_or_fail(self: output._NamedFile, data: Any, /) -> int:
        if self.tell() + len(data) <= room:
            return write_to_disk(self, data)
        # With an exception under way a method that is in no cache is not found.
        sys._clear_type_cache()
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "full")

    monkeypatch.setattr(output._NamedFile, "write", write_or_fail)
    with pytest.raises(OSError, match="No space left"), Hdf5Writer(tmp_path / "w.h5", [announced("a/0", (9000,), F32)]):
        pass
    assert list(tmp_path.iterdir()) == []
