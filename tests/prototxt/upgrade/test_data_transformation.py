import pytest
from google.protobuf import text_format

from caffe_filler.caffe import caffe_pb2
from filler_server.prototxt import read_net


@pytest.mark.parametrize(
    ("type_", "name", "message"),
    [
        ("DATA", "Data", "data_param"),
        ("IMAGE_DATA", "ImageData", "image_data_param"),
        ("WINDOW_DATA", "WindowData", "window_data_param"),
    ],
)
def test_fields_move(type_: str, name: str, message: str) -> None:
    document = read_net(
        f"""layers {{
          type: {type_} transform_param {{ scale: 9 force_color: true }}
          {message} {{ source: "s" scale: 2 mean_file: "m" crop_size: 0 mirror: false }}
        }}""".encode()
    )
    expected = f"""
        type: "{name}" {message} {{ source: "s" }}
        transform_param {{ scale: 2 mean_file: "m" crop_size: 0 mirror: false force_color: true }}
    """
    assert document.net.layer[0] == text_format.Parse(expected, caffe_pb2.LayerParameter())
    assert str(document.changes[0]) == f"1:1: scale, mean_file, crop_size, mirror of {message} move to transform_param"


def test_other_data_layers_get_the_messages_too() -> None:
    document = read_net(
        b"layers { type: DATA } layers { type: DATA data_param { mirror: true } } layers { type: RELU }"
    )
    first, _, third = document.net.layer
    assert first == text_format.Parse('type: "Data" data_param { } transform_param { }', caffe_pb2.LayerParameter())
    assert third == caffe_pb2.LayerParameter(type="ReLU")
    assert sum("transform_param" in change.message for change in document.changes) == 1


@pytest.mark.parametrize(
    "text",
    [
        "layers { type: DATA data_param { source: 's' } }",
        "layers { type: RELU data_param { scale: 2 } }",
        "layers { data_param { scale: 2 } }",
        "layer { type: 'Data' data_param { scale: 2 } }",
    ],
)
def test_the_rest_stays(text: str) -> None:
    document = read_net(text.encode())
    assert not document.net.layer[0].HasField("transform_param")
    assert not any("transform_param" in change.message for change in document.changes)
