from itertools import product
from typing import Any

import numpy as np
import pytest

from tests.models.reference.small import normal, top


def test_stored_statistics_and_their_factor() -> None:
    x, mean, variance = normal(2, 3, 4, 5), normal(3), np.abs(normal(3, seed=1)) + 0.1
    want = (x - mean[:, None, None]) / np.sqrt(variance[:, None, None] + 0.01)
    fields = "batch_norm_param { eps: 0.01 }"
    for factor in (1, 7.5):
        got = top("BatchNorm", fields, [mean * factor, variance * factor, [factor]], x=x)
        np.testing.assert_allclose(got, want, rtol=1e-7)
    without = top("BatchNorm", fields, [mean, variance, [0]], x=x)
    np.testing.assert_allclose(without, x / np.sqrt(0.01), rtol=1e-7)


@pytest.mark.parametrize("shape", [(5, 3), (4, 3, 2), (2, 3, 4, 5), (2, 3, 2, 2, 2)])
def test_statistics_of_the_batch(shape: tuple[int, ...]) -> None:
    x = normal(*shape)
    axes = (0, *range(2, len(shape)))
    want = (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + 1e-5)
    zeros: list[Any] = [np.zeros(3), np.zeros(3), [0]]
    np.testing.assert_allclose(top("BatchNorm", weights=zeros, phase="TRAIN", x=x), want, rtol=1e-7)
    in_test = top("BatchNorm", "batch_norm_param { use_global_stats: false }", zeros, x=x)
    np.testing.assert_allclose(in_test, want, rtol=1e-7)


def test_batch_norm_with_its_own_scale() -> None:
    x, mean, variance, scale, bias = normal(2, 3, 4), *(np.abs(normal(3, seed=seed)) for seed in range(4))
    got = top("BatchNorm", "batch_norm_param { scale_bias: true }", [mean, variance, [1], scale, bias], x=x)
    columns = [values[:, None] for values in (mean, variance, scale, bias)]
    want = (x - columns[0]) / np.sqrt(columns[1] + 1e-5) * columns[2] + columns[3]
    np.testing.assert_allclose(got, want, rtol=1e-7)


@pytest.mark.parametrize(
    ("fields", "shape", "subscripts"),
    [
        ("", (3,), "ijkl,j->ijkl"),
        ("axis: 0", (2,), "ijkl,i->ijkl"),
        ("axis: 0 num_axes: 2", (2, 3), "ijkl,ij->ijkl"),
        ("axis: -1", (5,), "ijkl,l->ijkl"),
        ("axis: 2 num_axes: -1", (4, 5), "ijkl,kl->ijkl"),
        ("num_axes: 0", (), "ijkl,->ijkl"),
    ],
)
def test_axes_of_scale_and_bias(fields: str, shape: tuple[int, ...], subscripts: str) -> None:
    x, factor, summand = normal(2, 3, 4, 5), normal(*shape, seed=1), normal(*shape, seed=2)
    added = np.einsum(subscripts, np.ones_like(x), summand)
    scaled = np.einsum(subscripts, x, factor)
    np.testing.assert_allclose(top("Bias", f"bias_param {{ {fields} }}", [summand], x=x), x + added)
    np.testing.assert_allclose(top("Scale", f"scale_param {{ {fields} }}", [factor], x=x), scaled)
    both = top("Scale", f"scale_param {{ {fields} bias_term: true }}", [factor, summand], x=x)
    np.testing.assert_allclose(both, scaled + added)
    if shape:
        # The number of axes is that of the second bottom.
        of_bottom = fields.replace("num_axes: 2", "").replace("num_axes: -1", "")
        np.testing.assert_allclose(top("Bias", f"bias_param {{ {of_bottom} }}", x=x, b=summand), x + added)
        np.testing.assert_allclose(top("Scale", f"scale_param {{ {of_bottom} }}", x=x, a=factor), scaled)
        both = top("Scale", f"scale_param {{ {of_bottom} bias_term: true }}", [summand], x=x, a=factor)
        np.testing.assert_allclose(both, scaled + added)


