import sys
import tracemalloc
from math import prod

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from caffe_filler.errors import RegionError, ShapeError
from filler_server.engine.region import Region
from filler_server.rng.stream import Runs
from tests.regions import regions, shapes


def indices(runs: Runs) -> list[int]:
    """The flat indices that runs name, in the order of `out`."""
    assert runs.starts.dtype == runs.bounds.dtype == np.int64
    assert runs.bounds[0] == 0
    lengths = np.diff(runs.bounds)
    assert (lengths > 0).all()
    return [start + k for start, length in zip(runs.starts, lengths, strict=True) for k in range(length)]


def expected(region: Region, shape: tuple[int, ...]) -> list[int]:
    """The flat indices of a region, by NumPy."""
    numbers = np.arange(prod(shape))
    if not region.is_flat:
        numbers = numbers.reshape(shape)
    window = tuple(slice(start, start + n) for start, n in zip(region.starts, region.shape, strict=True))
    return [int(number) for number in np.ravel(numbers[window])]


@given(st.data())
def test_every_window_of_every_region_names_the_elements_of_the_box(data: st.DataObject) -> None:
    shape = data.draw(shapes)
    region = data.draw(regions(shape, smallest=1))
    want = expected(region, shape)
    assert region.count == len(want)
    start = data.draw(st.integers(0, region.count - 1))
    count = data.draw(st.integers(1, region.count - start))
    runs = region.runs(start, count)
    assert runs.count == count
    assert indices(runs) == want[start : start + count]


@given(st.data())
def test_a_contiguous_region_is_one_run_in_every_window(data: st.DataObject) -> None:
    shape = data.draw(shapes)
    region = data.draw(regions(shape, smallest=1))
    assert region.is_contiguous == (len(region.runs(0, region.count).starts) == 1)
    if region.is_contiguous:
        want = expected(region, shape)
        assert want == list(range(want[0], want[0] + len(want)))


@given(st.data(), st.integers(1, 7))
def test_split_runs_name_the_same_elements(data: st.DataObject, longest: int) -> None:
    shape = data.draw(shapes)
    region = data.draw(regions(shape, smallest=1))
    runs = region.runs(0, region.count)
    pieces = runs.split(longest)
    assert indices(pieces) == indices(runs)
    assert np.diff(pieces.bounds).max() <= longest


def test_whole() -> None:
    region = Region.whole([2, 3])
    assert region == Region((2, 3), (0, 0), (2, 3))
    assert (region.count, region.is_whole, region.is_flat, region.is_contiguous) == (6, True, False, True)


def test_a_flat_range_of_everything_is_still_flat() -> None:
    region = Region.flat((2, 3), 0, None)
    assert region == Region((6,), (0,), (6,), is_flat=True)
    assert not region.is_whole


def test_an_open_box_is_whole() -> None:
    assert Region.box((2, 3), [(0, None), (0, 3)]) == Region.whole((2, 3))


def test_axes_left_out_at_the_end_are_whole() -> None:
    assert Region.box((3, 4, 5), [(1, 2)]) == Region.box((3, 4, 5), [(1, 2), (0, 4), (0, None)])
    assert Region.box((3, 4), []) == Region.whole((3, 4))


def test_a_blob_of_no_axes_has_one_value() -> None:
    for region in (Region.whole(()), Region.box((), []), Region.flat((), 0, None), Region.flat((), 0, 1)):
        assert region.count == 1
        assert region.is_contiguous
        assert indices(region.runs(0, 1)) == [0]


@pytest.mark.parametrize(
    "region",
    [
        Region.box((3, 4), [(1, 1), (0, None)]),
        Region.box((3, 4), [(0, 3), (4, 4)]),
        Region.flat((3, 4), 12, None),
        Region.flat((3, 4), 5, 5),
        Region.flat((), 1, 1),
    ],
)
def test_a_region_may_be_empty(region: Region) -> None:
    assert region.count == 0
    assert not region.is_whole


