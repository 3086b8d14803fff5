import pytest
from google.protobuf import text_format

from caffe_filler.caffe import caffe_pb2
from caffe_filler.errors import PrototxtError
from filler_server.net.planner import plan_net
from filler_server.prototxt import NetDocument, read_net
from filler_server.prototxt.upgrade.v1 import TYPES

V1 = caffe_pb2.V1LayerParameter


def upgraded(text: str) -> NetDocument:
    """A document without complaints, whose binary twin is the same net."""
    document = read_net(text.encode())
    assert document.problems == ()
    binary = text_format.Parse(text, caffe_pb2.NetParameter()).SerializeToString()
    twin = read_net(binary)
    assert twin.net == document.net
    assert [change.message for change in twin.changes] == [change.message for change in document.changes]
    return document


@pytest.mark.parametrize("name", V1.LayerType.keys())
def test_types(name: str) -> None:
    assert upgraded(f'layers {{ name: "x" type: {name} }}').net.layer[0].type == TYPES[name]


def test_every_parameter_message_is_carried_over() -> None:
    old = V1(name="x")
    names = [field.name for field in V1.DESCRIPTOR.fields if field.name.endswith("_param")]
    for name in names:
        getattr(old, name).SetInParent()
    (layer,) = upgraded(text_format.MessageToString(caffe_pb2.NetParameter(layers=[old]))).net.layer
    assert len(names) == 30
    assert sorted(field.name for field, _ in layer.ListFields()) == sorted([*names, "name"])


def test_a_whole_net() -> None:
    document = upgraded(
        """name: "n" force_backward: true debug_info: true state { phase: TEST stage: "s" }
        layers {
          name: "c" type: CONVOLUTION bottom: "a" bottom: "b" top: "t"
          blobs_lr: 1 blobs_lr: 2 weight_decay: 3 param: "w" blob_share_mode: PERMISSIVE
          include { phase: TEST } exclude { min_level: 2 } loss_weight: 0.5
          blobs { num: 1 channels: 2 height: 3 width: 4 data: [1, 2] }
          convolution_param { num_output: 4 weight_filler { type: "msra" } }
        }
        layers { name: "bare" }"""
    )
    expected = """
        name: "n" force_backward: true debug_info: true state { phase: TEST stage: "s" }
        layer {
          name: "c" type: "Convolution" bottom: "a" bottom: "b" top: "t"
          param { name: "w" share_mode: PERMISSIVE lr_mult: 1 decay_mult: 3 } param { lr_mult: 2 }
          include { phase: TEST } exclude { min_level: 2 } loss_weight: 0.5
          blobs { num: 1 channels: 2 height: 3 width: 4 data: [1, 2] }
          convolution_param { num_output: 4 weight_filler { type: "msra" } }
        }
        layer { name: "bare" }
    """
    assert document.net == text_format.Parse(expected, caffe_pb2.NetParameter())
    assert document.layer_lines == (2, 9)
    lists = "param, blob_share_mode, blobs_lr, weight_decay"
    assert [str(change) for change in document.changes] == [
        f"2:9: layer 'c': V1 layer becomes one of type \"Convolution\"; {lists} become param",
        "9:9: layer 'bare': V1 layer becomes one of type \"\"",
    ]


def test_both_formats_in_one_net_are_refused() -> None:
    with pytest.raises(PrototxtError, match=r"^2:1: a net has either .*\. Received: 1 layer, 2 layers$"):
        read_net(b"layer { }\nlayers { }\nlayers { }")


def test_types_of_forks_get_their_names_of_the_current_format() -> None:
    document = read_net(
        b'layers { name: "r" type: ROI_POOLING roi_pooling_param { pooled_w: 6 scale: 0.0625 } }\n'
        b"layers { name: 's' type: 999 }"
        b"layers { name: 't' type: NOBODYS_TYPE }"
    )
    assert [layer.type for layer in document.net.layer] == ["ROIPooling", "999", "NOBODYS_TYPE"]
    kept = [{path: kept.values for path, kept in layer.items()} for layer in document.unknown]
    assert kept == [
        {"type": ["ROI_POOLING"], "roi_pooling_param": [{"pooled_w": ["6"], "scale": ["0.0625"]}]},
        {"type": ["999"]},
        {"type": ["NOBODYS_TYPE"]},
    ]
    assert len(document.problems) == 4


def test_a_list_without_types_is_no_type() -> None:
    document = read_net(b'layers { name: "x" type: [] top: "t" }')
    assert document.net.layer[0].type == ""
    assert document.problems[0].message.startswith("V1LayerParameter.type holds one value, not a list")
    assert plan_net(document).warnings[-1].message.startswith("unknown layer type ''")