@pytest.mark.parametrize("size", [1, 3, 5, 15])
def test_response_normalization_across_channels(size: int) -> None:
    x = normal(2, 6, 3, 4)
    got = top("LRN", f"lrn_param {{ local_size: {size} alpha: 2 beta: 0.5 k: 3 }}", x=x)
    for channel in range(6):
        near = x[:, max(channel - size // 2, 0) : channel + size // 2 + 1]
        want = x[:, channel] / (3 + 2 / size * (near**2).sum(1)) ** 0.5
        np.testing.assert_allclose(got[:, channel], want)


@pytest.mark.parametrize("size", [1, 3, 7])
def test_response_normalization_within_a_channel(size: int) -> None:
    x, side = normal(2, 2, 5, 4), size // 2
    fields = f"lrn_param {{ local_size: {size} alpha: 2 beta: 0.75 k: 9 norm_region: WITHIN_CHANNEL }}"
    got = top("LRN", fields, x=x)
    for row, column in product(range(5), range(4)):
        near = x[:, :, max(row - side, 0) : row + side + 1, max(column - side, 0) : column + side + 1]
        # k does not count, and padding does.
        want = x[:, :, row, column] / (1 + 2 / size**2 * (near**2).sum((2, 3))) ** 0.75
        np.testing.assert_allclose(got[:, :, row, column], want)


@pytest.mark.parametrize(("across", "axes"), [("false", (2, 3)), ("true", (1, 2, 3))])
def test_mean_and_variance(across: str, axes: tuple[int, ...]) -> None:
    x = normal(2, 3, 4, 5)
    centered = x - x.mean(axes, keepdims=True)
    fields = f"mvn_param {{ across_channels: {across} eps: 0.5 }}"
    # The epsilon stands outside of the root.
    np.testing.assert_allclose(top("MVN", fields, x=x), centered / (x.std(axes, keepdims=True) + 0.5), rtol=1e-7)
    only_mean = top("MVN", f"mvn_param {{ across_channels: {across} normalize_variance: false }}", x=x)
    np.testing.assert_allclose(only_mean, centered)


@pytest.mark.parametrize("spatial", ["true", "false"])
@pytest.mark.parametrize("shared", ["true", "false"])
def test_normalize(spatial: str, shared: str) -> None:
    x = normal(2, 3, 4, 5)
    scale = np.array(2.0) if shared == "true" else normal(3)
    fields = f"norm_param {{ across_spatial: {spatial} channel_shared: {shared} eps: 0.1 }}"
    squares = (x**2).sum((1, 2, 3) if spatial == "true" else 1, keepdims=True)
    want = x / np.sqrt(squares + 0.1) * scale.reshape(-1, 1, 1)
    np.testing.assert_allclose(top("Normalize", fields, [scale], x=x), want, rtol=1e-7)


def test_normalize_without_a_scale() -> None:
    x = normal(2, 3, 4, 5)
    l2 = top("Normalize", "normalize_param { normalize_type: 'L2' }", x=x)
    np.testing.assert_allclose(l2, x / np.sqrt((x**2).sum(1, keepdims=True) + 1e-6))
    l1 = top("Normalize", "normalize_param { normalize_type: 'L1' }", x=x)
    np.testing.assert_allclose(l1, x / (np.abs(x).sum(1, keepdims=True) + 1e-6))


def test_bn_of_segmentation() -> None:
    x, scale, shift, mean, variance = normal(2, 3, 4, 5), *(np.abs(normal(1, 3, 1, 1, seed=seed)) for seed in range(4))
    got = top("BN", "bn_param { eps: 0.1 momentum: 0.9 }", [scale, shift, mean, variance], x=x)
    np.testing.assert_allclose(got, scale * (x - mean) / np.sqrt(variance + 0.1) + shift, rtol=1e-7)
    inference = top("BN", "bn_param { bn_mode: INFERENCE }", [scale, shift], x=x)
    np.testing.assert_allclose(inference, scale * x + shift)
    learning = top("BN", "bn_param { scale_filler { type: 'constant' } }", [scale, shift], x=x)
    own = (x - x.mean((0, 2, 3), keepdims=True)) / np.sqrt(x.var((0, 2, 3), keepdims=True) + 1e-9)
    np.testing.assert_allclose(learning, scale * own + shift)


def test_norms_of_channels() -> None:
    x = normal(2, 3, 4, 5)
    np.testing.assert_allclose(top("ChannelNorm", x=x), np.linalg.norm(x, axis=1, keepdims=True))
