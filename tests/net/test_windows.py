"""Convolution and pooling extents against counting windows one by one."""

from collections.abc import Callable

from hypothesis import assume, given
from hypothesis import strategies as st

from filler_server.net.plan import Layer
from filler_server.net.windows import Windows

small = st.integers(0, 12)
positive = st.integers(1, 6)


def convolution_positions(extent: int, kernel: int, stride: int, pad: int, dilation: int) -> int:
    padded = [False] * pad + [True] * extent + [False] * pad
    return sum(
        1
        for start in range(0, len(padded), stride)
        if all(start + tap * dilation < len(padded) for tap in range(kernel))
    )


@given(st.integers(1, 30), positive, positive, small, positive)
def test_convolution_counts_the_windows_that_fit(
    extent: int, kernel: int, stride: int, pad: int, dilation: int
) -> None:
    assume(dilation * (kernel - 1) + 1 <= extent + 2 * pad)
    windows = Windows((kernel,), (stride,), (pad,), (dilation,))
    assert windows.over([extent]) == (convolution_positions(extent, kernel, stride, pad, dilation),)


@given(st.integers(1, 30), positive, positive, small, positive)
def test_deconvolution_is_the_smallest_extent_whose_convolution_gives_back_the_input(
    extent: int, kernel: int, stride: int, pad: int, dilation: int
) -> None:
    windows = Windows((kernel,), (stride,), (pad,), (dilation,))
    (spread,) = windows.spread([extent])
    assume(spread > 0)
    assert windows.over([spread]) == (extent,)
    assert extent == 1 or windows.over([spread - 1]) == (extent - 1,)


def pooling_positions(extent: int, kernel: int, stride: int, pad: int) -> int:
    """Windows until the padded input is covered, less a last one that begins beyond the input and its first pad."""
    starts = [0]
    while starts[-1] + kernel < extent + 2 * pad:
        starts.append(starts[-1] + stride)
    if pad and starts[-1] >= extent + pad:
        starts.pop()
    return len(starts)


@given(
    height=st.integers(1, 30),
    width=st.integers(1, 30),
    kernel=st.integers(1, 6),
    stride=st.integers(1, 8),
    pad=st.integers(0, 5),
)
def test_pooling_covers_the_padded_input(
    set_up: Callable[..., Layer], height: int, width: int, kernel: int, stride: int, pad: int
) -> None:
    assume(pad < kernel <= min(height, width) + 2 * pad)
    layer = set_up(
        f'type: "Pooling" pooling_param {{ kernel_size: {kernel} stride: {stride} pad: {pad} }}', (1, 2, height, width)
    )
    expected = tuple(pooling_positions(extent, kernel, stride, pad) for extent in (height, width))
    assert layer.tops[0].shape == (1, 2, *expected)


@given(extent=st.integers(1, 40), kernel=st.integers(1, 6), stride=st.integers(1, 8))
def test_floor_pooling_counts_the_windows_that_fit(
    set_up: Callable[..., Layer], extent: int, kernel: int, stride: int
) -> None:
    assume(kernel <= extent)
    layer = set_up(
        f'type: "Pooling" pooling_param {{ kernel_size: {kernel} stride: {stride} round_mode: FLOOR }}',
        (1, 1, extent, extent),
    )
    expected = convolution_positions(extent, kernel, stride, 0, 1)
    assert layer.tops[0].shape == (1, 1, expected, expected)


@given(height=st.integers(1, 64), width=st.integers(1, 64), levels=st.integers(1, 5))
def test_spatial_pyramid_is_as_long_for_every_image_that_caffe_accepts(
    set_up: Callable[..., Layer], height: int, width: int, levels: int
) -> None:
    bins = 2 ** (levels - 1)
    assume(height % bins == 0 and width % bins == 0)
    layer = set_up(f'type: "SPP" spp_param {{ pyramid_height: {levels} }}', (2, 3, height, width))
    length = 3 * sum(4**level for level in range(levels))
    assert layer.tops[0].shape == ((2, 3, 1, 1) if levels == 1 else (2, length))
