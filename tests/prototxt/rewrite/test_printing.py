import math
import struct

from google.protobuf import text_format
from hypothesis import given
from hypothesis import strategies as st

from caffe_filler.caffe import caffe_pb2
from filler_server.prototxt import read_text
from filler_server.prototxt.rewrite.printing import printed, printed_value

FLOATS = st.floats(width=32, allow_nan=False)
LAYERS = st.builds(
    caffe_pb2.LayerParameter,
    name=st.text(),
    loss_weight=st.lists(FLOATS, max_size=3),
    param=st.lists(st.builds(caffe_pb2.ParamSpec, lr_mult=FLOATS), max_size=2),
    transform_param=st.builds(caffe_pb2.TransformationParameter, mean_file=st.text(), mirror=st.booleans()),
)


@given(LAYERS)
def test_what_is_printed_reads_as_the_same_message(layer: caffe_pb2.LayerParameter) -> None:
    for separator in ("\n", " \r\n\t"):
        text = separator.join(printed(layer)).encode()
        message, problems = read_text(text, caffe_pb2.LayerParameter, strict=True)
        assert message.SerializeToString() == layer.SerializeToString()
        assert problems == ()
    assert text_format.Parse("\n".join(printed(layer)), caffe_pb2.LayerParameter()).name == layer.name


def test_lines() -> None:
    layer = caffe_pb2.LayerParameter(name='3.0 "x"\n中: 1.0', loss_weight=[1, 0.1, 1e10, -0.0, math.inf])
    layer.param.add(lr_mult=2, decay_mult=0.5)
    assert printed(layer) == [
        r'name: "3.0 \"x\"\n中: 1.0"',
        "loss_weight: 1",
        "loss_weight: 0.1",
        "loss_weight: 10000000000",
        "loss_weight: -0",
        "loss_weight: inf",
        "param {",
        "  lr_mult: 2",
        "  decay_mult: 0.5",
        "}",
    ]
    assert printed(caffe_pb2.LayerParameter()) == []


def test_values() -> None:
    fields = caffe_pb2.LayerParameter.DESCRIPTOR.fields_by_name
    assert printed_value(caffe_pb2.LayerParameter, fields["type"], "ReLU") == '"ReLU"'
    assert printed_value(caffe_pb2.LayerParameter, fields["bottom"], "a: b") == '"a: b"'
    assert printed_value(caffe_pb2.LayerParameter, fields["phase"], caffe_pb2.TEST) == "TEST"
    (third,) = struct.unpack("f", struct.pack("f", 1 / 3))
    assert float(printed_value(caffe_pb2.LayerParameter, fields["loss_weight"], third)) != third
    read, _ = read_text(
        f"loss_weight: {printed_value(caffe_pb2.LayerParameter, fields['loss_weight'], third)}".encode(),
        caffe_pb2.LayerParameter,
    )
    assert read.loss_weight == [third]
