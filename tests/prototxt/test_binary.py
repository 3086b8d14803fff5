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
    return net, [str(problem) for problem in parse_binary(data, net, limits=ReadLimits()).problems.all()]


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


def real(number: int, value: float) -> bytes:
    return field(number, 0)[:-2] + bytes([number << 3 | 5]) + struct.pack("<f", value)


def test_fields_of_forks_are_kept_where_the_number_tells_them() -> None:
    boxes = real(1, 30) + field(1, 60) + real(3, 0.5) + field(4, 0) + field(14, 1)
    transform = field(208, field(3, 300) + field(2, 1)) + field(211, 7)
    net = caffe_pb2.NetParameter()
    parsed = parse_binary(
        field(100, field(2, b"Permute") + field(202, field(1, 0) + field(1, 2)))
        + field(100, field(2, b"PriorBox") + field(203, boxes))
        + field(100, field(2, b"Normalize") + field(206, field(2, field(1, b"msra") + real(2, 20)) + field(3, 0)))
        + field(100, field(2, b"AnnotatedData") + field(100, transform) + field(200, b""))
        + field(100, field(2, b"BatchNorm") + field(139, field(7, 1) + field(5, field(8, 1))))
        + field(100, field(2, b"Pooling") + field(9, field(1, 7))),
        net,
        limits=ReadLimits(),
    )
    assert [{path: kept.values for path, kept in layer.items()} for layer in parsed.unknown["layer"]] == [
        {"permute_param": [{"order": ["0", "2"]}]},
        {"prior_box_param": [{"min_size": ["30.0", "60"], "aspect_ratio": ["0.5"], "flip": ["false"]}]},
        {"norm_param": [{"scale_filler": [{"type": ["msra"], "value": ["20.0"]}], "channel_shared": ["false"]}]},
        {
            "transform_param.resize_param": [{"height": ["300"], "resize_mode": ["1"]}],
            "transform_param.crop_h": ["7"],
            "annotated_data_param": [{}],
        },
        {"batch_norm_param.scale_bias": ["true"], "batch_norm_param.scale_filler": [{"variance_norm": ["FAN_OUT"]}]},
        {"exclude.phase": ["7"]},
    ]
    problems = [str(problem) for problem in parsed.problems.all()]
    assert problems[0] == "LayerParameter has no field number 202, in forks permute_param, passed over"
    assert parsed.unknown["layer"][4]["batch_norm_param.scale_bias"].problems == [6]
    assert problems[6] == "BatchNormParameter has no field number 7, in forks scale_bias, passed over"


@pytest.mark.parametrize(
    "data",
    [
        # The number of a fork's field, in a layer of another type; of another kind; a broken block; a broken filler.
        field(2, b"Permute") + field(203, field(1, 0)),
        field(2, b"Permute") + field(202, 7),
        field(2, b"Permute") + field(202, field(1, b"x")),
        field(2, b"Permute") + field(202, b"\x08"),
        field(2, b"Normalize") + field(206, field(2, b"\xff")),
        field(2, b"Normalize") + field(206, field(2, 7)),
        field(2, b"PriorBox") + field(203, field(1, b"")),
    ],
)
def test_fields_of_forks_are_only_reported_where_the_number_may_mean_another(data: bytes) -> None:
    parsed = parse_binary(field(100, data), caffe_pb2.NetParameter(), limits=ReadLimits())
    assert parsed.unknown == {"layer": [{}]}
    assert len(parsed.problems) == 1


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
