"""Verdict on a net: whether its signal keeps its size on the way through its layers with weights.

Forward it is the mean square of what comes into each of these layers, and into the losses. Backward it is the square of
the length of the gradient at their tops, over all elements of a sample, as a layer of more elements spreads it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

FACTOR = 1e3
"""Ratio up to which mean squares may differ from the first one for a signal that keeps its size."""

Course: TypeAlias = Literal["keeps", "vanishes", "explodes", "dies", "unknown"]


class Step(NamedTuple):
    """Signal at a layer: the layer's name, and its size."""

    layer: str
    size: float


@dataclass(frozen=True, slots=True)
class Trend:
    """Course of a signal.

    Attributes:
        course: keeps, vanishes, explodes, dies (is 0), or unknown.
        layer: the layer from which on it is far from the first one.
        factor: by how much the last mean square is larger than the first.
    """

    course: Course
    layer: str | None = None
    factor: float | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """Courses of the signal.

    Attributes:
        forward: from the data to the loss.
        backward: from the loss to the data.
    """

    forward: Trend
    backward: Trend

    @property
    def sentences(self) -> tuple[str, ...]:
        """The verdict in plain words."""
        return (_sentence("Forward, the signal", self.forward), _sentence("Backward, the gradient", self.backward))


def trend(steps: Sequence[Step]) -> Trend:
    """Return the course of a signal, in the order in which it goes through layers."""
    if len(steps) < 2:
        return Trend("unknown")
    first, last = steps[0].size, steps[-1].size
    if not first:
        return Trend("dies", steps[0].layer, 0.0)
    if not last:
        layer = next(step.layer for index, step in enumerate(steps) if not any(later.size for later in steps[index:]))
        return Trend("dies", layer, 0.0)
    factor = last / first
    if 1 / FACTOR < factor < FACTOR:
        return Trend("keeps", None, factor)

    def is_far(size: float) -> bool:
        return size >= FACTOR * first if factor > 1 else size <= first / FACTOR

    layer = next(step.layer for index, step in enumerate(steps) if all(is_far(later.size) for later in steps[index:]))
    return Trend("explodes" if factor > 1 else "vanishes", layer, factor)


def _sentence(subject: str, trend: Trend) -> str:
    match trend.course:
        case "unknown":
            return f"{subject} is not known over two layers with weights."
        case "dies":
            return f"{subject} dies: it is 0 from '{trend.layer}' on."
        case "keeps":
            return f"{subject} keeps its size: mean square times {trend.factor:.2g}."
        case "vanishes":
            return f"{subject} vanishes from '{trend.layer}' on: mean square times {trend.factor:.2g}."
    return f"{subject} explodes from '{trend.layer}' on: mean square times {trend.factor:.2g}."
