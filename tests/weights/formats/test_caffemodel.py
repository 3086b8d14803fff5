"""Reading and writing .caffemodel: against protobuf, and what protobuf cannot read."""

import random
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from caffe_filler.caffe.caffe_pb2 import BlobProto, LayerParameter, NetParameter, V1LayerParameter
from caffe_filler.errors import FillerError, InvalidArgument, LimitExceeded, WeightsError
from caffe_filler.wire import key, length_delimited, varint
from filler_server.tensors import Tensor, View
from filler_server.weights.formats.caffemodel import CaffemodelWriter
from filler_server.weights.opening import open_weights
from tests.weights.files import announced, same, tensors
from tests.weights.messages import (
    blob,
    legacy_blob,
    net_of_blob,
    net_of_layers,
    one_by_one,
    packed,
    save,
    shape_field,
)

SIX = np.arange(1, 7, dtype=np.float32).reshape(2, 3)
TWO = np.array([7, 8], np.float32)


def read(path: Path, content: bytes | NetParameter) -> dict[str, Any]:
    """Every tensor of a file, its blocks held against its array."""
    with open_weights(save(path, content)) as weights:
        assert weights.format == "caffemodel"
        arrays = {}
        for tensor in weights.tensors:
            array = tensor.array()
            assert not array.flags.writeable or len(tensor.shape) == 0
            blocks = np.concatenate([np.empty(0, tensor.dtype), *tensor.blocks()])
            assert same(blocks.reshape(tensor.shape), np.asarray(array))
            arrays[tensor.name] = np.array(array)
        return arrays


def test_the_current_format(tmp_path: Path) -> None:
    net = net_of_layers(ip=[SIX, TWO])
    net.layer[0].blobs[0].diff.extend([9] * 6)
    net.layer.add(name="relu", type="ReLU")
    arrays = read(tmp_path / "no ending", net)
    assert list(arrays) == ["ip/0", "ip/1"]
    assert same(arrays["ip/0"], SIX)
    assert same(arrays["ip/1"], TWO)
    with open_weights(tmp_path / "no ending") as weights:
        assert weights.net is not None
        assert [(layer.name, len(layer.tensors)) for layer in weights.layers] == [("ip", 2), ("relu", 0)]
        assert [(layer.name, layer.type, len(layer.blobs)) for layer in weights.net.layer] == [
            ("ip", "InnerProduct", 0),
            ("relu", "ReLU", 0),
        ]


def test_v1(tmp_path: Path) -> None:
    net = NetParameter(name="v1")
    net.layers.add(name="ip", type=V1LayerParameter.INNER_PRODUCT, blobs=[legacy_blob(SIX), legacy_blob(TWO)])
    arrays = read(tmp_path / "w", net)
    assert {name: array.shape for name, array in arrays.items()} == {"ip/0": (1, 1, 2, 3), "ip/1": (1, 1, 1, 2)}
    assert arrays["ip/0"].tobytes() == SIX.tobytes()
    with open_weights(tmp_path / "w") as weights:
        assert all(tensor.legacy for tensor in weights.tensors)
        assert weights.net is not None
        assert weights.net.layer[0].type == "InnerProduct"


def test_v0_with_a_padding_layer_that_the_upgrade_takes_away(tmp_path: Path) -> None:
    net = NetParameter(name="v0", input=["data"], input_dim=[1, 1, 4, 4])
    padding = net.layers.add(bottom=["data"], top=["padded"])
    padding.layer.name, padding.layer.type, padding.layer.pad = "pad", "padding", 1
    layer = net.layers.add(bottom=["padded"], top=["conv"])
    layer.layer.name, layer.layer.type, layer.layer.kernelsize = "conv", "conv", 1
    layer.layer.blobs.extend([legacy_blob(SIX.reshape(6, 1, 1, 1)), legacy_blob(TWO)])
    arrays = read(tmp_path / "w", net)
    assert list(arrays) == ["conv/0", "conv/1"]
    assert arrays["conv/0"].reshape(-1).tolist() == [1, 2, 3, 4, 5, 6]
    with open_weights(tmp_path / "w") as weights:
        assert weights.net is not None
        assert [layer.type for layer in weights.net.layer] == ["Input", "Convolution"]
        assert weights.net.layer[1].convolution_param.pad == [1]


def test_double_counts_before_float(tmp_path: Path) -> None:
    both = blob(SIX.astype(np.float64) / 3)
    both.data.extend([0] * 6)
    arrays = read(tmp_path / "w", net_of_blob(both.SerializeToString()))
    assert same(arrays["ip/0"], SIX.astype(np.float64) / 3)


