"""The layers of a net one after another: what each produces, learns and computes (`Net::Init`, `Layer::SetUp`)."""

from collections.abc import Mapping

from google.protobuf.unknown_fields import UnknownFieldSet

import filler_server.net.layers  # noqa: F401 - registers the layer types
from caffe_filler.caffe import caffe_pb2
from caffe_filler.errors import NetError
from caffe_filler.filler_types import CAFFE_FILLERS
from caffe_filler.nearest import did_you_mean
from filler_server.cancellation import checkpoint
from filler_server.net.asked import asks_for_blobs, fillers
from filler_server.net.blobs import given_blobs, shape_fault
from filler_server.net.connections import Connections
from filler_server.net.declarations import declared_over, options_for, with_origin
from filler_server.net.dimensions import Dim, Dims, shapes_differ, shortened, text, to_shape
from filler_server.net.dimensions import Unknown as UnknownDims
from filler_server.net.fork_fields import ForkFields, Unread
from filler_server.net.layer import Extended, LayerContext, LearnedBlob, OpenDims, SetUp
from filler_server.net.layers.python import unknown_tops
from filler_server.net.named_fillers import NamedFillers
from filler_server.net.operations import Custom, Operation, Unknown
from filler_server.net.operations.data import ForkData
from filler_server.net.plan import Blob, Layer, Shape, Top, is_source
from filler_server.net.registry import (
    LayerType,
    automatic_tops,
    check_blob_counts,
    nearest_type_name,
    resolve_layer_type,
)
from filler_server.net.sharing import SharedBlobs
from filler_server.net.size import PlanSize
from filler_server.net.source import SourceLayer
from filler_server.prototxt.document import NetDocument
from filler_server.prototxt.report import Problem

_AUTOMATIC = "(automatic)"
_MOST_HINTS = 100
"""So many unknown types are compared with those that are known; more would take minutes."""


