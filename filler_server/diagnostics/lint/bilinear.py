"""Bilinear enlargement by a Deconvolution: kernels of interpolation that are used as they are meant."""

from collections.abc import Iterator

from filler_server.diagnostics.lint.hits import Hit
from filler_server.diagnostics.lint.registry import register
from filler_server.diagnostics.lint.subject import Net
from filler_server.diagnostics.lint.weights import Weight
from filler_server.net.operations.convolution import Convolution, Deconvolution


@register(
    "FIL014",
    "bilinear-not-by-channel",
    "warning",
    why="The filler puts the same kernel between every two channels, so that each output is the sum over all inputs "
    "unless every channel is a group of its own.",
    mend="Set group and num_output to the number of channels.",
)
def not_by_channel(net: Net) -> Iterator[Hit]:
    """Find bilinear weights in a layer whose groups have more than one channel."""
    for weight, operation in _bilinear(net):
        shape = weight.blob.known_shape
        by_channel = operation.group == operation.num_output if shape is None else shape[0] == operation.group
        if by_channel and (shape is None or shape[1] == 1):
            continue
        channels = "" if shape is None else f", of shape {'x'.join(map(str, shape))},"
        message = f"bilinear weights{channels} with group {operation.group} add channels up"
        yield Hit(message, net.places[weight.layer], weight.path)


@register(
    "FIL015",
    "bilinear-kernel",
    "warning",
    why="An enlargement by f interpolates evenly only with kernel_size 2 f - f % 2; others leave a pattern.",
    mend="Set kernel_size to 2 * stride - stride % 2, and pad to ceil((stride - 1) / 2).",
)
def kernel(net: Net) -> Iterator[Hit]:
    """Find bilinear weights of a Deconvolution whose size does not go with their stride."""
    for weight, operation in _bilinear(net):
        if not isinstance(operation, Deconvolution) or not operation.kernel or not operation.stride:
            continue
        for size, stride in zip(operation.kernel, operation.stride, strict=True):
            if size != (wanted := 2 * stride - stride % 2):
                message = f"kernel_size {size} with stride {stride}: an enlargement by {stride} takes {wanted}"
                path = (weight.block, "kernel_size")
                yield Hit(message, net.places[weight.layer], path, mend=f"Set kernel_size to {wanted}.")
                break


@register(
    "FIL046",
    "bilinear-trained",
    "note",
    why="Weights that interpolate are mostly meant to stay; with a lr_mult above 0 training changes them.",
    mend="Add param { lr_mult: 0 decay_mult: 0 }, unless they are to be trained.",
    collapse=True,
)
def trained(net: Net) -> Iterator[Hit]:
    """Find bilinear weights that a solver trains."""
    for weight, _ in _bilinear(net):
        if net.plan.phase == "TRAIN" and weight.rate:
            message = f"training changes these bilinear weights (lr_mult {weight.rate:g})"
            yield Hit(message, net.places[weight.layer], ("param",))


def _bilinear(net: Net) -> Iterator[tuple[Weight, Convolution | Deconvolution]]:
    for weight in net.weights:
        operation = net.plan.layers[weight.layer].operation
        if weight.filler.type != "bilinear" or weight.blob.given or weight.blob.owner is not None:
            continue
        if isinstance(operation, Convolution | Deconvolution):
            yield weight, operation