@pytest.mark.parametrize(("number", "dtype"), [(0, np.float64), (1, np.float32), (2, np.float16)])
def test_raw_data_of_nvidia(tmp_path: Path, number: int, dtype: Any) -> None:
    values = SIX.astype(dtype)
    content = shape_field(2, 3) + key(10, 0) + varint(number) + length_delimited(12, values.tobytes())
    assert same(read(tmp_path / "w", net_of_blob(content))["ip/0"], values)


def test_values_one_by_one_and_in_several_parts(tmp_path: Path) -> None:
    values = list(range(1, 5001))
    content = one_by_one(values[:3000]) + packed(values[3000:4000]) + shape_field(50, 100) + packed([])
    content += packed(values[4000:4999]) + one_by_one(values[4999:])
    arrays = read(tmp_path / "w", net_of_blob(content))
    assert same(arrays["ip/0"], np.array(values, np.float32).reshape(50, 100))
    protobuf = NetParameter.FromString((tmp_path / "w").read_bytes())
    assert list(protobuf.layer[0].blobs[0].data) == values


def test_values_one_by_one_are_a_view(tmp_path: Path) -> None:
    content = shape_field(70_000) + one_by_one(range(70_000)) + one_by_one([1.0] * 70_000, number=6)
    with open_weights(save(tmp_path / "w", net_of_blob(content))) as weights:
        array = weights["ip/0"].array()
        assert array.strides == (5,)
        assert array.base is not None
        np.testing.assert_array_equal(array, np.arange(70_000, dtype=np.float32))


def test_layers_of_one_name_are_told_apart(tmp_path: Path) -> None:
    net = net_of_layers(ip=[SIX])
    net.layer.add(name="ip", type="InnerProduct", blobs=[blob(TWO)])
    arrays = read(tmp_path / "w", net)
    assert list(arrays) == ["ip/0", "ip#2/0"]
    assert same(arrays["ip#2/0"], TWO)


def test_a_scalar_and_an_empty_blob(tmp_path: Path) -> None:
    arrays = read(tmp_path / "w", net_of_layers(prelu=[np.array(0.25, np.float32), np.empty((0, 3), np.float32)]))
    assert arrays["prelu/0"] == np.float32(0.25)
    assert (arrays["prelu/0"].shape, arrays["prelu/1"].shape) == ((), (0, 3))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (shape_field(2, 3) + packed(range(5)), r"as many values as its shape says, 6. Received: shape=\[2, 3\], 5"),
        (packed(range(5)), "as many values as its shape says, 1"),
        (shape_field(1) + length_delimited(5, b"12345"), "holds values of 4 bytes. Received: 5 bytes"),
        (shape_field(1) + key(5, 0) + varint(7), "wire type 0"),
        (shape_field(1) + key(10, 0) + varint(3) + length_delimited(12, bytes(4)), "raw_data_type=3"),
        (shape_field(1) + length_delimited(12, bytes(4)), "raw_data_type=None"),
        (shape_field(1) + key(10, 0) + varint(2) + length_delimited(12, bytes(3)), "of 2 bytes. Received: 3 bytes"),
        (shape_field(*[1] * 33) + packed([1]), "more than 32 axes"),
        (length_delimited(7, key(1, 0) + b"\xff" * 9 + b"\x01") + packed([1]), r"below 0. Received: shape=\[-1\]"),
        (key(1, 0) + b"\xff" * 9 + b"\x01" + packed([1]), r"below 0. Received: shape=\[-1, 0, 0, 0\]"),
    ],
)
def test_blobs_that_cannot_be(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(WeightsError, match=message) as caught:
        open_weights(save(tmp_path / "w", net_of_blob(content)))
    assert str(tmp_path / "w") in str(caught.value)


def refusal(path: Path) -> str | None:
    """Return why a file is refused, or None if it is read."""
    try:
        with open_weights(path) as weights:
            for tensor in weights.tensors:
                assert tensor.array().size == tensor.count
    except FillerError as error:
        return str(error)
    return None


def test_a_file_cut_short_anywhere_says_so(tmp_path: Path) -> None:
    content = net_of_layers(ip=[SIX, TWO], other=[SIX]).SerializeToString()
    said = [refusal(save(tmp_path / "w", content[:length])) for length in range(1, len(content))]
    # Between its two layers it is a whole file of one.
    assert said.count(None) == 1
    assert all("cut short" in text for text in said[40:] if text is not None)
    assert all(re.search("cut short|none of weights|text, such|no layers", text or "no layers") for text in said)


@given(st.binary(max_size=200))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
def test_random_bytes_are_refused_cleanly(tmp_path: Path, content: bytes) -> None:
    refusal(save(tmp_path / "w", content))


CURRENT = net_of_layers(ip=[SIX, TWO], other=[SIX])
V1 = NetParameter(layers=[V1LayerParameter(name="ip", blobs=[legacy_blob(SIX), legacy_blob(TWO)])])


@pytest.mark.parametrize("net", [CURRENT, V1], ids=["current", "V1"])
def test_damaged_files_are_refused_cleanly(tmp_path: Path, net: NetParameter) -> None:
    original = net.SerializeToString()
    chance = random.Random(1701)
    said = set()
    for _ in range(1000):
        content = bytearray(original)
        for _ in range(chance.randint(1, 4)):
            content[chance.randrange(len(content))] = chance.randrange(256)
        said.add(refusal(save(tmp_path / "w", bytes(content))))
    assert None in said
    assert len(said) > 10


@pytest.mark.parametrize(
    ("limit", "name"),
    [
        ("wire.MOST_FIELDS", "fields"),
        ("formats.caffemodel._MOST_BLOBS", "blobs"),
        ("formats.caffemodel._LONGEST_DEFINITION", "definition_bytes"),
    ],
)
def test_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, name: str) -> None:
    path = save(tmp_path / "w", net_of_layers(ip=[SIX, TWO, SIX]))
    open_weights(path).close()
    monkeypatch.setattr(f"filler_server.weights.{limit}", 2)
    with pytest.raises(LimitExceeded, match=rf"w: over the limit {name}=2"):
        open_weights(path)


