import numpy as np
import pytest

from caffe_filler.errors import NetError
from tests.models.reference.small import normal, top


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
@pytest.mark.parametrize("transpose", [False, True])
def test_inner_product_axes(axis: int, transpose: bool) -> None:
    x, first = normal(2, 3, 4), axis % 3
    inner = int(np.prod(x.shape[first:]))
    weight, bias = normal(5, inner), normal(5)
    fields = f"inner_product_param {{ num_output: 5 axis: {axis} transpose: {str(transpose).lower()} }}"
    got = top("InnerProduct", fields, [weight.T if transpose else weight, bias], x=x)
    assert got.shape == (*x.shape[:first], 5)
    want = np.array([[row @ x[place].reshape(-1) for row in weight] for place in np.ndindex(x.shape[:first])]) + bias
    np.testing.assert_allclose(got.reshape(want.shape), want)


def test_without_bias_and_with_weights_that_are_bottoms() -> None:
    x, weight, bias = normal(2, 3), normal(4, 3), normal(4)
    fields = "inner_product_param { num_output: 4 bias_term: false }"
    np.testing.assert_allclose(top("InnerProduct", fields, [weight], x=x), x @ weight.T)
    fields = "inner_product_param { num_output: 4 }"
    np.testing.assert_allclose(top("InnerProduct", fields, [bias], x=x, w=weight), x @ weight.T + bias)
    np.testing.assert_allclose(top("InnerProduct", fields, x=x, w=weight, b=bias), x @ weight.T + bias)


def test_a_table() -> None:
    weight, bias = normal(5, 3), normal(3)
    got = top("Embed", "embed_param { input_dim: 5 num_output: 3 }", [weight, bias], x=[[4, 0], [2.9, 2]])
    np.testing.assert_allclose(got, weight[[[4, 0], [2, 2]]] + bias)


@pytest.mark.parametrize("index", [5, -1, np.inf])
def test_rows_that_are_not_there(index: float) -> None:
    fields = "embed_param { input_dim: 5 num_output: 3 bias_term: false }"
    with pytest.raises(NetError, match="layer 'l': an index of Embed is 0 to 4"):
        top("Embed", fields, [normal(5, 3)], x=[index])
