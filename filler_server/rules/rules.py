"""Rules in their order, and the first that fits a parameter."""

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import TypeAlias

from caffe_filler.axes import FanAxes
from caffe_filler.errors import FillerError, InvalidArgument
from caffe_filler.printable import printable
from caffe_filler.v1.rules_pb2 import InitRule, InitRules
from filler_server.fillers import get_filler
from filler_server.fillers.variance_scaling import VarianceScaling
from filler_server.frameworks.names import resolved
from filler_server.rules.assignment import Assignment, by_fan_of, expectation, fans
from filler_server.rules.parameter import Parameter
from filler_server.rules.patterns import ClassPatterns, NamePatterns, is_pattern

AxesOf: TypeAlias = Callable[[tuple[int, ...]], FanAxes | None]
"""Tells the meaning of the axes of a parameter of a shape; None for that of Caffe."""

_LONGEST = 48


class Rules:
    """Rules that have been checked.

    Args:
        message: the rules.
        lines: where each starts in its file, from 1; for the errors.

    Attributes:
        message: the rules.
        labels: the rules in a few words each, in their order.

    Raises:
        InvalidArgument: there is no rule, or one of them lacks something or says two things; its number is named.
        FillerError: a filler of a rule is unknown or cannot work with its parameters; likewise.
    """

    def __init__(self, message: InitRules, *, lines: Sequence[int] = ()) -> None:
        if not message.rule:
            raise InvalidArgument("there are no rules; the least is rule { filler { type: 'xavier' } }")
        self.message = message
        self._rules: list[_Rule] = []
        for index, rule in enumerate(message.rule):
            try:
                self._rules.append(_Rule(index, rule))
            except FillerError as error:
                place = f" (line {lines[index]})" if lines else ""
                raise error.within(f"rule {index + 1}{place}") from None
        self.labels = tuple(rule.label for rule in self._rules)
        self._buffers = {name.rpartition(".")[2] for rule in message.rule for name in rule.name}
        # The parameters of a model have few classes between them.
        self._of_classes = lru_cache(maxsize=1024)(self._fitting)

    def assign(self, parameter: Parameter, axes_of: AxesOf | None = None) -> Assignment | None:
        """Return what the first rule that fits a parameter fills it with, or None where none fits.

        Args:
            parameter: the parameter.
            axes_of: tells the meaning of the axes where a rule does not; None: it is that of Caffe and PyTorch.

        Raises:
            FillerError: the rule's filler cannot fill a parameter of this shape.
        """
        if parameter.is_buffer and parameter.name.rpartition(".")[2] not in self._buffers:
            return None
        for rule in self._of_classes(parameter.module, parameter.within):
            if rule.fits(parameter):
                try:
                    return rule.assignment(parameter, axes_of)
                except FillerError as error:
                    raise error.within(f"parameter '{printable(parameter.name)}', {rule.label}") from None
        return None

    def _fitting(self, module: tuple[str, ...], within: tuple[str, ...]) -> "list[_Rule]":
        """Return the rules whose patterns of classes fit."""
        return [rule for rule in self._rules if rule.fits_classes(module, within)]


class _Rule:
    """One rule."""

    def __init__(self, index: int, rule: InitRule) -> None:
        self.index = index
        self.label = f"rule {index + 1}{_words(rule)}"
        self._rule = rule
        self._fan_of, self._stream, self._layout, self._wire_axes = (
            getattr(rule, name) if rule.HasField(name) else None for name in ("fan_of", "stream", "layout", "axes")
        )
        # Models have many parameters of one shape.
        self._for_shape = lru_cache(maxsize=1024)(self._assignment)
        self._names = NamePatterns(rule.name)
        self._module, self._within = ClassPatterns(rule.module), ClassPatterns(rule.within)
        if not rule.HasField("filler"):
            raise InvalidArgument("it has no filler, such as filler { type: 'xavier' }", field="filler")
        filler = get_filler(rule.filler)
        if rule.HasField("fan_of") and not isinstance(filler, VarianceScaling):
            raise InvalidArgument(
                f"fan_of is for fillers that scale by fans. Received: type='{rule.filler.type}'", field="fan_of"
            )
        if rule.HasField("axes") and rule.HasField("layout"):
            raise InvalidArgument(f"axes are given, or a layout. Received: layout='{rule.layout}'", field="layout")
        if rule.HasField("stream") and (len(rule.name) != 1 or is_pattern(rule.name[0])):
            raise InvalidArgument(
                "a rule with a stream has one name without a pattern: parameters of one stream would be filled alike. "
                f"Received: name={list(rule.name)}",
                field="stream",
            )

    def fits_classes(self, module: tuple[str, ...], within: tuple[str, ...]) -> bool:
        """Whether a parameter of these classes may fit."""
        return self._module.fit(module) and self._within.fit(within)

    def fits(self, parameter: Parameter) -> bool:
        """Whether a parameter fits whose classes do."""
        return self._names.fit(parameter.name, is_buffer=parameter.is_buffer) and (
            self._fan_of is None or self._fan_of in parameter.siblings
        )

    def assignment(self, parameter: Parameter, axes_of: AxesOf | None) -> Assignment:
        sibling = None if self._fan_of is None else parameter.siblings[self._fan_of]
        axes = self._axes(parameter.shape if sibling is None else sibling, axes_of)
        assigned = self._for_shape(parameter.shape, sibling, axes)
        return assigned(parameter.name if self._stream is None else self._stream)

    def _assignment(
        self, shape: tuple[int, ...], sibling: tuple[int, ...] | None, axes: FanAxes | None
    ) -> Callable[..., Assignment]:
        """Return what fills a parameter of a shape, by its own fan or that of a sibling; the stream aside."""
        filler = resolved(self._rule.filler) or self._rule.filler
        counted = shape if sibling is None else sibling
        weight = counted if axes is None else axes.weight_shape(counted)
        if sibling is not None and 0 not in shape:
            filler = by_fan_of(filler, weight)
        mean, std = expectation(filler, weight if sibling is None else shape)
        fan_in, fan_out = fans(weight)
        own_axes = axes if sibling is None else None
        zero_padding = self._rule.zero_padding
        return partial(Assignment, self.label, self.index, filler, own_axes, zero_padding, fan_in, fan_out, mean, std)

    def _axes(self, shape: tuple[int, ...], axes_of: AxesOf | None) -> FanAxes | None:
        """Return the meaning of the axes of a parameter of a shape, if it is not that of Caffe."""
        if self._layout is not None:
            return FanAxes.from_layout(self._layout, shape)
        if self._wire_axes is not None:
            return FanAxes.from_wire(self._wire_axes, shape)
        return None if axes_of is None else axes_of(shape)


def _words(rule: InitRule) -> str:
    """Return what a rule fits, in front of which a colon stands."""
    parts = [", ".join(rule.name)] if rule.name else []
    for where, patterns in (("in", rule.module), ("within", rule.within)):
        if patterns:
            parts.append(f"{where} {', '.join(pattern.rpartition('.')[2] for pattern in patterns)}")
    text = printable(" ".join(parts))
    return f": {text if len(text) <= _LONGEST else text[: _LONGEST - 3] + '...'}" if text else ""
