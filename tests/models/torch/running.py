"""Modules of PyTorch as a user has them, and what they are compared with."""

from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from filler_client import FillerClient
from filler_client._models import open_model
from filler_client._requests import NetLike
from filler_server.models.graph import Graph, check, graph
from filler_server.models.reference.evaluation import evaluate
from filler_server.net.plan import NetPlan
from filler_server.tensors import ArrayTensor

# Whoever imports this is skipped where it is not installed.
torch = pytest.importorskip("torch")

from filler_client.torch import load_net  # noqa: E402

Arrays = Mapping[str, NDArray[Any]]
EPSILON = 1e-6
"""Both sides compute in float64, with constants of 32 bits."""


def planned(net: NetLike, phase: str = "TEST", **options: Any) -> NetPlan:
    """The plan of a net."""
    return FillerClient.embedded().plan_net(net, phase=phase, **options)


def random_weights(plan: NetPlan, seed: int = 1) -> dict[str, NDArray[Any]]:
    """Values for the blobs of a net: positive, so that they may be variances, and small where many are summed up."""
    rng = np.random.default_rng(seed)
    values: dict[str, NDArray[Any]] = {}
    for blob in plan.blobs:
        shape = blob.known_shape
        assert shape is not None
        if blob.owner is None:
            values[blob.name] = np.asarray((0.1 + rng.random(shape)) / prod(shape[1:]), np.float32)
        else:
            values[blob.name] = values[blob.owner].reshape(shape)
    return values


def random_inputs(part: Graph, seed: int = 2, **given: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """Values for the inputs of a graph, besides those that are given."""
    rng = np.random.default_rng(seed)
    return {name: given.get(name, rng.standard_normal(part.shape(name))) for name in part.inputs}


def compare(net: str, *, training: bool = False, weights: Arrays | None = None, **given: NDArray[Any]) -> Any:
    """Compute a net in PyTorch and by the reference evaluator, make sure that they agree, and return the module.

    Both compute once all values, and once the outputs alone.
    """
    plan = planned(net, "TRAIN" if training else "TEST")
    values = random_weights(plan) if weights is None else dict(weights)
    whole = graph(plan, {})
    _compare(plan, values, [value for value in whole.shapes if value not in whole.inputs], net, given)
    return _compare(plan, values, None, net, given)


def _compare(plan: NetPlan, values: Arrays, tops: list[str] | None, net: str, given: Arrays) -> Any:
    with open_model(net, values or None, phase=plan.phase, tops=tops) as model:
        inputs = random_inputs(model.graph, **given)
        want = evaluate(model.graph, inputs)
    module = load_net(net, values or None, phase=plan.phase, tops=tops).double()
    got = module(*(torch.from_numpy(inputs[name]) for name in model.graph.inputs))
    assert list(got) == list(want)
    for top, array in want.items():
        assert got[top].shape == array.shape, top
        np.testing.assert_allclose(got[top].detach().numpy(), array, rtol=EPSILON, atol=EPSILON, err_msg=top)
    return module


def graph_of(net: str, phase: str = "TEST", **options: Any) -> Graph:
    """A net as a graph, with random weights."""
    plan = planned(net, phase, **options)
    return check(graph(plan, {name: ArrayTensor(name, array) for name, array in random_weights(plan).items()}))
