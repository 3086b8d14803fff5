import pytest

from caffe_filler.caffe import caffe_pb2
from caffe_filler.errors import LimitExceeded, PrototxtError
from filler_server.prototxt.kind import binary_kind, text_kind
from filler_server.prototxt.limits import ReadLimits

LIMITS = ReadLimits()


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        ([], "net"),
        (["item"], "net"),
        (["debug_info"], "net"),
        (["name", "layer", "layer"], "net"),
        (["input", "net", "layers"], "net"),
        (["net", "base_lr"], "solver"),
        (["name", "net", "base_lr"], "solver"),
        (["debug_info", "random_seed"], "solver"),
        (["fork", "fork", "fork", "train_net"], "solver"),
    ],
)
def test_kind_of_texts(names: list[str], kind: str) -> None:
    assert text_kind(names) == kind


V1 = [caffe_pb2.V1LayerParameter(name="ip", type=caffe_pb2.V1LayerParameter.INNER_PRODUCT)]


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        (caffe_pb2.NetParameter(name="n", layer=[caffe_pb2.LayerParameter(name="a")]), "net"),
        (caffe_pb2.NetParameter(name="n", layers=V1), "net"),
        (caffe_pb2.NetParameter(name="n", layers=V1, input=["x"], input_dim=[1, 2, 3, 4]), "net"),
        (caffe_pb2.SolverParameter(net="n.prototxt", base_lr=0.01, test_iter=[1]), "solver"),
        (caffe_pb2.SolverParameter(train_net="train.prototxt", test_net=["test.prototxt"]), "solver"),
        (caffe_pb2.SolverParameter(train_net="n", test_iter=[1, 2], base_lr=1, max_iter=2), "solver"),
        (caffe_pb2.SolverParameter(net_param=caffe_pb2.NetParameter(layers=V1)), "solver"),
    ],
)
def test_kind_of_binaries(message: caffe_pb2.NetParameter | caffe_pb2.SolverParameter, kind: str) -> None:
    assert binary_kind(message.SerializeToString(), LIMITS) == kind


def test_another_message() -> None:
    mean = caffe_pb2.BlobProto(num=1, channels=3, height=2, width=2, data=[1] * 12)
    with pytest.raises(
        PrototxtError, match=r"neither a net nor a solver: 1 of its 5 .* 2 a solver's. Received: 58 bytes$"
    ):
        binary_kind(mean.SerializeToString(), LIMITS)
    with pytest.raises(PrototxtError, match=r"^not a binary message, .* Received: 3 bytes$"):
        binary_kind(b"\x0a\x05a", LIMITS)


def test_limits() -> None:
    data = caffe_pb2.SolverParameter(test_iter=[1, 2, 3]).SerializeToString()
    assert binary_kind(data, ReadLimits(fields=3)) == "solver"
    with pytest.raises(LimitExceeded, match=r"fields=2\. Received: 3$"):
        binary_kind(data, ReadLimits(fields=2))
