import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caffe_filler.caffe import caffe_pb2
from caffe_filler.errors import LimitExceeded, PrototxtError
from caffe_filler.printable import counted
from caffe_filler.v1 import filler_pb2
from caffe_filler.wire import length_delimited
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


def test_packed_numbers_are_counted() -> None:
    shape = caffe_pb2.BlobShape(dim=[1, 300, 2**40])
    blobs = caffe_pb2.LayerParameter(blobs=[caffe_pb2.BlobProto(shape=shape)])
    given = caffe_pb2.LayerParameter(input_param=caffe_pb2.InputParameter(shape=[shape]))
    for layer in (blobs, given):
        # Four fields around them, and three numbers.
        data = caffe_pb2.NetParameter(layer=[layer]).SerializeToString()
        check_wire(data, NET, ReadLimits(fields=7))
        with pytest.raises(LimitExceeded, match=r"^over the limit fields=6\. Received: 7$"):
            check_wire(data, NET, ReadLimits(fields=6))


def test_very_many_packed_numbers_are_not_all_counted() -> None:
    data = length_delimited(1, b"\x01" * 50_000_000)
    with pytest.raises(LimitExceeded, match="fields") as caught:
        check_wire(data, caffe_pb2.BlobShape.DESCRIPTOR, ReadLimits(fields=100))
    assert caught.value.received is not None
    assert caught.value.received < 1_000_000


def test_messages_of_a_type_are_counted() -> None:
    data = filler_pb2.FillRequest(blobs=[{}] * 4).SerializeToString()
    kind, blob = filler_pb2.FillRequest.DESCRIPTOR, filler_pb2.BlobSpec.DESCRIPTOR.full_name
    check_wire(data, kind, ReadLimits(), most={blob: ("blobs", 4)})
    with pytest.raises(LimitExceeded, match=r"^over the limit blobs=3\. Received: 4$"):
        check_wire(data, kind, ReadLimits(), most={blob: ("blobs", 3)})


MEMORY = {
    "messages of nothing": filler_pb2.FillRequest(blobs=[{}] * 100_000),
    "blobs": filler_pb2.FillRequest(
        blobs=[{"filler": {"type": "gaussian", "std": 0.5}, "shape": {"dim": [3, 4]}, "name": "conv1/0"}] * 20_000
    ),
    "numbers": filler_pb2.FillRequest(blobs=[{"shape": {"dim": [1] * 1_000_000}}]),
    "layers": caffe_pb2.NetParameter(layer=[{"name": "a", "type": "ReLU", "bottom": ["x"], "top": ["y"]}] * 20_000),
    "values": caffe_pb2.NetParameter(layer=[{"blobs": [{"data": [0.5] * 1_000_000}]}]),
}


@pytest.mark.parametrize("case", MEMORY)
def test_memory_is_about_what_protobuf_takes(case: str) -> None:
    """Measured in a process of its own, whose memory nobody else uses."""
    message = MEMORY[case]
    program = f"""
import sys
from caffe_filler.caffe.caffe_pb2 import NetParameter
from caffe_filler.v1.filler_pb2 import FillRequest
data = sys.stdin.buffer.read()
def resident(): return int(open("/proc/self/statm").read().split()[1])
before = resident()
message = {type(message).__name__}.FromString(data)
print((resident() - before) * 4096)
"""
    data = message.SerializeToString()
    done = subprocess.run([sys.executable, "-c", program], input=data, capture_output=True, check=True)
    memory = check_wire(data, message.DESCRIPTOR, ReadLimits())
    assert 0.4 * memory < int(done.stdout) < 2.5 * memory


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
    with pytest.raises(PrototxtError, match=rf"broken at byte {position}\. Received: {counted(len(data), 'byte')}$"):
        check_wire(data, NET, ReadLimits())


@given(st.binary(max_size=50))
def test_any_bytes_end(data: bytes) -> None:
    try:
        check_wire(data, NET, ReadLimits())
    except PrototxtError as error:
        assert "not a binary message" in str(error)  # noqa: PT017
