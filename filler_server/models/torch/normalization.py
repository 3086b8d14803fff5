"""Normalizations, and Scale and Bias, which often follow them."""

from math import prod

from filler_server.models.refusal import NoCounterpart
from filler_server.models.torch.layer import Layer
from filler_server.models.torch.literals import Source, call, literal
from filler_server.models.torch.registry import Written, emits
from filler_server.net.operations import normalization as of
from filler_server.net.operations.base import shortest, single

_BATCH_NORMS = {2: "nn.BatchNorm1d", 3: "nn.BatchNorm1d", 4: "nn.BatchNorm2d", 5: "nn.BatchNorm3d"}
_PYTORCH_EPS = 1e-5


@emits(of.BatchNorm)
def batch_norm(layer: Layer, operation: of.BatchNorm) -> str:
    """Write BatchNorm, with the scale and bias of the Scale after it where the state_dict has them there."""
    fraction = shortest(operation.moving_average_fraction)
    if layer.scale is not None and isinstance(layer.scale.operation, of.Scale) and not layer.scale.operation.bias:
        # Caffe's Scale has none.
        layer.set("bias.requires_grad_(False)")
    if layer.training and not operation.use_global_stats:
        layer.note(_moving_average(fraction))
    return _batch_norm(layer, operation.eps, single(1 - fraction), stored=operation.use_global_stats)


@emits(of.BN)
def bn(layer: Layer, operation: of.BN) -> str:
    """Write BN of one of the forks for segmentation."""
    if len(layer.node.tops) > 1:
        raise NoCounterpart("the statistics of the batch as further tops are not written")
    match operation.statistics:
        case "none":
            shape = layer.state["weight"]
            view = (*shape, *(1,) * (layer.axes() - 2))
            return layer.apply("Scale", shape, None if view == shape else view)
        case "batch" if operation.momentum is None:
            kind = _kind(layer.axes())
            return layer.apply(kind, layer.state["weight"][0], eps=operation.eps, track_running_stats=False)
        case _:
            if layer.training and operation.statistics == "batch":
                layer.note("Caffe keeps the biased variance of each batch, PyTorch the unbiased one")
            momentum = single(1 - shortest(operation.momentum or 0.0))
            return _batch_norm(layer, operation.eps, momentum, stored=operation.statistics == "stored")


@emits(of.LRN)
def lrn(layer: Layer, operation: of.LRN) -> str:
    """Write LRN: across channels as PyTorch's module, within them as a pooling of squares."""
    sizes = {"alpha": operation.alpha, "beta": operation.beta}
    if operation.region == "across_channels":
        return layer.apply("nn.LocalResponseNorm", operation.local_size, **sizes, k=operation.k)
    return layer.apply("LRNWithinChannel", operation.local_size, **sizes)


@emits(of.MVN)
def mvn(layer: Layer, operation: of.MVN) -> str:
    """Write MVN; its epsilon goes to the standard deviation, not into the root."""
    named: list[str] = []
    if operation.across_channels:
        named.append("across_channels=True")
    named.append(f"eps={literal(operation.eps)}" if operation.normalize_variance else "normalize_variance=False")
    if layer.axes() > 4:
        raise NoCounterpart(f"Caffe normalizes up to four axes, not {layer.axes()}")
    return f"mvn({', '.join([layer.bottoms[0], *named])})"


@emits(of.Normalize)
def normalize(layer: Layer, operation: of.Normalize) -> str:
    """Write SSD's Normalize."""
    return layer.apply(
        "Normalize",
        prod(layer.state["weight"]),
        across_spatial=None if operation.across_spatial else False,
        eps=operation.eps,
    )


@emits(of.NormalizeChannels)
def normalize_channels(layer: Layer, operation: of.NormalizeChannels) -> Written:
    """Write Normalize of ydwen/caffe-face and happynear/caffe-windows."""
    norm = call("norm_of_channels", [Source(layer.bottoms[0])], {"norm": "l1"} if operation.norm == "l1" else {})
    return [f"{layer.bottoms[0]} / {norm}", norm][: len(layer.node.tops)]


@emits(of.Bias)
def bias(layer: Layer, operation: of.Bias) -> str:
    """Write Bias."""
    x = layer.bottoms[0]
    if operation.from_bottom:
        return f"{x} + {_spread(layer, operation.axis)}"
    shape = layer.state["bias"]
    return layer.apply("Bias", shape, _view(layer, operation.axis, shape))


@emits(of.Scale)
def scale(layer: Layer, operation: of.Scale) -> str:
    """Write Scale; one whose factor is a bottom has at most a bias."""
    x = layer.bottoms[0]
    if operation.from_bottom:
        product = f"{x} * {_spread(layer, operation.axis)}"
        if not operation.bias:
            return product
        shape = layer.state["bias"]
        return f"{layer.module('Bias', shape, _view(layer, operation.axis, shape))}({product})"
    shape = layer.state["weight"]
    return layer.apply("Scale", shape, _view(layer, operation.axis, shape), bias=None if operation.bias else False)


def _batch_norm(layer: Layer, eps: float, momentum: float, *, stored: bool) -> str:
    """Write a normalization by stored statistics or by those of the batch.

    In the phase TEST stored ones are what eval mode uses, and in TRAIN those of the batch what train mode uses; the
    other two ways round are a mode that never changes.
    """
    axes = layer.axes()
    affine = "weight" in layer.state
    named: dict[str, object] = {
        "eps": None if shortest(eps) == _PYTORCH_EPS else eps,
        "momentum": momentum,
        "affine": None if affine else False,
    }
    if stored == (not layer.training):
        module = layer.module(_kind(axes), layer.state["running_mean"][0], **named)
    else:
        kind = "BatchNormByStatistics" if stored else "BatchNormByBatch"
        module = layer.module(kind, layer.state["running_mean"][0], **named)
    x = layer.bottoms[0]
    if layer.scale is not None and layer.node.tops[0] in layer.graph.outputs:
        return f"before_affine({module}, {x})"
    if axes in _BATCH_NORMS:
        return f"{module}({x})"
    return f"{module}({x}.flatten(2)).view_as({x})"


def _moving_average(fraction: float) -> str:
    """Return how the running statistics of Caffe differ from those of PyTorch."""
    if fraction >= 1:
        return "Caffe's running statistics are the mean over all batches"
    return (
        f"Caffe's running statistics are sums divided by a factor, which grows from 0 to {1 / (1 - fraction):.4g}; "
        "only from there on PyTorch's are the same"
    )


def _kind(axes: int) -> str:
    return _BATCH_NORMS.get(axes, "nn.BatchNorm1d")


def _view(layer: Layer, axis: int | None, shape: tuple[int, ...]) -> tuple[int, ...] | None:
    """Return the shape in which a blob stands against the axes of the bottom; None where that is its own."""
    index = len(layer.node.blobs) - 1 if "weight" not in layer.state else 0
    blob = layer.blob_shape(index)
    if axis is None:
        raise NoCounterpart("the axes that it covers are not known")
    view = (*blob, *(1,) * (layer.axes() - axis - len(blob))) if blob else ()
    return None if view == shape else view


def _spread(layer: Layer, axis: int | None) -> str:
    """Return the second bottom with new axes at its end, so that it stands against the axes that it covers."""
    if axis is None:
        raise NoCounterpart("the axes that it covers are not known")
    own = layer.axes(1)
    further = layer.axes() - axis - own if own else 0
    other = layer.bottoms[1]
    return f"{other}[{', '.join(['...', *['None'] * further])}]" if further else other
