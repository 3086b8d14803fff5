"""Names that misspell a known one, told from those of forks."""

import string

import pytest

from caffe_filler.caffe import caffe_pb2
from caffe_filler.errors import PrototxtError
from filler_server.net.layers import forks  # noqa: F401 - registers the layer types
from filler_server.net.registry import layer_type, layer_type_names
from filler_server.prototxt import read_net, read_solver
from filler_server.prototxt.fork_names import KNOWN, NEAR
from filler_server.prototxt.forks import BLOCKS
from filler_server.prototxt.layer_types import TYPES
from filler_server.prototxt.near_miss import KnownNames
from filler_server.prototxt.schema import schema_of

CONVOLUTION = schema_of(caffe_pb2.ConvolutionParameter.DESCRIPTOR).names
POOLING = schema_of(caffe_pb2.PoolingParameter.DESCRIPTOR)
LAYER = schema_of(caffe_pb2.LayerParameter.DESCRIPTOR).names
SOLVER = schema_of(caffe_pb2.SolverParameter.DESCRIPTOR).names


@pytest.mark.parametrize(
    ("names", "strange", "meant"),
    [
        (CONVOLUTION, "weight_fillr", "weight_filler"),
        (CONVOLUTION, "wieght_filler", "weight_filler"),
        (CONVOLUTION, "weightFiller", "weight_filler"),
        (CONVOLUTION, "Weight_Filler", "weight_filler"),
        (CONVOLUTION, "bias_flller", "bias_filler"),
        (CONVOLUTION, "num_ouput", "num_output"),
        (CONVOLUTION, "nm_ouput", "num_output"),
        (CONVOLUTION, "num_outputs", "num_output"),
        (CONVOLUTION, "padd", "pad"),
        (CONVOLUTION, "strid", "stride"),
        (CONVOLUTION, "sride_h", "stride_h"),
        (CONVOLUTION, "dilatoin", "dilation"),
        (CONVOLUTION, "kernel_dept", "kernel_depth"),
        (POOLING.fields["pool"].values, "MAXX", "MAX"),
        (POOLING.fields["pool"].values, "max", "MAX"),
        (POOLING.fields["pool"].values, "AVG", "AVE"),
        (POOLING.names, "ceil_mod", "ceil_mode"),
        (LAYER, "convolution_parm", "convolution_param"),
        (LAYER, "convoluton_param", "convolution_param"),
        (LAYER, "poolingparam", "pooling_param"),
        (LAYER, "inner_product_para", "inner_product_param"),
        (LAYER, "detection_ouput_param", "detection_output_param"),
        (LAYER, "botom", "bottom"),
        (LAYER, "tpo", "top"),
        (LAYER, "inclde", "include"),
        (SOLVER, "random_sed", "random_seed"),
        (SOLVER, "test_intervall", "test_interval"),
        (SOLVER, "weigths", "weights"),
    ],
)
def test_misspelled(names: KnownNames, strange: str, meant: str) -> None:
    assert names.meant_by(strange) == meant


@pytest.mark.parametrize(
    ("names", "strange"),
    [
        (CONVOLUTION, "hole"),
        (CONVOLUTION, "dilation_h"),
        (CONVOLUTION, "pad_d"),
        (CONVOLUTION, "pad_l"),
        (CONVOLUTION, "kernel_l"),
        (CONVOLUTION, "kernel_size_3d"),
        (CONVOLUTION, "kernel_shape"),
        (CONVOLUTION, "kstride"),
        (CONVOLUTION, "pad_type"),
        (CONVOLUTION, "no_bias_term"),
        (CONVOLUTION, "x" * 10_000),
        (CONVOLUTION, "_"),
        (POOLING.fields["pool"].values, "MIN"),
        (POOLING.names, "pool_h"),
        (LAYER, "permute_param"),
        (LAYER, "roi_pooling_param"),
        (LAYER, "psroi_pooling_param"),
        (LAYER, "unpooling_param"),
        (LAYER, "relu6_param"),
        (LAYER, "selu_param"),
        (LAYER, "grn_param"),
        (LAYER, "bn_param"),
        (LAYER, "convolution3d_param"),
        (LAYER, "bconvolution_param"),
        (LAYER, "temp"),
        (SOLVER, "larc_policy"),
        (SOLVER, "max_momentum"),
    ],
)
def test_names_of_their_own(names: KnownNames, strange: str) -> None:
    assert names.meant_by(strange) is None


