"""NetParameter to plan: the layers of a state, the shapes of their tops, and their learnable blobs (`Net::Init`)."""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

import filler_server.net.layers  # noqa: F401 - registers the layer types
from caffe_filler.caffe import caffe_pb2
from caffe_filler.errors import NetError
from filler_server.net.connections import Connections, connect
from filler_server.net.dimensions import Dims, Origin, Unknown, origins, text, to_shape
from filler_server.net.given import given_blobs
from filler_server.net.hints import did_you_mean
from filler_server.net.layer import LayerContext, LearnedBlob, OpenDims, SetUp
from filler_server.net.layers.python import unknown_tops
from filler_server.net.names import unique_names
from filler_server.net.overrides import declared_shapes
from filler_server.net.plan import Blob, Layer, NetPlan, Shape, Top
from filler_server.net.registry import LayerType, automatic_tops, check_blob_counts, layer_type, nearest_type_name
from filler_server.net.shapes import shape_fault
from filler_server.net.sharing import SharedBlobs
from filler_server.net.state import included, net_state
from filler_server.prototxt.document import NetDocument
from filler_server.prototxt.report import Problem

_NONE: Mapping[str, Shape] = MappingProxyType({})
_AUTOMATIC = "(automatic)"


def plan_net(
    source: NetDocument | caffe_pb2.NetParameter,
    *,
    phase: caffe_pb2.Phase | None = None,
    level: int | None = 0,
    stages: Iterable[str] = (),
    inputs: Mapping[str, Shape] = _NONE,
    tops: Mapping[str, Shape] = _NONE,
) -> NetPlan:
    """Return the plan of a net: its layers in one state, with every shape that can be known.

    Args:
        source: the net in the current format, with or without what its reader had to say.
        phase: TRAIN or TEST; None keeps the file's own, TEST if it has none.
        level: as Caffe's command line it overwrites the file's own; None keeps that.
        stages: names that are on besides the file's own.
        inputs: shapes of tops of layers without bottoms (data layers, Input), by name; they overrule the prototxt.
        tops: shapes of any tops, by name; they overrule what their layers say.

    Returns:
        The plan. Its warnings are the reader's, then one for each layer of unknown type and one for each blob of
        unknown shape, with the option that would settle it.

    Raises:
        NetError: Caffe would refuse the net, or `inputs` or `tops` name nothing in it.
        ShapeError: a shape in `inputs` or `tops` that no blob can have.
        InvalidArgument: phase, level or stages are not what a net state can have.
    """
    net, problems, lines = _unpack(source)
    state = net_state(net.state, phase=phase, level=level, stages=stages)
    kept = [index for index, layer in enumerate(net.layer) if included(layer, state, line=lines[index])]
    layers = [net.layer[index] for index in kept]
    lines = [lines[index] for index in kept]
    sources = [name for layer in layers if _is_source(layer) for name in layer.top]
    every_top = [name for layer in layers for name in layer.top]
    planner = _Planner(
        connect(layers, lines),
        inputs=declared_shapes("--input", inputs, sources, "input"),
        tops=declared_shapes("--top", tops, every_top, "top"),
        problems=problems,
    )
    names = unique_names(layer.name for layer in layers)
    planned = tuple(
        planner.plan_layer(index, layer, line, name)
        for index, (layer, line, name) in enumerate(zip(layers, lines, names, strict=True))
    )
    return NetPlan(net.name, state, planned, tuple(planner.warnings))


def _unpack(
    source: NetDocument | caffe_pb2.NetParameter,
) -> tuple[caffe_pb2.NetParameter, Sequence[Problem], Sequence[int | None]]:
    net = source if isinstance(source, caffe_pb2.NetParameter) else source.net
    if net.layers or net.input:
        raise NetError(
            "the net is in an old format and must be upgraded first. "
            f"Received: layers={len(net.layers)}, input={list(net.input)}"
        )
    if isinstance(source, caffe_pb2.NetParameter):
        return net, (), [None] * len(net.layer)
    return net, source.problems, source.layer_lines


def _is_source(layer: caffe_pb2.LayerParameter) -> bool:
    return not layer.bottom and layer.type != "Parameter"


