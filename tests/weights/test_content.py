"""Files told apart by content, whatever they are called."""

import gzip
import io
import os
import pickle
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from caffe_filler.caffe.caffe_pb2 import BlobProto, NetParameter, SolverState
from caffe_filler.errors import LimitExceeded, WeightsError
from filler_server.weights import compressed
from filler_server.weights.opening import open_weights
from tests.weights.files import same
from tests.weights.messages import legacy_blob, net_of_layers, save

ARRAY = np.arange(6, dtype=np.float32).reshape(2, 3)
NET = net_of_layers(ip=[ARRAY]).SerializeToString()


def npz(**arrays: object) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)  # type: ignore[arg-type]
    return file.getvalue()


def archive(**entries: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as out:
        for name, content in entries.items():
            out.writestr(name, content)
    return file.getvalue()


def tar(**entries: bytes) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as out:
        for name, content in entries.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            out.addfile(info, io.BytesIO(content))
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 243862414\n", "a Git LFS pointer in place"),
        (b"<!DOCTYPE html>\n<html><head><title>404</title>", "the file is a web page"),
        (b'\n  <?xml version="1.0"?><Error><Code>AccessDenied', "the file is a web page"),
        (b'name: "LeNet"\nlayer { name: "data" }\n', "text, such as the prototxt"),
        (b'{"layers": []}', "text, such as the prototxt"),
        (("#" + "# 卷积层\n" * 200).encode(), "text, such as the prototxt"),
        (b"BZh91AY", "compressed by bzip2"),
        (b"\xfd7zXZ\x00\x00", "compressed by xz"),
        (b"\x28\xb5\x2f\xfd\x00", "compressed by Zstandard"),
        (pickle.dumps({"a": ARRAY}, protocol=2), "a pickle of Python"),
        (b"\x89PNG\r\n\x1a\n" + bytes(50), "none of weights that is known here"),
        (b"\xda\xf8" + b"\xff" * 40, "none of weights that is known here"),
        (archive(readme=b"hello"), "a zip archive without arrays"),
        (b"PK\x03\x04" + bytes(30), "a zip archive that is damaged or cut short"),
        (npz(a=ARRAY)[:-30], "a zip archive that is damaged or cut short"),
        (tar(readme=b"hello"), "a tar archive; unpack it first"),
        (SolverState(iter=3, learned_net="x.caffemodel", current_step=1).SerializeToString(), "state of a solver"),
        (NetParameter(name="n" * 20).SerializeToString(), "none of weights"),
        (b"\x1f\x8b" + bytes(30), "compressed by gzip, and damaged"),
        (gzip.compress(NET)[:-12], "compressed by gzip, and damaged or cut short"),
        (gzip.compress(gzip.compress(NET)), "compressed twice"),
        (gzip.compress(b"<html>"), "a web page"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_weights_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    path = save(tmp_path / "weights.caffemodel", content)
    with pytest.raises(WeightsError, match=message) as caught:
        open_weights(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_a_small_compressed_file_of_very_many_zeros_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compressed, "_LEAST", 1 << 20)
    path = save(tmp_path / "w", gzip.compress(bytes(8 << 20)))
    with pytest.raises(LimitExceeded, match="w: over the limit unpacked_bytes"):
        open_weights(path)


def test_a_folder_and_a_pipe_are_refused(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        open_weights(tmp_path)
    with pytest.raises(FileNotFoundError):
        open_weights(tmp_path / "missing")
    with pytest.raises(WeightsError, match="a regular file"):
        open_weights("/dev/null")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(WeightsError, match="a regular file"):
        open_weights(tmp_path / "pipe")


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize(
    ("content", "form", "name"),
    [
        (NET, "caffemodel", "ip/0"),
        (legacy_blob(ARRAY).SerializeToString(), "binaryproto", "mean"),
        (BlobProto(data=ARRAY.reshape(-1), shape={"dim": [2, 3]}).SerializeToString(), "binaryproto", "mean"),
        (npz(**{"ip/0": ARRAY}), "npz", "ip/0"),
    ],
    ids=["net", "legacy mean", "mean", "npz"],
)
def test_the_name_of_a_file_means_nothing(
    tmp_path: Path, content: bytes, form: str, name: str, compressed: bool
) -> None:
    path = save(tmp_path / "weights.h5", gzip.compress(content) if compressed else content)
    with open_weights(path) as weights:
        assert (weights.format, weights.path) == (form, path)
        array = weights[name].array()
    # A view outlives the file.
    assert array.reshape(-1).tobytes() == ARRAY.tobytes()


def test_a_mean_with_its_values_missing(tmp_path: Path) -> None:
    content = legacy_blob(ARRAY).SerializeToString()
    with pytest.raises(WeightsError, match="cut short"):
        open_weights(save(tmp_path / "w", content[:-3]))


def test_an_npy(tmp_path: Path) -> None:
    for array in (ARRAY, np.asfortranarray(ARRAY), ARRAY.astype(">f8"), np.array(1.5)):
        np.save(tmp_path / "w.npy", array)
        with open_weights(tmp_path / "w.npy") as weights:
            (tensor,) = weights.tensors
            native = np.ascontiguousarray(array, array.dtype.newbyteorder("="))
            assert same(np.ascontiguousarray(tensor.array()), native.reshape(array.shape) if array.ndim else native)
            assert np.concatenate(list(tensor.blocks())).tobytes() == native.tobytes()
            assert (tensor.place is None) == (
                array.dtype == np.dtype(">f8") or array.flags.f_contiguous > array.flags.c_contiguous
            )
    content = (tmp_path / "w.npy").read_bytes()
    with pytest.raises(WeightsError, match="cut short"):
        open_weights(save(tmp_path / "w.npy", content[:-1]))
    np.save(tmp_path / "w.npy", np.array([{}], object), allow_pickle=True)
    with pytest.raises(WeightsError, match="holds no numbers"):
        open_weights(tmp_path / "w.npy")


@pytest.mark.parametrize("compress", [False, True])
def test_an_npz(tmp_path: Path, compress: bool) -> None:
    arrays = {
        "a/0": np.arange(300_000, dtype=np.float32).reshape(3, -1),
        "a/1": np.asfortranarray(ARRAY),
        "b/0": np.zeros((0, 3), np.float16),
        "b/1": np.array(2.5),
    }
    (np.savez_compressed if compress else np.savez)(tmp_path / "w", **arrays)  # type: ignore[arg-type]
    with open_weights(tmp_path / "w.npz") as weights:
        assert [(layer.name, len(layer.tensors)) for layer in weights.layers] == [("a", 2), ("b", 2)]
        for name, array in arrays.items():
            assert same(
                np.ascontiguousarray(weights[name].array()).reshape(array.shape),
                np.ascontiguousarray(array).reshape(array.shape),
            )
            joined = np.concatenate([np.empty(0, array.dtype), *weights[name].blocks()])
            assert joined.tobytes() == np.ascontiguousarray(array).tobytes()


def test_a_damaged_entry_of_an_npz(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "w", **{"a/0": np.random.default_rng(0).random(100_000)})
    content = bytearray((tmp_path / "w.npz").read_bytes())
    content[len(content) // 2] ^= 0xFF
    path = save(tmp_path / "w", bytes(content))
    with open_weights(path) as weights, pytest.raises(WeightsError, match=r"'a/0\.npy' of the archive is damaged"):
        weights["a/0"].array()
