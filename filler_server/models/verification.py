"""A model of any runtime against the reference evaluator, value by value.

What a runtime computes in single precision differs from what the reference computes in double, and the deeper the net
and the steeper its layers, the more: where a largest value is chosen, a rounding error decides which. So a value passes
that is near to that of the reference, or else if its layer alone is: computed by the reference from what the runtime
itself has for its bottoms.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from filler_server.models.graph import Graph, Node, wanted
from filler_server.models.reference.evaluation import compute, forward

TOLERANCE = 1e-4
"""The largest error that a value may have, in units of its largest number."""

_HELD_BYTES = 512 << 20
"""Length of the values that a runtime is asked for at once."""

Arrays = Mapping[str, NDArray[Any]]


class Runtime(Protocol):
    """A library that computes a model.

    Attributes:
        name: what it is, with its version.
        values: names of the values of the graph that it tells, with those of the outputs.
    """

    name: str
    values: frozenset[str]

    def compute(self, inputs: Arrays, names: Sequence[str]) -> Arrays:
        """Return some values."""
        ...


@dataclass(frozen=True, slots=True)
class Difference:
    """The difference of one value.

    Attributes:
        value: its name.
        layer: name of the layer that makes it.
        type: Caffe's name of the type of that layer.
        shape: what the runtime has.
        largest: the largest number of the reference, without sign.
        absolute: the largest error; infinite where the shapes differ, or one is a number and the other is none.
        alone: the largest error of the layer alone, where that was looked at.
    """

    value: str
    layer: str
    type: str
    shape: tuple[int, ...]
    largest: float
    absolute: float
    alone: float | None = None

    @property
    def relative(self) -> float:
        """The largest error in units of the largest number."""
        return self.absolute / self.largest if self.largest else self.absolute

    def passes(self, tolerance: float) -> bool:
        """Whether the value, or its layer alone, is near enough."""
        scale = self.largest or 1.0
        errors = [self.absolute] if self.alone is None else [self.absolute, self.alone]
        return min(errors) <= tolerance * scale

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain values, which JSON can hold."""
        return {
            "top": self.value,
            "layer": self.layer,
            "type": self.type,
            "shape": list(self.shape),
            "largest": _plain(self.largest),
            "absolute": _plain(self.absolute),
            "relative": _plain(self.relative),
            **({} if self.alone is None else {"alone": _plain(self.alone)}),
        }


