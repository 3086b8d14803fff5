"""Caffe's schema as an interface: every name, number, type and default of it, in text and on the wire."""

import hashlib
import struct
import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, text_format
from google.protobuf.message import EncodeError, Message

from caffe_filler.caffe import caffe_pb2

Field = descriptor_pb2.FieldDescriptorProto

# SHA-256 of render(). Caffe's schema was finished in 2020: a change here means that files stop being compatible.
FROZEN = "f377498901bb97656264463600d671e5dc78f529a45abd175e7c9ac2c6c08fba"


def schema() -> descriptor_pb2.FileDescriptorProto:
    """A copy of the schema as data."""
    file = descriptor_pb2.FileDescriptorProto()
    caffe_pb2.DESCRIPTOR.CopyToProto(file)
    return file


def render(file: descriptor_pb2.FileDescriptorProto) -> str:
    """All that a file depends on, one fact a line, sorted: neither order, comments nor the package are part of it."""
    package = f".{file.package}."

    def default_of(field: Field) -> str:
        # The compiler writes the shortest decimal of a real number, the runtime nine digits of the same.
        return str(np.float32(field.default_value)) if field.type == Field.TYPE_FLOAT else repr(field.default_value)

    def enum(descriptor: descriptor_pb2.EnumDescriptorProto, scope: str) -> Iterator[str]:
        # The first value is what an absent field reads as.
        yield f"enum {scope}{descriptor.name} first={descriptor.value[0].name}"
        for value in descriptor.value:
            yield f"enum {scope}{descriptor.name} {value.number:4} {value.name}"

    def message(descriptor: descriptor_pb2.DescriptorProto, scope: str) -> Iterator[str]:
        name = scope + descriptor.name
        yield f"message {name}"
        for field in descriptor.field:
            label = Field.Label.Name(field.label).removeprefix("LABEL_").lower()
            kind = field.type_name.removeprefix(package) or Field.Type.Name(field.type).removeprefix("TYPE_").lower()
            default = f" default={default_of(field)}" if field.HasField("default_value") else ""
            packed = " packed" if field.options.packed else ""
            yield f"message {name} {field.number:4} {label} {kind} {field.name}{default}{packed}"
        for nested in descriptor.enum_type:
            yield from enum(nested, f"{name}.")
        for inner in descriptor.nested_type:
            yield from message(inner, f"{name}.")

    lines = [line for descriptor in file.message_type for line in message(descriptor, "")]
    lines += [line for descriptor in file.enum_type for line in enum(descriptor, "")]
    return "\n".join(sorted(lines))


def test_schema_is_frozen() -> None:
    rendering = render(schema())
    digest = hashlib.sha256(rendering.encode()).hexdigest()
    if digest != FROZEN:
        pytest.fail(f"The schema is not Caffe's any more. Received: sha256={digest}, of\n{rendering}", pytrace=False)


def test_frozen_rendering_ignores_order() -> None:
    file = schema()
    messages = sorted(file.message_type, key=lambda message: message.name, reverse=True)
    del file.message_type[:]
    file.message_type.extend(messages)
    assert render(file) == render(schema())


@pytest.mark.parametrize(
    ("path", "attribute", "value"),
    [
        ("FillerParameter.std", "name", "stddev"),
        ("FillerParameter.std", "number", 9),
        ("FillerParameter.std", "label", Field.LABEL_REPEATED),
        ("FillerParameter.std", "type", Field.TYPE_DOUBLE),
        ("FillerParameter.std", "default_value", "0.01"),
        ("ConvolutionParameter.weight_filler", "type_name", ".caffe_filler.caffe.BlobProto"),
    ],
)
def test_frozen_rendering_sees_every_property_of_a_field(path: str, attribute: str, value: object) -> None:
    file = schema()
    owner, _, name = path.partition(".")
    (field,) = (f for message in file.message_type if message.name == owner for f in message.field if f.name == name)
    setattr(field, attribute, value)
    assert render(file) != render(schema())


def test_frozen_rendering_sees_packing_and_enums() -> None:
    unpacked, renumbered, reordered = schema(), schema(), schema()
    next(message for message in unpacked.message_type if message.name == "BlobShape").field[0].options.packed = False
    renumbered.enum_type[0].value[1].number = 2
    values = [reordered.enum_type[0].value[1], reordered.enum_type[0].value[0]]
    del reordered.enum_type[0].value[:]
    reordered.enum_type[0].value.extend(values)
    assert len({render(file) for file in (schema(), unpacked, renumbered, reordered)}) == 4


