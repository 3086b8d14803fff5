"""A net as it is used once it has been trained: without labels, losses and accuracies."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from caffe_filler.errors import NetError
from filler_server.models.graph import Graph, Node, wanted
from filler_server.net.operations import Custom, Operation, Python, Unknown, activations, detection, losses

_PROBABILITIES = "prob"
"""Name of the layer and of the top that hold probabilities in the deploy nets of Caffe."""


def deployed(graph: Graph) -> Graph:
    """Return a net for training or testing as one that predicts.

    Losses give way to what they judge: SoftmaxWithLoss and InfogainLoss to a Softmax, SigmoidCrossEntropyLoss to a
    Sigmoid, where the net has not got them already; other losses to those bottoms that the net learns. The new top is
    called `prob` where one loss weighs the most, and `<loss layer>/prob` elsewhere; a second top of a loss keeps its
    name. Accuracies go, and so does all that only losses and accuracies need, labels above all. Tops that no layer
    reads stay outputs if the net learns them. A loss that is made of other layers, such as a Reduction with a
    loss_weight, stays what it is.

    Raises:
        NetError: no prediction is left.
    """
    removed: set[str] = set()
    predictions: dict[str, None] = {}
    nodes: list[Node] = []
    shapes = dict(graph.shapes)
    learned = _learned(graph)
    main = _main(graph)
    for node in graph.nodes:
        if removed.intersection(node.bottoms):
            removed.update(node.tops)
            continue
        if not (_is_loss(node) or _measures(node)):
            nodes.append(node)
            continue
        removed.update(node.tops)
        if _measures(node):
            continue
        operation = _prediction(node)
        if operation is None:
            predictions.update(dict.fromkeys(_judged(node, learned)))
            continue
        known = _same([*graph.nodes, *nodes], operation, node.bottoms[0])
        if known is not None:
            predictions[known] = None
            continue
        name = _name(node, graph, nodes, main)
        nodes.append(Node(name, type(operation).__name__, operation, node.bottoms[:1], (name,), line=node.line))
        shapes[name] = graph.shapes[node.bottoms[0]]
        removed.discard(name)
        predictions[name] = None
    kept = {top for top in graph.outputs if top in learned or not predictions}
    outputs = [top for node in nodes for top in node.tops if top in predictions or top in kept]
    if not outputs:
        raise NetError("the net predicts nothing: all that it computes are losses and accuracies of its inputs")
    return wanted(replace(graph, nodes=tuple(nodes), shapes=shapes), outputs)


def _is_loss(node: Node) -> bool:
    """Whether a node is a loss, of a type that others may know alone."""
    if isinstance(node.operation, losses.Accuracy | losses.BoxAnnotatorOHEM):
        return False
    if type(node.operation).__module__ == losses.__name__ or isinstance(node.operation, detection.MultiBoxLoss):
        return True
    foreign = isinstance(node.operation, Custom | Unknown | Python)
    return foreign and (any(node.loss_weights) or node.type.endswith("Loss"))


def _measures(node: Node) -> bool:
    """Whether a node only tells how good predictions are."""
    return isinstance(node.operation, losses.Accuracy | detection.DetectionEvaluate) or node.type.endswith("Accuracy")


def _prediction(node: Node) -> Operation | None:
    """Return what a loss does to its first bottom before it compares it, None where it takes it as it is."""
    match node.operation:
        case losses.SoftmaxWithLoss(axis=axis) | losses.InfogainLoss(axis=axis):
            return activations.Softmax(axis=axis)
        case losses.SigmoidCrossEntropyLoss():
            return activations.Sigmoid()
    return None


def _judged(node: Node, learned: set[str]) -> Sequence[str]:
    """Return the bottoms of a loss that are predictions: those that the net learns, or else the first one."""
    if isinstance(node.operation, detection.MultiBoxLoss):
        # Offsets, confidences and the boxes that they belong to.
        return node.bottoms[:3]
    compared = node.bottoms if isinstance(node.operation, Custom | Unknown | Python) else node.bottoms[:2]
    return [bottom for bottom in compared if bottom in learned] or node.bottoms[:1]


def _learned(graph: Graph) -> set[str]:
    """Return the values that depend on learnable blobs."""
    found: set[str] = set()
    for node in graph.nodes:
        if node.blobs or found.intersection(node.bottoms):
            found.update(node.tops)
    return found


def _main(graph: Graph) -> Node | None:
    """Return the loss with probabilities that weighs the most, None where several weigh as much."""
    found = [node for node in graph.nodes if _is_loss(node) and _prediction(node) is not None]
    weights = [max(node.loss_weights, default=0) for node in found]
    first = [node for node, weight in zip(found, weights, strict=True) if weight == max(weights)]
    return first[0] if len(first) == 1 else None


def _same(nodes: Iterable[Node], operation: Operation, bottom: str) -> str | None:
    """Return the value that a node makes by an operation of a value, None where there is none."""
    return next((node.tops[0] for node in nodes if node.bottoms == (bottom,) and node.operation == operation), None)


def _name(node: Node, graph: Graph, nodes: Sequence[Node], main: Node | None) -> str:
    """Return the name of the node, and of the top, that takes the place of a loss."""
    if len(node.tops) > 1:
        return node.tops[1]
    taken = {*graph.shapes, *(other.name for other in (*graph.nodes, *nodes))}
    name = base = _PROBABILITIES if node is main else f"{node.name}/{_PROBABILITIES}"
    number = 1
    while name in taken:
        number += 1
        name = f"{base}#{number}"
    return name
