import pytest
from hypothesis import given
from hypothesis import strategies as st

from caffe_filler.caffe import caffe_pb2
from caffe_filler.errors import LimitExceeded, PrototxtError
from filler_server.prototxt.limits import ReadLimits
from filler_server.prototxt.wire import check_wire

NET = caffe_pb2.NetParameter.DESCRIPTOR


def test_layers_are_counted() -> None:
    net = caffe_pb2.NetParameter(layer=[caffe_pb2.LayerParameter()] * 2, layers=[caffe_pb2.V1LayerParameter()])
    solver = caffe_pb2.SolverParameter(net_param=net)
    for message in (net, solver):
        check_wire(message.SerializeToString(), message.DESCRIPTOR, ReadLimits(layers=3))
        with pytest.raises(LimitExceeded, match=r"^over the limit layers=2\. Received: 3$"):
            check_wire(message.SerializeToString(), message.DESCRIPTOR, ReadLimits(layers=2))


def test_fields_are_counted_but_not_those_of_blobs() -> None:
    blob = caffe_pb2.BlobProto(num=1, channels=2, height=3, width=4, data=[5, 6])
    layer = caffe_pb2.LayerParameter(name="a", top=["b"], blobs=[blob, blob], param=[{}, {}])
    net = caffe_pb2.NetParameter(name="n", layer=[layer])
    check_wire(net.SerializeToString(), NET, ReadLimits(fields=8))
    with pytest.raises(LimitExceeded, match=r"^over the limit fields=7\. Received: 8$"):
        check_wire(net.SerializeToString(), NET, ReadLimits(fields=7))


def test_many_empty_messages_cost_nothing() -> None:
    with pytest.raises(LimitExceeded, match="layers"):
        check_wire(b"\xa2\x06\x00" * 1_000_000, NET, ReadLimits())


@pytest.mark.parametrize(
    ("data", "position"),
    [
        (b"\x0a\x05ab", 4),  # a string that goes on after the end
        (b"\x0a", 1),  # a length that is missing
        (b"\x08\xff", 1),  # a number that goes on after the end
        (b"\x08" + b"\xff" * 11, 1),  # a number of more than 64 bits
        (b"\x0d\x00\x00", 3),  # three bytes of four
        (b"\x0b\x0c", 1),  # a group
        (b"\xa2\x06\x03\x0a\x05a", 6),  # a string that goes on after the end of its layer
    ],
)
def test_what_is_no_message(data: bytes, position: int) -> None:
    with pytest.raises(PrototxtError, match=rf"broken at byte {position}\. Received: {len(data)} bytes$"):
        check_wire(data, NET, ReadLimits())


@given(st.binary(max_size=50))
def test_any_bytes_end(data: bytes) -> None:
    try:
        check_wire(data, NET, ReadLimits())
    except PrototxtError as error:
        assert "not a binary message" in str(error)  # noqa: PT017