@pytest.mark.parametrize(
    ("message", "field", "default"),
    [
        (caffe_pb2.FillerParameter, "type", "constant"),
        (caffe_pb2.FillerParameter, "value", 0.0),
        (caffe_pb2.FillerParameter, "min", 0.0),
        (caffe_pb2.FillerParameter, "max", 1.0),
        (caffe_pb2.FillerParameter, "mean", 0.0),
        (caffe_pb2.FillerParameter, "std", 1.0),
        (caffe_pb2.FillerParameter, "sparse", -1),
        (caffe_pb2.FillerParameter, "variance_norm", caffe_pb2.FillerParameter.FAN_IN),
        (caffe_pb2.ConvolutionParameter, "num_output", 0),
        (caffe_pb2.ConvolutionParameter, "bias_term", True),
        (caffe_pb2.ConvolutionParameter, "group", 1),
        (caffe_pb2.ConvolutionParameter, "axis", 1),
        (caffe_pb2.ConvolutionParameter, "pad_h", 0),
        (caffe_pb2.InnerProductParameter, "bias_term", True),
        (caffe_pb2.InnerProductParameter, "axis", 1),
        (caffe_pb2.InnerProductParameter, "transpose", False),
        (caffe_pb2.EmbedParameter, "bias_term", True),
        (caffe_pb2.ScaleParameter, "axis", 1),
        (caffe_pb2.ScaleParameter, "num_axes", 1),
        (caffe_pb2.ScaleParameter, "bias_term", False),
        (caffe_pb2.PReLUParameter, "channel_shared", False),
        (caffe_pb2.RecurrentParameter, "num_output", 0),
        (caffe_pb2.PoolingParameter, "pool", caffe_pb2.PoolingParameter.MAX),
        (caffe_pb2.PoolingParameter, "stride", 1),
        (caffe_pb2.PoolingParameter, "pad", 0),
        (caffe_pb2.PoolingParameter, "global_pooling", False),
        (caffe_pb2.PoolingParameter, "round_mode", caffe_pb2.PoolingParameter.CEIL),
        (caffe_pb2.BatchNormParameter, "moving_average_fraction", 0.999),
        (caffe_pb2.BatchNormParameter, "eps", 1e-5),
        (caffe_pb2.MVNParameter, "eps", 1e-9),
        (caffe_pb2.CropParameter, "axis", 2),
        (caffe_pb2.FlattenParameter, "end_axis", -1),
        (caffe_pb2.ReshapeParameter, "num_axes", -1),
        (caffe_pb2.EltwiseParameter, "operation", caffe_pb2.EltwiseParameter.SUM),
        (caffe_pb2.ReductionParameter, "operation", caffe_pb2.ReductionParameter.SUM),
        (caffe_pb2.HingeLossParameter, "norm", caffe_pb2.HingeLossParameter.L1),
        (caffe_pb2.LossParameter, "normalization", caffe_pb2.LossParameter.VALID),
        (caffe_pb2.DataParameter, "backend", caffe_pb2.DataParameter.LEVELDB),
        (caffe_pb2.ParamSpec, "lr_mult", 1.0),
        (caffe_pb2.ParamSpec, "decay_mult", 1.0),
        (caffe_pb2.ParamSpec, "share_mode", caffe_pb2.ParamSpec.STRICT),
        (caffe_pb2.NetState, "phase", caffe_pb2.TEST),
        (caffe_pb2.NetState, "level", 0),
        (caffe_pb2.NetStateRule, "phase", caffe_pb2.TRAIN),
        (caffe_pb2.LayerParameter, "phase", caffe_pb2.TRAIN),
        (caffe_pb2.V1LayerParameter, "type", caffe_pb2.V1LayerParameter.NONE),
        (caffe_pb2.V0LayerParameter, "biasterm", True),
        (caffe_pb2.SolverParameter, "random_seed", -1),
        (caffe_pb2.SolverParameter, "type", "SGD"),
        (caffe_pb2.SolverParameter, "solver_mode", caffe_pb2.SolverParameter.GPU),
        (caffe_pb2.SolverParameter, "snapshot_format", caffe_pb2.SolverParameter.BINARYPROTO),
        (caffe_pb2.SolverParameter, "momentum2", 0.999),
        (caffe_pb2.SolverParameter, "delta", 1e-8),
        (caffe_pb2.SolverParameter, "lr_policy", ""),
    ],
)
def test_defaults(message: type[Message], field: str, default: bool | float | str) -> None:
    value = getattr(message(), field)
    assert not message().HasField(field)
    assert type(value) is type(default)
    # Real fields are single precision.
    assert (np.float32(value) == np.float32(default)) if isinstance(default, float) else (value == default)


