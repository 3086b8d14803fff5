"""Files of PyTorch, against PyTorch where it is installed."""

import random
import sys
import zipfile
from collections import OrderedDict
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from caffe_filler.errors import InvalidArgument, LimitExceeded, Unavailable, WeightsError
from filler_server.weights.formats.torch import TorchWriter
from filler_server.weights.opening import open_weights
from tests.weights.files import announced, same, write

SIX = np.arange(6, dtype=np.float32).reshape(2, 3)
ARRAYS = {
    "conv1.weight": np.random.default_rng(1).standard_normal((8, 3, 5, 5)).astype(np.float32),
    "conv1.bias": SIX[0].astype(np.float64),
    "half": SIX.astype(np.float16),
    "brain": SIX.astype(ml_dtypes.bfloat16),
    "scalar": np.array(2.5, np.float32),
    "empty": np.empty((0, 3), np.float32),
    "a/0": SIX,
}


def test_without_pytorch_it_is_said_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(Unavailable, match=r"needs torch: pip install 'caffe-filler\[torch\]'"):
        TorchWriter(tmp_path / "w.pt", [announced("a", (1,), np.dtype(np.float32))])
    assert list(tmp_path.iterdir()) == []
    with zipfile.ZipFile(tmp_path / "w.pt", "w") as archive:
        archive.writestr("archive/data.pkl", b"")
    with pytest.raises(Unavailable, match=r"w.pt: a file of PyTorch needs torch"):
        open_weights(tmp_path / "w.pt")


@pytest.mark.frameworks
@pytest.mark.parametrize("mapped", [False, True])
def test_pytorch_loads_what_is_written(tmp_path: Path, mapped: bool) -> None:
    torch = pytest.importorskip("torch")
    content = write(TorchWriter, tmp_path / "w.pt", ARRAYS, 7)
    loaded = torch.load(tmp_path / "w.pt", weights_only=True, mmap=mapped)
    assert list(loaded) == list(ARRAYS)
    for name, array in ARRAYS.items():
        tensor = loaded[name]
        got = tensor.view(torch.int16).numpy().view(ml_dtypes.bfloat16) if name == "brain" else tensor.numpy()
        assert same(got, array)
    assert write(TorchWriter, tmp_path / "other.pt", ARRAYS) == content
    with zipfile.ZipFile(tmp_path / "w.pt") as archive:
        assert archive.testzip() is None


@pytest.mark.frameworks
def test_files_do_not_depend_on_the_default_device(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    content = write(TorchWriter, tmp_path / "here", ARRAYS)
    with torch.device("meta"):
        assert write(TorchWriter, tmp_path / "there", ARRAYS) == content
        with open_weights(tmp_path / "there") as weights:
            assert same(weights["conv1.weight"].array(), ARRAYS["conv1.weight"])


@pytest.mark.frameworks
def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    write(TorchWriter, tmp_path / "w", ARRAYS)
    with open_weights(tmp_path / "w") as weights:
        assert weights.format == "torch"
        assert [layer.name for layer in weights.layers] == ["a"]
        for name, array in ARRAYS.items():
            assert same(weights[name].array(), array)
            assert np.concatenate([np.empty(0, array.dtype), *weights[name].blocks()]).tobytes() == array.tobytes()


@pytest.mark.frameworks
@pytest.mark.parametrize("archived", [False, True])
def test_checkpoints(tmp_path: Path, archived: bool) -> None:
    torch = pytest.importorskip("torch")
    state = OrderedDict(w=torch.arange(6.0).reshape(2, 3).T, n=torch.tensor(3))
    torch.save({"state_dict": state, "epoch": 3}, tmp_path / "w", _use_new_zipfile_serialization=archived)
    with open_weights(tmp_path / "w") as weights:
        assert [(tensor.name, tensor.shape) for tensor in weights.tensors] == [("w", (3, 2)), ("n", ())]
        assert np.concatenate(list(weights["w"].blocks())).tolist() == [0, 3, 1, 4, 2, 5]


@pytest.mark.frameworks
@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_archives_that_were_packed_anew(tmp_path: Path, compression: int) -> None:
    torch = pytest.importorskip("torch")
    state = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.arange(1000.0).reshape(20, 50).T}
    torch.save(state, tmp_path / "w")
    with zipfile.ZipFile(tmp_path / "w") as old, zipfile.ZipFile(tmp_path / "n", "w", compression) as new:
        for entry in reversed(old.infolist()):
            new.writestr(entry.filename, old.read(entry))
    with open_weights(tmp_path / "n") as weights:
        for name, tensor in state.items():
            assert np.array_equal(weights[name].array(), tensor.numpy())


@pytest.mark.frameworks
def test_a_small_archive_of_very_many_zeros_is_refused(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    torch.save({"a": torch.zeros(1 << 20)}, tmp_path / "w")
    with zipfile.ZipFile(tmp_path / "w") as old, zipfile.ZipFile(tmp_path / "n", "w", zipfile.ZIP_DEFLATED) as new:
        for entry in old.infolist():
            with new.open(entry.filename, "w", force_zip64=True) as file:
                for _ in range(300 if "/data/" in entry.filename else 1):
                    file.write(old.read(entry))
    with pytest.raises(LimitExceeded, match="unpacked_bytes"):
        open_weights(tmp_path / "n")


@pytest.mark.frameworks
@pytest.mark.parametrize("archived", [False, True])
def test_views_with_the_negative_bit(tmp_path: Path, archived: bool) -> None:
    torch = pytest.importorskip("torch")
    pairs = torch.view_as_complex(torch.arange(8.0).reshape(4, 2))
    state = {"negative": torch._neg_view(torch.arange(6.0)), "strided": pairs.conj().imag}
    torch.save(state, tmp_path / "w", _use_new_zipfile_serialization=archived)
    with open_weights(tmp_path / "w") as weights:
        assert weights["negative"].array().tolist() == [-0.0, -1, -2, -3, -4, -5]
        assert weights["strided"].array().tolist() == [-1, -3, -5, -7]


@pytest.mark.frameworks
def test_damaged_files_are_read_or_refused(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    torch.save({"a": torch.arange(600.0).reshape(20, 30).T, "b": torch.arange(5, dtype=torch.bfloat16)}, tmp_path / "w")
    content = (tmp_path / "w").read_bytes()
    chance, refused = random.Random(1), 0
    for _ in range(100):
        damaged = bytearray(content[: chance.choice([len(content), chance.randrange(len(content))])])
        for _ in range(chance.randint(1, 4)):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        (tmp_path / "d").write_bytes(damaged)
        try:
            with open_weights(tmp_path / "d") as weights:
                assert all(tensor.array().size == tensor.count for tensor in weights.tensors)
        except WeightsError:
            refused += 1
    assert 0 < refused < 100


@pytest.mark.frameworks
def test_what_is_refused(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    torch.save({"a": Path("/")}, tmp_path / "w")
    with pytest.raises(WeightsError, match="PyTorch cannot read the file"):
        open_weights(tmp_path / "w")
    torch.save({"epoch": 3}, tmp_path / "w")
    with pytest.raises(WeightsError, match="holds no tensors by name"):
        open_weights(tmp_path / "w")
    torch.save({"a": torch.ones(3).to_sparse()}, tmp_path / "w")
    with pytest.raises(WeightsError, match="'a' is sparse"):
        open_weights(tmp_path / "w")
    with pytest.raises(InvalidArgument, match="Received: dtype=int32"):
        TorchWriter(tmp_path / "w.pt", [announced("a", (1,), np.dtype(np.int32))])
