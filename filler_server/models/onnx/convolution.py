"""Convolutions and what is said as one."""

from collections.abc import Sequence
from math import prod
from typing import Any, TypeAlias

import numpy as np

from caffe_filler.printable import shape_text
from filler_server.models.onnx.layer import LayerNodes
from filler_server.models.onnx.registry import emits
from filler_server.models.reference.windows import Windows
from filler_server.models.refusal import NoCounterpart
from filler_server.net.operations import convolution

_Any: TypeAlias = convolution.Convolution | convolution.Deconvolution | convolution.Im2col | convolution.Local


@emits(convolution.Convolution)
def convolve(layer: LayerNodes, operation: convolution.Convolution, *bottoms: str) -> list[str]:
    """Say Convolution."""
    return [_learned(layer, "Conv", operation, bottom, number) for number, bottom in enumerate(bottoms)]


@emits(convolution.Deconvolution)
def deconvolve(layer: LayerNodes, operation: convolution.Deconvolution, *bottoms: str) -> list[str]:
    """Say Deconvolution."""
    return [_learned(layer, "ConvTranspose", operation, bottom, number) for number, bottom in enumerate(bottoms)]


@emits(convolution.Im2col)
def im2col(layer: LayerNodes, operation: convolution.Im2col, *bottoms: str) -> list[str]:
    """Say Im2col: a convolution for each channel, with one kernel for each place in the window that picks it."""
    return [_unrolled(layer, operation, bottom, operation.axis, number) for number, bottom in enumerate(bottoms)]


@emits(convolution.Local)
def local(layer: LayerNodes, operation: convolution.Local, x: str) -> str:
    """Say Local: at each place an inner product of its own."""
    windows = layer.reshaped(_unrolled(layer, operation, x, 1), [0, 0, -1])
    num_output, _, inputs, places = layer.blob_shape(0)
    y = layer.add("Einsum", windows, layer.weight(0, (num_output, inputs, places)), equation="nip,oip->nop")
    if operation.bias:
        y = layer.add("Add", y, layer.weight(1, (num_output, places)))
    return layer.as_top(y, kept=2)


@emits(convolution.CCCP)
def cccp(layer: LayerNodes, operation: convolution.CCCP, x: str) -> str:
    """Say CCCP: a grouped convolution with kernels of one value."""
    outputs = operation.group * operation.num_output
    inputs = layer.blob_shape(0)[-1]
    weights = [layer.weight(0, (outputs, inputs, 1, 1))]
    if operation.bias:
        weights.append(layer.weight(1, (outputs,)))
    return layer.add("Conv", x, *weights, kernel_shape=[1, 1], group=operation.group)


def _learned(
    layer: LayerNodes,
    operator: str,
    operation: convolution.Convolution | convolution.Deconvolution,
    x: str,
    number: int,
) -> str:
    """Return a convolution of one bottom; all bottoms have the same weights."""
    if operation.num_output is None or operation.group is None:
        raise NoCounterpart("its number of channels is not known")
    shape = layer.shape(x)
    channels = layer.blob_shape(0)[:2]
    attributes = _windows(operation, shape[operation.axis :])
    kernel = attributes["kernel_shape"]
    weights = [layer.weight(0, (*channels, *kernel))]
    if operation.bias:
        weights.append(layer.weight(1, (operation.num_output,)))
    inner = shape[operation.axis :]
    # Without spatial axes it is one of length 1.
    images = (*inner, 1) if len(inner) == 1 else inner
    if operation.axis != 1:
        x = layer.reshaped(x, [-1, *layer.known(images, x)])
    elif images != inner:
        x = layer.reshaped(x, [0, 0, 1])
    if operator == "Conv" and any(attributes["pads"]) and set(kernel) == {1}:
        # OpenCV 5.0 leaves out the padding of kernels of one value.
        before, after = attributes["pads"][: len(kernel)], attributes["pads"][len(kernel) :]
        x = layer.add("Pad", x, layer.integers([0, 0, *before, 0, 0, *after], "pads"))
        attributes["pads"] = [0] * (2 * len(kernel))
    y = layer.add(operator, x, *weights, group=operation.group, **attributes)
    changed = operation.axis != 1 or images != inner or operation.squeeze
    return layer.as_top(y, number, kept=int(operation.axis == 1)) if changed else y


def _unrolled(
    layer: LayerNodes, operation: convolution.Im2col | convolution.Local, x: str, axis: int, number: int = 0
) -> str:
    """Return every window of a value, laid out along the axis of the channels."""
    shape = layer.shape(x)
    (channels,) = layer.known(shape[axis : axis + 1], x)
    attributes = _windows(operation, shape[axis:])
    kernel = attributes["kernel_shape"]
    places = prod(kernel)
    picks = np.tile(np.eye(places, dtype=np.float32), (channels, 1)).reshape(channels * places, 1, *kernel)
    if axis != 1:
        x = layer.reshaped(x, [-1, *layer.known(shape[axis:], x)])
    y = layer.add("Conv", x, layer.constant(picks, "picks"), group=channels, **attributes)
    if axis != 1:
        y = layer.as_top(y, number)
    return y


def _windows(operation: _Any, shape: Sequence[int | None]) -> dict[str, Any]:
    """Return the attributes of the windows over channels and their spatial axes, of one axis where there is none.

    Raises:
        NoCounterpart: it is not known over how many axes they go, or there is nothing for them.
    """
    sizes = operation.kernel, operation.stride, operation.pad, operation.dilation
    kernel, stride, pad, dilation = (None if size is None else list(size) for size in sizes)
    if kernel is None or stride is None or pad is None or dilation is None:
        raise NoCounterpart("it is not known over how many axes its windows go")
    if 0 in shape:
        raise NoCounterpart(f"its bottom has no values. Received: {shape_text(shape)} from its axis on")
    if not kernel:
        kernel, stride, pad, dilation = [1], [1], [0], [1]
    after = pad
    if not isinstance(operation, convolution.Deconvolution):
        after = _padding_after(Windows(*map(tuple, (kernel, stride, pad, dilation))), shape[1:] or (1,))
    return {"kernel_shape": kernel, "strides": stride, "pads": [*pad, *after], "dilations": dilation}


def _padding_after(windows: Windows, shape: Sequence[int | None]) -> list[int]:
    """Return the padding at the end of each axis, with what lies beyond Caffe's in the last window.

    Raises:
        NoCounterpart: there is no window.
    """
    # An extent that is not known is taken for one that windows fit into.
    sizes = zip(shape, windows.kernel, windows.dilation, strict=True)
    extents = [size * gap if extent is None else extent for extent, size, gap in sizes]
    if min(windows.over(extents)) < 1:
        raise NoCounterpart("it has no windows")
    return [size + more for size, more in zip(windows.pad, windows.beyond(extents), strict=True)]