def test_blocks_called_by_acronyms_are_compared_with_that_of_their_layer_only() -> None:
    assert LAYER.meant_by("scal_param") is None
    assert LAYER.meant_by("scal_param", layer_type="Scale") == "scale_param"
    assert LAYER.meant_by("scal_param", layer_type="Scal") is None
    assert LAYER.meant_by("selu_param", layer_type="SELU") is None
    text = b'layer {\n name: "s" scal_param { bias_term: true } type: "Scale" }'
    with pytest.raises(
        PrototxtError, match=r"^2:12: LayerParameter has no field scal_param \(did you mean scale_param"
    ):
        read_net(text)
    with pytest.raises(
        PrototxtError, match=r"^1:10: V1LayerParameter has no field dta_param \(did you mean data_param"
    ):
        read_net(b"layers { dta_param { } type: DATA }")
    assert len(read_net(text, lenient=True).problems) == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('net: "n"\nrandom_sed: 5', "2:1: SolverParameter has no field random_sed (did you mean random_seed?)"),
        ('net: "n"\nsolver_mode: GPUU', "2:14: SolverParameter.SolverMode has no value GPUU (did you mean GPU?)"),
    ],
)
def test_solvers(text: str, words: str) -> None:
    with pytest.raises(PrototxtError) as caught:
        read_solver(text.encode())
    assert str(caught.value).startswith(words)
    assert len(read_solver(text.encode(), lenient=True).problems) == 1


def test_the_warnings_before_come_with_the_error() -> None:
    with pytest.raises(PrototxtError) as caught:
        read_net(b'layer { name: "a" magic: 1 }\nlayer { name: "b" convolution_param { num_ouput: 1 } }')
    assert [str(warning) for warning in caught.value.warnings] == [
        "1:19: layer 'a': LayerParameter has no field magic, passed over"
    ]


def test_many_strange_names_take_bounded_time() -> None:
    names = "".join(f"{letter}{number}x: 1 " for number in range(3000) for letter in string.ascii_letters[:3])
    assert len(read_net(f"name: 'a' layer {{ {names} }}".encode()).problems) == 1001


def test_each_field_that_a_layer_type_asks_for_is_a_known_name_of_forks() -> None:
    """So that it is never taken for misspelled, and is meant where it is."""
    fields = caffe_pb2.LayerParameter.DESCRIPTOR.fields_by_name
    for name in layer_type_names():
        kind = layer_type(name)
        assert kind is not None
        for path in kind.fork_fields:
            block, _, field = path.partition(".")
            if block in BLOCKS:
                assert not field or field in BLOCKS[block].names, path
                continue
            message = fields[block].message_type
            assert field in message.fields_by_name or field in KNOWN[message.name], path


def test_each_type_of_layers_can_be_named_in_the_v1_format() -> None:
    assert TYPES.issuperset(layer_type_names())
    plain = [name.replace("_", "").lower() for name in TYPES]
    assert {name for name in plain if plain.count(name) > 1} == {"lstm", "ctcloss"}


@pytest.mark.parametrize(("owner", "foreign"), [*KNOWN.items(), *NEAR.items()])
def test_names_of_forks_are_none_of_bvlc(owner: str, foreign: frozenset[str]) -> None:
    message, _, enum = owner.partition(".")
    descriptor = caffe_pb2.DESCRIPTOR.message_types_by_name[message]
    known = descriptor.enum_types_by_name[enum].values_by_name if enum else descriptor.fields_by_name
    assert foreign
    assert foreign.isdisjoint(known)
