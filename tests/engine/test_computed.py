import random
from itertools import pairwise
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from caffe_filler.caffe.caffe_pb2 import BlobProto, FillerParameter
from caffe_filler.errors import InvalidArgument
from filler_server.engine import computed
from filler_server.engine.computed import ComputedTensor, FilledBlob, GivenBlob, given_values
from filler_server.engine.region import Region
from filler_server.fillers import get_filler
from tests.flat_index import FlatIndex, FlatIndexFiller, NoStream, flat_index_blob
from tests.regions import regions, shapes

DTYPES = [np.dtype(t) for t in (np.float32, np.float64, np.float16, ml_dtypes.bfloat16)]
dtypes = st.sampled_from(DTYPES)


def whole(tensor: ComputedTensor) -> Any:
    """All values of a tensor in one read."""
    values = np.empty(tensor.count, tensor.dtype)
    tensor.read(0, values)
    return values


def window(flat: Any, region: Region) -> Any:
    """A region of a blob's flat values, by NumPy."""
    slices = tuple(slice(start, start + n) for start, n in zip(region.starts, region.shape, strict=True))
    return flat.reshape(region.dims)[slices].reshape(-1)


@st.composite
def tensors(draw: st.DrawFn) -> ComputedTensor:
    """A filled or a given blob, or a region of one, in any dtype."""
    shape, dtype = draw(shapes), draw(dtypes)
    region = draw(regions(shape))
    if draw(st.booleans()):
        return flat_index_blob(shape, region, dtype, scale=1 / 3)
    count = Region.whole(shape).count
    values = np.arange(count, dtype=draw(st.sampled_from([np.float32, np.float64]))) / 3
    return GivenBlob("given", values, region, dtype, shape=shape)


@given(st.data(), shapes, dtypes)
def test_a_region_holds_the_values_of_the_blob(data: st.DataObject, shape: tuple[int, ...], dtype: Any) -> None:
    region = data.draw(regions(shape))
    everything = whole(flat_index_blob(shape, dtype=dtype))
    part = flat_index_blob(shape, region, dtype)
    assert part.nbytes == region.count * dtype.itemsize
    np.testing.assert_array_equal(whole(part), window(everything, region))


@given(tensors(), st.data())
def test_windows_in_any_order_make_the_whole(tensor: ComputedTensor, data: st.DataObject) -> None:
    want = whole(tensor)
    count = tensor.count
    cuts = sorted({0, count, *data.draw(st.lists(st.integers(0, count), max_size=4))})
    parts = list(pairwise(cuts))
    random.Random(data.draw(st.integers(0, 9))).shuffle(parts)
    got = np.empty(count, tensor.dtype)
    for start, stop in parts:
        tensor.read(start, got[start:stop])
    assert got.tobytes() == want.tobytes()


@given(tensors(), st.data())
def test_bytes_from_anywhere_to_anywhere_are_those_of_the_whole(tensor: ComputedTensor, data: st.DataObject) -> None:
    want = whole(tensor).tobytes()
    assert len(want) == tensor.nbytes
    start = data.draw(st.integers(0, len(want)))
    stop = data.draw(st.integers(start, len(want)))
    at = data.draw(st.integers(0, 9))
    buffer = bytearray(b"\xa5" * (at + stop - start + 3))
    tensor.read_bytes(start, memoryview(buffer)[at : at + stop - start])
    assert buffer == b"\xa5" * at + want[start:stop] + b"\xa5" * 3


@pytest.mark.parametrize("dtype", DTYPES[2:])
def test_half_precision_is_the_rounded_single_precision(dtype: Any) -> None:
    shape = (1000,)
    single = whole(flat_index_blob(shape, dtype=np.float32, scale=1 / 3))
    half = whole(flat_index_blob(shape, dtype=dtype, scale=1 / 3))
    np.testing.assert_array_equal(half, single.astype(dtype))
    # Nearest: no neighbor lies closer; and a tie goes to the even one, for which 2k + 1 ulp halves are tried below.
    error = np.abs(half.astype(np.float64) - single)
    for step in (1, -1):
        neighbor = (half.view(np.uint16).astype(np.int32) + step).clip(0).astype(np.uint16).view(dtype)
        assert (error <= np.abs(neighbor.astype(np.float64) - single)).all()


@pytest.mark.parametrize(("dtype", "bits"), [(DTYPES[2], 11), (DTYPES[3], 8)])
def test_half_precision_ties_go_to_even(dtype: Any, bits: int) -> None:
    odds = np.arange(2**bits + 1, 2 ** (bits + 1), 2)
    tensor = flat_index_blob((2 ** (bits + 1),), dtype=dtype)
    values = whole(tensor).astype(np.int64)[odds]
    assert (np.abs(values - odds) == 1).all()
    assert (values % 4 == 0).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_long_region_is_computed_in_blocks(monkeypatch: pytest.MonkeyPatch, dtype: Any) -> None:
    monkeypatch.setattr(computed, "BLOCK", 100)
    region = Region.box((50, 20), [(0, None), (3, 18)])
    distribution = FlatIndex(modulus=1000)
    tensor = flat_index_blob((50, 20), region, dtype, distribution=distribution)
    want = np.arange(1000.0).astype(dtype)
    np.testing.assert_array_equal(whole(tensor), window(want, region))
    assert distribution.longest == 100