def test_names_of_many_blobs(tmp_path: Path) -> None:
    """A name stands once in the file, and in the names of all blobs of its layer."""
    longest = NetParameter(layer=[{"name": "n" * 4097, "type": "ReLU", "blobs": [{}]}])
    with pytest.raises(LimitExceeded, match="over the limit name_length=4096"):
        open_weights(save(tmp_path / "w", longest))
    many = NetParameter(layer=[{"name": "n" * 4000, "type": "ReLU", "blobs": [{"shape": {}, "data": [0]}] * 6000}])
    with pytest.raises(LimitExceeded, match=r"over the limit names_bytes=\d+\. Received: 24000000"):
        open_weights(save(tmp_path / "w", many))
    few = NetParameter(layer=[{"name": "n" * 4000, "type": "ReLU", "blobs": [{"shape": {}, "data": [0]}] * 600}])
    with open_weights(save(tmp_path / "w", few)) as weights:
        assert len(weights.tensors) == 600


blobs = st.lists(
    st.tuples(st.lists(st.integers(0, 4), max_size=4), st.sampled_from(["f4", "f8", "f2"])), min_size=0, max_size=3
)


@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=8), blobs, min_size=1, max_size=4))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_written_is_read_again_and_by_protobuf(tmp_path: Path, layers: dict[str, Any]) -> None:
    arrays = {
        f"{layer}/{index}": np.arange(np.prod(shape, dtype=int)).astype(dtype).reshape(shape)
        for layer, given in layers.items()
        for index, (shape, dtype) in enumerate(given)
    }
    net = NetParameter(name="net", layer=[LayerParameter(name=name, type="Scale", top=["x"]) for name in layers])
    with CaffemodelWriter(tmp_path / "w", tensors(arrays), net=net) as writer:
        for array in arrays.values():
            writer.write(array.tobytes())
    got = read(tmp_path / "w", (tmp_path / "w").read_bytes())
    assert got.keys() == arrays.keys()
    for name, array in arrays.items():
        # Of no values protobuf does not keep the type.
        assert same(got[name], array) or (array.size == 0 and got[name].shape == array.shape)
    message = NetParameter.FromString((tmp_path / "w").read_bytes())
    assert [layer.name for layer in message.layer] == list(layers)
    for layer in message.layer:
        for index, stored in enumerate(layer.blobs):
            array = arrays[f"{layer.name}/{index}"]
            assert tuple(stored.shape.dim) == array.shape
            if array.dtype == np.float32:
                assert np.array(stored.data, np.float32).tobytes() == array.tobytes()
            elif array.dtype == np.float64:
                assert np.array(stored.double_data, np.float64).tobytes() == array.tobytes()


