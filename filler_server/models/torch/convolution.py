"""Convolutions."""

from caffe_filler.printable import shape_text
from filler_server.models.reference.windows import Windows
from filler_server.models.refusal import NoCounterpart
from filler_server.models.torch.layer import Layer
from filler_server.models.torch.literals import Source, call
from filler_server.models.torch.registry import emits
from filler_server.net.operations import convolution as of

_MOST_AXES = 3


@emits(of.Convolution)
def convolution(layer: Layer, operation: of.Convolution) -> list[str]:
    """Write Convolution, over one to three axes."""
    return _convolved(layer, "nn.Conv", operation)


@emits(of.Deconvolution)
def deconvolution(layer: Layer, operation: of.Deconvolution) -> list[str]:
    """Write Deconvolution as a transposed convolution, over one to three axes."""
    return _convolved(layer, "nn.ConvTranspose", operation)


@emits(of.Im2col)
def im2col(layer: Layer, operation: of.Im2col) -> str:
    """Write Im2col as `unfold`."""
    spatial = _spatial(operation.kernel)
    if spatial != 2 or operation.axis != 1 or layer.axes() != 4:
        raise NoCounterpart("PyTorch unfolds images of four axes, not others")
    windows = {
        name: sizes(value)
        for name, value in (
            ("kernel_size", operation.kernel),
            ("dilation", operation.dilation),
            ("padding", operation.pad),
            ("stride", operation.stride),
        )
    }
    unfolded = call("F.unfold", (Source(_padded(layer, operation, layer.bottoms[0])),), windows)
    return f"{unfolded}.unflatten(2, {layer.top_extents(2)})"


@emits(of.CCCP)
def cccp(layer: Layer, operation: of.CCCP) -> str:
    """Write CCCP as a module."""
    weight = layer.state["weight"]
    groups = None if operation.group == 1 else operation.group
    return layer.apply("CCCP", weight[2], weight[3], groups=groups, bias=None if operation.bias else False)


def sizes(values: tuple[int, ...] | None) -> int | tuple[int, ...]:
    """Return sizes of windows as PyTorch takes them: one number where they are alike.

    Raises:
        NoCounterpart: they are not known.
    """
    if values is None:
        raise NoCounterpart("the sizes of its windows are not known")
    return values[0] if len(set(values)) == 1 else values


def _convolved(layer: Layer, kind: str, operation: of.Convolution | of.Deconvolution) -> list[str]:
    spatial = _spatial(operation.kernel)
    if not 1 <= spatial <= _MOST_AXES:
        raise NoCounterpart(f"PyTorch convolves over 1 to {_MOST_AXES} axes, not over {spatial}")
    if operation.squeeze:
        raise NoCounterpart("axes of extent 1 that vanish are not written")
    channels = layer.extents(operation.axis)[0]
    stride, pad, dilation = sizes(operation.stride), sizes(operation.pad), sizes(operation.dilation)
    module = layer.module(
        f"{kind}{spatial}d",
        channels,
        operation.num_output,
        sizes(operation.kernel),
        stride=None if stride == 1 else stride,
        padding=None if pad == 0 else pad,
        dilation=None if dilation == 1 else dilation,
        groups=None if operation.group == 1 else operation.group,
        bias=None if operation.bias else False,
    )
    bottoms = layer.bottoms
    if isinstance(operation, of.Convolution):
        bottoms = tuple(_padded(layer, operation, x) for x in bottoms)
    return [_over_batch(module, x, operation.axis) for x in bottoms]


def _padded(layer: Layer, operation: of.Convolution | of.Im2col, x: str) -> str:
    """Return a bottom with zeros at its end where the last window of Caffe reaches beyond its padding.

    Raises:
        NoCounterpart: there is nothing to convolve.
    """
    extents = layer.extents(operation.axis)
    if 0 in extents:
        raise NoCounterpart(f"its bottom has no values. Received: {shape_text(extents)} from its axis on")
    windows = Windows(operation.kernel or (), operation.stride or (), operation.pad or (), operation.dilation or ())
    if min(windows.over(extents[1:])) < 1:
        raise NoCounterpart("it has no windows")
    beyond = windows.beyond(extents[1:])
    if not any(beyond):
        return x
    layer.needs_size()
    # PyTorch counts the last axis first.
    return call("F.pad", (Source(x), tuple(size for more in reversed(beyond) for size in (0, more))))


def _over_batch(module: str, x: str, axis: int) -> str:
    """Apply a convolution to values whose axes before that of the channels are all batch."""
    if axis == 1:
        return f"{module}({x})"
    if axis == 0:
        return f"{module}({x}[None])[0]"
    return f"{module}({x}.flatten(0, {axis - 1})).unflatten(0, {x}.shape[:{axis}])"


def _spatial(kernel: tuple[int, ...] | None) -> int:
    if kernel is None:
        raise NoCounterpart("the sizes of its windows are not known")
    return len(kernel)
