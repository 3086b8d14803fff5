"""Weights in the text of a net."""

from pathlib import Path

import numpy as np
import pytest
from google.protobuf import text_format

from caffe_filler.caffe.caffe_pb2 import NetParameter
from caffe_filler.errors import InvalidArgument, WeightsError
from filler_server.tensors import ArrayTensor, Tensor, View
from filler_server.weights.formats.prototxt import PrototxtWriter
from filler_server.weights.opening import open_weights
from filler_server.weights.saving import save
from tests.weights.files import same, tensors, write
from tests.weights.messages import blob, legacy_blob, net_of_layers

SIX = np.arange(6, dtype=np.float32).reshape(2, 3)
STRANGE = np.array(
    [0.1, -0.0, 1e-45, 3.4028235e38, np.inf, -np.inf, np.nan, 1 / 3, 16777216, 1e-8, -1.17549435e-38], np.float32
)


def text_of(net: NetParameter) -> str:
    return text_format.MessageToString(net)


def test_values_are_read(tmp_path: Path) -> None:
    net = net_of_layers(ip=[SIX, SIX[0].astype(np.float64)], other=[])
    net.layer.add(name="old", type="InnerProduct", blobs=[legacy_blob(SIX)])
    (tmp_path / "w").write_text(f"# trained\n{text_of(net)}")
    with open_weights(tmp_path / "w") as weights:
        assert weights.format == "prototxt"
        assert [(tensor.name, tensor.shape, tensor.legacy) for tensor in weights.tensors] == [
            ("ip/0", (2, 3), False),
            ("ip/1", (3,), False),
            ("old/0", (1, 1, 2, 3), True),
        ]
        assert same(weights["ip/0"].array(), SIX)
        assert same(weights["ip/1"].array(), SIX[0].astype(np.float64))
        assert weights.net is not None
        assert [layer.name for layer in weights.net.layer] == ["ip", "other", "old"]
        assert not any(layer.blobs for layer in weights.net.layer)


def test_a_net_of_the_former_format(tmp_path: Path) -> None:
    text = 'layers { name: "ip" type: INNER_PRODUCT blobs { num: 1 channels: 1 height: 1 width: 2 data: 1 data: 2 } }'
    (tmp_path / "w").write_text(text)
    with open_weights(tmp_path / "w") as weights:
        assert weights["ip/0"].array().tolist() == [[[[1, 2]]]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('layer { name: "a" type: "ReLU" }', "text, such as the prototxt of a net, which has no trained weights"),
        ("# blobs { }\n" + 'layer { name: "a" type: "ReLU" }', "the text of a net, which has no trained weights in it"),
        ('layer { name: "a" blobs { shape { dim: 3 } data: 1 } }', r"'a/0' must hold .* shape=\[3\], 1 value$"),
        ('layer { name: "a" blobs { data: x } }', "the net of the file cannot be read: 1:33"),
    ],
)
def test_what_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "w").write_text(text)
    with pytest.raises(WeightsError, match=message):
        open_weights(tmp_path / "w")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("piece", [1, 7, 1000])
def test_every_value_comes_back(tmp_path: Path, dtype: type, piece: int) -> None:
    array = STRANGE.astype(dtype)
    net = NetParameter(name="net")
    net.layer.add(name="a", type="InnerProduct")
    net.layer.add(name="relu", type="ReLU", bottom=["a"], top=["a"])
    write(lambda path, given: PrototxtWriter(path, given, net=net), tmp_path / "w.prototxt", {"a/0": array}, piece)
    with open_weights(tmp_path / "w.prototxt") as weights:
        assert same(weights["a/0"].array(), array)
        assert weights.net == net
    # protobuf itself reads it, too.
    (read,) = text_format.Parse((tmp_path / "w.prototxt").read_text(), NetParameter()).layer[0].blobs
    assert len(read.data) + len(read.double_data) == STRANGE.size


def test_it_reads_as_protobuf_would_print_it(tmp_path: Path) -> None:
    net = NetParameter(name="net")
    net.layer.add(name="a", type="InnerProduct", top=["a"])
    net.layer.add(name="b", type="InnerProduct", top=["b"])
    given: list[Tensor] = [
        ArrayTensor("a/0", SIX / 4),
        View(ArrayTensor("a/1", SIX), "a/1", (1, 1, 2, 3), legacy=True),
        ArrayTensor("b/0", SIX[0].astype(np.float64)),
    ]
    save(given, tmp_path / "w.prototxt", net=net)
    want = NetParameter(name="net")
    want.CopyFrom(net)
    want.layer[0].blobs.extend([blob(SIX / 4), legacy_blob(SIX)])
    want.layer[1].blobs.append(blob(SIX[0].astype(np.float64)))
    text = (tmp_path / "w.prototxt").read_text()
    assert text_format.Parse(text, NetParameter()) == want
    assert text.startswith('name: "net"\nlayer {\n  name: "a"\n  type: "InnerProduct"\n  top: "a"\n  blobs {\n')


def test_what_text_cannot_hold(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match=r"float32 and float64. Received: dtype=float16"):
        PrototxtWriter(tmp_path / "w", tensors({"a/0": SIX.astype(np.float16)}), net=NetParameter())
    with pytest.raises(InvalidArgument, match="a net in text holds blobs of layers of its net"):
        PrototxtWriter(tmp_path / "w", tensors({"a/0": SIX}), net=NetParameter())
    assert list(tmp_path.iterdir()) == []