@dataclass(frozen=True, slots=True)
class Verification:
    """The comparison of a runtime with the reference.

    Attributes:
        runtime: name of the runtime.
        inputs: shapes of the inputs, by their names.
        differences: of each value that both have, in the order of the net.
        tolerance: what an error may be.
    """

    runtime: str
    inputs: Mapping[str, tuple[int, ...]]
    differences: tuple[Difference, ...]
    tolerance: float

    @property
    def failures(self) -> tuple[Difference, ...]:
        """The differences that are too large."""
        return tuple(difference for difference in self.differences if not difference.passes(self.tolerance))

    @property
    def worst(self) -> Difference | None:
        """The largest difference, None where there is none at all."""
        return max(self.differences, key=lambda difference: difference.relative, default=None)

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain values, which JSON can hold."""
        return {
            "runtime": self.runtime,
            "passed": bool(self.differences) and not self.failures,
            "tolerance": self.tolerance,
            "inputs": {name: list(shape) for name, shape in self.inputs.items()},
            "tops": [difference.as_dict() for difference in self.differences],
        }


def verify(
    graph: Graph, runtimes: Sequence[Runtime], inputs: Arrays, tolerance: float = TOLERANCE
) -> list[Verification]:
    """Compare what runtimes compute with what the reference does, each value that both have.

    Args:
        graph: what the models compute.
        runtimes: the runtimes.
        inputs: values of the inputs.
        tolerance: what the largest error of a value may be, in units of its largest number.

    Raises:
        NetError: the reference cannot compute a layer.
        LimitExceeded: it would take more memory than the machine has.
    """
    # A model takes inputs, too, that nothing reads.
    single = {name: np.asarray(values, np.float32) for name, values in inputs.items() if name in graph.inputs}
    # Layers without tops compute nothing.
    graph = wanted(graph, graph.outputs)
    makers = {top: node for node in graph.nodes for top in node.tops}
    told = [_Told(runtime, graph, single) for runtime in runtimes]
    found: list[list[Difference]] = [[] for _ in runtimes]
    for name, want in forward(graph, {name: single[name] for name in graph.inputs}):
        if name not in makers:
            continue
        for values, differences in zip(told, found, strict=True):
            if name in values.runtime.values:
                differences.append(_difference(graph, makers[name], name, values, want, tolerance))
    shapes = {name: values.shape for name, values in single.items()}
    return [
        Verification(runtime.name, shapes, tuple(differences), tolerance)
        for runtime, differences in zip(runtimes, found, strict=True)
    ]


class _Told:
    """Values of a runtime, asked for as they are needed, some at once, and held until others are."""

    def __init__(self, runtime: Runtime, graph: Graph, inputs: Arrays) -> None:
        self.runtime = runtime
        self.inputs = inputs
        names = [top for node in graph.nodes for top in node.tops if top in runtime.values]
        self._groups = list(_groups(graph, names))
        self._values: dict[str, NDArray[Any]] = {}

    def value(self, name: str) -> NDArray[Any]:
        """Return a value; values are asked for in the order of the graph."""
        if name not in self._values:
            self._values = dict(self.runtime.compute(self.inputs, self._groups.pop(0)))
        return self._values[name]

    def bottoms(self, node: Node) -> dict[str, NDArray[Any]]:
        """Return the bottoms of a node that is at hand, computed anew where they are not held any more."""
        held = {**self.inputs, **self._values}
        missing = [bottom for bottom in dict.fromkeys(node.bottoms) if bottom not in held]
        if missing:
            held.update(self.runtime.compute(self.inputs, missing))
        return {bottom: held[bottom] for bottom in node.bottoms}


def _groups(graph: Graph, names: Sequence[str]) -> Iterator[list[str]]:
    """Yield names of values that can be held at once."""
    group: list[str] = []
    held = 0
    for name in names:
        size = 4
        for dim in graph.shapes[name] or ():
            size *= dim or 1
        if group and held + size > _HELD_BYTES:
            yield group
            group, held = [], 0
        group.append(name)
        held += size
    if group:
        yield group


def _difference(graph: Graph, node: Node, name: str, told: _Told, want: NDArray[Any], tolerance: float) -> Difference:
    got = told.value(name)
    found = Difference(name, node.name, node.type, got.shape, _largest(want), _error(got, want))
    if found.passes(tolerance):
        return found
    readable = told.runtime.values | set(graph.inputs)
    if not node.bottoms or not readable.issuperset(node.bottoms):
        return found
    wide = {bottom: np.asarray(values, np.float64) for bottom, values in told.bottoms(node).items()}
    with np.errstate(all="ignore"):
        alone = compute(graph, node, wide, np.dtype(np.float64))[node.tops.index(name)]
    return Difference(
        name, node.name, node.type, got.shape, max(found.largest, _largest(alone)), found.absolute, _error(got, alone)
    )


def _largest(values: NDArray[Any]) -> float:
    finite = np.abs(values[np.isfinite(values)])
    return float(finite.max()) if finite.size else 0.0


def _error(got: NDArray[Any], want: NDArray[Any]) -> float:
    """Return the largest absolute error; infinities and NaN must be the same in both."""
    if got.shape != want.shape:
        return float("inf")
    wide = got.astype(np.float64)
    same = (wide == want) | (np.isnan(wide) & np.isnan(want))
    if same.all():
        return 0.0
    with np.errstate(all="ignore"):
        errors = np.abs(wide - want)[~same]
    return float("inf") if np.isnan(errors).any() else float(errors.max())


def _plain(number: float) -> float | str:
    """Return a number as JSON can hold it."""
    return number if isfinite(number) else str(number)
