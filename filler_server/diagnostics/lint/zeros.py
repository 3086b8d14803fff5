"""Weights that start at zero, or all alike: the units of a layer then stay alike, or nothing passes it."""

from collections.abc import Iterator

from filler_server.diagnostics.lint.hits import Hit
from filler_server.diagnostics.lint.registry import register
from filler_server.diagnostics.lint.subject import Net
from filler_server.diagnostics.lint.weights import Weight
from filler_server.net.operations.convolution import Convolution, Deconvolution
from filler_server.net.operations.inner_product import Embed

_FEW = 2


@register(
    "FIL002",
    "no-fillers",
    "warning",
    why="Without any weight_filler all weights are 0 at the start, and a net of zeros never learns.",
    mend="Give each layer a weight_filler, or start from trained weights.",
)
def no_fillers(net: Net) -> Iterator[Hit]:
    """Find a net with a loss none of whose layers has a filler."""
    if net.training and net.lacks_fillers and not net.file.trained:
        number = len(net.weights)
        first = net.weights[0].layer
        message = (
            f"none of the {number} layers with weights has a weight_filler: the net can only start from trained ones"
        )
        yield Hit(message, net.places[first])


@register(
    "FIL003",
    "zero-weights",
    "warning",
    why="A layer whose weights are all 0 passes on nothing and sends back no gradient to the layers before it.",
    mend='Give it a weight_filler, such as { type: "msra" } before a ReLU or { type: "xavier" } before a TanH.',
    collapse=True,
)
def zero_weights(net: Net) -> Iterator[Hit]:
    """Find hidden layers whose weights are zero, where other layers have fillers.

    A net without a loss, most of whose layers lack fillers, is meant for trained weights.
    """
    zeros = [weight for weight in net.weights if weight.is_zero and weight.blob.owner is None]
    for_weights = not net.has_loss and len(zeros) > _FEW and 2 * len(zeros) > len(net.weights)
    if net.lacks_fillers or net.file.trained or for_weights:
        return
    for weight in zeros:
        if weight.rate and net.flow.is_hidden(weight.layer) and not net.flow.is_residual(weight.layer):
            how = 'has type "constant" and no value' if weight.explicit else "is missing"
            message = f"weight_filler {how}, so that all weights of this hidden layer are 0"
            yield Hit(message, net.places[weight.layer], weight.path)


@register(
    "FIL004",
    "constant-weights",
    "warning",
    why="Units of a layer that start with the same weights all compute the same, and differ later only by what the "
    "layers after them send back.",
    mend="Take a filler that draws its values, such as msra, xavier or gaussian.",
)
def constant_weights(net: Net) -> Iterator[Hit]:
    """Find hidden layers of several units whose weights are one number other than zero."""
    if net.file.trained:
        return
    for weight in net.weights:
        filler = weight.filler
        if weight.blob.given or weight.blob.owner or filler.type != "constant" or not filler.value or not weight.rate:
            continue
        if net.flow.is_hidden(weight.layer) and not _units_differ(net, weight):
            message = f"all weights of this hidden layer are {filler.value:g}, so that its units start as one"
            yield Hit(message, net.places[weight.layer], (*weight.path, "value"))


def _units_differ(net: Net, weight: Weight) -> bool:
    """Whether units differ although their weights do not: there is one, or each sees a channel of its own."""
    operation, shape = net.plan.layers[weight.layer].operation, weight.blob.shape or ()
    if isinstance(operation, Convolution | Deconvolution):
        return operation.num_output == 1 or (operation.group or 1) == operation.num_output
    outputs = 1 if isinstance(operation, Embed) or getattr(operation, "transpose", False) else 0
    return len(shape) > outputs and shape[outputs] == 1
