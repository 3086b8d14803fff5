from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import signal

from filler_server.models.reference import convolution
from tests.models.reference.small import normal, top, tops

Array = NDArray[Any]


def fields(number: int, **sizes: Sequence[int] | int) -> str:
    """Return a convolution_param."""
    each = " ".join(
        f"{name}: {size}" for name, given in sizes.items() for size in ([given] if isinstance(given, int) else given)
    )
    return f"convolution_param {{ num_output: {number} {each} }}"


def looped(
    x: Array, weight: Array, stride: Sequence[int], pad: Sequence[int], dilation: Sequence[int], group: int
) -> Array:
    """Return a convolution of [C, *spatial], window by window."""
    padded = np.pad(x, [(0, 0), *((size, size) for size in pad)])
    kernel = weight.shape[2:]
    reach = [gap * (size - 1) + 1 for size, gap in zip(kernel, dilation, strict=True)]
    extents = [(extent - far) // step + 1 for extent, far, step in zip(padded.shape[1:], reach, stride, strict=True)]
    result = np.zeros((len(weight), *extents))
    inputs, outputs = weight.shape[1], len(weight) // group
    for output, *place in product(range(len(weight)), *map(range, extents)):
        first = output // outputs * inputs
        window = tuple(
            slice(at * step, at * step + far, gap)
            for at, step, far, gap in zip(place, stride, reach, dilation, strict=True)
        )
        result[(output, *place)] = (padded[(slice(first, first + inputs), *window)] * weight[output]).sum()
    return result


CASES = [
    # channels, spatial, num_output, kernel, stride, pad, dilation, group
    (3, (7,), 2, (3,), (1,), (0,), (1,), 1),
    (3, (7, 6), 4, (3, 2), (2, 1), (1, 0), (1, 1), 1),
    (4, (9, 8), 6, (3, 3), (2, 3), (2, 1), (2, 1), 2),
    (4, (5, 5), 4, (1, 1), (1, 1), (0, 0), (1, 1), 1),
    (4, (5, 5), 8, (3, 3), (1, 1), (1, 1), (1, 1), 4),
    (4, (7, 7), 4, (3, 3), (2, 2), (1, 1), (2, 2), 4),
    (2, (4, 5, 6), 3, (2, 3, 2), (1, 2, 2), (1, 0, 1), (2, 1, 1), 1),
]


@pytest.mark.parametrize(("channels", "spatial", "number", "kernel", "stride", "pad", "dilation", "group"), CASES)
def test_convolution(
    channels: int,
    spatial: tuple[int, ...],
    number: int,
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    pad: tuple[int, ...],
    dilation: tuple[int, ...],
    group: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    x, weight, bias = normal(2, channels, *spatial), normal(number, channels // group, *kernel), normal(number)
    parameter = fields(number, kernel_size=kernel, stride=stride, pad=pad, dilation=dilation, group=group)
    got = top("Convolution", parameter, [weight, bias], x=x)
    want = np.stack([looped(item, weight, stride, pad, dilation, group) for item in x])
    np.testing.assert_allclose(got, want + bias.reshape(-1, *(1,) * len(spatial)), atol=1e-12)
    monkeypatch.setattr(convolution, "_MOST_VALUES", 1)
    np.testing.assert_allclose(top("Convolution", parameter, [weight, bias], x=x), got, atol=1e-12)


@pytest.mark.parametrize(("channels", "spatial", "number", "kernel", "stride", "pad", "dilation", "group"), CASES)
def test_deconvolution_is_the_transpose(
    channels: int,
    spatial: tuple[int, ...],
    number: int,
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    pad: tuple[int, ...],
    dilation: tuple[int, ...],
    group: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    x, weight, bias = normal(2, channels, *spatial), normal(channels, number // group, *kernel), normal(number)
    parameter = fields(number, kernel_size=kernel, stride=stride, pad=pad, dilation=dilation, group=group)
    got = top("Deconvolution", parameter, [weight, bias], x=x)
    without_bias = got - bias.reshape(-1, *(1,) * len(spatial))
    # <conv(y), x> = <y, deconv(x)> for every y of the larger shape.
    for item, large in zip(x, without_bias, strict=True):
        other = normal(*large.shape, seed=7)
        convolved = looped(other, weight, stride, pad, dilation, group)
        assert convolved.shape == item.shape
        assert (convolved * item).sum() == pytest.approx((other * large).sum())
    monkeypatch.setattr(convolution, "_MOST_VALUES", 1)
    np.testing.assert_allclose(top("Deconvolution", parameter, [weight, bias], x=x), got, atol=1e-12)


def test_it_is_what_scipy_computes() -> None:
    x, weight = normal(1, 1, 9, 9), normal(1, 1, 3, 3)
    bare = fields(1, kernel_size=3).replace("}", "bias_term: false }")
    got = top("Convolution", bare, [weight], x=x)
    np.testing.assert_allclose(got[0, 0], signal.correlate2d(x[0, 0], weight[0, 0], "valid"))
    got = top("Deconvolution", bare, [weight], x=x)
    np.testing.assert_allclose(got[0, 0], signal.convolve2d(x[0, 0], weight[0, 0], "full"))


def test_other_axes_of_channels() -> None:
    x, weight = normal(2, 3, 4, 6), normal(5, 4, 3)
    parameter = "convolution_param { num_output: 5 kernel_size: 3 axis: 2 bias_term: false }"
    got = top("Convolution", parameter, [weight], x=x)
    assert got.shape == (2, 3, 5, 4)
    np.testing.assert_allclose(got[1, 2], looped(x[1, 2], weight, [1], [0], [1], 1))
    assert np.array_equal(got, top("Convolution", parameter.replace("axis: 2", "axis: -2"), [weight], x=x))
    columns = top("Im2col", "convolution_param { kernel_size: 3 axis: 2 }", x=x)
    assert columns.shape == (2, 3, 12, 4)


def test_no_spatial_axes() -> None:
    x, weight, bias = normal(4, 6), normal(4, 3), normal(4)
    parameter = "convolution_param { num_output: 4 group: 2 }"
    got = top("Convolution", parameter, [weight, bias], x=x)
    want = np.hstack([x[:, :3] @ weight[:2].T, x[:, 3:] @ weight[2:].T]) + bias
    np.testing.assert_allclose(got, want)


def test_several_bottoms() -> None:
    a, b, weight = normal(1, 2, 4, 4), normal(1, 2, 4, 4, seed=1), normal(3, 2, 2, 2)
    net = """layer { name: "c" type: "Convolution" bottom: "a" bottom: "b" top: "p" top: "q"
      convolution_param { num_output: 3 kernel_size: 2 bias_term: false } }"""
    found = tops(net, {"c/0": weight}, a=a, b=b)
    for name, x in (("p", a), ("q", b)):
        np.testing.assert_allclose(found[name][0], looped(x[0], weight, [1, 1], [0, 0], [1, 1], 1))


def test_im2col() -> None:
    x = normal(2, 3, 5, 6)
    parameter = "convolution_param { kernel_h: 2 kernel_w: 3 stride: 2 pad: 1 dilation: 2 }"
    got = top("Im2col", parameter, x=x)
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    assert got.shape == (2, 18, 3, 2)
    for channel, row, column in product(range(3), range(2), range(3)):
        want = padded[:, channel, 2 * row : 2 * row + 5 : 2, 2 * column : 2 * column + 3 : 2]
        assert np.array_equal(got[:, (channel * 2 + row) * 3 + column], want)


def test_a_last_window_beyond_the_input() -> None:
    # Caffe rounds the number of windows toward 0: -1 / 2 + 1 is 1.
    got = top(
        "Convolution",
        fields(1, kernel_size=2, stride=2, bias_term=0),
        [[[[[1, 10], [100, 1000]]]]],
        x=[[[[1], [2], [3]]]],
    )
    assert got.tolist() == [[[[201]]]]


@pytest.mark.parametrize(
    ("kind", "block", "sizes", "shape", "beyond"),
    [
        ("Convolution", "convolution_param", "kernel_size: 3 stride: 3 dilation: 2 pad: 1", (2, 3, 4, 1), (0, 2)),
        ("Convolution", "convolution_param", "kernel_size: 4 stride: 3", (2, 3, 2), (2,)),
        ("Im2col", "convolution_param", "kernel_size: 3 stride: 2", (2, 3, 2, 5), (1, 0)),
        ("Local", "local_param", "kernel_size: 3 stride: 2", (2, 3, 2, 5), (1, 0)),
    ],
)
def test_what_lies_beyond_the_input_is_0(
    kind: str, block: str, sizes: str, shape: tuple[int, ...], beyond: tuple[int, ...]
) -> None:
    x = normal(*shape)
    number = "" if kind == "Im2col" else "num_output: 2 bias_term: false"
    parameter = f"{block} {{ {number} {sizes} }}"
    weight = {
        "Convolution": [normal(2, 3, *[3 + (len(beyond) == 1)] * len(beyond))],
        "Im2col": None,
        "Local": [normal(2, 1, 27, 2)],
    }[kind]
    wide = np.pad(x, [(0, 0), (0, 0), *((0, more) for more in beyond)])
    np.testing.assert_array_equal(top(kind, parameter, weight, x=x), top(kind, parameter, weight, x=wide))


@pytest.mark.parametrize("kind", ["ConvolutionDepthwise", "DepthwiseConvolution"])
def test_depthwise_convolution(kind: str) -> None:
    x, weight, bias = normal(2, 4, 6, 7), normal(4, 1, 3, 3), normal(4)
    group = "group: 4" if kind == "DepthwiseConvolution" else ""
    parameter = f"convolution_param {{ num_output: 4 kernel_size: 3 stride: 2 pad: 1 dilation: 1 {group} }}"
    got = top(kind, parameter, [weight, bias], x=x)
    want = np.stack([looped(item, weight, [2, 2], [1, 1], [1, 1], 4) for item in x])
    np.testing.assert_allclose(got, want + bias[:, None, None], atol=1e-12)


def test_a_kernel_for_each_place() -> None:
    x, weight, bias = normal(2, 3, 4, 5), normal(2, 1, 12, 12), normal(1, 1, 2, 12)
    got = top("Local", "local_param { num_output: 2 kernel_size: 2 }", [weight, bias], x=x)
    for item, output, place in product(range(2), range(2), range(12)):
        row, column = divmod(place, 4)
        window = x[item, :, row : row + 2, column : column + 2].reshape(-1)
        want = window @ weight[output, 0, :, place] + bias[0, 0, output, place]
        assert got[item, output, row, column] == pytest.approx(want)


def test_mixtures_of_channels() -> None:
    x, weight, bias = normal(2, 4, 3, 3), normal(1, 1, 6, 2), normal(1, 1, 1, 6)
    got = top("CCCP", "cccp_param { num_output: 3 group: 2 }", [weight, bias], x=x)
    for output in range(6):
        first = output // 3 * 2
        want = np.einsum("nchw,c->nhw", x[:, first : first + 2], weight[0, 0, output]) + bias[0, 0, 0, output]
        np.testing.assert_allclose(got[:, output], want)
