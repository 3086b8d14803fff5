"""Plans of a net in all states that matter, also where Caffe refuses some of its layers.

A layer that Caffe refuses is planned as one of an unknown type, or left out where even that does not help, so that all
others are planned. What is missing in front of a layer is declared as an input of unknown shape.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

from caffe_filler.caffe import caffe_pb2
from caffe_filler.errors import NetError
from filler_server.diagnostics.lint.subject import Inputs, Net, NetFile, Refused
from filler_server.net.dimensions import shortened
from filler_server.net.plan import NetPlan, is_source
from filler_server.net.planner import plan_net
from filler_server.net.registry import layer_type
from filler_server.net.state import StateRules, net_state
from filler_server.prototxt.document import NetDocument
from filler_server.prototxt.unknown import PassedOver

_MOST_REFUSED = 16
"""Layers that are refused in one state, after which the rest of it is not planned: each costs a plan of the net."""

_MOST_LAYERS = 65536
"""Layers that are planned in one state, over and over where some are refused."""

_MOST_STAGES = 6
_REFUSED_TYPE = "(refused)"


def states_of(file: NetFile, given: Sequence[caffe_pb2.NetState] = ()) -> Sequence[caffe_pb2.NetState]:
    """Return the states to look at: those given, or TRAIN and TEST, also with each stage that a rule asks for."""
    if given:
        return given
    own = file.document.net.state
    rules = (rule for layer in file.layers for rule in (*layer.include, *layer.exclude))
    stages = dict.fromkeys(stage for rule in rules for stage in (*rule.stage, *rule.not_stage))
    named: list[list[str]] = [[], *([stage] for stage in islice(stages, _MOST_STAGES))]
    return [
        net_state(own, phase=phase, level=None, stages=more)
        for more in named
        for phase in (caffe_pb2.TRAIN, caffe_pb2.TEST)
    ]


def nets_of(file: NetFile, states: Iterable[caffe_pb2.NetState], inputs: Inputs) -> list[Net]:
    """Return the nets of a file in some states, without those that are alike and those that are not meant.

    Of a net that cannot be planned even without the layers that Caffe refuses, the plan is empty.

    Args:
        file: the file.
        states: the states.
        inputs: shapes of inputs by name; None, or None for a dimension, leaves it open. Other names do nothing.

    Raises:
        ShapeError: a shape that no blob can have.
    """
    nets: list[Net] = []
    seen: set[tuple[int, tuple[int, ...]]] = set()
    for state in states:
        attempt = _Attempt(file, state, inputs)
        key = state.phase, tuple(attempt.kept)
        if key not in seen and attempt.kept:
            seen.add(key)
            nets.append(attempt.plan())
    return _meant(nets, len(file.document.net.state.stage))


def _meant(nets: Sequence[Net], own: int) -> list[Net]:
    """Return the nets without those of a stage that is meant for the other phase, where Caffe refuses less of it.

    Args:
        nets: the nets.
        own: number of stages that the file itself names.
    """
    refused = {
        (net.state.phase, tuple(net.state.stage)): {refused.layer for refused in net.refused}
        for net in nets
        if len(net.state.stage) > own
    }

    def is_meant(net: Net) -> bool:
        stages = tuple(net.state.stage)
        other = caffe_pb2.TEST if net.state.phase == caffe_pb2.TRAIN else caffe_pb2.TRAIN
        both = refused.get((net.state.phase, stages)), refused.get((other, stages))
        return both[0] is None or both[1] is None or not both[0] > both[1]

    return [net for net in nets if is_meant(net)]


@dataclass
class _Attempt:
    """One state of a file, with what had to be changed of its net."""

    file: NetFile
    state: caffe_pb2.NetState
    inputs: Inputs
    kept: list[int] = field(init=False)
    refused: dict[int | None, Refused] = field(default_factory=dict)
    unknown: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        rules, document = StateRules(self.state), self.file.document
        unknown = document.unknown or ({},) * len(self.file.layers)
        self.kept = []
        for index, (layer, fields, line) in enumerate(
            zip(self.file.layers, unknown, document.layer_lines, strict=True)
        ):
            try:
                is_kept = rules.includes(layer, fields, line=line)
            except NetError as error:
                self.refused[index] = Refused(index, error)
                self.unknown.add(index)
                is_kept = True
            if is_kept:
                self.kept.append(index)

    def plan(self) -> Net:
        missing = dict(self._missing())
        # The nets of a file may have batches of their own, and a shape is given once for all of them.
        batched = {
            name for index in self.kept if _has_batch(self.file.layers[index]) for name in self._source_tops(index)
        }
        for _ in range(max(2, min(_MOST_REFUSED, _MOST_LAYERS // max(len(self.kept), 1)))):
            sources = {name for index in self.kept for name in self._source_tops(index)}
            open_inputs = dict.fromkeys(name for name, _ in self._missing())
            inputs = {
                name: (None, *shape[1:]) if shape and name in batched else shape
                for name, shape in self.inputs.items()
                if name in sources or name in open_inputs
            }
            inputs = {**dict.fromkeys(open_inputs), **inputs}
            try:
                plan = self._planned(self._document() if self.refused else self.file.document, inputs)
            except NetError as error:
                if not self._give_way(error, inputs):
                    self.refused[None] = Refused(None, error)
                    break
                continue
            extra: list[int | None] = [None] * (len(plan.layers) - len(self.kept))
            return Net(self.file, self.state, plan, [*extra, *self.kept], tuple(self.refused.values()), missing)
        self.kept = []
        nothing = plan_net(self._document(), phase=self.state.phase, lenient=True)
        return Net(self.file, self.state, nothing, (), tuple(self.refused.values()))

    def _planned(self, document: NetDocument, inputs: Inputs) -> NetPlan:
        return plan_net(
            document,
            phase=self.state.phase,
            level=self.state.level,
            stages=self.state.stage,
            inputs=inputs,
            lenient=True,
        )

    def _give_way(self, error: NetError, inputs: Inputs) -> bool:
        """Change the layer of an error so that it is not met again; return whether that can be done."""
        lines = self.file.document.layer_lines
        met = [
            index
            for index in self.kept
            if (shortened(self.file.layers[index].name), lines[index]) == (error.layer, error.line)
        ]
        if not met:
            return False
        index = met[0] if len(met) == 1 else self._at_fault(met, inputs)
        self.refused.setdefault(index, Refused(index, error))
        if index in self.unknown:
            self.kept.remove(index)
        self.unknown.add(index)
        return True

    def _at_fault(self, met: Sequence[int], inputs: Inputs) -> int:
        """Return which of several layers of one name on one line is refused: with a line for each, the error tells."""
        document = self._document()
        try:
            self._planned(replace(document, layer_lines=tuple(range(1, len(self.kept) + 1))), inputs)
        except NetError as error:
            if error.line and self.kept[error.line - 1] in met:
                return self.kept[error.line - 1]
        return met[0]

    def _document(self) -> NetDocument:
        """The layers that are left, with those that are refused as ones of an unknown type."""
        own = self.file.document
        net = caffe_pb2.NetParameter(name=own.net.name)
        net.state.CopyFrom(self.state)
        for index in self.kept:
            layer = net.layer.add()
            layer.CopyFrom(self.file.layers[index])
            del layer.include[:]
            del layer.exclude[:]
            if index in self.unknown:
                layer.type = _REFUSED_TYPE
                del layer.propagate_down[:]
        unknown = own.unknown or ({},) * len(own.net.layer)
        return NetDocument(
            net,
            own.problems,
            tuple(own.layer_lines[index] for index in self.kept),
            own.format,
            own.changes,
            tuple({} if index in self.unknown else _without_rules(unknown[index]) for index in self.kept),
            tuple(own.v1_numbers[index] for index in self.kept) if own.v1_numbers else (),
        )

    def _missing(self) -> Iterator[tuple[str, int]]:
        """Yield the bottoms that no layer makes before they are read, once each, and the layer that reads them."""
        made: set[str] = set()
        for index in self.kept:
            layer = self.file.layers[index]
            for name in layer.bottom:
                if name not in made:
                    made.add(name)
                    yield name, index
            made.update(layer.top)
            if imports(layer):
                return

    def _source_tops(self, index: int) -> Iterator[str]:
        layer = self.file.layers[index]
        if is_source(layer.type, layer.bottom):
            yield from layer.top


def imports(layer: caffe_pb2.LayerParameter) -> bool:
    """Whether a layer may make what others read although it names nothing, as one that imports a file in a fork."""
    return not layer.bottom and not layer.top and bool(layer.type) and layer_type(layer.type) is None


def _without_rules(fields: Mapping[str, PassedOver]) -> Mapping[str, PassedOver]:
    return {path: value for path, value in fields.items() if not path.startswith(("include", "exclude"))}


def _has_batch(layer: caffe_pb2.LayerParameter) -> bool:
    """Whether a layer itself says how many items a batch has."""
    return any(getattr(value, "batch_size", 0) for _, value in layer.ListFields())
