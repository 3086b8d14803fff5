"""The meaning of axes as `jax.nn.initializers` has it: the last one is the outputs, that before it the inputs."""

import operator
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import SupportsIndex, TypeAlias

from caffe_filler.axes import FanAxes
from caffe_filler.caffe.caffe_pb2 import FillerParameter
from caffe_filler.errors import InvalidArgument, UnknownFiller

AxesLike: TypeAlias = int | Sequence[int]
"""One axis or several; negative ones count from the end."""


@dataclass(frozen=True, slots=True)
class JaxAxes:
    """Axes of the weights that an initializer fills.

    Attributes:
        in_axis: axes of the inputs.
        out_axis: axes of the outputs.
        batch_axis: axes that count independent weights.
    """

    in_axis: AxesLike = -2
    out_axis: AxesLike = -1
    batch_axis: AxesLike = ()

    def of(self, shape: tuple[int, ...]) -> FanAxes | None:
        """Return the meaning of the axes of an array; None where a weight has less than two of them, and so no fans.

        Raises:
            InvalidArgument: an axis is none of the array's, or is given twice.
        """
        if len(shape) < 2:
            return None
        stacks = _numbers("batch_axis", self.batch_axis, shape)
        if len(shape) - len(set(stacks)) < 2:
            return None
        return FanAxes(_numbers("in_axis", self.in_axis, shape), _numbers("out_axis", self.out_axis, shape), stacks)


def check_fans(filler: FillerParameter, shape: tuple[int, ...], axes: FanAxes | None) -> None:
    """Make sure that an array has the fans by which its filler scales, and a shape that it can fill.

    Raises:
        InvalidArgument: it does not. A filler that only the server knows is left to it.
    """
    from filler_server.fillers import get_filler
    from filler_server.fillers.variance_scaling import VarianceScaling

    try:
        found = get_filler(filler)
    except UnknownFiller:
        return
    if axes is None and isinstance(found, VarianceScaling):
        raise InvalidArgument(
            f"an array of less than two axes{', those of the batch aside,' if len(shape) > 1 else ''} has no fans, by "
            f"which filler type '{found.type}' scales. Received: shape={list(shape)}"
        )
    # Of a stack of rows each is filled alone.
    found.check(shape[-1:] if axes is None else axes.weight_shape(shape))


def _numbers(name: str, given: AxesLike, shape: tuple[int, ...]) -> list[int]:
    listed: list[SupportsIndex] = list(given) if isinstance(given, Iterable) else [given]
    try:
        numbers = [operator.index(axis) for axis in listed]
    except TypeError:
        numbers = [len(shape)]
    if not all(-len(shape) <= number < len(shape) for number in numbers):
        raise InvalidArgument(f"{name} is one axis or several of the shape {list(shape)}. Received: {name}={given!r}")
    return [number % len(shape) for number in numbers]
