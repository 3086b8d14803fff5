"""Comparisons of runtimes with the reference."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from filler_client._models import open_model
from filler_server.models.graph import Graph
from filler_server.models.reference.evaluation import forward
from filler_server.models.verification import Verification, verify

NET = """
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 2 dim: 3 } } }
layer { name: "scale" type: "Power" bottom: "data" top: "x" power_param { scale: 3 } }
layer { name: "step" type: "Threshold" bottom: "x" top: "y" }
layer { name: "sum" type: "Reduction" bottom: "y" top: "z" }
"""
Change = Callable[[str, NDArray[Any]], NDArray[Any]]


class Changed:
    """The reference itself in single precision, whose values are changed on their way."""

    def __init__(self, graph: Graph, change: Change, values: Sequence[str] = ("x", "y", "z")) -> None:
        self.name = "Changed 1"
        self.values = frozenset(values)
        self._graph, self._change = graph, change

    def compute(self, inputs: Mapping[str, NDArray[Any]], names: Sequence[str]) -> Mapping[str, NDArray[Any]]:
        """Return some values."""
        found = dict(forward(self._graph, inputs, np.float32))
        return {name: self._change(name, found[name]) for name in names}


@pytest.fixture
def graph() -> Graph:
    with open_model(NET) as model:
        return model.graph


def verified(graph: Graph, change: Change, data: Sequence[float] = (-1, 0, 1, 2, 3, -4)) -> Verification:
    inputs = {"data": np.reshape(data, (2, 3)), "other": np.zeros(3)}
    (found,) = verify(graph, [Changed(graph, change)], inputs)
    return found


def test_a_model_gets_inputs_that_nothing_reads() -> None:
    class Other(Changed):
        def compute(self, inputs: Mapping[str, NDArray[Any]], names: Sequence[str]) -> Mapping[str, NDArray[Any]]:
            assert sorted(inputs) == ["data", "unread"]
            return super().compute({"data": inputs["data"]}, names)

    unread = 'layer { name: "more" type: "Input" top: "unread" input_param { shape { dim: 4 } } }'
    with open_model(unread + NET) as model, open_model(NET) as read:
        inputs = {"data": np.ones((2, 3)), "unread": np.ones(4)}
        (found,) = verify(model.graph, [Other(read.graph, lambda name, values: values)], inputs)
    assert found.inputs == {"data": (2, 3), "unread": (4,)}
    assert [one.absolute for one in found.differences] == [0, 0, 0]


def test_what_is_equal(graph: Graph) -> None:
    found = verified(graph, lambda name, values: values)
    assert [(one.value, one.layer, one.type, one.shape) for one in found.differences] == [
        ("x", "scale", "Power", (2, 3)),
        ("y", "step", "Threshold", (2, 3)),
        ("z", "sum", "Reduction", ()),
    ]
    assert [one.absolute for one in found.differences] == [0, 0, 0]
    assert found.failures == ()
    assert found.inputs == {"data": (2, 3)}


def test_a_small_error_passes_and_a_large_one_does_not(graph: Graph) -> None:
    assert verified(graph, lambda name, values: values + 1e-3 * (name == "x")).failures == ()
    found = verified(graph, lambda name, values: values + 1e-2 * (name == "x"))
    assert [one.value for one in found.failures] == ["x"]
    assert found.worst is found.failures[0]
    assert found.failures[0].relative == pytest.approx(1e-2 / 12, rel=1e-3)
    assert found.failures[0].alone == pytest.approx(1e-2, rel=1e-3)


def test_an_error_that_a_layer_makes_larger_is_not_its_own(graph: Graph) -> None:
    # On the other side of the threshold by a rounding error.
    found = verified(
        graph, lambda name, values: values if name != "x" else values - 2e-5, data=(1e-5 / 3, 1, 1, 1, 1, 1)
    )
    assert found.failures == ()
    step = found.differences[1]
    assert (step.absolute, step.alone) == (0, None)

    def changed(name: str, values: NDArray[Any]) -> NDArray[Any]:
        # On the other side of the threshold by a rounding error.
        moved = np.float32([[1e-5, 3, 3], [3, 3, 3]]) - np.float32(2e-5)
        return {"x": moved, "y": (moved > 0).astype(np.float32), "z": np.float32(5)}[name]

    found = verified(graph, changed, data=(1e-5 / 3, 1, 1, 1, 1, 1))
    assert [(one.value, one.absolute, one.alone) for one in found.differences[1:]] == [("y", 1, 0), ("z", 1, 0)]
    assert found.failures == ()
    wrong = verified(graph, lambda name, values: changed(name, values) + (name == "y"), data=(1e-5 / 3, 1, 1, 1, 1, 1))
    assert [one.value for one in wrong.failures] == ["y", "z"]


@pytest.mark.parametrize(
    ("change", "failures"),
    [
        (lambda name, values: values[:1] if name == "x" else values, ["x"]),
        (lambda name, values: np.where(values == 3, np.nan, values) if name == "x" else values, ["x"]),
        (lambda name, values: np.where(values == 3, np.inf, values) if name == "x" else values, ["x"]),
    ],
)
def test_other_shapes_and_what_is_no_number(graph: Graph, change: Change, failures: list[str]) -> None:
    found = verified(graph, change)
    assert [one.value for one in found.failures] == failures
    assert found.failures[0].absolute == np.inf
    document = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert document["passed"] is False
    assert document["tops"][0]["absolute"] == "inf"


def test_the_same_infinities_are_no_difference(graph: Graph) -> None:
    assert verified(graph, lambda name, values: values, data=(np.inf, np.nan, 1, 2, 3, 4)).failures == ()


def test_a_runtime_that_tells_nothing_has_not_passed(graph: Graph) -> None:
    (found,) = verify(graph, [Changed(graph, lambda name, values: values, values=())], {"data": np.zeros((2, 3))})
    assert found.worst is None
    assert found.as_dict()["passed"] is False


class Watched(Changed):
    """One that notes which values it is asked for."""

    def __init__(self, graph: Graph, change: Change) -> None:
        super().__init__(graph, change)
        self.asked: list[list[str]] = []

    def compute(self, inputs: Mapping[str, NDArray[Any]], names: Sequence[str]) -> Mapping[str, NDArray[Any]]:
        """Return some values."""
        self.asked.append(list(names))
        return super().compute(inputs, names)


def test_values_are_asked_for_in_groups(graph: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("filler_server.models.verification._HELD_BYTES", 30)
    runtime = Watched(graph, lambda name, values: values)
    verify(graph, [runtime], {"data": np.zeros((2, 3))})
    assert runtime.asked == [["x"], ["y", "z"]]


def test_values_that_are_wrong_are_not_asked_for_anew(graph: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = Watched(graph, lambda name, values: values + 1)
    verify(graph, [runtime], {"data": np.zeros((2, 3))})
    assert runtime.asked == [["x", "y", "z"]]
    monkeypatch.setattr("filler_server.models.verification._HELD_BYTES", 30)
    runtime = Watched(graph, lambda name, values: values + 1)
    verify(graph, [runtime], {"data": np.zeros((2, 3))})
    # The bottom of y is not held any more.
    assert runtime.asked == [["x"], ["y", "z"], ["x"]]