class _Planner:
    """One pass over the layers, in file order."""

    def __init__(
        self,
        connections: Connections,
        *,
        inputs: Mapping[str, Shape],
        tops: Mapping[str, Shape],
        problems: Iterable[Problem],
    ) -> None:
        self.warnings = list(problems)
        self._connections = connections
        self._inputs = inputs
        self._tops = tops
        self._shapes: dict[str, Dims] = {}
        self._producers: dict[str, str] = {}
        self._shared = SharedBlobs()

    def plan_layer(self, index: int, parameter: caffe_pb2.LayerParameter, line: int | None, unique: str) -> Layer:
        """Set up the next layer; `unique` is the name that its blobs take."""
        kind = layer_type(parameter.type)
        layer = self._context(index, parameter, line, kind)
        if kind is None:
            set_up = unknown_tops(layer)
        else:
            check_blob_counts(layer, kind)
            set_up = kind.set_up(layer)
        tops = self._settle_tops(layer, set_up)
        if kind is None:
            self._report_unknown_type(layer, tops)
        else:
            self._check_loss_weights(layer)
        learned = layer.given if set_up.blobs is None else set_up.blobs
        if kind is not None and not kind.open_blobs and len(parameter.param) > len(learned):
            layer.refuse(
                f"Too many params specified for layer {parameter.name}", param=len(parameter.param), blobs=len(learned)
            )
        return Layer(
            parameter.name,
            parameter.type,
            tuple(parameter.bottom),
            tuple(Top(name, to_shape(dims)) for name, dims in tops),
            tuple(self._blob(layer, unique, position, blob) for position, blob in enumerate(learned)),
            line,
            parameter,
        )

    def _context(
        self, index: int, parameter: caffe_pb2.LayerParameter, line: int | None, kind: LayerType | None
    ) -> LayerContext:
        num_loss_weights = self._connections.num_loss_weights(index, parameter)
        layer = LayerContext(
            parameter=parameter,
            line=line,
            bottoms=tuple(self._shapes[name] for name in parameter.bottom),
            num_tops=max(len(parameter.top), automatic_tops(kind)),
            in_place=bool(parameter.bottom and parameter.top) and parameter.bottom[0] == parameter.top[0],
            num_loss_weights=num_loss_weights or (1 if kind is not None and kind.loss else 0),
            given=given_blobs(parameter, line=line),
        )
        layer.require(
            len(parameter.propagate_down) in (0, len(parameter.bottom)),
            "propagate_down param must be specified either 0 or bottom_size times",
            propagate_down=len(parameter.propagate_down),
            bottoms=len(parameter.bottom),
        )
        self._connect_tops(index, layer)
        return layer

    def _connect_tops(self, index: int, layer: LayerContext) -> None:
        bottoms = layer.parameter.bottom
        for top, name in enumerate(layer.parameter.top):
            producer = self._producers.get(name)
            if producer is not None:
                in_place = top < len(bottoms) and bottoms[top] == name
                others = self._connections.other_readers(index, top) if in_place else []
                if not in_place or others:
                    hint = " (it cannot be changed in place while another layer reads it, too)" if others else ""
                    layer.refuse(
                        f"Top blob '{name}' produced by multiple sources, the first of them layer '{producer}'{hint}",
                        top=name,
                    )
            self._producers.setdefault(name, layer.parameter.name)

    def _settle_tops(self, layer: LayerContext, set_up: SetUp) -> list[tuple[str, Dims]]:
        """Return names and shapes of the tops, with what the caller declares and with an origin for what is open."""
        names = [*layer.parameter.top, *[_AUTOMATIC] * (layer.num_tops - len(layer.parameter.top))]
        tops = []
        for name, shape in zip(names, set_up.tops, strict=True):
            open_dims: OpenDims = shape
            if name in self._tops:
                open_dims = self._tops[name]
            elif name in self._inputs and _is_source(layer.parameter):
                open_dims = self._inputs[name]
            dims = _with_origin(name, open_dims, layer.parameter)
            fault = shape_fault(dims)
            if fault is not None:
                layer.refuse(f"top '{name}': {fault}", shape=dims)
            tops.append((name, dims))
        self._shapes.update(tops)
        return tops

    def _check_loss_weights(self, layer: LayerContext) -> None:
        layer.require(
            layer.num_loss_weights in (0, layer.num_tops),
            "loss_weight must be unspecified or specified once per top blob",
            loss_weight=list(layer.parameter.loss_weight),
            tops=layer.num_tops,
        )

    def _report_unknown_type(self, layer: LayerContext, tops: Iterable[tuple[str, Dims]]) -> None:
        hint = did_you_mean(nearest_type_name(layer.parameter.type))
        message = f"unknown layer type '{layer.parameter.type}'{hint}: taken to have no learnable blobs"
        asked = _options(frozenset[Origin]().union(*(origins(dims) for _, dims in tops)))
        if asked:
            message += f"; the shape of its tops is unknown, give {asked}"
        self._warn(layer, message)

    def _blob(self, layer: LayerContext, unique: str, index: int, blob: LearnedBlob) -> Blob:
        name = f"{unique}/{index}"
        fault = shape_fault(blob.shape)
        if fault is None and isinstance(blob.shape, tuple) and 0 in blob.shape:
            fault = "a blob without values cannot be filled"
        if fault is not None:
            layer.refuse(f"blob '{name}': {fault}", shape=blob.shape)
        owner, dims = self._shared.share(layer, index, name, blob.shape)
        asked = _options(origins(dims))
        if asked:
            self._warn(layer, f"the shape of blob '{name}', {text(dims)}, cannot be known: give {asked}")
        return Blob(name, to_shape(dims), blob.filler, owner, blob.given)

    def _warn(self, layer: LayerContext, message: str) -> None:
        self.warnings.append(Problem(message, line=layer.line, layer=layer.parameter.name))


def _with_origin(name: str, dims: OpenDims, parameter: caffe_pb2.LayerParameter) -> Dims:
    """Return the shape of a top with itself as the origin of what its layer leaves open."""
    if isinstance(dims, Unknown):
        return dims
    if dims is None:
        return Unknown(_origin(name, "D,D,..", parameter))
    if None not in dims:
        return tuple(dim for dim in dims if dim is not None)
    letters = "NCHW" if len(dims) == 4 else "D" * len(dims)
    example = ",".join(str(dim) if isinstance(dim, int) else letter for dim, letter in zip(dims, letters, strict=True))
    here = Unknown(_origin(name, example, parameter))
    return tuple(here if dim is None else dim for dim in dims)


def _origin(name: str, example: str, parameter: caffe_pb2.LayerParameter) -> frozenset[Origin]:
    return frozenset([Origin(name, "--input" if _is_source(parameter) else "--top", example)])


def _options(asked: frozenset[Origin], most: int = 8) -> str:
    options = sorted(map(str, asked))
    return " ".join(options[:most]) + (f" and {len(options) - most} more" if len(options) > most else "")
