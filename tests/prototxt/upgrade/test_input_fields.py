import pytest
from google.protobuf import text_format

from caffe_filler.caffe import caffe_pb2
from caffe_filler.errors import PrototxtError
from filler_server.prototxt import read_net
from filler_server.prototxt.unknown import PassedOver

BODY = 'layer {\n name: "r" bottom: "a" }\n'


@pytest.mark.parametrize(
    ("fields", "shapes"),
    [
        ('input: "a" input_dim: [1, 2, 3, 4]', "shape { dim: [1, 2, 3, 4] }"),
        (
            'input: "a" input_dim: 1 input_dim: 2 input_dim: 3 input_dim: 4 input: "b" input_dim: [5, 6, 7, 8]',
            "shape { dim: [1, 2, 3, 4] } shape { dim: [5, 6, 7, 8] }",
        ),
        ('input: ["a", "b"] input_shape { dim: 1 } input_shape { }', "shape { dim: 1 } shape { }"),
    ],
)
def test_one_layer_for_all_inputs_stands_first(fields: str, shapes: str) -> None:
    document = read_net((BODY + fields).encode())
    names = ["a", "b"] if '"b"' in fields else ["a"]
    layer = caffe_pb2.LayerParameter(name="input", type="Input", top=names)
    layer.input_param.CopyFrom(text_format.Parse(shapes, caffe_pb2.InputParameter()))
    assert document.net == caffe_pb2.NetParameter(layer=[layer, read_net(BODY.encode()).net.layer[0]])
    assert document.layer_lines == (3, 1)
    assert document.problems == ()
    listed = ", ".join(repr(name) for name in names)
    assert [str(change) for change in document.changes] == [f'3:1: input {listed} becomes a layer of type "Input"']
    assert document.unknown == ({}, {})


def test_shapes_win_over_dims() -> None:
    document = read_net(b'input: "a" input_shape { dim: 7 }\ninput_dim: [1, 2, 3, 4]')
    assert document.net.layer[0].input_param.shape[0].dim == [7]
    assert [str(problem) for problem in document.problems] == ["2:1: input_dim beside input_shape, passed over"]


def test_inputs_without_a_shape_vanish() -> None:
    document = read_net(BODY.encode() + b'input: "a" input: "b"')
    assert document.net == read_net(BODY.encode()).net
    assert [str(problem) for problem in document.problems] == [
        "3:1: input 'a', 'b' has neither input_shape nor input_dim, so it is not a blob of the net"
    ]
    assert document.open_inputs == PassedOver(["a", "b"], [0])


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ("input_dim: [1, 2, 3]", r"^2:1: 2 input need 8 input_dim\. Received: 3$"),
        ("input_shape { dim: 1 }", r"^2:1: 2 input need 2 input_shape\. Received: 1$"),
    ],
)
def test_too_few_shapes(fields: str, words: str) -> None:
    with pytest.raises(PrototxtError, match=words):
        read_net(b'input: "a" input: "b"\n' + fields.encode())


def test_too_many_dims() -> None:
    document = read_net(b'input: "a"\ninput_dim: [1, 2, 3, 4, 5]')
    assert document.net.layer[0].input_param.shape[0].dim == [1, 2, 3, 4]
    assert [str(problem) for problem in document.problems] == [
        "2:1: 1 input need only 4 input_dim, the last 1 passed over"
    ]


def test_dims_without_an_input_stay() -> None:
    assert read_net(b"input_dim: 3").net.input_dim == [3]


@pytest.mark.parametrize("kind", ["CONVOLUTION3D", "POOLING3D", "DECONVOLUTION3D"])
def test_five_dims_of_a_volume(kind: str) -> None:
    text = f'input: "a" input_dim: [30, 3, 16, 112, 112] layers {{ name: "c" type: {kind} bottom: "a" top: "c" }}'
    document = read_net(text.encode())
    assert document.net.layer[0].input_param.shape[0].dim == [30, 3, 16, 112, 112]
    assert not any("input_dim" in str(problem) for problem in document.problems)
