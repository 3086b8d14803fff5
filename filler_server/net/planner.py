"""NetParameter to plan: the layers of a state, the shapes of their tops, and their learnable blobs (`Net::Init`)."""

from collections.abc import Iterable, Mapping
from itertools import compress
from types import MappingProxyType

from caffe_filler.caffe import caffe_pb2
from caffe_filler.errors import FillerError, NetError, PrototxtError
from filler_server.net.connections import connect
from filler_server.net.declarations import declared_shapes
from filler_server.net.layer_planner import LayerPlanner
from filler_server.net.missing import MissingBottoms, with_declared_inputs
from filler_server.net.named_fillers import NamedFillers
from filler_server.net.plan import NetPlan, Shape, is_source, unique_names
from filler_server.net.size import PLAN_BYTES, PlanSize
from filler_server.net.source import adopt_bottoms, passed_over_in, source_layers
from filler_server.net.state import StateRules, net_state
from filler_server.prototxt.document import NetDocument
from filler_server.prototxt.limits import ReadLimits
from filler_server.prototxt.names import check_names
from filler_server.prototxt.report import Problem

_NONE: Mapping[str, Shape] = MappingProxyType({})
_OWN: Mapping[str, caffe_pb2.FillerParameter] = MappingProxyType({})


def plan_net(
    source: NetDocument | caffe_pb2.NetParameter,
    *,
    phase: caffe_pb2.Phase | None = None,
    level: int | None = 0,
    stages: Iterable[str] = (),
    inputs: Mapping[str, Shape] = _NONE,
    tops: Mapping[str, Shape] = _NONE,
    fillers: Mapping[str, caffe_pb2.FillerParameter] = _OWN,
    strict: bool = False,
    lenient: bool = False,
    plan_bytes: int = PLAN_BYTES,
) -> NetPlan:
    """Return the plan of a net: its layers in one state, with every shape that can be known.

    Args:
        source: the net in the current format, with or without what its reader had to say. Fields of forks are known
            only if the reader kept them.
        phase: TRAIN or TEST; None keeps the file's own, TEST if it has none.
        level: as Caffe's command line it overwrites the file's own; None keeps that.
        stages: names that are on besides the file's own.
        inputs: shapes of tops of layers without bottoms (data layers, Input), by name; they overrule the prototxt.
        tops: shapes of any tops, by name; they overrule what their layers say.
        fillers: fillers of blobs, by the name that the plan has for them, in which each `*` stands for any characters;
            they overrule those of the net.
        strict: whether what BVLC's Caffe refuses is an error: the first warning, and types and fields of forks.
        lenient: whether a misspelled field inside of a block that only forks have is passed over.
        plan_bytes: what the plan may take of memory besides 16 times the net's own length.

    Returns:
        The plan. Its warnings are the reader's, but for fields of forks that the layer's type understands; then those
        of each layer: an unknown type, what a fork's layer leaves open, blobs of unknown shape with the option that
        would settle it.

    Raises:
        NetError: Caffe would refuse the net, or `inputs`, `tops` or `fillers` name nothing in it, or `strict` and a
            warning.
        PrototxtError: `strict`, and the reader had something to say.
        ShapeError: a shape in `inputs` or `tops` that no blob can have.
        InvalidArgument: phase, level or stages are not what a net state can have.
        LimitExceeded: the plan takes more memory than it may, or a name is too long.
    """
    document = _document(source)
    if strict and document.problems:
        raise _as_error(document.problems[0])
    warnings = list(document.problems)
    try:
        return _plan(
            document,
            warnings,
            phase,
            level,
            stages,
            inputs,
            tops,
            NamedFillers(fillers),
            plan_bytes,
            strict=strict,
            lenient=lenient,
        )
    except NetError as error:
        error.reason += passed_over_in(document, layer=error.layer, line=error.line)
        raise error.after(warnings) from None
    except FillerError as error:
        raise error.after(warnings) from None


def _plan(
    document: NetDocument,
    warnings: list[Problem],
    phase: caffe_pb2.Phase | None,
    level: int | None,
    stages: Iterable[str],
    inputs: Mapping[str, Shape],
    tops: Mapping[str, Shape],
    fillers: NamedFillers,
    plan_bytes: int,
    *,
    strict: bool,
    lenient: bool,
) -> NetPlan:
    """Plan a net; `warnings` are the reader's, to which those of the layers come."""
    net = document.net
    size = PlanSize(net, plan_bytes)
    size.expect(net)
    state = net_state(net.state, phase=phase, level=level, stages=stages)
    rules = StateRules(state)
    every_layer, understood = source_layers(document, inputs, lenient=lenient)
    if not strict:
        warnings[:] = [problem for index, problem in enumerate(warnings) if index not in understood]
    stands = [rules.includes(layer.parameter, layer.unknown, line=layer.line) for layer in every_layer]
    layers = adopt_bottoms(list(compress(every_layer, stands)))
    if not strict:
        layers = with_declared_inputs(layers, inputs)
    missing = MissingBottoms(
        rules,
        [layer for layer, included in zip(every_layer, stands, strict=True) if not included],
        frozenset(map(str, document.open_inputs.values)),
        strict=strict,
    )
    sources = [
        name
        for layer in layers
        if is_source(layer.parameter.type, layer.parameter.bottom)
        for name in layer.parameter.top
    ]
    every_top = [name for layer in layers for name in layer.parameter.top]
    planner = LayerPlanner(
        connect(
            [layer.parameter for layer in layers],
            [layer.line for layer in layers],
            advice=missing.advice,
        ),
        inputs=declared_shapes("inputs", inputs, sources, "input"),
        tops=declared_shapes("tops", tops, every_top, "top"),
        fillers=fillers,
        warnings=warnings,
        size=size,
        document=document,
        phase=state.phase,
        strict=strict,
    )
    names = unique_names(layer.parameter.name for layer in layers)
    planned = tuple(
        planner.plan_layer(index, layer, name) for index, (layer, name) in enumerate(zip(layers, names, strict=True))
    )
    fillers.check_used(blob.name for layer in planned for blob in layer.blobs)
    if strict and warnings:
        raise _as_error(warnings[0])
    return NetPlan(net.name, state, planned, tuple(warnings))


def _document(source: NetDocument | caffe_pb2.NetParameter) -> NetDocument:
    net = source if isinstance(source, caffe_pb2.NetParameter) else source.net
    if net.layers or net.input:
        raise NetError(
            "the net is in an old format and must be upgraded first. "
            f"Received: layers={len(net.layers)}, input={list(net.input)}"
        )
    if isinstance(source, NetDocument):
        return source
    check_names(net, ReadLimits())
    return NetDocument(net, (), (None,) * len(net.layer), "binary")


def _as_error(warning: Problem) -> NetError | PrototxtError:
    if warning.column is not None:
        return PrototxtError(warning.message, line=warning.line, column=warning.column)
    return NetError(warning.message, layer=warning.layer, line=warning.line)
