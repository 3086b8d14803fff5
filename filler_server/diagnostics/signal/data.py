"""Sources of data: what is taken of values that come from outside."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from google.protobuf import text_format

from caffe_filler.caffe.caffe_pb2 import FillerParameter
from filler_server.diagnostics.signal.moments import KINDS, Moments
from filler_server.diagnostics.signal.normal import ranks
from filler_server.diagnostics.signal.registry import NotKnown
from filler_server.diagnostics.signal.values import Activation, constant, normal
from filler_server.net.operations import data, recurrent
from filler_server.net.operations.meanings import (
    REARRANGES,
    ImageSize,
    Labels,
    Marks,
    Probabilities,
    Regions,
    meaning,
)
from filler_server.net.plan import NetPlan, Shape, Value


@dataclass(frozen=True, slots=True)
class InputStatistics:
    """Mean and standard deviation of inputs that are plain numbers, not labels or indices."""

    mean: float = 0.0
    std: float = 1.0


def source(plan: NetPlan, value: Value, numbers: InputStatistics) -> Activation:
    """Return the distribution of a value that comes from outside.

    Args:
        plan: the net.
        value: the value.
        numbers: those of plain numbers.

    Raises:
        NotKnown: it is not known.
    """
    operation = plan.layers[value.layer].operation
    if isinstance(operation, data.DummyData):
        text = operation.fillers[0 if len(operation.fillers) == 1 else value.top]
        return _filled(text_format.Parse(text, FillerParameter()))
    if isinstance(operation, recurrent.ContinuationIndicator):
        return _marks(plan.top(value).shape)
    for reader, bottom in _readers(plan, value):
        found = _wanted(plan, reader, bottom, plan.top(value).shape)
        if found is not None:
            return found
    return independent(numbers.mean, numbers.std)


def independent(mean: float, std: float) -> Activation:
    """Return independent normal numbers."""
    square = mean * mean
    return normal(Moments(mean, square + std * std, np.full(KINDS, square)))


def _readers(plan: NetPlan, value: Value) -> list[tuple[int, int]]:
    """Return the layers that read a value, arranged anew or not, each with the index of the bottom."""
    found: list[tuple[int, int]] = []
    values = [value]
    for same in values:
        for edge in plan.readers(same):
            found.append((edge.reader, edge.bottom))
            layer = plan.layers[edge.reader]
            if isinstance(layer.operation, REARRANGES):
                values.extend(Value(edge.reader, top) for top in range(len(layer.tops)))
    return sorted(found)


def _wanted(plan: NetPlan, reader: int, bottom: int, shape: Shape) -> Activation | None:
    """Return the distribution of a bottom that a layer takes for more than plain numbers, None for any other.

    Raises:
        NotKnown: it depends on images.
    """
    layer = plan.layers[reader]
    match meaning(layer.operation, bottom, len(layer.producers), plan.top(layer.producers[0]).shape):
        case Labels(below=number):
            return whole_numbers(number)
        case Probabilities():
            return _uniform(0.0, 1.0)
        case Marks():
            return _marks(shape)
        case Regions() | ImageSize():
            raise NotKnown("it describes images that are not known")
    return None


def whole_numbers(number: int | None) -> Activation:
    """Return whole numbers below a number, each as likely as the others."""
    if number is None:
        raise NotKnown("the number of classes is not known")
    if number <= 1:
        return constant(0.0)
    exact = Moments((number - 1) / 2, (number - 1) * (2 * number - 1) / 6, np.full(KINDS, (number - 1) ** 2 / 4))
    points = np.minimum(np.floor(ranks() * number), number - 1)
    return _exact(points, exact, zeros=1 / number)


def _uniform(low: float, high: float) -> Activation:
    return Activation(low + (high - low) * ranks(), np.zeros(KINDS))


def _marks(shape: Shape) -> Activation:
    """Return ones, and zeros in the first timestep."""
    steps = shape[0] if shape else None
    if steps is None:
        raise NotKnown("the number of timesteps is not known")
    share = 1 - 1 / max(steps, 1)
    points = np.where(ranks() < 1 - share, 0.0, 1.0)
    return _exact(points, Moments(share, share, np.full(KINDS, share * share)), zeros=1 - share)


def _exact(points: Any, moments: Moments, zeros: float) -> Activation:
    """Return a distribution of exactly these moments and this share of zeros, which the nodes have only nearly."""
    return ExactActivation(points, np.zeros(KINDS), exact=moments, share=zeros)


@dataclass(eq=False)
class ExactActivation(Activation):
    """A distribution of which moments and the share of zeros are known better than from points."""

    exact: Moments = field(default_factory=lambda: Moments(0.0, 0.0, np.zeros(KINDS)))
    share: float = 0.0

    def __post_init__(self) -> None:
        self.mean, self.mean_square, _ = self.exact

    @property
    def zeros(self) -> float:
        """The share of elements that are 0."""
        return self.share


def _filled(filler: FillerParameter) -> Activation:
    if filler.type == "constant":
        return constant(filler.value)
    if filler.type == "gaussian" and filler.sparse < 0:
        return independent(filler.mean, filler.std)
    if filler.type == "uniform":
        square = ((filler.min + filler.max) / 2) ** 2
        made = _uniform(filler.min, filler.max)
        return Activation(made.points, made.kernel.inverse(np.full(KINDS, square)))
    raise NotKnown(f"it is filled by {filler.type}")