V0_NET = """
name: "old"
input: "image"
input_dim: 1 input_dim: 2 input_dim: 8 input_dim: 8
layers {
  layer {
    name: "edges" type: "conv" num_output: 4 kernelsize: 3 stride: 2 group: 2 biasterm: false
    weight_filler { type: "gaussian" std: 0.05 }
    blobs_lr: 1 weight_decay: 0.5
  }
  bottom: "image" top: "edges"
}
layers { layer { name: "smaller" type: "pool" pool: AVE kernelsize: 2 } bottom: "edges" top: "smaller" }
"""

V1_NET = """
name: "middle"
input: "image"
input_shape { dim: 1 dim: 2 dim: 8 dim: 8 }
layers {
  name: "edges" type: CONVOLUTION bottom: "image" top: "edges"
  param: "shared" blob_share_mode: PERMISSIVE blobs_lr: 1 blobs_lr: 2
  convolution_param { num_output: 4 kernel_size: 3 weight_filler { type: "xavier" } }
  include { phase: TRAIN stage: "warm" not_stage: "cold" }
}
layers { name: "loss" type: SOFTMAX_LOSS bottom: "edges" bottom: "label" top: "loss" loss_weight: 0.25 }
"""

V2_NET = """
name: "current"
state { phase: TRAIN level: 2 }
layer { name: "image" type: "Input" top: "image" input_param { shape { dim: 1 dim: 2 dim: 8 dim: 8 } } }
layer {
  name: "edges" type: "Convolution" bottom: "image" top: "edges"
  param { name: "shared" lr_mult: 1 share_mode: STRICT } param { lr_mult: 2 decay_mult: 0 }
  convolution_param {
    num_output: 4 kernel_size: 3 kernel_size: 5 dilation: 2 axis: -3 engine: CAFFE
    weight_filler { type: "msra" variance_norm: AVERAGE } bias_filler { value: 0.1 }
  }
}
layer { name: "bound" type: "Clip" bottom: "edges" top: "edges" clip_param { min: -1 max: 1 } }
"""

SOLVER = """
net_param { name: "inside" layer { name: "x" type: "LSTM" recurrent_param { num_output: 3 } } }
test_iter: 10 test_iter: 20 test_interval: 100 base_lr: 0.01 lr_policy: "multistep" stepvalue: 5 stepvalue: 9
random_seed: 1701 solver_mode: CPU snapshot_format: HDF5 solver_type: ADAM weights: "a.caffemodel,b.caffemodel"
"""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (V0_NET, caffe_pb2.NetParameter()),
        (V1_NET, caffe_pb2.NetParameter()),
        (V2_NET, caffe_pb2.NetParameter()),
        (SOLVER, caffe_pb2.SolverParameter()),
    ],
    ids=["V0", "V1", "V2", "solver"],
)
def test_text_and_binary_round_trip(text: str, message: Message) -> None:
    text_format.Parse(text, message)
    printed = text_format.MessageToString(message)
    assert text_format.Parse(printed, type(message)()) == message
    assert type(message).FromString(message.SerializeToString()) == message


def test_v0_net_reads_as_written() -> None:
    net = text_format.Parse(V0_NET, caffe_pb2.NetParameter())
    convolution, pooling = (connection.layer for connection in net.layers)
    assert list(net.input_dim) == [1, 2, 8, 8]
    assert (convolution.type, convolution.kernelsize, convolution.group, convolution.biasterm) == ("conv", 3, 2, False)
    assert convolution.weight_filler.std == float(np.float32(0.05))
    assert pooling.pool == caffe_pb2.V0LayerParameter.AVE
    assert list(net.layers[1].bottom) == ["edges"]


def test_v1_net_reads_as_written() -> None:
    net = text_format.Parse(V1_NET, caffe_pb2.NetParameter())
    convolution, loss = net.layers
    assert list(net.input_shape[0].dim) == [1, 2, 8, 8]
    assert (convolution.type, loss.type) == (4, 21)
    assert (list(convolution.param), list(convolution.blob_share_mode)) == (["shared"], [1])
    assert list(convolution.include[0].not_stage) == ["cold"]
    assert list(loss.loss_weight) == [0.25]


def test_v2_net_reads_as_written() -> None:
    net = text_format.Parse(V2_NET, caffe_pb2.NetParameter())
    image, convolution, clip = net.layer
    assert list(image.input_param.shape[0].dim) == [1, 2, 8, 8]
    assert list(convolution.convolution_param.kernel_size) == [3, 5]
    assert convolution.convolution_param.axis == -3
    assert convolution.convolution_param.weight_filler.variance_norm == caffe_pb2.FillerParameter.AVERAGE
    assert convolution.convolution_param.bias_filler.type == "constant"
    assert [(spec.lr_mult, spec.decay_mult) for spec in convolution.param] == [(1, 1), (2, 0)]
    assert (clip.clip_param.min, clip.clip_param.max) == (-1, 1)
    assert net.state.phase == caffe_pb2.TRAIN


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("layer { colour: 3 }", 'no field named "colour"'),
        ("layers { type: ROI_POOLING }", "no value named ROI_POOLING"),
        ('name: "a" name: "b"', "should not have multiple"),
    ],
)
def test_text_is_parsed_strictly(text: str, complaint: str) -> None:
    with pytest.raises(text_format.ParseError, match=complaint):
        text_format.Parse(text, caffe_pb2.NetParameter())