@pytest.mark.parametrize(
    ("shape", "ranges", "received"),
    [
        ((3, 4), [(0, 4), (0, 4)], "Received: region=0:4,0:4, shape=[3, 4]"),
        ((3, 4), [(2, 1), (0, None)], "Received: region=2:1,0:, shape=[3, 4]"),
        ((3, 4), [(-1, 2), (0, 4)], "Received: region=-1:2,0:4, shape=[3, 4]"),
        ((3, 4), [(0, 3), (5, None)], "Received: region=0:3,5:, shape=[3, 4]"),
        ((3, 4), [(0, -1), (0, None)], "Received: region=0:-1,0:, shape=[3, 4]"),
        ((3, 4), [(0, 3), (0, 4), (0, 1)], "Received: region=0:3,0:4,0:1, shape=[3, 4]"),
        ((), [(0, 1)], "Received: region=0:1, shape=[]"),
    ],
)
def test_a_box_outside_is_refused(shape: tuple[int, ...], ranges: list[tuple[int, int | None]], received: str) -> None:
    with pytest.raises(RegionError) as caught:
        Region.box(shape, ranges)
    assert str(caught.value).endswith(received)
    assert [violation.field for violation in caught.value.violations] == ["region"]


@pytest.mark.parametrize(
    ("shape", "start", "stop", "received"),
    [
        ((3, 4), 0, 13, "Received: region=0:13, shape=[3, 4]"),
        ((3, 4), 13, None, "Received: region=13:, shape=[3, 4]"),
        ((3, 4), 5, 4, "Received: region=5:4, shape=[3, 4]"),
        ((3, 4), -2, 4, "Received: region=-2:4, shape=[3, 4]"),
        ((), 0, 2, "Received: region=0:2, shape=[]"),
    ],
)
def test_a_flat_range_outside_is_refused(shape: tuple[int, ...], start: int, stop: int | None, received: str) -> None:
    with pytest.raises(RegionError) as caught:
        Region.flat(shape, start, stop)
    assert str(caught.value).endswith(received)


@pytest.mark.parametrize("make", [Region.whole, lambda shape: Region.box(shape, []), lambda s: Region.flat(s, 0, 1)])
@pytest.mark.parametrize(
    ("shape", "received"),
    [
        ([0, 3], "Received: shape=[0, 3]"),
        ([-1], "Received: shape=[-1]"),
        ([2**60], f"Received: shape=[{2**60}]"),
        ([2**30, 2**31], f"Received: shape=[{2**30}, {2**31}]"),
        ([2**63, 2**63], f"Received: shape=[{2**63}, {2**63}]"),
        ([1] * 33, "Received: 33 axes"),
        ([2.5, 2], "Received: shape=[2.5, 2]"),
        (["3"], "Received: shape=['3']"),
    ],
)
def test_a_shape_that_no_blob_has_is_refused(make: object, shape: list[int], received: str) -> None:
    with pytest.raises(ShapeError) as caught:
        make(shape)  # type: ignore[operator]
    assert str(caught.value).endswith(received)
    assert [violation.field for violation in caught.value.violations] == ["shape"]


@pytest.mark.parametrize(
    ("shape", "ranges"),
    [
        ((2**59,), [(2**59 - 7, None)]),
        ((2**30, 2**29), [(2**30 - 3, None), (2**28, 2**28 + 5)]),
        ((3, 2**20, 2**37), [(2, 3), (2**20 - 2, None), (0, None)]),
    ],
)
def test_the_end_of_a_huge_blob_costs_only_its_own_length(
    shape: tuple[int, ...], ranges: list[tuple[int, int | None]]
) -> None:
    region = Region.box(shape, ranges)
    tracemalloc.start()
    try:
        start = max(region.count - 9, 0)
        runs = region.runs(start, region.count - start)
        assert tracemalloc.get_traced_memory()[1] < 1 << 16
    finally:
        tracemalloc.stop()
    strides = [prod(shape[axis + 1 :]) for axis in range(len(shape))]
    want = []
    for number in range(start, region.count):
        flat, rest = 0, number
        for axis in reversed(range(len(shape))):
            rest, index = divmod(rest, region.shape[axis])
            flat += (region.starts[axis] + index) * strides[axis]
        want.append(flat)
    assert indices(runs) == want


def test_the_last_value_of_the_largest_blob() -> None:
    region = Region.flat((2**60 - 1,), 2**60 - 2, None)
    assert indices(region.runs(0, 1)) == [2**60 - 2]
    assert sys.getsizeof(region.runs(0, 1).starts) < 1024
