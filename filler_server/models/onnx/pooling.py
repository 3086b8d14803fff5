"""Poolings over windows that do not depend on data.

Caffe rounds the number of windows up, lets the last one reach over the padded input, and drops one that would begin
beyond it. Runtimes have read ONNX's `ceil_mode` in several ways, so that the padding after the input is written out
instead, as long as exactly the windows of Caffe fit.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from caffe_filler.printable import shape_text
from filler_server.models.graph import Dims
from filler_server.models.onnx.layer import LayerNodes
from filler_server.models.onnx.registry import emits
from filler_server.models.refusal import NoCounterpart
from filler_server.net.operations import pooling

_TINY = float(np.finfo(np.float32).tiny)


@dataclass(frozen=True, slots=True)
class _Windows:
    """The windows on each spatial axis.

    Attributes:
        kernel: extents.
        stride: steps.
        pad: places before the input, and after it as far as Caffe counts them.
        end: places after the input that the last window reaches, negative where it ends before.
        extents: of the input.
    """

    kernel: Dims
    stride: Dims
    pad: Dims
    end: Dims
    extents: Dims


@emits(pooling.Pooling)
def pool(layer: LayerNodes, operation: pooling.Pooling, x: str) -> str | list[str]:
    """Say Pooling."""
    shape = layer.shape(x)
    if operation.kernel is None or operation.stride is None or operation.pad is None:
        raise NoCounterpart("the extents of its windows are not known")
    if 0 in shape[1:]:
        raise NoCounterpart(f"its bottom has no values. Received: {shape_text(shape)}")
    masked = len(layer.node.tops) > 1
    if operation.global_pooling and operation.method != "stochastic" and not masked:
        y = layer.add("GlobalMaxPool" if operation.method == "max" else "GlobalAveragePool", x)
        return layer.as_top(y, kept=2) if operation.squeeze else y
    kernel, stride = layer.known(operation.kernel, x), layer.known(operation.stride, x)
    windows = _windows(layer.known(shape[2:], x), kernel, stride, operation.pad, ceil=operation.ceil)
    made = _largest_with_places(layer, x, windows) if masked else [_METHODS[operation.method](layer, x, windows)]
    return [layer.as_top(y, number, kept=2) for number, y in enumerate(made)] if operation.squeeze else made


@emits(pooling.SPP)
def pyramid(layer: LayerNodes, operation: pooling.SPP, x: str) -> str:
    """Say SPP: a pooling for each level, flattened, end to end."""
    extents = layer.known(layer.shape(x)[2:], x)
    levels = []
    for level in range(operation.levels):
        bins = 2**level
        kernel = tuple(-(-extent // bins) for extent in extents)
        pad = tuple((size * bins - extent + 1) // 2 for size, extent in zip(kernel, extents, strict=True))
        y = _METHODS[operation.method](layer, x, _windows(extents, kernel, kernel, pad, ceil=True))
        levels.append(y if operation.levels == 1 else layer.add("Flatten", y, axis=1))
    return levels[0] if len(levels) == 1 else layer.add("Concat", *levels, axis=1)


def _windows(extents: Dims, kernel: Dims, stride: Dims, pad: Dims, *, ceil: bool) -> _Windows:
    """Return the windows of a pooling.

    Raises:
        NoCounterpart: there are none, or one of them has nothing of the input.
    """
    ends = []
    for extent, size, step, space in zip(extents, kernel, stride, pad, strict=True):
        room = extent + 2 * space - size
        last = -(-room // step) if ceil else room // step
        # With padding on any axis, none begins beyond the input and the padding before it.
        if any(pad) and last * step >= extent + space:
            last -= 1
        if last < 0:
            raise NoCounterpart("it has no windows")
        ends.append(last * step + size - extent - space)
        if ends[-1] >= size:
            raise NoCounterpart("it has a window that lies wholly outside of its input, for which Caffe has no value")
    return _Windows(kernel, stride, pad, tuple(ends), extents)


def _pool(layer: LayerNodes, operator: str, x: str, windows: _Windows, before: Dims, after: Dims, **more: int) -> str:
    """Return a pooling whose input has so many places more on both sides."""
    return layer.add(
        operator,
        _without_rest(layer, x, windows),
        kernel_shape=list(windows.kernel),
        strides=list(windows.stride),
        pads=[*before, *after],
        **more,
    )


def _without_rest(layer: LayerNodes, x: str, windows: _Windows) -> str:
    """Return the input without the end in which a further window would fit."""
    axes = [axis for axis, (end, step) in enumerate(zip(windows.end, windows.stride, strict=True)) if -end >= step]
    if not axes:
        return x
    stops = [windows.extents[axis] + windows.end[axis] for axis in axes]
    return layer.cut(x, [axis + 2 for axis in axes], [0] * len(axes), stops)


def _largest(layer: LayerNodes, x: str, windows: _Windows) -> str:
    return _pool(layer, "MaxPool", x, windows, windows.pad, _positive(windows.end))


def _average(layer: LayerNodes, x: str, windows: _Windows) -> str:
    """Return averages over windows cut to the padded input: padding counts, and what is beyond it does not."""
    none = (0,) * len(windows.pad)
    end = _positive(windows.end)
    beyond = any(after > pad for after, pad in zip(end, windows.pad, strict=True))
    if not any(windows.pad) or not beyond:
        return _pool(layer, "AveragePool", x, windows, windows.pad, end, count_include_pad=int(any(windows.pad)))
    # Zeros count that are part of the input.
    inside = [min(after, pad) for after, pad in zip(end, windows.pad, strict=True)]
    pads = [0, 0, *windows.pad, 0, 0, *inside]
    padded = layer.add("Pad", x, layer.integers(pads, "pads"))
    after = tuple(whole - part for whole, part in zip(end, inside, strict=True))
    return _pool(layer, "AveragePool", padded, windows, none, after, count_include_pad=0)


def _weighted_mean(layer: LayerNodes, x: str, windows: _Windows) -> str:
    """Return the mean of each window weighed by its values: the sum of squares over the sum."""
    squares = _average(layer, layer.add("Mul", x, x), windows)
    sums = layer.add("Add", _average(layer, x, windows), layer.constant(_TINY, "tiny"))
    return layer.add("Div", squares, sums)


def _largest_with_places(layer: LayerNodes, x: str, windows: _Windows) -> list[str]:
    """Return the largest values, and where in its channel each lies."""
    cut = _without_rest(layer, x, windows)
    values, places = layer.add_all(
        "MaxPool",
        2,
        cut,
        kernel_shape=list(windows.kernel),
        strides=list(windows.stride),
        pads=[*windows.pad, *_positive(windows.end)],
    )
    extents = windows.extents
    if cut != x:
        stops = [
            extent + end if -end >= step else extent
            for extent, end, step in zip(extents, windows.end, windows.stride, strict=True)
        ]
        places = _elsewhere(layer, places, stops, extents)
    size = 1
    for extent in extents:
        size *= extent
    within = places if cut != x else layer.add("Mod", places, layer.integers(size, "size"))
    return [values, layer.floats(within)]


def _elsewhere(layer: LayerNodes, places: str, cut: Sequence[int], extents: Dims) -> str:
    """Return flat places in a map of some extents as those in a larger one."""
    result, step, inner = "", 1, 1
    for extent, whole in zip(reversed(cut), reversed(extents), strict=True):
        along = places if inner == 1 else layer.add("Div", places, layer.integers(inner, "inner"))
        along = layer.add("Mod", along, layer.integers(extent, "extent"))
        along = along if step == 1 else layer.add("Mul", along, layer.integers(step, "step"))
        result = layer.add("Add", result, along) if result else along
        step, inner = step * whole, inner * extent
    return result


def _positive(end: Dims) -> Dims:
    return tuple(max(after, 0) for after in end)


_METHODS = {"max": _largest, "ave": _average, "stochastic": _weighted_mean}
