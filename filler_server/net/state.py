"""Choice of the layers of a net file for a phase, a level and stages (Caffe's `Net::FilterNet`)."""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from caffe_filler.caffe import caffe_pb2
from caffe_filler.errors import InvalidArgument
from caffe_filler.interface import option, stages_option
from filler_server.net.dimensions import refusal
from filler_server.prototxt.unknown import PassedOver

_NOTHING: Mapping[str, PassedOver] = MappingProxyType({})


def net_state(
    own: caffe_pb2.NetState, *, phase: caffe_pb2.Phase | None, level: int | None, stages: Iterable[str]
) -> caffe_pb2.NetState:
    """Return the state to build a net in: its file's own, with phase and level overwritten and stages added.

    Args:
        own: the state that the file brings.
        phase: TRAIN or TEST; None keeps the file's own, TEST if it has none.
        level: None keeps the file's own, 0 if it has none.
        stages: names that are on besides the file's own.

    Raises:
        InvalidArgument: the phase is neither TRAIN nor TEST, the level has not 32 bits, or a stage is not a string.
    """
    state = caffe_pb2.NetState()
    state.CopyFrom(own)
    state.phase = own.phase
    try:
        if phase is not None:
            state.phase = phase
        if level is not None:
            state.level = level
        state.stage.extend(stages)
    except (TypeError, ValueError) as error:
        raise InvalidArgument(
            f"a net state has phase TRAIN or TEST, a 32-bit level and names as stages. "
            f"Received: phase={phase!r}, level={level!r}, stages={stages!r}"
        ) from error
    return state


class StateRules:
    """The `include` and `exclude` rules of layers in one state."""

    def __init__(self, state: caffe_pb2.NetState) -> None:
        self._state = state
        self._stages = frozenset(state.stage)

    def meets(self, rule: caffe_pb2.NetStateRule) -> bool:
        """Whether the state meets everything that a rule asks for; an empty rule is always met."""
        state = self._state
        return (
            (not rule.HasField("phase") or rule.phase == state.phase)
            and (not rule.HasField("min_level") or state.level >= rule.min_level)
            and (not rule.HasField("max_level") or state.level <= rule.max_level)
            and all(stage in self._stages for stage in rule.stage)
            and not any(stage in self._stages for stage in rule.not_stage)
        )

    def includes(
        self,
        layer: caffe_pb2.LayerParameter,
        unknown: Mapping[str, PassedOver] = _NOTHING,
        *,
        line: int | None = None,
    ) -> bool:
        """Whether a layer stands in the net: any `include` is met, or no `exclude` is.

        Args:
            layer: the layer.
            unknown: what its reader passed over; a rule for a phase that only a fork has is never met.
            line: the line on which it starts.

        Raises:
            NetError: the layer has both `include` and `exclude` rules.
        """
        if not layer.include:
            return not any(map(self.meets, _possible(layer.exclude, unknown.get("exclude.phase"))))
        if layer.exclude:
            raise refusal(
                "Specify either include rules or exclude rules; not both",
                layer=layer.name,
                line=line,
                include=len(layer.include),
                exclude=len(layer.exclude),
            )
        return any(map(self.meets, _possible(layer.include, unknown.get("include.phase"))))

    def remedy(self, layer: caffe_pb2.LayerParameter, unknown: Mapping[str, PassedOver] = _NOTHING) -> str:
        """Return in which states a layer that the rules leave out would stand in the net, as options of the caller.

        Returns:
            Words such as `with --phase TEST --stage deploy or with --stage val`; empty where no state is known.
        """
        if layer.include:
            ways = [self._to_meet(rule) for rule in _possible(layer.include, unknown.get("include.phase"))]
        else:
            met = [rule for rule in _possible(layer.exclude, unknown.get("exclude.phase")) if self.meets(rule)]
            ways = [" ".join(map(self._not_to_meet, met))]
        return " or ".join(dict.fromkeys(way for way in ways if way))

    def _to_meet(self, rule: caffe_pb2.NetStateRule) -> str:
        state = self._state
        options = []
        if rule.HasField("phase") and rule.phase != state.phase:
            options.append(option("phase", caffe_pb2.Phase.Name(rule.phase)))
        if rule.HasField("min_level") and state.level < rule.min_level:
            options.append(option("level", rule.min_level))
        elif rule.HasField("max_level") and state.level > rule.max_level:
            options.append(option("level", rule.max_level))
        if any(stage not in self._stages for stage in rule.stage):
            options.append(stages_option(rule.stage))
        unwanted = [stage for stage in rule.not_stage if stage in self._stages]
        return " ".join([*(["with", *options] if options else []), *(f"without stage '{stage}'" for stage in unwanted)])

    def _not_to_meet(self, rule: caffe_pb2.NetStateRule) -> str:
        """Return one way not to meet a rule that is met."""
        if rule.stage:
            return f"without stage '{rule.stage[0]}'"
        if rule.HasField("phase"):
            return f"with {option('phase', 'TRAIN' if rule.phase == caffe_pb2.TEST else 'TEST')}"
        if rule.not_stage:
            return f"with {stages_option(rule.not_stage[:1])}"
        if rule.HasField("min_level"):
            return f"with {option('level', rule.min_level - 1)}"
        return f"with {option('level', rule.max_level + 1)}" if rule.HasField("max_level") else ""


def _possible(rules: Sequence[caffe_pb2.NetStateRule], foreign: PassedOver | None) -> Sequence[caffe_pb2.NetStateRule]:
    """Return the rules without those that have lost a foreign phase: as many, the emptiest of those without any."""
    if foreign is None:
        return rules
    without = [index for index, rule in enumerate(rules) if not rule.HasField("phase")]
    without.sort(key=lambda index: len(rules[index].ListFields()))
    impossible = frozenset(without[: len(foreign.values)])
    return [rule for index, rule in enumerate(rules) if index not in impossible]
