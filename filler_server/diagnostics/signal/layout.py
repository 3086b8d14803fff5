"""Axes of values: which holds the channels, and how many pairs of elements of each kind a sum has.

A value is [samples, channels, places...] unless an operation makes another axis that of the channels, such as an
InnerProduct of all timesteps: [samples, timesteps, channels]. All other axes but the first then count as places.
"""

from collections.abc import Collection, Sequence
from math import prod
from typing import Generic, NamedTuple, TypeVar

from filler_server.net.operations import Operation, arrangement, inner_product, recurrent
from filler_server.net.plan import Shape

_T = TypeVar("_T")


class Parts(NamedTuple, Generic[_T]):
    """Parts that lie side by side in a value.

    Attributes:
        axis: the axis along which it does.
        each: the parts, each with its extent.
    """

    axis: int
    each: tuple[tuple[int, _T], ...]


class Terms(NamedTuple):
    """Elements of a sum.

    Attributes:
        rows: number of samples.
        places: number of places in each.
        channels: number of channels at each of these.
    """

    rows: float
    places: float
    channels: float = 1

    @property
    def number(self) -> float:
        """Their number."""
        return self.rows * self.places * self.channels


def terms(dims: Sequence[int], channel: int, axes: Collection[int]) -> Terms:
    """Return the elements of a sum over some axes of a value.

    Args:
        dims: the shape of the value.
        channel: the axis of its channels.
        axes: those that the sum goes over.
    """
    places = prod(dim for axis, dim in enumerate(dims) if axis in axes and axis not in (0, channel))
    rows, channels = (dims[axis] if axis in axes and axis < len(dims) else 1 for axis in (0, channel))
    return Terms(rows, places, channels)


_RECURRENT = (recurrent.LSTM, recurrent.RNN)


def channel_axis(operation: Operation, channel: int, bottom: Shape, top: Shape) -> int:
    """Return the axis of the channels of a top.

    Args:
        operation: what makes the top.
        channel: the axis of the channels of its first bottom.
        bottom: the shape of that.
        top: the shape of the top.
    """
    if isinstance(operation, inner_product.InnerProduct):
        return operation.axis
    if isinstance(operation, _RECURRENT):
        return 2
    if bottom is None or top is None:
        return 1
    if isinstance(operation, inner_product.Embed):
        return len(bottom)
    if isinstance(operation, arrangement.Permute):
        return operation.order.index(channel) if channel in operation.order else channel
    if len(top) == len(bottom):
        return channel
    is_last = len(top) > 1 and channel == len(bottom) - 1 and top[-1] == bottom[-1]
    return len(top) - 1 if is_last else 1
