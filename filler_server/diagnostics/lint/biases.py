"""Biases that do nothing, or too much."""

from collections.abc import Iterator

from filler_server.diagnostics.lint.hits import Hit
from filler_server.diagnostics.lint.registry import register
from filler_server.diagnostics.lint.subject import Net
from filler_server.diagnostics.lint.weights import Weight, moments_of
from filler_server.net.operations.inner_product import Embed, InnerProduct
from filler_server.net.operations.normalization import BatchNorm
from filler_server.net.plan import Layer, Value

_LARGE = 0.5


@register(
    "FIL020",
    "bias-before-batch-norm",
    "warning",
    why="BatchNorm subtracts the mean of each channel, and with it every bias of the layer before.",
    mend="Set bias_term: false, and let the Scale after the BatchNorm have the bias.",
    collapse=True,
)
def bias_before_batch_norm(net: Net) -> Iterator[Hit]:
    """Find biases other than zero whose layer is read by a BatchNorm alone."""
    for weight in net.weights:
        moments = None if weight.bias is None or weight.bias.owner else moments_of(weight.bias)
        readers = [net.plan.layers[edge.reader] for edge in net.plan.readers(Value(weight.layer, 0))]
        if moments and any(moments) and readers and all(map(_subtracts_mean, readers)) and _is_of_channels(net, weight):
            message = "the BatchNorm after it takes this bias away again"
            yield Hit(message, net.places[weight.layer], (weight.block, "bias_filler"))


def _subtracts_mean(layer: Layer) -> bool:
    """Whether a layer is a BatchNorm that does not keep the statistics which it starts from."""
    keeps = layer.parameter.batch_norm_param.use_global_stats
    return isinstance(layer.operation, BatchNorm) and not keeps


def _is_of_channels(net: Net, weight: Weight) -> bool:
    """Whether each channel has a bias of its own: a BatchNorm takes the second axis for the channels."""
    layer = net.plan.layers[weight.layer]
    if isinstance(layer.operation, InnerProduct):
        return layer.operation.axis == 1
    shape = layer.tops[0].shape
    return not isinstance(layer.operation, Embed) or (shape is not None and len(shape) == 2)


@register(
    "FIL021",
    "large-bias",
    "warning",
    why="A bias of 1 keeps units of a ReLU net active at first; in front of a Sigmoid or TanH it pushes them towards "
    "saturation, and without a nonlinearity it hides the signal.",
    mend="Use a bias of 0.",
    collapse=True,
)
def large_bias(net: Net) -> Iterator[Hit]:
    """Find hidden layers with a large constant bias that no ReLU reads."""
    for weight in net.weights:
        bias = weight.bias
        if bias is None or bias.given or bias.owner or bias.filler.type != "constant" or net.file.trained:
            continue
        kinds = net.flow.after(weight.layer) - {"end"}
        if abs(bias.filler.value) < _LARGE or not kinds or not kinds <= {"tanh", "sigmoid", "weight"}:
            continue
        words = {"tanh": "in front of a TanH", "sigmoid": "in front of a Sigmoid", "weight": "without a nonlinearity"}
        where = " and ".join(words[kind] for kind in sorted(kinds))
        message = f"a bias of {bias.filler.value:g} {where}"
        yield Hit(message, net.places[weight.layer], (weight.block, "bias_filler", "value"))