def reaching(dtype: Any, mean: float, std: float, minimum: float, maximum: float) -> FilledBlob:
    distribution = FlatIndex()
    distribution.mean, distribution.std, distribution.minimum, distribution.maximum = mean, std, minimum, maximum
    return flat_index_blob((2,), dtype=dtype, distribution=distribution)


INF = float("inf")


@pytest.mark.parametrize(
    ("moments", "largest"),
    [
        ((0, 40_000, -70_000, 70_000), "70000"),
        ((-50_000, 1, -70_000, 0), "70000"),
        ((1e6, 0, 1e6, 1e6), "1e\\+06"),
        ((0, 10_000, -INF, INF), "66000"),
        ((-65_000, 100, -INF, INF), "65660"),
        ((0, 10_000, 0, INF), "66000"),
    ],
)
def test_values_that_float16_cannot_hold_are_refused(moments: tuple[float, ...], largest: str) -> None:
    pattern = f"reach {largest} and float16 ends at 65504. Received: dtype=float16$"
    with pytest.raises(InvalidArgument, match=pattern) as caught:
        reaching(np.float16, *moments)
    assert [violation.field for violation in caught.value.violations] == ["dtype"]
    reaching(np.float32, *moments)
    reaching(ml_dtypes.bfloat16, *moments)


@pytest.mark.parametrize(
    "moments",
    [
        (0, 9_900, -INF, INF),
        (0, 40_000, -65_504, 65_504),
        (INF, 0, INF, INF),
        (float("nan"), 0, float("nan"), float("nan")),
    ],
)
def test_values_that_float16_can_hold_are_not(moments: tuple[float, ...]) -> None:
    reaching(np.float16, *moments)


def test_values_that_bfloat16_cannot_hold_are_refused() -> None:
    largest = float(np.finfo(np.float32).max)
    with pytest.raises(InvalidArgument, match=r"bfloat16 ends at 3\.38953e"):
        reaching(ml_dtypes.bfloat16, largest, 0, largest, largest)
    reaching(np.float32, largest, 0, largest, largest)


@pytest.mark.parametrize(("mean", "std"), [(0, 6e37), (3.4e38, 1e36), (-3.4e38, 1e36)])
def test_normal_values_that_float32_cannot_hold_are_refused(mean: float, std: float) -> None:
    filler, region = get_filler(FillerParameter(type="gaussian", mean=mean, std=std)), Region.whole((2,))
    with pytest.raises(InvalidArgument, match=r"values of 'gaussian' reach .* and float32 ends at 3\.40282e\+38"):
        FilledBlob("b", filler, NoStream(), region, np.dtype(np.float32), shape=(2,))
    FilledBlob("b", filler, NoStream(), region, np.dtype(np.float64), shape=(2,))


def test_a_blob_that_shares_values_under_another_shape() -> None:
    filler = FlatIndexFiller(FillerParameter())
    region = Region.box((6, 2), [(2, 4), (1, 2)])
    tensor = FilledBlob(
        "b/0", filler, NoStream(), region, np.dtype(np.float32), shape=(6, 2), filled_shape=(3, 4), owner="a/0"
    )
    assert whole(tensor).tolist() == [5, 7]
    assert set(filler.shapes) == {(3, 4)}
    assert (tensor.blob_shape, tensor.owner) == ((6, 2), "a/0")


def test_a_given_blob_under_another_shape() -> None:
    region = Region.box((6, 2), [(2, 4), (1, 2)])
    values = np.arange(12, dtype=np.float32)
    tensor = GivenBlob("b/0", values, region, np.dtype(np.float64), shape=(6, 2), owner="a/0")
    assert whole(tensor).tolist() == [5, 7]
    assert (tensor.blob_shape, tensor.owner) == ((6, 2), "a/0")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("field", ["data", "double_data"])
def test_given_values_are_converted(dtype: Any, field: str) -> None:
    numbers = [0.0, -0.0, 1 / 3, 1e300 if field == "double_data" else 3e38, -5.0, INF, float("nan")]
    values = given_values(BlobProto(**{field: numbers}))  # type: ignore[arg-type]
    stored = np.array(numbers, np.float64 if field == "double_data" else np.float32)
    assert values.dtype == stored.dtype
    with np.errstate(over="ignore"):
        assert whole(GivenBlob("b/0", values, Region.whole((7,)), dtype, shape=(7,))).tobytes() == (
            stored.astype(dtype).tobytes()
        )


def test_double_values_go_before_single_ones() -> None:
    assert given_values(BlobProto(data=[1, 2], double_data=[3, 4])).tolist() == [3, 4]


def test_a_long_given_blob_is_read_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(computed, "BLOCK", 7)
    values = np.arange(60, dtype=np.float32)
    region = Region.box((5, 12), [(1, 5), (2, 11)])
    tensor = GivenBlob("b/0", values, region, np.dtype(np.float32), shape=(5, 12))
    np.testing.assert_array_equal(whole(tensor), window(values, region))
