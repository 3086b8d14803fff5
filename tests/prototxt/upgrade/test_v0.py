import pytest
from google.protobuf import text_format

from caffe_filler.caffe import caffe_pb2
from caffe_filler.errors import PrototxtError
from filler_server.prototxt import read_net
from filler_server.prototxt.unknown import PassedOver
from filler_server.prototxt.upgrade.v0 import V1_TYPES
from filler_server.prototxt.upgrade.v1 import TYPES


def layer_of(fields: str) -> caffe_pb2.LayerParameter:
    """Return the upgrade of one V0 layer, which reports nothing."""
    document = read_net(f"layers {{ layer {{ {fields} }} }}".encode())
    assert document.problems == ()
    assert not document.net.layers
    return document.net.layer[0]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (
            'name: "c" type: "conv" num_output: 8 biasterm: false pad: 1 kernelsize: 3 stride: 2 group: 4 '
            'weight_filler { type: "xavier" } bias_filler { value: 1 }',
            'name: "c" type: "Convolution" convolution_param { num_output: 8 bias_term: false pad: 1 kernel_size: 3 '
            'stride: 2 group: 4 weight_filler { type: "xavier" } bias_filler { value: 1 } }',
        ),
        (
            'type: "innerproduct" num_output: 3 biasterm: true weight_filler { } bias_filler { std: 2 }',
            'type: "InnerProduct" inner_product_param { num_output: 3 bias_term: true weight_filler { } '
            "bias_filler { std: 2 } }",
        ),
        (
            'type: "pool" pool: STOCHASTIC kernelsize: 3 stride: 2 pad: 1',
            'type: "Pooling" pooling_param { pool: STOCHASTIC kernel_size: 3 stride: 2 pad: 1 }',
        ),
        ('type: "dropout" dropout_ratio: 0.25', 'type: "Dropout" dropout_param { dropout_ratio: 0.25 }'),
        (
            'type: "lrn" local_size: 3 alpha: 0.5 beta: 0.25 k: 2',
            'type: "LRN" lrn_param { local_size: 3 alpha: 0.5 beta: 0.25 k: 2 }',
        ),
        ('type: "concat" concat_dim: 0', 'type: "Concat" concat_param { concat_dim: 0 }'),
        (
            'type: "data" source: "s" scale: 2 meanfile: "m" batchsize: 4 cropsize: 5 mirror: true rand_skip: 6',
            'type: "Data" data_param { source: "s" batch_size: 4 rand_skip: 6 } '
            'transform_param { scale: 2 mean_file: "m" crop_size: 5 mirror: true }',
        ),
        (
            'type: "images" source: "s" batchsize: 4 rand_skip: 6 shuffle_images: true new_height: 7 new_width: 8',
            'type: "ImageData" image_data_param { source: "s" batch_size: 4 rand_skip: 6 shuffle: true '
            "new_height: 7 new_width: 8 }",
        ),
        (
            'type: "hdf5_data" source: "s" batchsize: 4',
            'type: "HDF5Data" hdf5_data_param { source: "s" batch_size: 4 }',
        ),
        (
            'type: "hdf5_output" hdf5_output_param { file_name: "f" }',
            'type: "HDF5Output" hdf5_output_param { file_name: "f" }',
        ),
        (
            'type: "window_data" source: "s" batchsize: 4 det_fg_threshold: 0.5 det_bg_threshold: 0.25 '
            'det_fg_fraction: 0.125 det_context_pad: 3 det_crop_mode: "square"',
            'type: "WindowData" window_data_param { source: "s" batch_size: 4 fg_threshold: 0.5 bg_threshold: 0.25 '
            'fg_fraction: 0.125 context_pad: 3 crop_mode: "square" }',
        ),
        ('type: "infogain_loss" source: "s"', 'type: "InfogainLoss" infogain_loss_param { source: "s" }'),
        ('type: "relu" scale: 2', 'type: "ReLU" transform_param { scale: 2 }'),
        (
            'type: "relu" blobs { num: 1 data: 2 } blobs_lr: 1 blobs_lr: 2 weight_decay: 3',
            'type: "ReLU" blobs { num: 1 data: 2 } param { lr_mult: 1 decay_mult: 3 } param { lr_mult: 2 }',
        ),
    ],
)
def test_fields_find_their_place(old: str, new: str) -> None:
    assert layer_of(old) == text_format.Parse(new, caffe_pb2.LayerParameter())


@pytest.mark.parametrize("old", V1_TYPES)
def test_types(old: str) -> None:
    assert layer_of(f'type: "{old}"').type == TYPES[V1_TYPES[old]]