def test_required_fields_are_required() -> None:
    with pytest.raises(EncodeError, match=r"missing required fields"):
        caffe_pb2.LayerParameter(clip_param=caffe_pb2.ClipParameter(min=0)).SerializeToString()


VALUES = [0.5, -0.0, 3.0, -1e-3, 1e30, 7.0]


def test_blob_on_the_wire() -> None:
    """Tag and length, then the values end to end, little-endian: what lies in every .caffemodel."""
    blob = caffe_pb2.BlobProto(shape=caffe_pb2.BlobShape(dim=[2, 3]), data=VALUES, double_data=VALUES)
    shape = b"\x3a\x04\x0a\x02\x02\x03"
    wire = b"\x2a\x18" + struct.pack("<6f", *VALUES) + shape + b"\x42\x30" + struct.pack("<6d", *VALUES)
    assert blob.SerializeToString(deterministic=True) == wire
    again = caffe_pb2.BlobProto.FromString(wire)
    assert again == blob
    assert np.array(again.data, np.float32).tobytes() == np.array(VALUES, np.float32).tobytes()
    assert list(again.double_data) == VALUES


def test_blob_reads_the_unpacked_form() -> None:
    """Caffes of before `packed` wrote a tag in front of each value, and four fixed axes."""
    axes = b"\x08\x01\x10\x01\x18\x02\x20\x03"
    values = b"".join(b"\x2d" + struct.pack("<f", value) for value in VALUES)
    blob = caffe_pb2.BlobProto.FromString(axes + values)
    assert (blob.num, blob.channels, blob.height, blob.width) == (1, 1, 2, 3)
    assert np.array(blob.data, np.float32).tobytes() == np.array(VALUES, np.float32).tobytes()
    assert not blob.HasField("shape")


def test_datum_floats_are_not_packed() -> None:
    datum = caffe_pb2.Datum(channels=1, float_data=[0.5, 2.0], encoded=True)
    wire = b"\x08\x01" + b"\x35" + struct.pack("<f", 0.5) + b"\x35" + struct.pack("<f", 2.0) + b"\x38\x01"
    assert datum.SerializeToString(deterministic=True) == wire


# A process of its own: what is added to the default pool stays there.
BESIDE_CAFFE = """
import sys
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format

def load_caffe(source):
    file = text_format.Parse(source.replace("caffe_filler.caffe", "caffe"), descriptor_pb2.FileDescriptorProto())
    file.name = "caffe.proto"
    pool = descriptor_pool.Default()
    pool.AddSerializedFile(file.SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("caffe.BlobShape"))

source = sys.stdin.read()
if sys.argv[1] == "caffe first":
    theirs = load_caffe(source)
    from caffe_filler.caffe.caffe_pb2 import BlobShape as ours
else:
    from caffe_filler.caffe.caffe_pb2 import BlobShape as ours
    theirs = load_caffe(source)
assert ours.DESCRIPTOR.full_name != theirs.DESCRIPTOR.full_name == "caffe.BlobShape"
shape = ours(dim=[2, 300])
assert list(theirs.FromString(shape.SerializeToString()).dim) == [2, 300]
assert list(text_format.Parse(text_format.MessageToString(shape), theirs()).dim) == [2, 300]
"""


@pytest.mark.parametrize("order", ["caffe first", "caffe second"])
def test_imports_beside_caffes_own_messages(order: str) -> None:
    """A whole second schema, package `caffe`, file caffe.proto, in the same pool; the two exchange messages."""
    result = subprocess.run(
        [sys.executable, "-c", BESIDE_CAFFE, order],
        input=text_format.MessageToString(schema()),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stderr


def test_pool_refuses_a_name_twice() -> None:
    """The package is not `caffe`: of two files that define a name, the second cannot be loaded."""
    file = descriptor_pb2.FileDescriptorProto(name="another_caffe.proto", package="caffe_filler.caffe")
    file.message_type.add(name="BlobShape")
    with pytest.raises(TypeError, match="BlobShape"):
        descriptor_pool.Default().AddSerializedFile(file.SerializeToString())