def test_legacy_shapes_are_written_as_such(tmp_path: Path) -> None:
    net = NetParameter(layer=[LayerParameter(name="ip", type="InnerProduct")])
    header = View(announced("ip/0", (2, 3), SIX.dtype), "ip/0", (1, 1, 2, 3), legacy=True)
    with CaffemodelWriter(tmp_path / "w", [header], net=net) as writer:
        writer.write(SIX.tobytes())
    (stored,) = NetParameter.FromString((tmp_path / "w").read_bytes()).layer[0].blobs
    assert stored == legacy_blob(SIX)


F32 = np.dtype(np.float32)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([announced("b/0", (1,), F32), announced("a/0", (1,), F32)], "in the order of its net.*Received: name='a/0'"),
        ([announced("a/1", (1,), F32)], "from index 0 without gaps. Received: name='a/1'"),
        ([announced("c/0", (1,), F32)], "layers of its net.*Received: name='c/0'"),
        ([announced("mean", (1,), F32)], "Received: name='mean'"),
        ([announced("a/0", (1,), np.dtype(np.int32))], "float32, float64, float16. Received: dtype=int32"),
    ],
)
def test_what_a_caffemodel_cannot_hold(tmp_path: Path, given: list[Tensor], message: str) -> None:
    net = NetParameter(layer=[LayerParameter(name="a"), LayerParameter(name="b")])
    with pytest.raises(InvalidArgument, match=message):
        CaffemodelWriter(tmp_path / "w", given, net=net)
    assert list(tmp_path.iterdir()) == []


def test_blobs_of_the_net_itself_are_not_written(tmp_path: Path) -> None:
    net = NetParameter(layer=[LayerParameter(name="a", blobs=[BlobProto(data=[1.0])])])
    with CaffemodelWriter(tmp_path / "w", [announced("a/0", (2,), F32)], net=net) as writer:
        writer.write(bytes(8))
    assert len(NetParameter.FromString((tmp_path / "w").read_bytes()).layer[0].blobs) == 1
    assert len(net.layer[0].blobs) == 1


def volume_blob(*dims: int, unpacked: bool = False, values: int | None = None) -> bytes:
    """A BlobProto of C3D 1.0: five numbers for the shape, the values in field 6, their gradients in field 7."""
    numbers = np.arange(np.prod(dims) if values is None else values, dtype=np.float32)
    shape = b"".join(key(number, 0) + varint(dim) for number, dim in enumerate(dims, start=1))
    data = one_by_one(numbers.tolist(), number=6) if unpacked else packed(numbers.tolist(), number=6)
    return shape + data + packed([9.0] * numbers.size, number=7)


def volume_layer(name: str, kind: int, *blobs: bytes) -> bytes:
    """A V1 layer: its blobs are field 6."""
    content = length_delimited(4, name.encode()) + key(5, 0) + varint(kind)
    return length_delimited(2, content + b"".join(length_delimited(6, blob) for blob in blobs))


@pytest.mark.parametrize("unpacked", [False, True])
def test_blobs_of_c3d(tmp_path: Path, unpacked: bool) -> None:
    net = length_delimited(1, b"c3d") + b"".join(
        [
            volume_layer("conv1a", 30, volume_blob(2, 3, 3, 3, 3, unpacked=unpacked), volume_blob(1, 1, 1, 1, 2)),
            volume_layer("fc6", 14, volume_blob(1, 1, 1, 4, 5), volume_blob(1, 1, 1, 1, 4)),
            volume_layer("relu", 18),
        ]
    )
    arrays = read(tmp_path / "c3d.caffemodel", net)
    assert {name: array.shape for name, array in arrays.items()} == {
        "conv1a/0": (2, 3, 3, 3, 3),
        "conv1a/1": (1, 1, 1, 1, 2),
        "fc6/0": (4, 5),
        "fc6/1": (4,),
    }
    assert all((array.reshape(-1) == np.arange(array.size)).all() for array in arrays.values())
    with open_weights(tmp_path / "c3d.caffemodel") as weights:
        assert weights.net is not None
        assert [layer.type for layer in weights.net.layer] == ["Convolution3D", "InnerProduct", "ReLU"]


def test_a_blob_of_c3d_with_too_few_values(tmp_path: Path) -> None:
    net = volume_layer("conv1a", 30, volume_blob(2, 3, 3, 3, 3, values=161))
    with pytest.raises(WeightsError, match="as many values as its shape says, 162"):
        read(tmp_path / "c3d.caffemodel", length_delimited(1, b"c3d") + net)
