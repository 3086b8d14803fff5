"""Files of weights to files of other formats, and back."""

import gzip
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from caffe_filler.caffe.caffe_pb2 import BlobProto, NetParameter, V1LayerParameter
from caffe_filler.errors import InvalidArgument
from filler_server.net.planner import plan_net
from filler_server.prototxt import read_net
from filler_server.weights.conversion import plan_conversion, write_conversion
from filler_server.weights.opening import open_weights
from tests.weights.files import same
from tests.weights.messages import legacy_blob, net_of_blob, net_of_layers, one_by_one, save, shape_field

SIX = np.arange(1, 7, dtype=np.float32).reshape(2, 3)
TWO = np.array([7, 8], np.float32)
NET = net_of_layers(ip=[SIX, TWO], other=[SIX.astype(np.float64), np.array(3.0, np.float32)])
NET.layer.add(name="relu", type="ReLU")


def convert(source: Path, target: Path, **options: Any) -> list[str]:
    with open_weights(source) as weights:
        conversion = plan_conversion(weights, target, **options)
        done: list[tuple[int, str]] = []
        saved = write_conversion(
            conversion, target, metadata={"producer": "test"}, advance=lambda nbytes, name: done.append((nbytes, name))
        )
        assert sum(nbytes for nbytes, _ in done) == conversion.nbytes == saved.nbytes
        assert saved.files == (target,)
        return [*conversion.notes, *saved.notes]


def arrays(path: Path) -> dict[str, Any]:
    with open_weights(path) as weights:
        return {tensor.name: np.array(tensor.array()) for tensor in weights.tensors}


def equal(one: Path, other: Path) -> bool:
    first, second = arrays(one), arrays(other)
    return first.keys() == second.keys() and all(same(second[name], array) for name, array in first.items())


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("ending", ["caffemodel", "h5", "npz", "safetensors"])
def test_there_and_back(tmp_path: Path, ending: str, compressed: bool) -> None:
    content = NET.SerializeToString()
    source = save(tmp_path / "source", gzip.compress(content) if compressed else content)
    target, back = tmp_path / f"w.{ending}", tmp_path / "back.caffemodel"
    assert convert(source, target) == []
    assert equal(source, target)
    with open_weights(source) as weights:
        convert(target, back, net=weights)
    assert equal(source, back)
    assert NetParameter.FromString(back.read_bytes()).layer[2].type == "ReLU"


def test_values_that_lie_apart_are_gathered(tmp_path: Path) -> None:
    source = save(tmp_path / "source", net_of_blob(one_by_one(range(6)) + shape_field(2, 3)))
    convert(source, tmp_path / "w.npz")
    assert same(np.load(tmp_path / "w.npz")["ip/0"], np.arange(6, dtype=np.float32).reshape(2, 3))


def test_dtypes(tmp_path: Path) -> None:
    source = save(tmp_path / "source", net_of_layers(ip=[np.array([1 / 3, 65520.0, np.inf, -1e6], np.float32)]))
    for dtype, infinite in ((np.float16, 2), (ml_dtypes.bfloat16, 0), (np.float64, 0)):
        notes = convert(source, tmp_path / "w.safetensors", dtype=np.dtype(dtype))
        assert len(notes) == (infinite > 0)
        assert not infinite or "'ip/0': 2 values are beyond float16 and became infinite" in notes[0]
        with np.errstate(over="ignore"):
            assert same(arrays(tmp_path / "w.safetensors")["ip/0"], arrays(source)["ip/0"].astype(dtype))
    convert(source, tmp_path / "w.caffemodel", dtype=np.dtype(np.float16))
    assert arrays(tmp_path / "w.caffemodel")["ip/0"].dtype == np.float16
    with pytest.raises(InvalidArgument, match="bfloat16"):
        convert(source, tmp_path / "w.h5", dtype=np.dtype(ml_dtypes.bfloat16))


LEGACY = """
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: [1, 1, 1, 3] } } }
layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip" inner_product_param { num_output: 2 } }
"""


def legacy_net() -> NetParameter:
    net = NetParameter()
    net.layers.add(name="ip", type=V1LayerParameter.INNER_PRODUCT, blobs=[legacy_blob(SIX), legacy_blob(TWO)])
    return net


def shapes(path: Path) -> dict[str, Any]:
    return {name: array.shape for name, array in arrays(path).items()}


@pytest.mark.parametrize("ending", ["npz", "h5", "safetensors"])
def test_legacy_shapes_do_not_go_where_nothing_marks_them(tmp_path: Path, ending: str) -> None:
    source = save(tmp_path / "source", legacy_net())
    assert convert(source, tmp_path / f"w.{ending}") == []
    assert shapes(tmp_path / f"w.{ending}") == {"ip/0": (2, 3), "ip/1": (2,)}
    # Caffe itself knows them.
    convert(source, tmp_path / "w.caffemodel")
    stored = NetParameter.FromString((tmp_path / "w.caffemodel").read_bytes()).layer[0].blobs
    assert list(stored) == [legacy_blob(SIX), legacy_blob(TWO)]


