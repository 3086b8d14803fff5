"""Signal of a net in theory: one pass forward over its operations, and one back."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from math import exp, expm1, isfinite, prod, sqrt
from typing import NamedTuple

import numpy as np

import filler_server.diagnostics.signal.rules  # noqa: F401 - registers the rules
from caffe_filler.interface import option
from filler_server.diagnostics.signal.comparison import comparisons
from filler_server.diagnostics.signal.data import InputStatistics, source
from filler_server.diagnostics.signal.gradients import NOTHING, Gradient
from filler_server.diagnostics.signal.layout import channel_axis
from filler_server.diagnostics.signal.moments import KINDS, Moments, Weights
from filler_server.diagnostics.signal.normal import NODES, Reals
from filler_server.diagnostics.signal.origins import Origin, entangled, is_function, origin, path_to
from filler_server.diagnostics.signal.parts import by_parts, keeps_parts, summed
from filler_server.diagnostics.signal.registry import Backward, Layer, NotKnown, rule_for
from filler_server.diagnostics.signal.report import ParameterSignal, SignalReport, ValueSignal
from filler_server.diagnostics.signal.twins import have_one_source, lineages, twins_among
from filler_server.diagnostics.signal.values import Activation, dead_shares, normal, scatters
from filler_server.diagnostics.signal.verdict import Step, Verdict, trend
from filler_server.net.operations import Operation, unknown_reason
from filler_server.net.operations.arrangement import Axpy
from filler_server.net.operations.combination import Eltwise
from filler_server.net.operations.data import Parameter
from filler_server.net.plan import Blob, NetPlan, Shape, Value
from filler_server.net.plan import Layer as PlanLayer

PLAIN_INPUTS = InputStatistics()
"""Inputs of mean 0 and standard deviation 1."""


def signal(plan: NetPlan, inputs: InputStatistics = PLAIN_INPUTS) -> SignalReport:
    """Return the signal of a net in theory.

    Args:
        plan: the net, with mean and standard deviation of its blobs.
        inputs: mean and standard deviation of the inputs that are plain numbers.

    Returns:
        Numbers of every value and learnable blob; None, and a note that says why, where a rule cannot know.
    """
    with np.errstate(all="ignore"):
        return _Analysis(plan, inputs).report()


class _Known(NamedTuple):
    """A value that the way forward has come by: its distribution, shape, axis of channels and origin."""

    activation: Activation | NotKnown
    shape: Shape
    channel: int
    origin: Origin


class _Analysis:
    def __init__(self, plan: NetPlan, inputs: InputStatistics) -> None:
        self._plan = plan
        self._inputs = inputs
        self._has_loss = any(any(layer.loss_weights) for layer in plan.layers)
        self._weights: dict[str, Weights | None] = {}
        self._known: dict[Value, _Known] = {}
        self._scatters: dict[Value, float | None] = {}
        self._dead: dict[Value, float | None] = {}
        self._back: dict[int, Backward] = {}
        self._shown: dict[Value, list[Gradient | NotKnown]] = {}
        self._gradients: dict[Value, float | NotKnown] = {}
        self._squares: dict[str, list[float | None]] = {}
        self._notes: dict[str, list[str]] = {}
        self._lineages = lineages(plan)
        self._twins: list[PlanLayer] = []

    def report(self) -> SignalReport:
        plan = self._plan
        blobs = {blob.name: blob for blob in plan.blobs}
        self._weights = {name: _weights(blobs[blob.owner or name]) for name, blob in blobs.items()}
        for index, layer in enumerate(plan.layers):
            self._forward(index, layer)
        has_loss = self._has_loss
        if has_loss:
            self._backward()
        known = {
            value: (found.activation, found.shape or ())
            for value, found in self._known.items()
            if isinstance(found.activation, Activation)
        }
        self._scatters = dict(zip(known, scatters(list(known.values())), strict=True))
        self._dead = dict(zip(known, dead_shares([found for found, _ in known.values()]), strict=True))
        values = tuple(map(self._value, self._known))
        parameters = tuple(self._parameter(blob, has_loss=has_loss) for blob in plan.blobs if blob.owner is None)
        if not has_loss:
            self._note("no layer is a loss, so that there is no gradient", "")
        return SignalReport(
            plan.name, plan.phase, values, parameters, verdict(plan, values), notes=tuple(self._lines())
        )

    def _forward(self, index: int, layer: PlanLayer) -> None:
        bottoms = [self._known[value] for value in layer.producers]
        tops: Iterable[Activation | NotKnown]
        try:
            if layer.is_source:
                tops = [self._source(Value(index, number)) for number in range(len(layer.tops))]
            else:
                tops = self._passed(index, layer, bottoms)
        except NotKnown as unknown:
            self._note(str(unknown), layer.name)
            tops = [unknown] * len(layer.tops)
        first = bottoms[0] if bottoms else None
        whole = first is not None and isinstance(first.activation, Activation) and first.activation.kept == 1
        read = [(bottom.shape, bottom.origin) for bottom in bottoms]
        for number, (top, made) in enumerate(zip(tops, layer.tops, strict=False)):
            value, shape = Value(index, number), made.shape
            channel = channel_axis(layer.operation, first.channel, first.shape, shape) if first else 1
            found = origin(layer, value, shape, read, len(self._known), whole=whole)
            self._known[value] = _Known(_finite(top), shape, channel, found)

    def _source(self, value: Value) -> Activation | NotKnown:
        try:
            return source(self._plan, value, self._inputs)
        except NotKnown as unknown:
            self._note(str(unknown), self._plan.layers[value.layer].name)
            return unknown

    def _passed(self, index: int, layer: PlanLayer, bottoms: Sequence[_Known]) -> Sequence[Activation | NotKnown]:
        if isinstance(layer.operation, Parameter):
            return [_learned(self._weights.get(layer.blobs[0].name) if layer.blobs else None)]
        function = rule_for(layer.operation)
        if function is None:
            raise NotKnown(_reason(layer.operation))
        activations, has_parts = [], False
        for bottom in bottoms:
            if isinstance(bottom.activation, NotKnown):
                raise _BeforeError
            activations.append(bottom.activation)
            has_parts = has_parts or bottom.activation.parts is not None
        producers = layer.producers
        root, is_entangled, has_twins = None, False, False
        slopes: tuple[Reals, ...] = ()
        if len(producers) > 1:
            different = dict(zip(producers, bottoms, strict=True))
            if len(different) > 1:
                root, slopes = self._one_root(producers)
            shape = layer.tops[0].shape if layer.tops else None
            is_entangled = entangled([bottom.origin for bottom in different.values() if bottom.shape == shape])
            has_twins = bool(self._lineages) and self._has_twins(layer, list(different))
        made = Layer(
            layer,
            tuple(activations),
            tuple([bottom.shape for bottom in bottoms]),
            tuple([producers.index(value) for value in producers]),
            tuple([self._plan.layers[value.layer].operation for value in producers]),
            tuple([self._weights[blob.name] for blob in layer.blobs]),
            bottoms[0].channel if bottoms else 1,
            root,
            slopes,
            is_entangled,
            has_twins,
        )
        passed = by_parts(function, layer.operation, made) if has_parts else function(layer.operation, made)
        if self._has_loss or is_function(layer.operation):
            self._back[index] = passed.back
        if has_parts and not keeps_parts(layer.operation):
            return [top.but(parts=None) if isinstance(top, Activation) else top for top in passed.tops]
        return passed.tops

    def _has_twins(self, layer: PlanLayer, values: Sequence[Value]) -> bool:
        """Return whether two of different values come through the same weights in the same way.

        Raises:
            NotKnown: of the same value, too.
        """
        twins = twins_among(self._lineages[value] for value in values)
        if any(map(have_one_source, twins)):
            raise NotKnown("its bottoms come through the same weights from the same value")
        if twins and isinstance(layer.operation, (Axpy, Eltwise)):
            self._twins.append(layer)
        return bool(twins)

    def _one_root(self, values: Sequence[Value]) -> tuple[Activation | None, tuple[Reals, ...]]:
        """Return what all of several values are functions of, and the slopes of these; None where they are not."""
        roots = {self._known[value].origin.root for value in values}
        if len(roots) > 1:
            return None, ()
        root = self._known[roots.pop()].activation
        assert isinstance(root, Activation)  # noqa: S101 - for the type checker
        return root, tuple(map(self._slopes, values))

    def _slopes(self, value: Value) -> Reals:
        """Return the slopes of a function of its root, by what a gradient of 1 becomes on its way back."""
        gradient = Gradient(1.0)
        for index in path_to(self._plan, value, self._known[value].origin.root):
            gradient = self._before(index, gradient)
        return sqrt(gradient.mean_square) * (np.ones_like(NODES) if gradient.amplitude is None else gradient.amplitude)

    def _backward(self) -> None:
        arrived: dict[Value, list[Gradient | NotKnown]] = {}
        for index in reversed(range(len(self._plan.layers))):
            layer = self._plan.layers[index]
            for number, weight in enumerate(layer.loss_weights):
                if weight:
                    square = weight * weight
                    arrived.setdefault(Value(index, number), []).append(Gradient(square, np.full(KINDS, square)))
            values = [Value(index, number) for number in range(len(layer.tops))]
            tops = [_sum(arrived.pop(value, [])) for value in values]
            for value, top in zip(values, tops, strict=True):
                found = _sum([top, *self._shown[value]]) if value in self._shown else top
                self._gradients[value] = found if isinstance(found, NotKnown) else found.mean_square
            self._lead_back(index, tops, arrived)
        compared, blobs = comparisons(self._plan, self._twins)
        if blobs:
            self._squares.update((name, [None]) for name in blobs)
            for layer in compared:
                self._note("the gradients of weights that both of its bottoms come through partly cancel", layer.name)

    def _lead_back(
        self, index: int, tops: Sequence[Gradient | NotKnown], arrived: dict[Value, list[Gradient | NotKnown]]
    ) -> None:
        layer = self._plan.layers[index]
        if all(top is NOTHING for top in tops):
            return
        names = [blob.owner or blob.name for blob in layer.blobs]
        bottoms: Sequence[Gradient | NotKnown | None]
        blobs: Sequence[float | None]
        known = [top for top in tops if isinstance(top, Gradient)]
        if not keeps_parts(layer.operation) and any(top.parts for top in known):
            known = [replace(top, parts=None) for top in known]
        try:
            back = self._back.pop(index, None)
            if back is None or len(known) < len(tops):
                raise _BeforeError
            bottoms, blobs, root = back(tuple(known))
        except NotKnown as unknown:
            self._note(str(unknown), layer.name)
            bottoms, blobs, root = [unknown] * len(layer.producers), [None] * len(names), None
        whole = None if root is None else self._known[layer.producers[0]].origin.root
        if root is not None and whole is not None:
            arrived.setdefault(whole, []).append(_finite_gradient(root))
        for value, bottom in zip(layer.producers, bottoms, strict=True):
            if isinstance(bottom, NotKnown):
                self._note(str(bottom), layer.name)
            if bottom is not None and root is not None:
                self._show(value, bottom)
            elif bottom is not None:
                arrived.setdefault(value, []).append(_finite_gradient(bottom))
        for name, square in zip(names, blobs, strict=False):
            self._squares.setdefault(name, []).append(square)

    def _show(self, value: Value, gradient: Gradient | NotKnown) -> None:
        """Add a gradient to a value, and what it becomes on the way to the root, which has got the whole already."""
        for index in path_to(self._plan, value, self._known[value].origin.root):
            self._shown.setdefault(value, []).append(_finite_gradient(gradient))
            if isinstance(gradient, Gradient):
                gradient = self._before(index, gradient)
            value = self._plan.layers[index].producers[0]

    def _before(self, index: int, gradient: Gradient) -> Gradient:
        """Return the gradient before a function of each element, of which it comes to one of the tops."""
        further = (NOTHING,) * (len(self._plan.layers[index].tops) - 1)
        made = self._back[index]((gradient, *further)).bottoms[0]
        assert isinstance(made, Gradient)  # noqa: S101 - for the type checker
        return made

    def _value(self, value: Value) -> ValueSignal:
        layer, top = self._plan.layers[value.layer], self._plan.top(value)
        activation, gradient = self._known[value].activation, self._gradients.get(value)
        why = str(gradient) if isinstance(gradient, NotKnown) else None
        square = None if gradient is None or isinstance(gradient, NotKnown) else float(gradient)
        if isinstance(activation, NotKnown):
            return ValueSignal(
                value, layer.name, top.name, gradient_mean_square=square, unknown=str(activation), gradient_unknown=why
            )
        scatter = self._scatters[value]
        return ValueSignal(
            value,
            layer.name,
            top.name,
            mean=activation.mean * exp(-activation.drift / 8),
            variance=activation.variance,
            mean_square=activation.mean_square,
            gradient_mean_square=square,
            zeros=min(max(activation.all_zeros, 0.0), 1.0),
            saturated=activation.saturated,
            dead=self._dead[value],
            gradient_unknown=why,
            spread=None if scatter is None else {"mean_square": activation.mean_square * sqrt(expm1(scatter))},
        )

    def _parameter(self, blob: Blob, *, has_loss: bool) -> ParameterSignal:
        weights = self._weights[blob.name]
        gradient = None
        if has_loss:
            squares = self._squares.get(blob.name, [0.0])
            known = [square for square in squares if square is not None and isfinite(square)]
            gradient = sum(known) if len(known) == len(squares) else None
        return ParameterSignal(blob.name, None if weights is None else weights.mean_square, gradient)

    def _note(self, reason: str, layer: str) -> None:
        if reason:
            layers = self._notes.setdefault(reason, [])
            if layer not in layers:
                layers.append(layer)

    def _lines(self) -> Iterable[str]:
        """Yield a line for each reason, with the layers that it holds for."""
        for reason, layers in self._notes.items():
            named = [f"'{layer}'" for layer in layers[:4] if layer]
            more = f" and {len(layers) - 4} more" if len(layers) > 4 else ""
            where = f"layer{'s' if len(layers) > 1 else ''} {', '.join(named)}{more}: " if named else ""
            hint = f"; {option('batch', 64)} gives it" if reason == "the number of samples is not known" else ""
            yield f"Unknown: {where}{reason}{hint}."


class _BeforeError(NotKnown):
    """Something before is not known, of which a note stands there."""


def _weights(blob: Blob) -> Weights | None:
    """Return mean and variance of a blob, as its filler has them, or those of the values in the prototxt.

    None where they are not known or not finite.
    """
    if blob.mean is not None and blob.std is not None:
        weights = Weights(blob.mean, blob.std**2)
    else:
        values = np.array([] if blob.values is None else blob.values.double_data or blob.values.data, float)
        if not values.size:
            return None
        weights = Weights(float(values.mean()), float(values.var()))
    return weights if isfinite(weights.mean_square) else None


def _learned(weights: Weights | None) -> Activation:
    """Return the distribution of a blob that is a top; it is the same for all samples."""
    if weights is None:
        raise NotKnown("what its blob 0 is filled with is not known or not finite")
    mean, square = weights.mean, weights.mean_square
    return normal(Moments(mean, square, np.array([mean**2, mean**2, square, mean**2, mean**2])))


def _reason(operation: Operation) -> str:
    return unknown_reason(operation) or f"there is no rule for {type(operation).__name__}"


def _finite(top: Activation | NotKnown) -> Activation | NotKnown:
    if isinstance(top, Activation) and not (isfinite(top.mean_square) and isfinite(top.mean)):
        return NotKnown("it exceeds the range of float64")
    return top


def _finite_gradient(gradient: Gradient | NotKnown) -> Gradient | NotKnown:
    if isinstance(gradient, Gradient) and not isfinite(gradient.mean_square):
        return NotKnown("it exceeds the range of float64")
    return gradient


def _sum(gradients: Sequence[Gradient | NotKnown]) -> Gradient | NotKnown:
    """Return the sum of the gradients that arrive at a value."""
    if len(gradients) == 1:
        return gradients[0]
    unknown = next((gradient for gradient in gradients if isinstance(gradient, NotKnown)), None)
    if unknown is not None:
        return unknown
    try:
        return summed([gradient for gradient in gradients if isinstance(gradient, Gradient)]) if gradients else NOTHING
    except NotKnown as mixed:
        return mixed


def verdict(plan: NetPlan, values: Sequence[ValueSignal]) -> Verdict:
    """Return what becomes of the signal of a net.

    Args:
        plan: the net.
        values: the signal of its values.
    """
    known: Mapping[Value, ValueSignal] = {value.value: value for value in values}
    forward, backward = [], []
    for index, layer in enumerate(plan.layers):
        is_loss = any(layer.loss_weights)
        has_weights = bool(layer.blobs) and len(layer.blobs[0].shape or ()) > 1 and bool(layer.producers)
        if not (has_weights or is_loss):
            continue
        size = known[layer.producers[0]].mean_square if layer.producers else None
        if size is not None:
            forward.append(Step(layer.name, size))
        gradient = known[Value(index, 0)].gradient_mean_square if has_weights else None
        if gradient is not None:
            backward.append(Step(layer.name, gradient * _elements(plan, Value(index, 0))))
    return Verdict(trend(forward), trend(backward[::-1]))


def _elements(plan: NetPlan, value: Value) -> float:
    """Return how many elements each sample of a value has; unknown dimensions do not count."""
    return float(prod([dim for dim in (plan.top(value).shape or ())[1:] if dim is not None]))
