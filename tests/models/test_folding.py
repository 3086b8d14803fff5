"""Nets with normalizations folded into weights against the same nets without."""

import numpy as np
import pytest

from filler_client._models import open_model
from filler_server.models.folding import fold_batch_norm
from filler_server.models.reference.evaluation import evaluate
from tests.models.cases import Case

_X = {"x": (2, 4, 5, 6)}
_CONV = "Convolution:conv x -> a { convolution_param { num_output: 6 kernel_size: 3 group: 2 } }"
_WITHOUT_BIAS = "Convolution:conv x -> a { convolution_param { num_output: 6 kernel_size: 3 bias_term: false } }"
_SHARED = 'x -> {} {{ param {{ name: "w" }} convolution_param {{ num_output: 4 kernel_size: 1 bias_term: false }} }}'
_DECONV = "Deconvolution:deconv x -> a { convolution_param { num_output: 6 kernel_size: 2 stride: 2 group: 2 } }"
_BN = "BatchNorm:bn a -> b {}"
_SCALE = "Scale:scale b -> c { scale_param { bias_term: true } }"

FOLDED = [
    Case("all", f"{_CONV}\n{_BN}\n{_SCALE}\nReLU:relu c -> y {{}}", _X),
    Case("no_bias", f"{_WITHOUT_BIAS}\n{_BN}\n{_SCALE}", _X),
    Case("in_place", f"{_CONV}\nBatchNorm:bn a -> a {{}}\nScale:scale a -> a {{}}\nBias:bias a -> a {{}}", _X),
    Case("factor_0", f"{_CONV}\n{_BN}", _X, zero=("bn/2",)),
    Case("deconvolution", f"{_DECONV}\n{_BN}\n{_SCALE}", _X),
    Case("bn", f"{_CONV}\nBN:bn a -> b {{ bn_param {{ momentum: 0.9 eps: 0.01 }} }}", _X),
    Case("scale_bias", f"{_CONV}\nBatchNorm:bn a -> b {{ batch_norm_param {{ scale_bias: true }} }}", _X),
    Case("product", f"InnerProduct:ip x -> a {{ inner_product_param {{ num_output: 5 }} }}\n{_BN}\n{_SCALE}", _X),
    Case(
        "transposed",
        f"InnerProduct:ip x -> a {{ inner_product_param {{ num_output: 5 transpose: true bias_term: false }} }}\n{_BN}",
        _X,
    ),
    Case("volume", f"{_CONV}\n{_BN}", {"x": (1, 4, 3, 4, 5)}),
]
KEPT = [
    Case("read_twice", f"{_CONV}\n{_BN}\nReLU:relu a -> z {{}}", _X),
    Case(
        "of_the_batch",
        f"{_CONV}\nBatchNorm:bn a -> b {{ batch_norm_param {{ use_global_stats: false }} }}",
        _X,
    ),
    Case("after_an_activation", f"{_CONV}\nReLU:relu a -> r {{}}\nBatchNorm:bn r -> b {{}}", _X),
    Case("along_another_axis", f"{_CONV}\nScale:scale a -> b {{ scale_param {{ axis: 2 }} }}", _X),
    Case("along_more_axes", f"{_CONV}\nScale:scale a -> b {{ scale_param {{ axis: 1 num_axes: 2 }} }}", _X),
    Case("by_a_bottom", f"{_CONV}\nScale:scale a,s -> b {{ scale_param {{ axis: 0 }} }}", {**_X, "s": (2, 6)}),
    Case(
        "of_a_product_of_steps", "InnerProduct:ip x -> a { inner_product_param { num_output: 5 axis: 2 } }\n" + _BN, _X
    ),
    Case(
        "shared",
        f"Convolution:c1 {_SHARED.format('a')}\nConvolution:c2 {_SHARED.format('z')}\n{_BN}",
        _X,
    ),
]


@pytest.mark.parametrize("case", FOLDED, ids=[case.name for case in FOLDED])
def test_a_folded_net_computes_the_same(case: Case) -> None:
    with open_model(case.net, case.weights()) as model:
        folded = fold_batch_norm(model.graph)
        names = [node.name for node in model.graph.nodes]
        assert [node.name for node in folded.graph.nodes] == [names[0], *[name for name in names if name == "relu"]]
        assert set(folded.layers.values()) == {names[0]}
        want, got = (evaluate(graph, case.values()) for graph in (model.graph, folded.graph))
    assert list(got) == list(want)
    for name, values in want.items():
        np.testing.assert_allclose(got[name], values, rtol=1e-5, atol=1e-5 * np.abs(values).max())


@pytest.mark.parametrize("case", KEPT, ids=[case.name for case in KEPT])
def test_what_cannot_be_folded_stays(case: Case) -> None:
    with open_model(case.net, case.weights()) as model:
        folded = fold_batch_norm(model.graph)
        assert folded.graph is model.graph
        assert folded.layers == {}


def test_a_value_that_is_wanted_stays() -> None:
    case = FOLDED[0]
    with open_model(case.net, case.weights(), tops=["b", "y"]) as model:
        folded = fold_batch_norm(model.graph)
        assert [node.name for node in folded.graph.nodes] == ["conv", "scale", "relu"]
        want, got = (evaluate(graph, case.values()) for graph in (model.graph, folded.graph))
    for name, values in want.items():
        np.testing.assert_allclose(got[name], values, rtol=1e-5, atol=1e-4)
