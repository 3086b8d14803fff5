"""Inputs of losses: classes, and nonlinearities that do not belong in front of it."""

from collections.abc import Iterator

from filler_server.diagnostics.lint.hits import Hit
from filler_server.diagnostics.lint.registry import register
from filler_server.diagnostics.lint.subject import Net
from filler_server.net.operations.activations import ReLU, Sigmoid, Softmax
from filler_server.net.operations.losses import SigmoidCrossEntropyLoss, SoftmaxWithLoss


@register(
    "FIL042",
    "one-class",
    "warning",
    why="The softmax of one class is 1 whatever the net computes: the loss is 0 and nothing is learned.",
    mend="Set num_output to the number of classes, 2 for yes and no; or use SigmoidCrossEntropyLoss.",
)
def one_class(net: Net) -> Iterator[Hit]:
    """Find softmaxes over an axis of extent 1."""
    for index, layer in enumerate(net.plan.layers):
        if not isinstance(layer.operation, Softmax | SoftmaxWithLoss) or not layer.producers:
            continue
        shape, axis = net.plan.top(layer.producers[0]).shape, layer.operation.axis
        if shape is not None and axis < len(shape) and shape[axis] == 1:
            message = f"bottom '{layer.bottoms[0]}' has one class along axis {axis}"
            yield Hit(message, net.places[index], ("bottom",))


@register(
    "FIL043",
    "normalized-twice",
    "warning",
    why="SoftmaxWithLoss and SigmoidCrossEntropyLoss take scores and normalize them themselves; of probabilities the "
    "gradients are tiny.",
    mend="Give the loss the bottom of the Softmax or Sigmoid instead.",
)
def normalized_twice(net: Net) -> Iterator[Hit]:
    """Find losses that normalize what is normalized already."""
    for index, layer in enumerate(net.plan.layers):
        producer, operation = net.producer(layer), layer.operation
        if producer is None:
            continue
        softmax = isinstance(operation, SoftmaxWithLoss) and isinstance(producer.operation, Softmax)
        sigmoid = isinstance(operation, SigmoidCrossEntropyLoss) and isinstance(producer.operation, Sigmoid)
        if softmax or sigmoid:
            message = f"bottom '{layer.bottoms[0]}' is a {producer.type} already, which this loss computes once more"
            yield Hit(message, net.places[index], ("bottom",))


@register(
    "FIL044",
    "relu-before-loss",
    "warning",
    why="Scores that a ReLU has cut cannot be negative, and classes whose score is cut get no gradient.",
    mend="Remove the ReLU after the last layer with weights.",
)
def relu_before_loss(net: Net) -> Iterator[Hit]:
    """Find ReLUs between the last layer with weights and a loss over classes."""
    for index, layer in enumerate(net.plan.layers):
        producer, operation = net.producer(layer), layer.operation
        if producer is None or not isinstance(operation, SoftmaxWithLoss | SigmoidCrossEntropyLoss):
            continue
        if isinstance(producer.operation, ReLU) and not producer.operation.negative_slope:
            yield Hit(f"bottom '{layer.bottoms[0]}' has been through the ReLU '{producer.name}'", net.places[index])
