"""The project's own nets: every value of them, in PyTorch and by the reference evaluator."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from filler_client._models import open_model
from filler_server.models.graph import Graph
from filler_server.models.reference.evaluation import evaluate
from filler_server.models.sources import constant_inputs
from tests.models.torch.running import load_net, planned, random_weights, torch

pytestmark = pytest.mark.frameworks

IMAGE = {"data": (1, 3, 224, 224)}
NETS: dict[str, dict[str, tuple[int, ...]]] = {
    "alexnet_deploy": {"data": (1, 3, 227, 227)},
    "bias": {},
    "caffenet_deploy": {"data": (1, 3, 227, 227)},
    "char_rnn": {},
    "cifar10_full_train_test": {"data": (2, 3, 32, 32), "label": (2,)},
    "cifar10_quick_train_test": {"data": (2, 3, 32, 32), "label": (2,)},
    "embed": {},
    "googlenet_deploy": IMAGE,
    "in_place": {},
    "inline_blobs": {},
    "lenet": {},
    "lenet_train_test": {"data": (2, 1, 28, 28), "label": (2,)},
    "mobilenet_v1": IMAGE,
    "parameter": {},
    "prelu": {},
    "resnet50": IMAGE,
    "scale": {},
    "shared_three_ways": {},
    "siamese_mnist": {"pair_data": (2, 2, 28, 28), "sim": (2,)},
    "squeezenet_v1_0": IMAGE,
    "squeezenet_v1_1_deploy": IMAGE,
}
SLOW: dict[str, dict[str, tuple[int, ...]]] = {
    "crnn_static_lstm": {},
    "fcn8s": {"data": (1, 3, 64, 64)},
    "lrcn_caption": {},
    "resnet152": IMAGE,
    "vgg16_deploy": IMAGE,
}


def values_of(graph: Graph) -> dict[str, NDArray[np.float32]]:
    """Values for the inputs of a net: what stands for labels, words and sequences is 0 or 1."""
    rng = np.random.default_rng(1)
    whole = ("label", "sim", "cont", "sentence", "tokens", "index", "word", "char")
    return {
        name: (
            rng.integers(0, 2, graph.shape(name))
            if any(part in name for part in whole)
            else rng.standard_normal(graph.shape(name))
        ).astype(np.float32)
        for name in graph.inputs
    }


def compare(net: Path, inputs: dict[str, tuple[int, ...]]) -> None:
    plan = planned(net, inputs=inputs)
    weights = random_weights(plan)
    given = constant_inputs(plan)
    with open_model(net, weights or None, inputs=inputs) as model:
        values = [name for name in model.graph.shapes if name not in model.graph.inputs]
    with open_model(net, weights or None, inputs=inputs, tops=values) as model:
        arrays = {**values_of(model.graph), **given}
        want = evaluate(model.graph, arrays, np.float32)
        inside = load_net(net, weights or None, inputs=inputs, tops=values)
    with torch.no_grad():
        got = inside(*(torch.from_numpy(arrays[name]) for name in model.graph.inputs if name not in given))
        outputs = load_net(net, weights or None, inputs=inputs)(
            *(torch.from_numpy(arrays[name]) for name in model.graph.inputs if name not in given)
        )
    assert list(got) == values
    for name, array in want.items():
        scale = np.abs(array).max()
        np.testing.assert_allclose(got[name].detach().numpy(), array, rtol=1e-3, atol=1e-4 * scale, err_msg=name)
    for name, value in outputs.items():
        torch.testing.assert_close(value, got[name], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", NETS)
def test_every_value_is_the_same(nets: Path, name: str) -> None:
    compare(nets / f"{name}.prototxt", NETS[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", SLOW)
def test_every_value_of_a_large_net_is_the_same(nets: Path, name: str) -> None:
    compare(nets / f"{name}.prototxt", SLOW[name])
