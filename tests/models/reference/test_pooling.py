from itertools import product
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from caffe_filler.errors import NetError
from tests.models.reference.small import normal, top, tops

Array = NDArray[Any]


def looped(x: Array, kernel: tuple[int, int], stride: tuple[int, int], pad: tuple[int, int], method: str) -> Array:
    """Return a pooling of one channel, window by window, as Caffe's pooling_layer.cpp is described to do it."""
    counts = []
    for extent, size, step, border in zip(x.shape, kernel, stride, pad, strict=True):
        count = int(np.ceil((extent + 2 * border - size) / step)) + 1
        if any(pad) and (count - 1) * step >= extent + border:
            count -= 1
        counts.append(count)
    result = np.empty(counts)
    for row, column in product(*map(range, counts)):
        starts = row * stride[0] - pad[0], column * stride[1] - pad[1]
        # Padding counts in the divisor, what lies beyond it does not.
        ends = [
            min(start + size, extent + border)
            for start, size, extent, border in zip(starts, kernel, x.shape, pad, strict=True)
        ]
        size = (ends[0] - starts[0]) * (ends[1] - starts[1])
        values = [
            x[i, j]
            for i in range(max(starts[0], 0), min(ends[0], x.shape[0]))
            for j in range(max(starts[1], 0), min(ends[1], x.shape[1]))
        ]
        result[row, column] = max(values) if method == "MAX" else sum(values) / size
    return result


SIZES = [
    # Rounded up over the edge; clipped at the padded edge; and plain ones.
    ((7, 8), (3, 3), (2, 2), (0, 0)),
    ((6, 6), (3, 3), (2, 2), (0, 0)),
    ((6, 7), (3, 2), (2, 2), (1, 1)),
    ((5, 5), (2, 2), (2, 2), (1, 1)),
    ((4, 4), (3, 3), (3, 3), (1, 1)),
    ((7, 5), (3, 4), (1, 3), (2, 0)),
    ((7, 5), (3, 3), (4, 1), (2, 2)),
    ((5, 5), (5, 5), (1, 1), (4, 4)),
]


@pytest.mark.parametrize(("extents", "kernel", "stride", "pad"), SIZES)
@pytest.mark.parametrize("method", ["MAX", "AVE"])
def test_windows(
    extents: tuple[int, int], kernel: tuple[int, int], stride: tuple[int, int], pad: tuple[int, int], method: str
) -> None:
    x = normal(2, 3, *extents) - 5
    pairs = zip(("kernel", "stride", "pad"), (kernel, stride, pad), strict=True)
    sizes = " ".join(f"{name}_h: {pair[0]} {name}_w: {pair[1]}" for name, pair in pairs)
    got = top("Pooling", f"pooling_param {{ pool: {method} {sizes} }}", x=x)
    want = np.array([[looped(plane, kernel, stride, pad, method) for plane in item] for item in x])
    assert got.shape == want.shape
    np.testing.assert_allclose(got, want)


def test_places_of_the_largest_values() -> None:
    x = np.array([[1, 5, 5, 2], [5, 0, 1, 9], [3, 3, 3, 3]])[None, None]
    net = """layer { name: "p" type: "Pooling" bottom: "x" top: "y" top: "mask"
      pooling_param { kernel_size: 2 stride: 2 } }"""
    found = tops(net, x=x)
    assert found["y"].tolist() == [[[[5, 9], [3, 3]]]]
    # The first of equal values, by rows, as a flat index of the channel.
    assert found["mask"].tolist() == [[[[1, 7], [8, 10]]]]
    padded = tops(net.replace("stride: 2", "stride: 2 pad: 1"), x=normal(2, 3, 5, 6))
    assert np.array_equal(
        padded["y"].reshape(2, 3, -1),
        np.take_along_axis(normal(2, 3, 5, 6).reshape(2, 3, -1), padded["mask"].reshape(2, 3, -1).astype(int), 2),
    )


def test_global_pooling_and_rounding_down() -> None:
    x = normal(2, 3, 5, 4)
    for method, function in (("MAX", np.max), ("AVE", np.mean)):
        got = top("Pooling", f"pooling_param {{ pool: {method} global_pooling: true }}", x=x)
        np.testing.assert_allclose(got, function(x, (2, 3), keepdims=True))
    down = top("Pooling", "pooling_param { kernel_size: 3 stride: 2 round_mode: FLOOR }", x=x)
    assert down.shape == (2, 3, 2, 1)
    fork = top("Pooling", "pooling_param { kernel_size: 3 stride: 2 ceil_mode: false }", x=x)
    assert np.array_equal(fork, down)


def test_three_spatial_axes() -> None:
    x = normal(1, 2, 4, 5, 6)
    got = top("Pooling", "pooling_param { kernel_size: 2 stride: 2 }", x=x)
    assert got.shape == (1, 2, 2, 3, 3)
    assert got[0, 1, 1, 2, 0] == x[0, 1, 2:4, 4:5, 0:2].max()


def test_values_that_are_not_numbers() -> None:
    x = [[[[np.nan, -np.inf], [3, np.inf]]]]
    assert top("Pooling", "pooling_param { kernel_size: 2 }", x=x) == np.inf
    lowest = float(np.finfo(np.float32).min)
    assert top("Pooling", "pooling_param { kernel_size: 1 }", x=x).tolist() == [[[[lowest, lowest], [3, np.inf]]]]
    assert np.isnan(top("Pooling", "pooling_param { pool: AVE kernel_size: 2 }", x=x))


def test_what_is_expected_of_a_random_pooling() -> None:
    x = np.abs(normal(1, 1, 3, 3))
    got = top("Pooling", "pooling_param { pool: STOCHASTIC kernel_size: 2 stride: 2 }", x=x)
    window = x[0, 0, :2, 2:]
    assert got[0, 0, 0, 1] == pytest.approx((window**2).sum() / window.sum())
    with pytest.raises(NetError, match="draws random numbers in phase TRAIN"):
        top("Pooling", "pooling_param { pool: STOCHASTIC kernel_size: 2 }", phase="TRAIN", x=x)


@pytest.mark.parametrize("method", ["MAX", "AVE"])
@pytest.mark.parametrize("extents", [(8, 8), (7, 6), (9, 13)])
def test_pyramids(method: str, extents: tuple[int, int]) -> None:
    x = normal(2, 3, *extents)
    got = top("SPP", f"spp_param {{ pyramid_height: 3 pool: {method} }}", x=x)
    parts = []
    for bins in (1, 2, 4):
        kernel = tuple(-(-extent // bins) for extent in extents)
        pad = tuple((size * bins - extent + 1) // 2 for size, extent in zip(kernel, extents, strict=True))
        level = np.array([[looped(plane, kernel, kernel, pad, method) for plane in item] for item in x])
        parts.append(level.reshape(2, -1))
    np.testing.assert_allclose(got, np.hstack(parts))
    whole = top("SPP", "spp_param { pyramid_height: 1 }", x=x)
    assert np.array_equal(whole, x.max((2, 3), keepdims=True))


def test_an_absurd_kernel_takes_no_time() -> None:
    x = normal(1, 1, 3, 3)
    parameter = "pooling_param { kernel_size: 1000000000 pad: 999999999 stride: 1000000000 }"
    assert top("Pooling", parameter, x=x).max() == x.max()
