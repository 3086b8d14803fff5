import struct

import pytest

from caffe_filler.caffe import caffe_pb2
from caffe_filler.errors import PrototxtError
from filler_server.prototxt.binary import parse_binary
from filler_server.prototxt.limits import ReadLimits


def field(number: int, value: int | bytes) -> bytes:
    """One field on the wire, as an integer or as bytes; lengths below 128."""

    def varint(rest: int) -> bytes:
        return bytes([rest]) if rest < 128 else bytes([rest & 127 | 128]) + varint(rest >> 7)

    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def problems_of(data: bytes) -> tuple[caffe_pb2.NetParameter, list[str]]:
    net = caffe_pb2.NetParameter()
    return net, [str(problem) for problem in parse_binary(data, net, limits=ReadLimits()).all()]


def test_a_message_of_the_schema_is_read_without_a_word() -> None:
    net = caffe_pb2.NetParameter(name="n", input_dim=[1, 2])
    layer = net.layer.add(name="x")
    layer.blobs.add(data=[1.0, 2.0], num=1)
    layer.convolution_param.weight_filler.std = 0.5
    read, problems = problems_of(net.SerializeToString())
    assert read == net
    assert problems == []


def test_unknown_fields_are_reported_with_their_layer() -> None:
    pooling = field(2, 3) + field(50, 1)
    data = field(100, field(1, b"pool") + field(121, pooling) + field(8266, b"\x08\x01")) + field(77, 1)
    net, problems = problems_of(data)
    assert net.layer[0].pooling_param.kernel_size == 3
    assert problems == [
        "NetParameter has no field number 77, passed over",
        "layer 'pool': LayerParameter has no field number 8266, passed over",
        "layer 'pool': PoolingParameter has no field number 50, passed over",
    ]


def test_unknown_fields_of_blobs_are_reported() -> None:
    _, problems = problems_of(field(100, field(1, b"ip") + field(7, field(12, b"\x00\x3c"))))
    assert problems == ["layer 'ip': BlobProto has no field number 12, passed over"]


def test_unknown_enum_values_are_reported() -> None:
    net, problems = problems_of(field(2, field(4, b"a") + field(5, 4000)) + field(2, field(1, field(1, b"old"))))
    assert not net.layers[0].HasField("type")
    assert problems == ["layer 'a': V1LayerParameter.LayerType has no value 4000, passed over"]


def test_a_v0_layer_is_named_by_its_inner_layer() -> None:
    _, problems = problems_of(field(2, field(1, field(1, b"old") + field(99, 1))))
    assert problems == ["layer 'old': V0LayerParameter has no field number 99, passed over"]


def test_fields_of_another_type_are_reported() -> None:
    _, problems = problems_of(field(1, 5) + field(100, b""))
    assert problems == ["NetParameter.name is of another type here, passed over"]


def test_strings_that_are_not_utf8_are_mended() -> None:
    net, problems = problems_of(
        field(1, b"n\xff") + field(100, field(1, b"\xe9t\xe9") + field(3, b"ok") + field(3, b"\x80"))
    )
    assert net.name == "n\ufffd"
    assert net.layer[0].name == "\ufffdt\ufffd"
    assert list(net.layer[0].bottom) == ["ok", "\ufffd"]
    assert problems == [
        "NetParameter.name is not UTF-8, replaced by U+FFFD",
        "layer '\ufffdt\ufffd': LayerParameter.name is not UTF-8, replaced by U+FFFD",
        "layer '\ufffdt\ufffd': LayerParameter.bottom is not UTF-8, replaced by U+FFFD",
    ]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (
            field(100, field(1, b"abc"))[:-1],
            r"^not a binary message, or not all of it: broken at byte 7\. Received: 7 bytes$",
        ),
        (b"\xff" * 20, r"^not a binary message, or not all of it: broken at byte 0\. Received: 20 bytes$"),
        (field(100, field(148, b"\x0d" + struct.pack("<f", 1))), r"without layer\[0\]\.clip_param\.max\. Received: "),
        (field(77, 1), r"^a binary message, but no NetParameter: none of its fields is known\. Received: 3 bytes$"),
    ],
)
def test_what_is_no_such_message_is_refused(data: bytes, words: str) -> None:
    with pytest.raises(PrototxtError, match=words) as caught:
        problems_of(data)
    assert caught.value.line is None