@pytest.mark.parametrize("planned", [True, False])
def test_legacy_shapes_become_those_of_the_net(tmp_path: Path, planned: bool) -> None:
    source = save(tmp_path / "source", legacy_net())
    np.savez(tmp_path / "old.npz", **{"ip/0": SIX.reshape(1, 1, 2, 3), "ip/1": TWO.reshape(1, 1, 1, 2)})  # type: ignore[arg-type]
    modern = save(tmp_path / "modern", net_of_layers(ip=[SIX, TWO]))
    with open_weights(modern) as described:
        net = plan_net(read_net(LEGACY.encode())) if planned else described
        for path in (source, tmp_path / "old.npz"):
            convert(path, tmp_path / "back.caffemodel", net=net)
            assert shapes(tmp_path / "back.caffemodel") == {"ip/0": (2, 3), "ip/1": (2,)}


def test_tensors_are_brought_into_the_order_of_the_net(tmp_path: Path) -> None:
    np.savez(tmp_path / "w.npz", **{"ip/1": TWO, "other/0": TWO, "ip/0": SIX})  # type: ignore[arg-type]
    with open_weights(save(tmp_path / "net", net_of_layers(ip=[SIX, TWO], other=[TWO]))) as net:
        convert(tmp_path / "w.npz", tmp_path / "w.caffemodel", net=net)
    assert list(arrays(tmp_path / "w.caffemodel")) == ["ip/0", "ip/1", "other/0"]


def test_what_the_net_asks_for_must_be_there(tmp_path: Path) -> None:
    np.savez(tmp_path / "w.npz", **{"ip/0": SIX})  # type: ignore[arg-type]
    plan = plan_net(read_net(LEGACY.encode()))
    for ending in ("caffemodel", "npz", "safetensors"):
        with pytest.raises(InvalidArgument, match="layer 'ip' has 2 blobs in the net and 1 in the file"):
            convert(tmp_path / "w.npz", tmp_path / f"out.{ending}", net=plan)
    np.savez(tmp_path / "w.npz", **{"ip/0": SIX.ravel(), "ip/1": TWO})  # type: ignore[arg-type]
    with pytest.raises(InvalidArgument, match=r"blob 'ip/0' has the shape \[2, 3\] in the net and \[6\]"):
        convert(tmp_path / "w.npz", tmp_path / "out.npz", net=plan)
    convert(tmp_path / "w.npz", tmp_path / "out.npz", net=plan, reshape=True)
    assert shapes(tmp_path / "out.npz") == {"ip/0": (2, 3), "ip/1": (2,)}


NORMALIZED = """
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: [1, 2, 3, 3] } } }
layer { name: "bn" type: "BatchNorm" bottom: "data" top: "bn" }
layer { name: "sc" type: "Scale" bottom: "bn" top: "bn" scale_param { bias_term: true } }
"""


@pytest.mark.parametrize("prefix", ["", "module."])
def test_a_state_dict_becomes_a_caffemodel_and_back(tmp_path: Path, prefix: str) -> None:
    rows = {"weight": TWO, "bias": TWO - 1, "running_mean": TWO + 1, "running_var": TWO + 2}
    np.savez(tmp_path / "w.npz", **{f"{prefix}bn.{name}": array for name, array in rows.items()})  # type: ignore[arg-type]
    plan = plan_net(read_net(NORMALIZED.encode()))
    convert(tmp_path / "w.npz", tmp_path / "w.caffemodel", net=plan)
    assert {name: array.tolist() for name, array in arrays(tmp_path / "w.caffemodel").items()} == {
        "bn/0": [8, 9],
        "bn/1": [9, 10],
        "bn/2": [1],
        "sc/0": [7, 8],
        "sc/1": [6, 7],
    }
    convert(tmp_path / "w.caffemodel", tmp_path / "again.npz", names="torch")
    assert {name: array.tolist() for name, array in arrays(tmp_path / "again.npz").items()} == {
        f"bn.{name}": array.tolist() for name, array in rows.items()
    }


def test_a_state_dict_of_something_else_is_refused(tmp_path: Path) -> None:
    plan = plan_net(read_net(NORMALIZED.encode()))
    np.savez(tmp_path / "w.npz", **{"bn.running_mean": TWO, "fc.weight": SIX, "fc.bias": TWO})  # type: ignore[arg-type]
    with pytest.raises(InvalidArgument) as caught:
        convert(tmp_path / "w.npz", tmp_path / "w.caffemodel", net=plan)
    assert "the file has 'bn.running_mean', but not 'bn.running_var'" in str(caught.value)
    assert "the net has no place for 2 tensors of the file: fc.weight, fc.bias" in str(caught.value)
    assert not (tmp_path / "w.caffemodel").exists()


