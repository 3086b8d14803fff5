"""Tensors of any kind into files: the format by the ending, notes, and what an earlier run has left."""

import io
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import load_file

from caffe_filler.caffe.caffe_pb2 import NetParameter
from caffe_filler.errors import InvalidArgument
from filler_server.tensors import ArrayTensor, Tensor, cast, constant, renamed, transposed
from filler_server.weights.format import Format
from filler_server.weights.formats import FORMATS
from filler_server.weights.opening import open_weights
from filler_server.weights.saving import ENDINGS, Saved, format_of, save
from tests.weights.messages import net_of_layers
from tests.weights.messages import save as write

SIX = np.arange(6, dtype=np.float32).reshape(2, 3)
ONE = [ArrayTensor("ip/0", SIX)]
NET = NetParameter(name="net")
NET.layer.add(name="ip", type="InnerProduct")


@pytest.mark.parametrize("ending", [ending for ending in ENDINGS if ending not in (".pt", ".pth")])
@pytest.mark.parametrize("upper", [False, True])
def test_the_ending_of_the_name_is_the_format(tmp_path: Path, ending: str, upper: bool) -> None:
    path = tmp_path / f"w{ending.upper() if upper else ending}"
    done: list[tuple[int, str]] = []
    saved = save(ONE, path, net=NET, advance=lambda nbytes, name: done.append((nbytes, name)))
    assert saved == Saved(path, (path,), 1, 24)
    assert sum(nbytes for nbytes, _ in done) == 24
    assert {name for _, name in done} == {"ip/0"}
    with open_weights(path) as weights:
        assert weights.format == format_of(path).name
        assert weights.tensors[0].array().reshape(-1).tolist() == SIX.reshape(-1).tolist()
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["w", "w.bin", "w.npz.gz", ".npz"])
def test_other_endings_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidArgument, match=f"ends in .caffemodel, .*safetensors.* Received: .*{name}"):
        save(ONE, tmp_path / name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("ending", ["caffemodel", "prototxt"])
def test_what_needs_a_net_says_so(tmp_path: Path, ending: str) -> None:
    with pytest.raises(InvalidArgument, match=r"needs the option net"):
        save(ONE, tmp_path / f"w.{ending}")
    assert list(tmp_path.iterdir()) == []


def test_an_open_file_gets_an_npy_and_has_no_name() -> None:
    file = io.BytesIO()
    assert save(ONE, file) == Saved(None, (), 1, 24)
    assert np.load(io.BytesIO(file.getvalue())).tolist() == SIX.tolist()


@pytest.mark.parametrize("ending", [ending for known in FORMATS if not known.has_shards for ending in known.endings])
def test_only_safetensors_has_shards(tmp_path: Path, ending: str) -> None:
    with pytest.raises(InvalidArgument, match=r"only .safetensors is written in shards. Received: max_shard_bytes=8"):
        save(ONE, tmp_path / f"w{ending}", net=NET, max_shard_bytes=8)
    assert list(tmp_path.iterdir()) == []


def test_tensors_of_any_kind_are_written(tmp_path: Path) -> None:
    with open_weights(write(tmp_path / "w.caffemodel", net_of_layers(ip=[SIX]))) as weights:
        stored = weights["ip/0"]
        tensors: list[Tensor] = [
            stored,
            renamed(transposed(stored), "turned"),
            renamed(cast(stored, np.dtype(ml_dtypes.bfloat16)), "brain"),
            constant("ones", (2, 2), np.dtype(np.float64), 1),
            constant("nothing", (0, 2), np.dtype(np.float32), 1),
            ArrayTensor("strided", SIX.T[::2]),
        ]
        save(tensors, tmp_path / "w.safetensors")
    with open_weights(tmp_path / "w.safetensors") as again:
        for tensor, want in zip(again.tensors, tensors, strict=True):
            assert (tensor.name, tensor.shape, tensor.dtype) == (want.name, want.shape, want.dtype)
        assert again["turned"].array().tolist() == SIX.T.tolist()
        assert again["strided"].array().tolist() == SIX.T[::2].tolist()
        assert again["brain"].array().astype(np.float32).tolist() == SIX.tolist()


def test_what_became_infinite_is_told(tmp_path: Path) -> None:
    half = np.dtype(np.float16)
    wide = [ArrayTensor("a", np.array([1e6], np.float32)), ArrayTensor("b", np.array([1e6, -1e6, np.inf], np.float32))]
    saved = save([cast(tensor, half) for tensor in wide], tmp_path / "w.npz")
    assert saved.notes == (
        "'a': 1 value is beyond float16 and became infinite",
        "'b': 2 values are beyond float16 and became infinite",
    )


FOUR = [ArrayTensor(f"{name}/0", SIX) for name in "abcd"]


def sharded(tmp_path: Path, count: int) -> Saved:
    return save(FOUR, tmp_path / "w.safetensors", max_shard_bytes=24 * 4 // count)


def names(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in tmp_path.iterdir())


def test_the_index_is_the_file_to_open(tmp_path: Path) -> None:
    saved = sharded(tmp_path, 2)
    assert saved.path == tmp_path / "w.safetensors.index.json"
    assert [path.name for path in saved.files] == [
        "w.safetensors.index.json",
        "w-00001-of-00002.safetensors",
        "w-00002-of-00002.safetensors",
    ]
    assert saved.notes == ()
    assert saved.path is not None
    with open_weights(saved.path) as weights:
        assert [tensor.name for tensor in weights.tensors] == ["a/0", "b/0", "c/0", "d/0"]


def test_nothing_of_an_earlier_run_stays_beside_the_new_files(tmp_path: Path) -> None:
    other = tmp_path / "w2-00001-of-00002.safetensors"
    other.write_bytes(b"mine")
    save(FOUR[:1], tmp_path / "w.safetensors")
    saved = sharded(tmp_path, 4)
    assert saved.notes == ("removed what an earlier run had left under this name: w.safetensors",)
    assert "w.safetensors" not in names(tmp_path)
    saved = sharded(tmp_path, 2)
    assert all(f"w-0000{number}-of-00004.safetensors" in saved.notes[0] for number in range(1, 5))
    assert names(tmp_path) == sorted([*(path.name for path in saved.files), other.name])
    saved = save(FOUR, tmp_path / "w.safetensors", max_shard_bytes=1 << 20)
    assert "w.safetensors.index.json" in saved.notes[0]
    assert names(tmp_path) == ["w.safetensors", other.name]
    assert load_file(tmp_path / "w.safetensors")["d/0"].tolist() == SIX.tolist()


def test_shards_without_an_index_are_not_an_earlier_run(tmp_path: Path) -> None:
    (tmp_path / "w-00001-of-00002.safetensors").write_bytes(b"mine")
    assert save(FOUR, tmp_path / "w.safetensors").notes == ()
    assert names(tmp_path) == ["w-00001-of-00002.safetensors", "w.safetensors"]


class Broken(ArrayTensor):
    """Values that cannot be read."""

    def blocks(self) -> Any:
        raise OSError("gone")


@pytest.mark.parametrize("max_shard_bytes", [None, 24])
def test_after_an_error_everything_is_as_it_was(tmp_path: Path, max_shard_bytes: int | None) -> None:
    save(FOUR, tmp_path / "w.safetensors", max_shard_bytes=48)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(OSError, match="gone"):
        save([*FOUR, Broken("e/0", SIX)], tmp_path / "w.safetensors", max_shard_bytes=max_shard_bytes)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_each_format_is_one_record() -> None:
    assert all(isinstance(known, Format) for known in FORMATS)
    assert len({ending for known in FORMATS for ending in known.endings}) == len(ENDINGS)
    for known in FORMATS:
        assert bool(known.endings) == (known.open_writer is not None)


def test_a_set_removes_the_remains_of_an_earlier_one(tmp_path: Path) -> None:
    left = [f".w-0000{number}-of-00002.safetensors.0123abcd.part" for number in (1, 2)]
    for name in (*left, ".w.safetensors.index.json.0123abcd.part", ".w.safetensors.89abcdef.part"):
        (tmp_path / name).write_text("left")
    (tmp_path / ".w2-00001-of-00002.safetensors.0123abcd.part").write_text("of another file")
    save([*ONE, ArrayTensor("ip/1", SIX)], tmp_path / "w.safetensors", max_shard_bytes=24)
    assert [path.name for path in tmp_path.glob(".*.part")] == [".w2-00001-of-00002.safetensors.0123abcd.part"]
