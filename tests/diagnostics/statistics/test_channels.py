from typing import Any

import ml_dtypes
import numpy as np
import pytest

from filler_server.diagnostics.statistics.channels import Axes, Channels

DTYPES = [np.float32, np.float64, np.float16, ml_dtypes.bfloat16]


def seen(values: Any, axes: Axes, size: int = 1 << 20) -> Channels:
    channels, flat = Channels(axes, values.dtype), values.reshape(-1)
    for begin in range(0, flat.size, size):
        channels.add(flat[begin : begin + size])
    return channels


def normal(shape: tuple[int, ...], dtype: Any) -> Any:
    return np.random.default_rng(1).normal(size=shape).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [7, 1000, 1 << 20])
def test_channels_of_the_first_axis(dtype: Any, size: int) -> None:
    values = normal((12, 5, 25, 10), dtype)
    assert (seen(values, Axes.first(values.shape), size).zero, seen(values, Axes.first(values.shape)).repeated) == (
        0,
        0,
    )
    values[3], values[9] = 0.0, -0.0
    values[[5, 11]] = values[2]
    found = seen(values, Axes.first(values.shape), size)
    assert found.is_judged
    assert (found.zero, found.repeated) == (2, 2)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("group", [1, 2])
@pytest.mark.parametrize("kernel", [(), (3, 3)])
def test_channels_of_the_second_axis(dtype: Any, group: int, kernel: tuple[int, ...]) -> None:
    values = normal((40, 6, *kernel), dtype)
    half = 40 // group
    values[:half, 1] = 0.0
    values[:half, 4] = values[:half, 2]
    found = seen(values, Axes.second(values.shape, group), 101)
    assert (found.zero, found.repeated) == (1, 1)
    assert Axes.second(values.shape, group).channels == 6 * group


def test_the_same_values_in_another_order_are_another_channel() -> None:
    values = normal((2, 3000), np.float32)
    values[1] = values[0]
    values[1, [5, 2900]] = values[1, [2900, 5]]
    assert seen(values, Axes.first(values.shape)).repeated == 0
    values[1] = np.roll(values[0], 1024)
    assert seen(values, Axes.first(values.shape)).repeated == 0


@pytest.mark.parametrize("shape", [(), (7,), (7, 1), (7, 1, 1), (1, 50), (0, 4), (4, 0)])
def test_channels_that_chance_makes_equal_are_not_judged(shape: tuple[int, ...]) -> None:
    for dtype in DTYPES:
        found = seen(np.zeros(shape, dtype), Axes.first(shape))
        assert (found.is_judged, found.zero, found.repeated) == (False, 0, 0)
