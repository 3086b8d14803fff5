import codecs

import pytest

from caffe_filler.caffe import caffe_pb2
from caffe_filler.errors import InvalidArgument, LimitExceeded, PrototxtError
from filler_server.prototxt import ReadLimits, Upgraded, read_net, read_solver, upgrade_text

V1 = 'layers {\n  name: "r"  # rectified\n  type: RELU\n}\n'


def test_all_there_is_to_know() -> None:
    source = V1.replace('"r"', '"r" fork: 1').encode()
    document = read_net(source)
    upgraded = upgrade_text(source)
    data = b'layer {\n  name: "r" fork: 1  # rectified\n  type: "ReLU"\n}\n'
    assert upgraded == Upgraded(data, "net", "text", True, document.changes, document.problems)
    assert len(document.changes) == len(document.problems) == 1


@pytest.mark.parametrize(
    "source",
    [
        b"",
        b"# nothing\n",
        codecs.BOM_UTF8 + b"layer { }\r\n",
        b"layer {type:'x' fork{a:1}}#\xff",
        b"net: 'n.prototxt'  # \xe9\r\ntype: 'SGD'",
        b"net_param { layers { } }",
        b"name: 'n' input_shape { }",
        b"layer { type: 'BatchNorm' param { lr_mult: 0 decay_mult: 0 } param { lr_mult: 0 decay_mult: 0 } "
        b"param { lr_mult: 0 decay_mult: 0 } }",
        b"layer { type: 'BatchNorm' param { } param { } }",
        b"layer { type: 'Scale' param { } param { } param { } }",
        b"layer { loss_weight: nan }",
        caffe_pb2.NetParameter(name="n", layer=[{"name": "a"}], debug_info=True).SerializeToString(),
        caffe_pb2.SolverParameter(net="n", type="Adam", base_lr=1).SerializeToString(),
    ],
)
def test_what_is_current_comes_back_byte_for_byte(source: bytes) -> None:
    upgraded = upgrade_text(source)
    assert upgraded.data is source
    assert not upgraded.needs_upgrade
    assert upgraded.changes == ()
    assert upgraded.kind == ("solver" if b"net: '" in source or b"net_param" in source or b"Adam" in source else "net")


def test_bytes_that_are_no_text_survive() -> None:
    source = codecs.BOM_UTF8 + b"# \xff\xfe \x01\n" + V1.encode() + b"# \xe4\xb8"
    assert upgrade_text(source).data == codecs.BOM_UTF8 + b"# \xff\xfe \x01\n" + (
        b'layer {\n  name: "r"  # rectified\n  type: "ReLU"\n}\n# \xe4\xb8'
    )


def test_line_ends_of_windows() -> None:
    upgraded = upgrade_text(b'input: "a"\r\ninput_dim: [1, 2, 3, 4]\r\nlayers {\r\n  blobs_lr: 1\r\n}\r\n').data
    assert upgraded.count(b"\n") == upgraded.count(b"\r\n") > 15


def test_a_solver() -> None:
    source = b'net: "n"\n# the type\nsolver_type: ADAM # why\nfork: 1\nnet_param { layers { } }\n'
    upgraded = upgrade_text(source)
    document = read_solver(source)
    data = source.replace(b"solver_type: ADAM", b'type: "Adam"')
    assert upgraded == Upgraded(data, "solver", "text", True, document.changes, document.problems)
    assert upgrade_text(b"solver_type: 1 , base_lr: 1").data == b'type: "Nesterov" base_lr: 1'


def test_binaries() -> None:
    old = caffe_pb2.V1LayerParameter(name="r", type=caffe_pb2.V1LayerParameter.RELU)
    net = caffe_pb2.NetParameter(name="n", layers=[old])
    upgraded = upgrade_text(net.SerializeToString())
    new = caffe_pb2.NetParameter(name="n", layer=[{"name": "r", "type": "ReLU"}])
    assert upgraded == Upgraded(new.SerializeToString(), "net", "binary", True, upgraded.changes, ())
    assert [str(change) for change in upgraded.changes] == ["layer 'r': V1 layer becomes one of type \"ReLU\""]
    solver = caffe_pb2.SolverParameter(net="n", solver_type=caffe_pb2.SolverParameter.ADAM)
    upgraded = upgrade_text(solver.SerializeToString())
    assert caffe_pb2.SolverParameter.FromString(upgraded.data) == caffe_pb2.SolverParameter(net="n", type="Adam")
    assert (upgraded.kind, upgraded.format, upgraded.needs_upgrade) == ("solver", "binary", True)


