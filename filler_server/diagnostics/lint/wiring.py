"""Names of layers, tops and bottoms: what is there twice, what nothing reads, what nothing makes."""

from collections.abc import Iterator

from caffe_filler.caffe import caffe_pb2
from caffe_filler.nearest import did_you_mean, nearest
from filler_server.diagnostics.lint.hits import Hit
from filler_server.diagnostics.lint.planning import imports
from filler_server.diagnostics.lint.registry import register
from filler_server.diagnostics.lint.subject import Net, NetFile
from filler_server.net.operations import Operation
from filler_server.net.operations.activations import BNLL, Clip, Log, Power
from filler_server.net.operations.combination import Eltwise
from filler_server.net.plan import Layer, Value
from filler_server.net.registry import layer_type

_ENDS = frozenset(
    ("Accuracy", "ArgMax", "DetectionEvaluate", "DetectionOutput", "HDF5Output", "Sigmoid", "Silence", "Softmax")
)
_READ_THEIR_TOPS = frozenset(("Sigmoid", "TanH", "ELU", "Exp", "LRN", "MVN", "Softmax"))
_NEVER_IN_PLACE = frozenset(("Convolution", "Deconvolution", "Im2col", "InnerProduct", "LRN", "Pooling"))
_MOST_COMPARED = 100
"""Names that are compared with all others, to say which is meant."""


@register(
    "FIL028",
    "duplicate-layer-name",
    "warning",
    why="Trained weights are found by the names of layers: of two layers of one name both get those of the last.",
    mend="Give each layer a name of its own.",
)
def duplicate_layer_name(net: Net) -> Iterator[Hit]:
    """Find layers whose name an earlier layer of the net has."""
    first: dict[str, Layer] = {}
    for index, layer in enumerate(net.plan.layers):
        if not layer.name or net.places[index] is None:
            continue
        other = first.setdefault(layer.name, layer)
        if other is not layer:
            where = "" if other.line is None else f" on line {other.line}"
            yield Hit(f"the layer{where} has the same name", net.places[index], ("name",))


@register(
    "FIL051",
    "in-place-over-needed-top",
    "warning",
    why="Sigmoid, TanH, ELU, Exp, LRN, MVN and Softmax compute their gradient from their top; what changes that in "
    "place makes the gradient wrong, and Caffe does not say so.",
    mend="Give the layer that works in place a top of its own.",
)
def in_place_over_needed_top(net: Net) -> Iterator[Hit]:
    """Find layers that work in place on a top that the layer before needs for its gradient."""
    if not net.training:
        return
    for index, layer in enumerate(net.plan.layers):
        producer = net.producer(layer)
        is_in_place = bool(layer.tops) and bool(layer.bottoms) and layer.tops[0].name == layer.bottoms[0]
        if is_in_place and producer is not None and producer.type in _READ_THEIR_TOPS:
            message = f"it works in place on the top of {producer.type} layer '{producer.name}', which needs it"
            yield Hit(message, net.places[index], ("top",))


@register(
    "FIL052",
    "impossible-in-place",
    "warning",
    why="The layer reads its bottom after it has begun to write its top, for its values or their gradient, or gives it "
    "another shape: in place the result is wrong, and Caffe does not say so.",
    mend="Give the layer a top of its own.",
)
def impossible_in_place(net: Net) -> Iterator[Hit]:
    """Find layers of types that cannot work in place, and do."""
    for index, layer in enumerate(net.plan.layers):
        operation = layer.operation
        sums = isinstance(operation, Eltwise) and operation.operation == "sum"
        if not any(top.name in layer.bottoms for top in layer.tops):
            continue
        if layer.type in _NEVER_IN_PLACE or sums or _reshapes_in_place(net, layer):
            yield Hit(f"{layer.type} cannot work in place", net.places[index], ("top",))
        elif net.training and _needs_bottom(operation):
            message = f"{layer.type} computes its gradient from its bottom, which it overwrites"
            yield Hit(message, net.places[index], ("top",))


def _needs_bottom(operation: Operation) -> bool:
    """Whether a layer that works value by value needs its bottom for the gradient, which its top does not tell."""
    is_curved = isinstance(operation, Power) and operation.power not in (0, 1) and operation.scale != 0
    return is_curved or isinstance(operation, BNLL | Clip | Log)