NET = b"""name: "old"
force_backward: true
layers {
  layer { name: "ip" type: "innerproduct" num_output: 2 }
  bottom: "data" top: "ip"
}

layers { layer { name: "loss" type: "softmax_loss" } bottom: "ip" bottom: "label" }
input: "data"  input: "label"
input_dim: [1, 2, 1, 1, 1, 1, 1, 1]
"""


def test_a_whole_net() -> None:
    document = read_net(NET)
    expected = """
        name: "old"
        force_backward: true
        layer {
          name: "input" type: "Input" top: "data" top: "label"
          input_param { shape { dim: [1, 2, 1, 1] } shape { dim: [1, 1, 1, 1] } }
        }
        layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip" inner_product_param { num_output: 2 } }
        layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" }
    """
    assert document.net == text_format.Parse(expected, caffe_pb2.NetParameter())
    assert document.layer_lines == (9, 3, 8)
    assert [str(change) for change in document.changes] == [
        '3:1: layer \'ip\': V0 layer of type "innerproduct" becomes one of type "InnerProduct"',
        '8:1: layer \'loss\': V0 layer of type "softmax_loss" becomes one of type "SoftmaxWithLoss"',
        "9:1: input 'data', 'label' becomes a layer of type \"Input\"",
    ]


def test_binary_is_the_same() -> None:
    binary = text_format.Parse(NET.decode(), caffe_pb2.NetParameter()).SerializeToString()
    document = read_net(binary)
    assert document.format == "binary"
    assert document.net == read_net(NET).net
    assert document.layer_lines == (None, None, None)
    assert str(document.changes[0]).startswith("layer 'ip': V0 layer")


def test_what_a_type_does_not_read_is_reported() -> None:
    text = b'layers {\n layer { name: "r" type: "relu" num_output: 3 new_num: 1 kernelsize: 2 } }'
    document = read_net(text)
    assert document.net.layer[0] == caffe_pb2.LayerParameter(name="r", type="ReLU")
    assert [str(problem) for problem in document.problems] == [
        f"1:1: layer 'r': {field} means nothing to a V0 layer of type relu, passed over"
        for field in ("num_output", "kernelsize", "new_num")
    ]
    with pytest.raises(PrototxtError, match=r"^1:1: num_output means nothing .*\. Received: num_output$"):
        read_net(text, strict=True)


def test_what_caffe_drops_from_v0_nets_is_reported() -> None:
    document = read_net(
        b"state { phase: TEST }\n"
        b'layers { layer { name: "r" type: "relu" } include { } loss_weight: 1 }\n'
        b'layers { name: "s" type: SPLIT top: "b" }\n'
        b'layer { name: "t" type: "TanH" }'
    )
    assert document.net.layer[:] == [
        caffe_pb2.LayerParameter(name="r", type="ReLU"),
        caffe_pb2.LayerParameter(top=["b"]),
    ]
    assert document.layer_lines == (2, 3)
    assert [
        str(problem).removesuffix(" has no place in a file with V0 layers, passed over")
        for problem in document.problems
    ] == [
        "1:1: state",
        "4:1: layer",
        "2:1: layer 'r': include beside bottom and top",
        "2:1: layer 'r': loss_weight beside bottom and top",
        "3:1: layer 's': name beside bottom and top",
        "3:1: layer 's': type beside bottom and top",
    ]


@pytest.mark.parametrize("kind", ["foo", "local", "Convolution"])
def test_unknown_types_are_kept_and_reported(kind: str) -> None:
    data = f'\n layers {{ layer {{ name: "x" type: "{kind}" num_output: 2 }} top: "b" }}'.encode()
    document = read_net(data)
    assert document.net.layer[0] == caffe_pb2.LayerParameter(name="x", type=kind, top=["b"])
    assert [str(problem) for problem in document.problems] == [
        f"2:2: layer 'x': V0 has no layers of type {kind}, kept",
        f"2:2: layer 'x': num_output means nothing to a V0 layer of type {kind}, passed over",
    ]
    with pytest.raises(PrototxtError, match=f"^2:2: V0 has no layers of type {kind}. Received: {kind}$"):
        read_net(data, strict=True)


def test_fields_of_forks_are_kept_for_those_who_know_them() -> None:
    document = read_net(b'layers { layer { name: "d" type: "data" datum_dims: 3 } }')
    assert document.unknown == ({"layer.datum_dims": PassedOver(["3"], [0])},)
