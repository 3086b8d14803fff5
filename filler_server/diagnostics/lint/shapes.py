"""Layers that Caffe refuses, and shapes that it rounds without a word."""

from collections.abc import Iterator

from filler_server.diagnostics.lint.hits import Hit
from filler_server.diagnostics.lint.registry import register
from filler_server.diagnostics.lint.subject import Net
from filler_server.net.operations.convolution import Convolution
from filler_server.net.operations.pooling import Pooling
from filler_server.net.plan import Layer


@register(
    "FIL036",
    "refused-layer",
    "error",
    why="Caffe ends with an error when it sets up this layer.",
    mend="Correct what the message names.",
)
def refused_layer(net: Net) -> Iterator[Hit]:
    """Find layers that cannot be set up."""
    for refused in net.refused:
        layer = None if refused.layer is None else net.file.layers[refused.layer]
        # Of these other rules tell: rates of learning of a BatchNorm, and bottoms that nothing makes.
        learns = layer is not None and layer.type == "BatchNorm" and any(spec.lr_mult for spec in layer.param)
        if not learns and not refused.error.reason.startswith("Unknown bottom blob"):
            yield Hit(refused.error.reason, refused.layer)


@register(
    "FIL037",
    "clipped-shape",
    "note",
    why="Caffe rounds the number of windows, and leaves out what does not fit, without a word.",
    mend="Choose sizes, pad and stride so that the windows cover the input, where its border matters.",
    collapse=True,
)
def clipped_shape(net: Net) -> Iterator[Hit]:
    """Find windows that leave values at the far border unread, and pooling whose last window is left out."""
    for index, layer in enumerate(net.plan.layers):
        operation = layer.operation
        if isinstance(operation, Convolution):
            message = _unread(net, layer, operation)
        elif isinstance(operation, Pooling) and not operation.global_pooling:
            message = _unread(net, layer, operation) or _left_out(net, layer, operation)
        else:
            message = None
        if message is not None:
            yield Hit(message, net.places[index], short=message)


def _windows(net: Net, layer: Layer, operation: Convolution | Pooling) -> Iterator[tuple[int, int, int, int, int, int]]:
    """Yield extent, kernel with its dilation, stride, pad, number of windows and axis of each spatial axis."""
    bottom, top = net.plan.top(layer.producers[0]).shape, layer.tops[0].shape
    kernel, stride, pad = operation.kernel, operation.stride, operation.pad
    if bottom is None or top is None or kernel is None or stride is None or pad is None or len(bottom) != len(top):
        return
    axes = len(kernel)
    dilation = operation.dilation if isinstance(operation, Convolution) else None
    for number in range(axes):
        extent, windows, size, step = bottom[number - axes], top[number - axes], kernel[number], stride[number]
        if extent is None or windows is None or size is None or step is None:
            continue
        reach = (dilation[number] if dilation else 1) * (size - 1) + 1
        yield extent, reach, step, pad[number], windows, len(bottom) - axes + number


def _unread(net: Net, layer: Layer, operation: Convolution | Pooling) -> str | None:
    for extent, kernel, stride, pad, windows, axis in _windows(net, layer, operation):
        unread = extent + pad - ((windows - 1) * stride + kernel)
        if unread > 0 and kernel >= stride:
            return (
                f"the last {unread} of {extent} along axis {axis} are in no window (kernel {kernel}, stride {stride})"
            )
    return None


def _left_out(net: Net, layer: Layer, operation: Pooling) -> str | None:
    for extent, kernel, stride, pad, windows, axis in _windows(net, layer, operation):
        whole = -(-(extent + 2 * pad - kernel) // stride) + 1
        if operation.ceil and pad and windows < whole:
            return f"along axis {axis} there are {windows} windows, not {whole}: the last would begin in the padding"
    return None
