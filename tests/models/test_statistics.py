"""Statistics of normalizations as means rather than sums."""

import numpy as np

from filler_client._models import open_model
from filler_server.models.reference.evaluation import evaluate
from filler_server.models.statistics import with_means
from tests.models.cases import Case

SHARED = 'param { name: "m" lr_mult: 0 } param { name: "v" lr_mult: 0 } param { name: "f" lr_mult: 0 }'
MEAN = 'param { name: "dm" lr_mult: 0 } param { lr_mult: 0 } param { lr_mult: 0 }'
NET = Case(
    "statistics",
    f"BatchNorm:a x -> a {{ {SHARED} }}\nBatchNorm:b x -> b {{ {SHARED} }}\nBatchNorm:c x -> c {{}}\n"
    f"BatchNorm:d x -> d {{ {MEAN} }}\nBatchNorm:e x -> e {{ {MEAN} }}",
    {"x": (2, 3, 4)},
    zero=("c/2",),
)


def test_means_compute_the_same() -> None:
    weights, inputs = NET.weights(), NET.values()
    weights["e/0"] = weights["d/0"]
    with open_model(NET.net, weights) as model:
        graph = with_means(model.graph)
        want, got = evaluate(model.graph, inputs), evaluate(graph, inputs)
        arrays = {name: tensor.array() for name, tensor in graph.tensors.items()}
    for name, values in want.items():
        np.testing.assert_allclose(got[name], values, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(arrays["a/1"], weights["a/1"] / weights["a/2"], rtol=1e-6)
    assert arrays["a/2"] == 1
    # A factor of 0, and a mean shared by two of different factors, stay as they are.
    for name in ("c/0", "c/2", "d/0", "d/1", "d/2", "e/2"):
        np.testing.assert_array_equal(arrays[name], weights[name])
