"""The names in a net: those that a plan repeats for every blob of a layer are not long."""

from collections.abc import Iterator

from caffe_filler.caffe import caffe_pb2
from caffe_filler.errors import LimitExceeded
from filler_server.prototxt.limits import ReadLimits


def check_names(net: caffe_pb2.NetParameter, limits: ReadLimits) -> None:
    """Make sure that no name of a net is longer than `limits` allows.

    Raises:
        LimitExceeded: one is.
    """
    longest = max(map(len, _names(net)), default=0)
    if longest > limits.name_length:
        raise LimitExceeded.over("name_length", limits.name_length, longest)


def _names(net: caffe_pb2.NetParameter) -> Iterator[str]:
    yield net.name
    yield from net.input
    yield from net.state.stage
    for layer in net.layer:
        yield layer.name
        yield layer.type
        yield from layer.bottom
        yield from layer.top
        yield from (param.name for param in layer.param)
    for old in net.layers:
        yield old.layer.name
        yield old.layer.type
        yield old.name
        yield from old.bottom
        yield from old.top
        yield from old.param