def _reshapes_in_place(net: Net, layer: Layer) -> bool:
    """Whether a layer gives a top of another shape the name of a bottom."""
    bottoms = {name: net.plan.top(value).shape for name, value in zip(layer.bottoms, layer.producers, strict=False)}
    return any(
        top.shape is not None and bottoms.get(top.name) is not None and top.shape != bottoms[top.name]
        for top in layer.tops
    )


@register(
    "FIL029",
    "unused-top",
    "warning",
    why="A top that no layer reads and that is not a loss has no part in training: what makes it is computed in vain.",
    mend='Read it, remove the layer, or say that it is meant with a layer of type "Silence".',
)
def unused_top(net: Net) -> Iterator[Hit]:
    """Find tops in a net that is trained which nothing reads, those aside that people look at."""
    if not net.training or any(imports(layer.parameter) for layer in net.plan.layers):
        return
    # With stages there are states of the net that are not looked at.
    has_more = any(map(_depends_on_more, net.file.layers))
    elsewhere = {name for layer in net.file.layers for name in layer.bottom} if has_more else set()
    for index, layer in enumerate(net.plan.layers):
        kind = layer_type(layer.type)
        is_end = layer.type in _ENDS or kind is None or kind.loss or any(layer.loss_weights)
        for number, top in enumerate(layer.tops):
            is_read = bool(net.plan.readers(Value(index, number))) or top.name in elsewhere
            if is_end or is_read or (number and not layer.is_source):
                continue
            yield Hit(f"nothing reads top '{top.name}'", net.places[index], (f"top[{number}]",))


@register(
    "FIL030",
    "missing-bottom",
    "error",
    why="Caffe refuses a net with a layer that reads what no layer before it makes.",
    mend="Correct the name, or add the layer that makes it in front.",
    scope="file",
)
def missing_bottom(file: NetFile) -> Iterator[Hit]:
    """Find bottoms that no layer before makes in any state."""
    open_inputs = frozenset(map(str, file.document.open_inputs.values))
    later: dict[str, int] = {}
    for index, layer in enumerate(file.layers):
        for top in layer.top:
            later.setdefault(top, index)
    made: dict[str, None] = {}
    told = 0
    for index, layer in enumerate(file.layers):
        for number, name in enumerate(layer.bottom):
            if name in made:
                continue
            if name in open_inputs:
                message = f"'{name}' is an input of the net without a shape"
            elif name in later:
                message = f"'{name}' is made only further down, by layer '{file.layers[later[name]].name}'"
            else:
                told += 1
                hint = did_you_mean(nearest(name, made)) if told <= _MOST_COMPARED else ""
                message = f"no layer makes '{name}'{hint}"
            made[name] = None
            yield Hit(message, index, (f"bottom[{number}]",))
        made.update(dict.fromkeys(layer.top))
        if imports(layer):
            return


@register(
    "FIL048",
    "missing-in-state",
    "error",
    why="Caffe refuses a net in a phase in which a layer reads what only another phase makes.",
    mend="Add the layer that makes it in this phase, or exclude the one that reads it.",
)
def missing_in_state(net: Net) -> Iterator[Hit]:
    """Find bottoms that are made in another state only, in a net that has data of its own in this one."""
    own = [layer for layer, place in zip(net.plan.layers, net.places, strict=True) if place is not None]
    if not any(layer.is_source for layer in own):
        return
    made_here = {top.name for layer in own for top in layer.tops}
    all_makers: dict[str, list[caffe_pb2.LayerParameter]] = {}
    for layer in net.file.layers:
        for top in layer.top:
            all_makers.setdefault(top, []).append(layer)
    for name, index in net.missing.items():
        makers = all_makers.get(name, [])
        if any(map(_depends_on_more, (*makers, net.file.layers[index]))):
            continue
        if makers and name not in made_here:
            stages = "".join(f", stage {stage}" for stage in net.state.stage)
            number = list(net.file.layers[index].bottom).index(name)
            yield Hit(f"in {net.plan.phase}{stages} no layer makes '{name}'", index, (f"bottom[{number}]",))


def _depends_on_more(layer: caffe_pb2.LayerParameter) -> bool:
    """Whether a layer stands in the net at some stages or levels only."""
    rules = (*layer.include, *layer.exclude)
    return any(
        rule.stage or rule.not_stage or rule.HasField("min_level") or rule.HasField("max_level") for rule in rules
    )