class LayerPlanner:
    """One pass over the layers, in file order."""

    def __init__(
        self,
        connections: Connections,
        *,
        inputs: Mapping[str, Shape],
        tops: Mapping[str, Shape],
        fillers: NamedFillers,
        warnings: list[Problem],
        size: PlanSize,
        document: NetDocument,
        phase: caffe_pb2.Phase,
        strict: bool,
    ) -> None:
        self._warnings = warnings
        self._size = size
        self._connections = connections
        self._inputs = inputs
        self._tops = tops
        self._fillers = fillers
        self._document = document
        self._phase = phase
        self._strict = strict
        self._shapes: dict[str, Dims] = {}
        self._producers: dict[str, str] = {}
        self._hints = _MOST_HINTS
        self._shared = SharedBlobs()
        self._operations: dict[Operation, Operation] = {}

    def plan_layer(self, index: int, source: SourceLayer, unique: str) -> Layer:
        """Set up the next layer; `unique` is the name that its blobs take."""
        checkpoint()
        parameter = source.parameter
        kind = resolve_layer_type(parameter.type, source.unknown)
        layer = self._context(index, source, kind)
        if kind is not None and kind.name != source.written_type:
            layer.report(f"layer type '{source.written_type}' is taken for '{kind.name}'")
        if self._strict and kind is not None and kind.fork:
            layer.refuse(
                f"layer type '{kind.name}' is one of forks, which BVLC's Caffe does not have", type=parameter.type
            )
        set_up, trouble = self._set_up(layer, kind, source.v1_number)
        tops = self._settle_tops(layer, set_up)
        learned = layer.given if set_up.blobs is None else set_up.blobs
        if trouble is not None:
            asked = options_for(*(dims for top, (_, dims) in enumerate(tops) if self._connections.is_read(index, top)))
            shapes = f"; the shape of its tops is unknown, give {asked}" if asked else ""
            makes = f" and to make {', '.join(map(repr, source.adopted[:8]))}" if source.adopted else ""
            layer.report(f"{trouble}: taken to have no learnable blobs{makes}{shapes}")
        elif kind is not None:
            source.report_inner_fields(kind, layer)
        loss = kind is not None and kind.loss
        for message in layer.reports:
            self._warn(layer, message)
        blobs = tuple(self._blob(layer, unique, position, blob) for position, blob in enumerate(learned))
        planned = Layer(
            name=parameter.name,
            type=layer.type,
            bottoms=tuple(parameter.bottom),
            tops=tuple(Top(name, to_shape(dims)) for name, dims in tops),
            blobs=blobs,
            producers=tuple(self._connections.producers[index]),
            loss_weights=self._connections.loss_weights(index, parameter, len(tops), loss=loss),
            operation=self._operation(layer, set_up.operation),
            line=source.line,
            definition=parameter,
            unknown=source.unknown,
            has_filler=bool(fillers(parameter, source.unknown)) or self._fillers.name_any(blob.name for blob in blobs),
            missing=() if trouble is None or learned else tuple(asks_for_blobs(parameter, source.unknown)),
        )
        self._size.add(planned)
        return planned

    def _set_up(self, layer: LayerContext, kind: LayerType | None, v1_number: int | None) -> tuple[SetUp, str | None]:
        """Return the set-up of a layer and None, or one with unknown tops and what keeps it from being set up."""
        if kind is None:
            self._hints -= 1
            hint = did_you_mean(nearest_type_name(layer.parameter.type)) if self._hints >= 0 else ""
            unknown = Unknown(reason=f"unknown layer type '{layer.type}'")
            return unknown_tops(layer, unknown), f"{unknown.reason}{hint}"
        try:
            return _set_up(layer, kind), None
        except Unread as unread:
            trouble = f"{unread} was not read (in a binary file its number differs from fork to fork)"
        except (Extended, NetError) as error:
            is_extended = isinstance(error, Extended)
            if not (is_extended or kind.fork or v1_number is not None) or layer.fork.failed:
                raise
            if v1_number is not None:
                which = f"number {v1_number}, '{kind.name}' in BVLC's Caffe, is a fork's"
            elif kind.fork:
                which = f"'{kind.name}' is another one"
            else:
                which = f"'{kind.name}' is more than BVLC's"
            trouble = f"layer type {which} here ({error.cause if isinstance(error, Extended) else error.reason})"
        return unknown_tops(layer, Unknown(reason=trouble)), trouble

    def _context(self, index: int, source: SourceLayer, kind: LayerType | None) -> LayerContext:
        parameter, line = source.parameter, source.line
        num_loss_weights = self._connections.num_loss_weights(index, parameter)
        layer = LayerContext(
            parameter=parameter,
            type=parameter.type if kind is None else kind.name,
            line=line,
            phase=parameter.phase if parameter.HasField("phase") else self._phase,
            bottoms=tuple(self._shapes[name] for name in parameter.bottom),
            num_tops=max(len(parameter.top), automatic_tops(kind)),
            in_place=bool(parameter.bottom and parameter.top) and parameter.bottom[0] == parameter.top[0],
            num_loss_weights=num_loss_weights or (1 if kind is not None and kind.loss else 0),
            given=given_blobs(parameter, line=line),
            fork=ForkFields(
                {path: kept.values for path, kept in source.unknown.items()},
                declared=frozenset[str]() if kind is None else kind.fork_fields,
                hidden=kind is not None and bool(kind.fork_fields) and self._may_hide_fields(parameter),
                layer=parameter.name,
                line=line,
            ),
        )
        layer.require(
            len(parameter.propagate_down) in (0, len(parameter.bottom)),
            "propagate_down param must be specified either 0 or bottom_size times",
            propagate_down=len(parameter.propagate_down),
            bottoms=len(parameter.bottom),
        )
        self._connect_tops(index, layer)
        return layer

    def _may_hide_fields(self, parameter: caffe_pb2.LayerParameter) -> bool:
        """Whether a layer may have fields of forks that were not read: of a binary file they are known by number only.

        Where the layer was brought from an old format, what its message did not know is gone.
        """
        upgraded = bool(self._document.changes)
        return self._document.format == "binary" and (upgraded or len(UnknownFieldSet(parameter)) > 0)

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
                open_dims = declared_over(self._tops[name], shape)
            elif name in self._inputs and is_source(layer.parameter.type, layer.parameter.bottom):
                open_dims = declared_over(self._inputs[name], shape)
            dims = with_origin(name, open_dims, layer.parameter)
            fault = shape_fault(dims)
            if fault is not None:
                layer.refuse(f"top '{name}': {fault}", shape=dims)
            tops.append((name, dims))
        self._shapes.update(tops)
        return tops

    def _operation(self, layer: LayerContext, operation: Operation) -> Operation:
        """Return the operation, or an unknown one where the layer has fields of forks that it says nothing of.

        Layers that compute the same have one in common.
        """
        if not isinstance(operation, Unknown | Custom | ForkData) and (unasked := layer.fork.unasked()):
            operation = Unknown(reason=f"what {', '.join(unasked[:8])} means for it is not known")
        return self._operations.setdefault(operation, operation)

    def _blob(self, layer: LayerContext, unique: str, index: int, blob: LearnedBlob) -> Blob:
        name = f"{unique}/{index}"
        fault = shape_fault(blob.shape)
        if fault is None and isinstance(blob.shape, tuple) and 0 in blob.shape:
            fault = "a blob without values cannot be filled"
        if fault is not None:
            layer.refuse(f"blob '{name}': {fault}", shape=blob.shape)
        if self._strict and blob.filler.type not in CAFFE_FILLERS:
            there_are = f"BVLC's Caffe has no filler of this type; there are {', '.join(CAFFE_FILLERS)}"
            layer.refuse(f"blob '{name}': {there_are}", type=blob.filler.type)
        owner, dims = self._shared.share(layer, index, name, blob.shape)
        asked = options_for(dims)
        unknown = f"the shape of blob '{name}', {text(dims)}, cannot be known: give {asked}" if asked else None
        if unknown is not None:
            self._warn(layer, unknown)
        kept = None if owner is None else f"the values of this blob are those of '{owner}'"
        filler = self._fillers.named(name, kept=kept if blob.given is None else "the net holds the values of this blob")
        return Blob(
            name,
            to_shape(dims),
            blob.filler if filler is None else filler,
            owner=owner,
            given=blob.given is not None,
            unknown=unknown,
            values=blob.given,
        )

    def _warn(self, layer: LayerContext, message: str) -> None:
        name = shortened(layer.parameter.name) or None
        warning = Problem(shortened(message, 2000), line=layer.line, layer=name)
        self._size.add_warning(warning)
        self._warnings.append(warning)


