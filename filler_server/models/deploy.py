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
    reads stay outputs if the net learns them; where there is nothing else, what accuracies measure is predicted. A loss
    that is made of other layers, such as a Reduction with a loss_weight, stays what it is.

    Raises:
        NetError: no prediction is left.
    """
    kept, judges = _split(graph)
    learned = _learned(graph)
    main = _main(judges)
    predictions: dict[str, None] = {}
    added: list[Node] = []
    taken = {*graph.inputs, *(name for node in kept for name in (node.name, *node.tops))}
    for node in judges:
        operation = _prediction(node)
        if operation is None:
            predictions.update(dict.fromkeys(_judged(node, learned)))
            continue
        made = _same([*kept, *added], operation, node.bottoms[0])
        if made is None:
            made = _name(node, taken, main=node is main)
            added.append(Node(made, type(operation).__name__, operation, node.bottoms[:1], (made,), line=node.line))
            taken.add(made)
        predictions[made] = None
    nodes = [*kept, *added]
    unread = {top for node in kept for top in node.tops if top in graph.outputs}
    if not predictions and unread.isdisjoint(learned):
        # A net that only measures.
        measured = (node.bottoms[0] for node in graph.nodes if _measures(node))
        predictions = dict.fromkeys(bottom for bottom in measured if bottom in learned)
    if predictions:
        unread &= learned
    outputs = [top for node in nodes for top in node.tops if top in predictions or top in unread]
    if not outputs:
        raise NetError("the net predicts nothing: all that it computes are losses and accuracies of its inputs")
    shapes = {**graph.shapes, **{node.tops[0]: graph.shapes[node.bottoms[0]] for node in added}}
    return wanted(replace(graph, nodes=tuple(nodes), shapes=shapes), outputs)


def _split(graph: Graph) -> tuple[list[Node], list[Node]]:
    """Return the nodes that stay, and the losses; what goes besides are measures, and all that reads what is gone."""
    gone: set[str] = set()
    kept: list[Node] = []
    judges: list[Node] = []
    for node in graph.nodes:
        if gone.isdisjoint(node.bottoms) and not _is_loss(node) and not _measures(node):
            kept.append(node)
            continue
        gone.update(node.tops)
        if _is_loss(node) and gone.isdisjoint(node.bottoms):
            judges.append(node)
    return kept, judges


def _is_loss(node: Node) -> bool:
    """Whether a node is a loss, of a type that others may know alone."""
    if isinstance(node.operation, losses.Accuracy | losses.BoxAnnotatorOHEM):
        return False
    if type(node.operation).__module__ == losses.__name__ or isinstance(node.operation, detection.MultiBoxLoss):
        return True
    foreign = isinstance(node.operation, Custom | Unknown | Python)
    return foreign and not _measures(node) and (any(node.loss_weights) or node.type.lower().endswith("loss"))


def _measures(node: Node) -> bool:
    """Whether a node only tells how good predictions are."""
    of_types = isinstance(node.operation, losses.Accuracy | detection.DetectionEvaluate)
    return of_types or "accuracy" in node.type.lower()


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


def _main(judges: Sequence[Node]) -> Node | None:
    """Return the loss with probabilities that weighs the most, None where several weigh as much."""
    found = [node for node in judges if _prediction(node) is not None]
    weights = [max(node.loss_weights, default=0) for node in found]
    first = [node for node, weight in zip(found, weights, strict=True) if weight == max(weights)]
    return first[0] if len(first) == 1 else None


def _same(nodes: Iterable[Node], operation: Operation, bottom: str) -> str | None:
    """Return the value that a node makes by an operation of a value, None where there is none."""
    return next((node.tops[0] for node in nodes if node.bottoms == (bottom,) and node.operation == operation), None)


def _name(node: Node, taken: set[str], *, main: bool) -> str:
    """Return the name of the node, and of the top, that takes the place of a loss."""
    name = base = node.tops[1] if len(node.tops) > 1 else _PROBABILITIES if main else f"{node.name}/{_PROBABILITIES}"
    number = 1
    while name in taken:
        number += 1
        name = f"{base}#{number}"
    return name