def test_unknown_fields_of_binaries_survive_or_are_reported() -> None:
    unknown = b"\xf8\x3f\x07"  # field number 1023
    outer = caffe_pb2.NetParameter.FromString(unknown)
    outer.name = "n"
    inner = caffe_pb2.V1LayerParameter.FromString(unknown)
    inner.name = "c"
    inner.convolution_param.MergeFromString(unknown)
    outer.layers.append(inner)
    upgraded = upgrade_text(outer.SerializeToString())
    assert upgraded.data.count(unknown) == 2
    assert [str(change) for change in upgraded.changes[1:]] == [
        "layer 'c': field number 1023 of V1LayerParameter, passed over, is lost"
    ]
    v0 = caffe_pb2.V0LayerParameter.FromString(unknown)
    v0.name, v0.type = "c", "conv"
    v0.weight_filler.MergeFromString(unknown)
    outer.layers[0].layer.CopyFrom(v0)
    upgraded = upgrade_text(outer.SerializeToString())
    assert upgraded.data.count(unknown) == 1
    lost = [change.message for change in upgraded.changes if "lost" in change.message]
    whose = ("NetParameter", "V1LayerParameter", "V0LayerParameter")
    assert lost == [f"field number 1023 of {name}, passed over, is lost" for name in whose]


def test_errors_are_those_of_the_readers() -> None:
    for source, words in [
        (b'layers { name: "a"', r"^1:8: the block of NetParameter.layers is never closed"),
        (b'net: "a" net: "b"', r"^1:10: SolverParameter.net is given twice"),
        (b"item { name: 'cat' }", r"^1:1: the file is not a net"),
        (b"layer { } layers { }", r"^1:11: a net has either 'layer' or"),
        (b"net: 'a' type: 'SGD' solver_type: SGD", r"^1:22: a solver has either type or"),
        (b"layer \xb2 { }", r"^1:7: a byte that is not UTF-8"),
        (b"\x89HDF\r\n\x1a\n", r"an HDF5 file"),
        (bytes(range(256)), r"not a binary message"),
        (V1.encode().replace(b"RELU", b"\x01RELU"), r"^3:9: .*U\+0001"),
    ]:
        with pytest.raises(PrototxtError, match=words):
            upgrade_text(source)
    with pytest.raises(InvalidArgument, match=r"Received: str$"):
        upgrade_text(V1)  # type: ignore[arg-type]


def test_strict() -> None:
    with pytest.raises(PrototxtError, match=r"^2:13: V1LayerParameter has no field fork"):
        upgrade_text(V1.replace('"r"', '"r" fork: 1').encode(), strict=True)
    assert upgrade_text(V1.encode(), strict=True).needs_upgrade


def test_limits() -> None:
    with pytest.raises(LimitExceeded, match=r"text_bytes=10\. Received: 50$"):
        upgrade_text(V1.encode().ljust(50), limits=ReadLimits(text_bytes=10))
    with pytest.raises(LimitExceeded, match=r"nesting=1"):
        upgrade_text(b"layers { relu_param { } }", limits=ReadLimits(nesting=1))
    with pytest.raises(LimitExceeded, match=r"layers=1"):
        upgrade_text(V1.encode() * 2, limits=ReadLimits(layers=1))
    binary = caffe_pb2.NetParameter(layer=[{}, {}], name="\x01" * 20).SerializeToString()
    for limits in (ReadLimits(binary_bytes=10), ReadLimits(fields=2), ReadLimits(layers=1)):
        with pytest.raises(LimitExceeded):
            upgrade_text(binary, limits=limits)


def test_not_everything_that_is_lost_is_listed() -> None:
    upgraded = upgrade_text(b"layers { " + b"prelu_param { } " * 1200 + b"}")
    assert upgraded.data == b"layer { }"
    assert len(upgraded.changes) == 1002
    assert str(upgraded.changes[-1]) == "200 more things are lost, not listed"