def _set_up(layer: LayerContext, kind: LayerType) -> SetUp:
    """Return the set-up of a layer of a type, with the checks that Caffe makes of every layer (`Layer::SetUp`)."""
    check_blob_counts(layer, kind)
    set_up = kind.set_up(layer)
    if kind.keeps_shape_in_place:
        _check_in_place(layer, set_up)
    layer.require(
        layer.num_loss_weights in (0, layer.num_tops),
        "loss_weight must be unspecified or specified once per top blob",
        loss_weight=list(layer.parameter.loss_weight),
        tops=layer.num_tops,
    )
    specs, blobs = len(layer.parameter.param), len(layer.given if set_up.blobs is None else set_up.blobs)
    layer.require(
        kind.open_blobs or specs <= blobs,
        f"Too many params specified for layer {layer.parameter.name}",
        param=specs,
        blobs=blobs,
    )
    return set_up


def _check_in_place(layer: LayerContext, set_up: SetUp) -> None:
    """Refuse a top in place of a bottom of another shape, which Caffe's layer would look at again and not know."""
    names = zip(layer.parameter.top, layer.parameter.bottom, strict=False)
    for (top, bottom), dims, own in zip(names, set_up.tops, layer.bottoms, strict=False):
        layer.require(
            top != bottom or dims is None or not shapes_differ(_known(dims), own),
            f"top '{top}' is a bottom, which has another shape",
            top=dims,
            bottom=own,
        )


def _known(dims: tuple[Dim | None, ...] | UnknownDims) -> Dims:
    """Return a shape with unknown dimensions where it says nothing."""
    nothing = UnknownDims(frozenset())
    return dims if isinstance(dims, UnknownDims) else tuple(nothing if dim is None else dim for dim in dims)
