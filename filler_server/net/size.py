"""Memory of a plan, which can be very much for a short file: names and shapes are repeated in it."""

from caffe_filler.caffe import caffe_pb2
from caffe_filler.errors import LimitExceeded
from filler_server.cancellation import checkpoint
from filler_server.net.plan import Blob, Layer, NetPlan, Shape
from filler_server.prototxt.report import Problem
from filler_server.prototxt.unknown import Value

PLAN_BYTES = 16 << 20
"""Bytes that the plan of every net may take, whatever its length."""

_TIMES = 16
"""By how much the plan of a net may be longer than the net besides."""

_LAYER, _TOP, _BLOB, _DIM, _VALUE = 300, 200, 300, 8, 60
"""Bytes of memory, about, that each takes besides its names."""


class PlanSize:
    """Counts the bytes of a plan while it is made.

    Args:
        net: the net that is planned.
        plan_bytes: what its plan may take besides a multiple of the net's own length.
    """

    def __init__(self, net: caffe_pb2.NetParameter, plan_bytes: int) -> None:
        self._most = most_bytes(net.ByteSize(), plan_bytes)
        self._size = 0

    def expect(self, net: caffe_pb2.NetParameter) -> None:
        """Make sure, before any layer is planned, that what they will at least take is not too much.

        Raises:
            LimitExceeded: it is.
        """
        least = 0
        for layer in net.layer:
            checkpoint()
            least += _LAYER + _TOP * len(layer.top) + (_BLOB + len(layer.name)) * len(layer.blobs)
        self._check(least)

    def add(self, layer: Layer) -> None:
        """Count a layer; errors are those of `expect`."""
        self._size += layer_bytes(layer)
        self._check(0)

    def add_warning(self, warning: Problem) -> None:
        """Count a warning; errors are those of `expect`."""
        self._size += _warning_bytes(warning)
        self._check(0)

    def _check(self, more: int) -> None:
        if self._size + more > self._most:
            raise LimitExceeded.over("plan_bytes", self._most, self._size + more)


def most_bytes(net_bytes: int, plan_bytes: int) -> int:
    """Return how many bytes may be made of a net of so many, `plan_bytes` of them whatever its length."""
    return plan_bytes + _TIMES * net_bytes


def plan_bytes(plan: NetPlan) -> int:
    """Return about how many bytes of memory a plan takes besides the net itself."""
    return sum(map(layer_bytes, plan.layers)) + sum(map(_warning_bytes, plan.warnings))


def layer_bytes(layer: Layer) -> int:
    """Return about how many bytes of memory a layer of a plan takes."""
    tops = sum(_TOP + len(top.name) + _shape_bytes(top.shape) for top in layer.tops)
    unknown = sum(len(path) + sum(map(_value_bytes, passed.values)) for path, passed in layer.unknown.items())
    return _LAYER + sum(map(len, layer.bottoms)) + tops + sum(map(_blob_bytes, layer.blobs)) + unknown


def _value_bytes(value: Value) -> int:
    if isinstance(value, str):
        return _VALUE + len(value)
    return _VALUE + sum(len(name) + sum(map(_value_bytes, values)) for name, values in value.items())


def _blob_bytes(blob: Blob) -> int:
    texts = len(blob.name) + len(blob.owner or "") + len(blob.unknown or "")
    return _BLOB + texts + _shape_bytes(blob.shape) + blob.filler.ByteSize()


def _shape_bytes(shape: Shape) -> int:
    return _DIM * len(shape or ())


def _warning_bytes(warning: Problem) -> int:
    return _LAYER + len(warning.message)
