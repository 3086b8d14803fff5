import numpy as np
import pytest

from caffe_filler.errors import NetError
from tests.models.reference.small import normal, top, tops


def test_eltwise_coefficients() -> None:
    a, b, c = (normal(2, 3, seed=seed) for seed in range(3))
    np.testing.assert_allclose(top("Eltwise", a=a, b=b, c=c), a + b + c)
    fields = "eltwise_param { operation: SUM coeff: 2 coeff: -1 coeff: 0 }"
    np.testing.assert_allclose(top("Eltwise", fields, a=a, b=b, c=c), 2 * a - b)
    np.testing.assert_allclose(top("Eltwise", "eltwise_param { operation: PROD }", a=a, b=b, c=c), a * b * c)
    largest = top("Eltwise", "eltwise_param { operation: MAX }", a=a, b=b, c=c)
    assert np.array_equal(largest, np.max([a, b, c], 0))


def test_nan_in_a_largest_value() -> None:
    # As `a > b ? a : b` has it.
    got = top("Eltwise", "eltwise_param { operation: MAX }", a=[np.nan, 1], b=[2, np.nan])
    assert got[0] == 2
    assert np.isnan(got[1])
    # As `c > most ? c : most` has it.
    got = top("Eltwise", "eltwise_param { operation: MAX }", a=[1, np.nan, 2], b=[2, 1, np.nan], c=[np.nan, 3, 4])
    assert got[:2].tolist() == [2, 3]
    assert np.isnan(got[2])


def test_an_item_that_stands_for_all() -> None:
    a, b = normal(4, 3), normal(1, 3)
    np.testing.assert_allclose(top("Eltwise", "eltwise_param { allow_single_batch_input: true }", a=a, b=b), a + b)


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
@pytest.mark.parametrize("operation", ["SUM", "ASUM", "SUMSQ", "MEAN"])
def test_reductions(operation: str, axis: int) -> None:
    x = normal(2, 3, 4)
    got = top("Reduction", f"reduction_param {{ operation: {operation} axis: {axis} coeff: 0.5 }}", x=x)
    function = {"SUM": np.sum, "ASUM": lambda x: np.abs(x).sum(), "SUMSQ": lambda x: (x**2).sum(), "MEAN": np.mean}
    first = axis % 3
    want = np.array([0.5 * function[operation](x[place]) for place in np.ndindex(x.shape[:first])])
    assert got.shape == x.shape[:first]
    np.testing.assert_allclose(got.reshape(-1), want)


def test_the_largest_places() -> None:
    x = [[3, 1, 3, 2], [0, 5, 5, 5]]
    assert top("ArgMax", x=x).tolist() == [[[2]], [[3]]]
    both = top("ArgMax", "argmax_param { top_k: 2 out_max_val: true }", x=x)
    assert both.tolist() == [[[2, 0], [3, 3]], [[3, 2], [5, 5]]]
    assert top("ArgMax", "argmax_param { axis: 1 top_k: 3 }", x=x).tolist() == [[2, 0, 3], [3, 2, 1]]
    assert top("ArgMax", "argmax_param { axis: 0 out_max_val: true }", x=x).tolist() == [[3, 5, 5, 5]]
    assert top("ArgMax", "argmax_param { axis: 0 }", x=x).tolist() == [[0, 1, 1, 1]]
    assert top("ArgMax", x=normal(2, 3, 4, 5, 6)).shape == (2, 1, 1, 1, 1)


def test_chosen_items() -> None:
    x, y = normal(4, 2), normal(4)
    assert np.array_equal(top("BatchReindex", x=x, index=[3, 0, 3]), x[[3, 0, 3]])
    net = 'layer { name: "f" type: "Filter" bottom: "x" bottom: "y" bottom: "s" top: "a" top: "b" }'
    found = tops(net, x=x, y=y, s=[0, 1, 0, -2])
    assert np.array_equal(found["a"], x[[1, 3]])
    assert np.array_equal(found["b"], y[[1, 3]])
    assert tops(net, x=x, y=y, s=[0] * 4)["a"].shape == (0, 2)


@pytest.mark.parametrize("index", [4, -1, np.nan])
def test_items_that_are_not_there(index: float) -> None:
    with pytest.raises(NetError, match=r"layer 'l': an index of an item is 0 to 3\. Received: "):
        top("BatchReindex", x=normal(4, 2), index=[0, index])