def test_what_needs_a_net_says_so(tmp_path: Path) -> None:
    np.savez(tmp_path / "w.npz", **{"ip/0": SIX})  # type: ignore[arg-type]
    with pytest.raises(InvalidArgument, match=r"it needs the option net"):
        convert(tmp_path / "w.npz", tmp_path / "w.caffemodel")
    with pytest.raises(InvalidArgument, match=r"names='torch' needs the types of the layers"):
        convert(tmp_path / "w.npz", tmp_path / "w.safetensors", names="torch")
    with pytest.raises(InvalidArgument, match="Received: names=keras"):
        convert(tmp_path / "w.npz", tmp_path / "w.safetensors", names="keras")


def test_a_mean(tmp_path: Path) -> None:
    mean = np.arange(12, dtype=np.float32).reshape(1, 3, 2, 2)
    source = save(tmp_path / "mean", legacy_blob(mean).SerializeToString())
    for ending in ("npy", "npz", "h5", "safetensors"):
        target, back = tmp_path / f"w.{ending}", tmp_path / "back.binaryproto"
        convert(source, target)
        assert same(next(iter(arrays(target).values())), mean)
        convert(target, back)
        assert back.read_bytes() == source.read_bytes()


@pytest.mark.parametrize(
    ("shape", "axes"), [((3, 2, 2), (1, 3, 2, 2)), ((2, 2), (1, 1, 2, 2)), ((1, 3, 2, 2), (1, 3, 2, 2))]
)
def test_an_array_becomes_a_mean_with_caffes_axes(tmp_path: Path, shape: Any, axes: Any) -> None:
    np.save(tmp_path / "mean.npy", np.zeros(shape, np.float32))
    convert(tmp_path / "mean.npy", tmp_path / "mean.binaryproto")
    mean = BlobProto.FromString((tmp_path / "mean.binaryproto").read_bytes())
    assert (mean.num, mean.channels, mean.height, mean.width) == (1,) * (4 - len(shape)) + shape
    assert not mean.HasField("shape")


GIGABYTES = """
import re, sys
from pathlib import Path
import h5py
from filler_server.weights.conversion import plan_conversion, write_conversion
from filler_server.weights.opening import open_weights
from filler_server.weights.statistics import statistics
def peak():
    # Of this program alone: ru_maxrss starts with that of the process that has started it.
    return int(re.search(r"VmHWM:\\s*(\\d+) kB", Path("/proc/self/status").read_text())[1])
before = peak()
with open_weights(Path(sys.argv[1])) as weights:
    tensors = [(tensor.name, tensor.shape) for tensor in weights.tensors]
    last = weights[tensors[-1][0]].array()
    assert last.tolist() == [7, 8]
    listed = peak()
    if sys.argv[2:]:
        target = Path(sys.argv[2])
        write_conversion(plan_conversion(weights, target), target, metadata={})
        assert statistics(weights.tensors[0]).zeros == weights.tensors[0].count
    after = peak()
print(listed - before, after - before)
"""


def sparse(path: Path, count: int) -> Path:
    """A .caffemodel of so many zeros, which take no room on the disk, and a small layer after them."""
    from caffe_filler.wire import key, length_delimited, varint

    definition = length_delimited(1, b"large") + length_delimited(2, b"InnerProduct")
    front = shape_field(count) + key(5, 2) + varint(4 * count)
    blob = key(7, 2) + varint(len(front) + 4 * count) + front
    with path.open("wb") as file:
        file.write(key(100, 2) + varint(len(definition) + len(blob) + 4 * count) + definition + blob)
        file.seek(4 * count, 1)
        file.write(net_of_layers("", small=[TWO]).SerializeToString())
    return path


def kib(*arguments: object) -> tuple[int, int]:
    """Return the memory that a process of its own takes to list a file, and to convert it and look at all values."""
    done = subprocess.run(
        [sys.executable, "-c", GIGABYTES, *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    listed, after = map(int, done.stdout.split())
    return listed, after


def test_beyond_2_gib_only_what_is_looked_at_is_read(tmp_path: Path) -> None:
    listed, _ = kib(sparse(tmp_path / "w", 3 << 28))
    assert listed < 10_000


@pytest.mark.parametrize("ending", ["safetensors", "npz", "h5", "caffemodel"])
def test_memory_does_not_grow_with_the_file(tmp_path: Path, ending: str) -> None:
    source, target = sparse(tmp_path / "w", 40 << 20), tmp_path / f"w.{ending}"
    _, used = kib(source, target)
    assert used < 60_000
    assert json.dumps(sorted(arrays(target))) == '["large/0", "small/0"]'
